//! Tools that speak of the conversation itself: questions to the user, plans, agents (chats that a chat makes), advice.
//!
//! **Invariant:** none of them has an effect that a second run repeats: what they send carries the call's address as its
//! idempotency key, and a spawned chat's id is made from it.

mod advisor;
mod agents;
mod arguments;
mod plan;
mod questions;

use std::sync::{Arc, LazyLock};

use verbatim_events::chat::Chat;
use verbatim_events::event::{EffectClass, ToolDefinition};
use verbatim_events::ids::MessageId;
use verbatim_events::log::BoxFuture;
use verbatim_events::tool::{ChatAccess, OutputSink, ToolAnswer, ToolInvocation};

pub use advisor::{Advisor, AdvisorSettings};

use crate::families::ToolFamily;
use agents::Agents;

/// What the model sees of them, made once: a prompt is offered them by reference.
struct Definitions {
    question: Arc<ToolDefinition>,
    agents: Vec<Arc<ToolDefinition>>,
    plan: Arc<ToolDefinition>,
    advisor: Arc<ToolDefinition>,
}

static DEFINITIONS: LazyLock<Definitions> = LazyLock::new(|| Definitions {
    question: Arc::new(questions::definition()),
    agents: agents::definitions().into_iter().map(Arc::new).collect(),
    plan: Arc::new(plan::definition()),
    advisor: Arc::new(advisor::definition()),
});

/// The family.
pub struct ConversationTools {
    agents: Agents,
    advisor: Option<Advisor>,
}

impl ConversationTools {
    /// Without an `advisor` that tool is not offered.
    pub fn new(access: Arc<dyn ChatAccess>, advisor: Option<Advisor>) -> ConversationTools {
        ConversationTools { agents: Agents::new(access), advisor }
    }

    /// The one rule for who has an advisor; its tool and what is said of it follow from it.
    fn advisor_of(&self, chat: &Chat) -> Option<&Advisor> {
        self.advisor.as_ref().filter(|_| is_root(chat))
    }
}

/// Agents have no agents and no advisor of their own.
fn is_root(chat: &Chat) -> bool {
    chat.outline.parent.is_none()
}

impl ToolFamily for ConversationTools {
    fn definitions(&self, chat: &Chat) -> Vec<Arc<ToolDefinition>> {
        let Definitions { question, agents, plan, advisor } = &*DEFINITIONS;
        let mut definitions = Vec::with_capacity(agents.len() + 3);
        if is_root(chat) {
            definitions.push(Arc::clone(question));
            definitions.extend(agents.iter().cloned());
        }
        if chat.outline.plan_mode {
            definitions.push(Arc::clone(plan));
        }
        definitions.extend(self.advisor_of(chat).map(|_| Arc::clone(advisor)));
        definitions
    }

    fn guidance(&self, chat: &Chat, offered: &[Arc<ToolDefinition>]) -> Option<String> {
        self.advisor_of(chat)?;
        offered.iter().any(|tool| tool.name == advisor::NAME).then(|| advisor::GUIDANCE.to_owned())
    }

    fn is_harmless(&self, name: &str) -> bool {
        matches!(name, questions::NAME | plan::NAME | advisor::NAME | "wait_agent" | "list_agents")
    }

    fn effect_class(&self, chat: &Chat, name: &str) -> Option<EffectClass> {
        let known = self.definitions(chat).iter().any(|tool| tool.name == name);
        known.then_some(EffectClass::Idempotent)
    }

    fn run(&self, invocation: ToolInvocation, output: OutputSink) -> BoxFuture<'static, ToolAnswer> {
        match invocation.name.as_str() {
            questions::NAME => Box::pin(std::future::ready(questions::ask(&invocation.args))),
            plan::NAME => Box::pin(std::future::ready(plan::propose(&invocation.args))),
            advisor::NAME => match self.advisor.clone() {
                Some(advisor) => Box::pin(async move { advisor.advise(invocation, output).await }),
                None => Box::pin(std::future::ready(ToolAnswer::error("there is no advisor"))),
            },
            _ => {
                let agents = self.agents.clone();
                Box::pin(async move { agents.run(invocation).await })
            }
        }
    }

    fn stop(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        if chat.outline.agents.is_empty() {
            return None;
        }
        let (agents, children) = (self.agents.clone(), chat.outline.agents.clone());
        Some(Box::pin(async move { agents.stop(children).await }))
    }

    fn withdrawn(&self, chat: &Chat, from: MessageId) -> Option<BoxFuture<'static, ()>> {
        let children = agents::agents_since(chat, from);
        if children.is_empty() {
            return None;
        }
        let agents = self.agents.clone();
        Some(Box::pin(async move { agents.stop(children).await }))
    }
}
