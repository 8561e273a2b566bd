//! Chats.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use verbatim_events::chat::{Outline, PendingAction, PendingRetry, Status};
use verbatim_events::error::ChatError;
use verbatim_events::event::{CallNeed, ContextFreshness, DiffStatus, PendingCall, WorkspaceBinding};
use verbatim_events::ids::{ChatId, TurnId, Version};
use verbatim_events::message::Usage;

use super::{Time, is_false, words};

/// A chat: `{id, owner, parent?, root, title, model, effort?, status, archived, pinned, labels, plan_mode?, version,
/// history_version, queue_length, turn_id?, last_error?, retry?, waiting_for_capacity?, action?, workspace?, diff_status?, context_dirty?, status_label?, usage, cost_micros?, erased?,
/// created_at, updated_at}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Chat)]
pub struct ChatView<'a> {
    /// Its id.
    #[schema(value_type = words::ChatId)]
    pub id: ChatId,
    /// Who owns it.
    pub owner: &'a str,
    /// The chat that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::ChatId>)]
    pub parent: Option<ChatId>,
    /// The root of its family; itself for a root.
    #[schema(value_type = words::ChatId)]
    pub root: ChatId,
    /// Its title.
    pub title: &'a str,
    /// The model it talks to: its own, else the server's default. Null where the server has no model at all.
    #[schema(required)]
    pub model: Option<&'a str>,
    /// The reasoning effort.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<&'a str>,
    /// What it is doing.
    #[schema(value_type = words::Status)]
    pub status: Status,
    /// It is archived.
    pub archived: bool,
    /// It is pinned to the top.
    pub pinned: bool,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Plan mode is on.
    #[serde(skip_serializing_if = "is_false")]
    pub plan_mode: bool,
    /// What the last turn did, in a few words, where the server has such labels written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_label: Option<&'a str>,
    /// The version of its last event.
    #[schema(value_type = u64)]
    pub version: Version,
    /// The version of the last event that changed its history.
    #[schema(value_type = u64)]
    pub history_version: Version,
    /// Messages that wait.
    #[schema(value_type = u64)]
    pub queue_length: usize,
    /// The turn under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub turn_id: Option<TurnId>,
    /// Why the last turn failed, while the chat rests on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::ChatError>)]
    pub last_error: Option<&'a ChatError>,
    /// The retry that waits for its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryView<'a>>,
    /// Its turn waits until fewer others are at work.
    #[serde(skip_serializing_if = "is_false")]
    pub waiting_for_capacity: bool,
    /// What it waits for in `requires_action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionView<'a>>,
    /// Its workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::WorkspaceBinding>)]
    pub workspace: Option<&'a WorkspaceBinding>,
    /// What happened to the workspace's files; absent where it has no repository, or nobody has looked at it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::DiffStatus>)]
    pub diff_status: Option<&'a DiffStatus>,
    /// The workspace's context files have changed since they were read; `PUT /chats/{chat}/context` has them read anew.
    #[serde(skip_serializing_if = "is_false")]
    pub context_dirty: bool,
    /// Tokens of all turns that are over, and of what was done for the chat between them.
    #[schema(value_type = words::Usage)]
    pub usage: Usage,
    /// What those tokens cost, in millionths of a US dollar; absent where a step's cost is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_micros: Option<u64>,
    /// Its content was erased.
    #[serde(skip_serializing_if = "is_false")]
    pub erased: bool,
    /// When it began.
    pub created_at: Time,
    /// When its last event happened.
    pub updated_at: Time,
}

impl<'a> ChatView<'a> {
    /// The chat of an outline. `default_model` is the model of chats that name none.
    pub fn of(outline: &'a Outline, default_model: Option<&'a str>) -> ChatView<'a> {
        ChatView {
            id: outline.id,
            owner: &outline.owner,
            parent: outline.parent,
            root: outline.root,
            title: &outline.title,
            model: outline.model.as_deref().or(default_model),
            effort: outline.effort.as_deref(),
            status: outline.status,
            archived: outline.archived,
            pinned: outline.pinned,
            labels: &outline.labels,
            plan_mode: outline.plan_mode,
            status_label: outline.status_label.as_deref(),
            version: outline.version,
            history_version: outline.history_version,
            queue_length: outline.queue.len(),
            turn_id: outline.turn.as_ref().map(|turn| turn.id),
            last_error: outline.last_error.as_ref(),
            retry: outline.retry.as_ref().map(RetryView::of),
            waiting_for_capacity: outline.capacity.is_some(),
            action: outline.action.as_ref().map(ActionView::of),
            workspace: outline.workspace.as_ref(),
            diff_status: outline.diff_status.as_ref(),
            context_dirty: outline.context_freshness == ContextFreshness::Changed,
            usage: outline.usage,
            cost_micros: outline.cost.total_micros(),
            erased: outline.erased,
            created_at: Time(outline.created_at),
            updated_at: Time(outline.updated_at),
        }
    }
}

/// A retry that waits: `{attempt, delay_ms, retry_at, error}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Retry)]
pub struct RetryView<'a> {
    /// The number of the attempt that failed.
    pub attempt: u32,
    /// The whole wait, in ms.
    pub delay_ms: u64,
    /// When to try again.
    pub retry_at: Time,
    /// Why it failed.
    #[schema(value_type = words::ChatError)]
    pub error: &'a ChatError,
}

impl<'a> RetryView<'a> {
    fn of(retry: &'a PendingRetry) -> RetryView<'a> {
        RetryView {
            attempt: retry.attempt,
            delay_ms: retry.delay_ms,
            retry_at: Time(retry.retry_at),
            error: &retry.error,
        }
    }
}

/// What a chat waits for: `{calls, deadline}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Action)]
pub struct ActionView<'a> {
    /// The calls.
    pub calls: Vec<CallView<'a>>,
    /// Until when.
    pub deadline: Time,
}

impl<'a> ActionView<'a> {
    fn of(action: &'a PendingAction) -> ActionView<'a> {
        ActionView { calls: calls(&action.calls), deadline: Time(action.deadline) }
    }
}

/// A call that waits: `{call_id, name, args, needs}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitingCall)]
pub struct CallView<'a> {
    /// The call.
    pub call_id: &'a str,
    /// The tool.
    pub name: &'a str,
    /// Its arguments.
    pub args: &'a Value,
    /// What it waits for: `result` or `approval`.
    #[schema(value_type = words::CallNeed)]
    pub needs: CallNeed,
}

/// The calls that wait.
pub fn calls(calls: &[PendingCall]) -> Vec<CallView<'_>> {
    calls
        .iter()
        .map(|call| CallView { call_id: &call.call_id, name: &call.name, args: &call.args, needs: call.needs })
        .collect()
}

#[cfg(test)]
mod tests;
