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
#[allow(dead_code, reason = "the tests of the whole server ask it for more")]
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

/// What the workspaces of every provisioner keep to: a test of each case in a house that `$house` makes, with what it stands
/// in.
macro_rules! kept {
    ($house:ident: $($module:ident :: $name:ident;)+) => {
        $(#[tokio::test]
        async fn $name() {
            let (house, _ground) = $house().await;
            super::$module::$name(&house).await;
        })+
    };
    ($house:ident) => {
        kept! {
            $house:
            contract::a_chat_has_one_workspace;
            contract::a_failed_workspace_is_replaced;
            contract::a_deleted_workspace_is_replaced;
            contract::a_workspace_stops_and_starts;
            contract::wishes_are_checked;
            contract::templates_are_shown;
            contract::a_promised_workspace_is_made_when_it_is_needed;
            files::files_are_written_read_and_edited;
            files::edits_are_all_or_nothing;
            files::no_path_leads_out;
            skills::skills_are_bounded;
            skills::skills_are_read;
            context::context_files_are_read;
            context::a_change_of_a_context_file_is_noticed;
            context::files_that_nobody_could_read_are_read_when_they_can_be;
            survey::what_is_known_of_a_workspace_goes_with_it;
            survey::the_end_of_a_workspace_is_told;
        }
    };
}
use kept;

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
