//! All families of tools as one: what a chat is offered, who runs a call, and what is not run at all.

use std::sync::Arc;

use serde_json::Value;
use verbatim_events::chat::{Chat, DENIED_BY_POLICY, policy_of};
use verbatim_events::event::{EffectClass, Offer, ToolDefinition, ToolPolicy};
use verbatim_events::ids::MessageId;
use verbatim_events::log::BoxFuture;
use verbatim_events::tool::{CallKey, ContextFiles, OutputSink, ToolAnswer, ToolBox, ToolInvocation};

use crate::families::ToolFamily;
use crate::validators::Validators;

/// The most tools that one prompt offers; what comes after is left out.
const OFFERED_MAX: usize = 512;

/// What a model is told that only plans.
const PLAN_MODE_GUIDANCE: &str = "The user wants a plan before anything is done. Look at what you need with the tools \
                                  you have, ask where the goal is unclear, then put the plan forward with propose_plan.";

/// What a model reads that calls a tool while it only plans.
const ONLY_PLANNED: &str = "only a plan is made now, and this tool does more than look; the call was not run";

/// The families, in the order of precedence: of two tools with one name the first is meant.
pub struct Registry {
    families: Vec<Arc<dyn ToolFamily>>,
    validators: Validators,
}

impl Registry {
    /// A registry of these families.
    pub fn new(families: Vec<Arc<dyn ToolFamily>>) -> Registry {
        Registry { families, validators: Validators::default() }
    }

    /// The tools that the chat may use now: those it names, without what its policy denies; while it plans, only those
    /// that change nothing. A client's tool of the same name comes first.
    fn tools(&self, chat: &Chat) -> Vec<Arc<ToolDefinition>> {
        let mut tools: Vec<Arc<ToolDefinition>> = Vec::new();
        for family in &self.families {
            for tool in family.definitions(chat) {
                let is_new = tools.iter().chain(&chat.config.tools).all(|other| other.name != tool.name);
                if is_new && admitted(chat, family.as_ref(), &tool.name) && tools.len() < OFFERED_MAX {
                    tools.push(tool);
                }
            }
        }
        tools
    }

    /// Why a tool that there is, and that the chat names, is not for it now.
    fn kept_back(&self, chat: &Chat, name: &str) -> Option<&'static str> {
        let is_there = |family: &&Arc<dyn ToolFamily>| family.effect_class(chat, name).is_some();
        let family = self.families.iter().find(is_there).filter(|_| is_named(chat, name))?;
        if is_denied(chat, name) {
            return Some(DENIED_BY_POLICY);
        }
        is_for_later(chat, family.as_ref(), name).then_some(ONLY_PLANNED)
    }

    /// The family that runs a tool for this chat, with the tool's effect class.
    fn family_of(&self, chat: &Chat, name: &str) -> Option<(&Arc<dyn ToolFamily>, EffectClass)> {
        self.families.iter().find_map(|family| {
            let effect_class = family.effect_class(chat, name)?;
            admitted(chat, family.as_ref(), name).then_some((family, effect_class))
        })
    }
}

fn admitted(chat: &Chat, family: &dyn ToolFamily, name: &str) -> bool {
    is_named(chat, name) && !is_denied(chat, name) && !is_for_later(chat, family, name)
}

fn is_named(chat: &Chat, name: &str) -> bool {
    let Some(names) = &chat.config.server_tools else { return true };
    names.iter().any(|wanted| wanted == name || wanted == "*")
}

fn is_denied(chat: &Chat, name: &str) -> bool {
    policy_of(&chat.config.tool_policy, name) == ToolPolicy::Deny
}

/// The chat plans, and the tool does more than look.
fn is_for_later(chat: &Chat, family: &dyn ToolFamily, name: &str) -> bool {
    chat.outline.plan_mode && !family.is_harmless(name)
}

/// The client's tools that the chat's policy denies.
fn withheld(chat: &Chat) -> Vec<String> {
    let names = chat.config.tools.iter().map(|tool| &tool.name);
    names.filter(|name| is_denied(chat, name)).cloned().collect()
}

