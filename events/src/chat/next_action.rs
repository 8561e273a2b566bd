//! What a running turn does next: computed from the state, never from the news.

use serde_json::Value;

use crate::chat::{CallRecord, Chat};
use crate::error::ChatError;
use crate::event::{ApprovalDecision, CompactionSource, TurnOutcome};
use crate::limits::Limits;

/// What the decision needs to know of the model that would be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// The window that counts for compaction: the stricter of the chat's and the compaction model's.
    pub context_window: Option<u64>,
}

/// A call that the server must answer now.
#[derive(Clone, Debug, PartialEq)]
pub struct CallToRun {
    /// The call.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub args: Value,
    /// What the log knows of it: a call that was started before a crash must not simply run again.
    pub record: Option<CallRecord>,
    /// The decision on it, if it needed one.
    pub decision: Option<ApprovalDecision>,
    /// It must not run: the policy denies it, or an exclusive tool stands in a larger batch. The text tells the model why.
    pub refused: Option<String>,
}

/// What a running turn without an open attempt does next.
#[derive(Clone, Debug, PartialEq)]
pub enum NextAction {
    /// Answers calls.
    RunTools(Vec<CallToRun>),
    /// Waits for a client or for approvals (`Command::RequireAction`).
    RequireAction,
    /// Summarises the history.
    Compact(CompactionSource),
    /// Ends (`Command::FinishTurn`).
    Finish(TurnOutcome),
    /// Fails (`Command::FailTurn`).
    Fail(ChatError),
    /// Reads the workspace's context files.
    LoadContext,
    /// Calls the model.
    Generate,
}

/// The next action of a running turn.
pub fn next_action(chat: &Chat, facts: &ModelFacts, limits: &Limits) -> NextAction {
    let _ = (chat, facts, limits);
    unimplemented!()
}
