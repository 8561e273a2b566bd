//! What a running turn does next: computed from the state, never from the news.

use std::sync::Arc;

use serde_json::Value;

use crate::chat::calls::sort_open_calls;
use crate::chat::compaction::{answers_since_boundary, is_answer, is_over_threshold, unanswered_messages};
use crate::chat::past::is_prompt;
use crate::chat::tool_rules::stops_turn;
use crate::chat::{CallRecord, Chat};
use crate::error::{ChatError, ErrorKind};
use crate::event::{ApprovalDecision, CompactionSource, ContextFreshness, TurnOutcome, TurnReason};
use crate::ids::MessageId;
use crate::limits::Limits;
use crate::message::{Message, Role};
use crate::part::Part;

/// What the decision needs to know of the model that would be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// The window that counts for compaction: the stricter of the chat's and the compaction model's.
    pub context_window: Option<u64>,
}

/// A call that the server must answer now.
#[derive(Clone, Debug, PartialEq)]
pub struct CallToRun {
    /// The message that holds it.
    pub message_id: MessageId,
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
    let calls = sort_open_calls(chat);
    if !calls.server.is_empty() {
        return NextAction::RunTools(calls.server);
    }
    if !calls.waiting.is_empty() {
        return NextAction::RequireAction;
    }
    if let Some(source) = chat.compaction_requested
        && answers_since_boundary(chat) > 0
    {
        return NextAction::Compact(source);
    }
    if chat.outline.turn.as_ref().is_some_and(|turn| turn.reason == TurnReason::Compaction) {
        return NextAction::Finish(TurnOutcome::Complete);
    }
    if stop_after_tool_succeeded(chat) {
        return NextAction::Finish(TurnOutcome::StopAfterTool);
    }
    if is_complete(chat) {
        return NextAction::Finish(TurnOutcome::Complete);
    }
    if steps_since_prompt(chat) >= limits.steps_max {
        return NextAction::Finish(TurnOutcome::MaxSteps);
    }
    if context_is_missing(chat) {
        return NextAction::LoadContext;
    }
    if is_over_threshold(chat, facts.context_window, limits) {
        // A summary that did not help will not help a second time, unless a user has spoken since that was said.
        let said_before = unanswered_messages(chat).len() > 1;
        if chat.boundary_is_compaction && answers_since_boundary(chat) == 1 && !said_before {
            return NextAction::Fail(ChatError::terminal(ErrorKind::Config, STILL_TOO_LONG));
        }
        return NextAction::Compact(CompactionSource::Automatic);
    }
    NextAction::Generate
}

const STILL_TOO_LONG: &str = "the conversation is still too long after it was summarised; start a new chat, or choose a \
                              model with a larger context window or a higher compaction threshold";

/// The messages since the last user's prompt, newest first, without the prompt.
fn since_prompt(chat: &Chat) -> impl Iterator<Item = &Message> {
    chat.history.iter().rev().map(Arc::as_ref).take_while(|message| !is_prompt(message))
}

/// A server's tool that ends the turn succeeded in this turn, and no user spoke since.
fn stop_after_tool_succeeded(chat: &Chat) -> bool {
    let turn_id = chat.outline.turn.as_ref().map(|turn| turn.id);
    let is_client = |name: &str| chat.config.tools.iter().any(|tool| tool.name == name);
    since_prompt(chat)
        .take_while(|message| message.turn_id == turn_id)
        .filter(|message| message.role == Role::Tool)
        .flat_map(|message| &message.parts)
        .any(|part| matches!(part, Part::ToolResult { name, is_error: false, .. } if stops_turn(name) && !is_client(name)))
}

/// The conversation ends with the model's answer. Its calls are known to be answered.
fn is_complete(chat: &Chat) -> bool {
    let last = chat.history.iter().rev().find(|message| !message.compressed && message.for_model());
    last.is_some_and(|message| message.role == Role::Assistant && message.id > chat.boundary)
}

fn steps_since_prompt(chat: &Chat) -> u32 {
    let steps = since_prompt(chat).filter(|message| is_answer(message)).count();
    u32::try_from(steps).unwrap_or(u32::MAX)
}

/// A workspace is attached whose context files the prompt does not hold, or which are to be read anew.
fn context_is_missing(chat: &Chat) -> bool {
    let Some(attached) = chat.outline.workspace.as_ref().and_then(|workspace| workspace.id.as_ref()) else {
        return false;
    };
    let is_pinned = chat.context.as_ref().is_some_and(|pinned| pinned.source.workspace_id == *attached);
    !is_pinned || chat.outline.context_freshness == ContextFreshness::Reload
}