/// All of the work as one; `None` where there is none.
fn all(work: impl Iterator<Item = BoxFuture<'static, ()>>) -> Option<BoxFuture<'static, ()>> {
    let work: Vec<_> = work.collect();
    if work.is_empty() {
        return None;
    }
    Some(Box::pin(async move {
        futures_util::future::join_all(work).await;
    }))
}

impl ToolBox for Registry {
    fn offer(&self, chat: &Chat) -> Arc<Offer> {
        let tools = self.tools(chat);
        let plan_mode = chat.outline.plan_mode.then(|| PLAN_MODE_GUIDANCE.to_owned());
        let guidance = self.families.iter().filter_map(|family| family.guidance(chat, &tools));
        let guidance: Vec<String> = plan_mode.into_iter().chain(guidance).collect();
        let guidance = (!guidance.is_empty()).then(|| guidance.join("\n\n"));
        let offer = Offer { tools, guidance, withheld: withheld(chat) };
        if *chat.offer == offer { Arc::clone(&chat.offer) } else { Arc::new(offer) }
    }

    fn prepare(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        all(self.families.iter().filter_map(|family| family.prepare(chat)))
    }

    fn context(&self, chat: &Chat) -> BoxFuture<'static, ContextFiles> {
        let none = ContextFiles::none(chat, false);
        let found = self.families.iter().find_map(|family| family.context(chat));
        found.unwrap_or_else(|| Box::pin(async move { none }))
    }

    fn turn_began(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        all(self.families.iter().filter_map(|family| family.turn_began(chat)))
    }

    fn effect_class(&self, chat: &Chat, name: &str) -> Option<EffectClass> {
        self.family_of(chat, name).map(|(_, effect_class)| effect_class)
    }

    fn violation(&self, chat: &Chat, name: &str, args: &Value) -> Option<String> {
        let clients = chat.config.tools.iter().find(|tool| tool.name == name);
        // Judged by what the model was shown: a schema may have changed meanwhile.
        let definition = clients.or_else(|| chat.offer.tools.iter().find(|tool| tool.name == name));
        let known = clients.is_some() || self.family_of(chat, name).is_some();
        match definition.filter(|_| known) {
            None => {
                let absent = || self.families.iter().find_map(|family| family.absence(chat, name));
                let absent = self.kept_back(chat, name).map(str::to_owned).or_else(absent);
                Some(absent.unwrap_or_else(|| format!("there is no tool named {name:?}")))
            }
            Some(tool) => {
                let problem = self.validators.violation(tool, args)?;
                Some(format!("the call was not run, its arguments do not fit: {problem}"))
            }
        }
    }

    fn run(&self, invocation: ToolInvocation, output: OutputSink) -> BoxFuture<'static, ToolAnswer> {
        match self.family_of(&invocation.chat, &invocation.name) {
            Some((family, _)) => family.run(invocation, output),
            None => Box::pin(async move { ToolAnswer::error(format!("there is no tool named {:?}", invocation.name)) }),
        }
    }

    fn cancel(&self, key: CallKey, name: &str) -> BoxFuture<'static, ()> {
        let work: Vec<_> = self.families.iter().map(|family| family.cancel(key.clone(), name)).collect();
        Box::pin(async move {
            futures_util::future::join_all(work).await;
        })
    }

    fn left_running(&self) -> BoxFuture<'static, Vec<(CallKey, String)>> {
        let work: Vec<_> = self.families.iter().map(|family| family.left_running()).collect();
        Box::pin(async move { futures_util::future::join_all(work).await.concat() })
    }

    fn stop(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        all(self.families.iter().filter_map(|family| family.stop(chat)))
    }

    fn withdrawn(&self, chat: &Chat, from: MessageId) -> Option<BoxFuture<'static, ()>> {
        all(self.families.iter().filter_map(|family| family.withdrawn(chat, from)))
    }
}

#[cfg(test)]
mod tests;
