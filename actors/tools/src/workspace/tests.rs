mod chats;
mod coder;
mod context;
mod contract;
mod diff;
mod files;
mod local;
mod odd_repositories;
mod pieces;
mod skills;
#[path = "../../../../tests/support/coder.rs"]
mod stand_in;
mod survey;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use verbatim_events::log::BoxFuture;
use verbatim_events::tool::{CallKey, ToolAnswer, ToolInvocation};

use super::pause::Pause;
use super::port::{Provisioner, ProvisionerKind};
use super::template::TemplateConfig;
use super::{WorkspaceTools, Workspaces};
use chats::{CHAT, Chats};

/// A clock on which every wait is over at once.
#[derive(Debug, Default)]
pub(super) struct Hasty(AtomicU64);

impl Pause for Hasty {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(self.0.load(Ordering::SeqCst).try_into().unwrap())
    }

    fn elapsed_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn sleep_ms(&self, duration_ms: u64) -> BoxFuture<'static, ()> {
        self.0.fetch_add(duration_ms, Ordering::SeqCst);
        Box::pin(tokio::task::yield_now())
    }
}

/// A chat with tools for workspaces of one provisioner.
pub(super) struct House {
    pub spaces: Arc<Workspaces>,
    pub chats: Arc<Chats>,
    pub tools: WorkspaceTools,
}

impl House {
    fn new(
        kind: ProvisionerKind,
        provisioner: Arc<dyn Provisioner>,
        templates: BTreeMap<String, TemplateConfig>,
        pause: Arc<Hasty>,
    ) -> House {
        let spaces = Workspaces::new(templates, [(kind, provisioner)], pause as Arc<dyn Pause>);
        let (spaces, chats) = (Arc::new(spaces), Arc::new(Chats::default()));
        let tools = WorkspaceTools::new(Arc::clone(&spaces), Arc::clone(&chats) as _);
        House { spaces, chats, tools }
    }

    pub fn call_key(&self, call_id: &str) -> CallKey {
        CallKey { chat_id: CHAT, message_id: 2, call_id: call_id.to_owned() }
    }

    fn invocation(&self, call_id: &str, name: &str, args: Value) -> ToolInvocation {
        ToolInvocation {
            chat: self.chats.chat(),
            key: self.call_key(call_id),
            attempt_id: 1,
            name: name.to_owned(),
            args,
            reattach: false,
            trace_id: None,
        }
    }

    pub async fn call(&self, call_id: &str, name: &str, args: Value) -> ToolAnswer {
        self.tools.run(self.invocation(call_id, name, args), Box::new(|_| {})).await
    }

    /// The same call after a crash.
    pub async fn again(&self, call_id: &str, name: &str, args: Value) -> ToolAnswer {
        let invocation = ToolInvocation { reattach: true, ..self.invocation(call_id, name, args) };
        self.tools.run(invocation, Box::new(|_| {})).await
    }

    pub async fn create(&self, call_id: &str) -> ToolAnswer {
        self.call(call_id, "create_workspace", json!({"template_id": "good"})).await
    }

    /// The id of the workspace that the log binds the chat to.
    pub fn bound(&self) -> Option<String> {
        self.chats.chat().outline.workspace.as_ref().and_then(|binding| binding.id.clone())
    }
}

/// The answer's result, which must be no error.
#[track_caller]
pub(super) fn good(answer: ToolAnswer) -> Value {
    assert!(!answer.is_error, "{}", answer.result);
    answer.result
}

/// The answer's result, which must be an error.
#[track_caller]
pub(super) fn bad(answer: ToolAnswer) -> Value {
    assert!(answer.is_error, "{}", answer.result);
    answer.result
}
