//! Events as owners see them: `{version, type, at, status, withheld?, data}`. The data of each type stands beside its
//! struct. System prompts, recipes, digests, nodes and void output stay inside; auditors read them in the raw form.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use verbatim_events::chat::Status;
use verbatim_events::envelope::Recorded;
use verbatim_events::error::ChatError;
use verbatim_events::event::{
    AbandonCause, ActionResolution, AttemptAction, CapacityScope, ChildKind, CompactionSource, ContextFreshness,
    DiffStatus, EffectClass, Event, InterruptCause, PromotedTo, TitleSource, ToolDefinition, TurnOutcome, TurnReason,
    UsageRecorded, WithdrawalReason, WorkspaceBinding,
};
use verbatim_events::ids::{AttemptId, ChatId, MessageId, QueuedId, TurnId, Version};
use verbatim_events::message::Usage;
use verbatim_events::wire::event_type;

use super::chat::{CallView, calls};
use super::message::{MessageView, QueuedView};
use super::{Time, is_false, words};

/// An event with its place and the chat's status after it.
#[derive(Debug, Serialize)]
pub struct EventView<'a> {
    /// Its place in the chat's stream.
    pub version: Version,
    /// Its name in snake case.
    pub r#type: &'static str,
    /// When it was decided.
    pub at: Time,
    /// The chat's status after it.
    pub status: Status,
    /// The reader may not see what it holds.
    #[serde(skip_serializing_if = "is_false")]
    pub withheld: bool,
    /// What happened.
    pub data: EventData<'a>,
}

/// Where a fork's first messages are from: `{chat_id, version}`.
#[derive(Debug, Serialize)]
pub struct ForkView {
    /// The other chat.
    pub chat_id: ChatId,
    /// Its version then.
    pub version: Version,
}

impl<'a> EventView<'a> {
    /// The event, the chat's status after it, and the turn that was under way after it or that it ended.
    pub fn of(recorded: &'a Recorded, status: Status, turn_id: Option<TurnId>) -> EventView<'a> {
        let data = EventData::of(recorded, turn_id);
        let withheld = matches!(&data, EventData::Message(message) if message.withheld);
        EventView {
            version: recorded.version,
            r#type: event_type(&recorded.event),
            at: Time(recorded.recorded_at),
            status,
            withheld,
            data,
        }
    }
}

/// What happened, by type.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the variants are the shapes of the events they are made from")]
pub enum EventData<'a> {
    /// `chat_created {owner, parent?, root, title, model?, effort?, labels, tools?, plan_mode?, workspace?, forked_from?}`
    Created {
        owner: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        parent: Option<ChatId>,
        root: ChatId,
        title: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        effort: Option<&'a str>,
        labels: &'a BTreeMap<String, String>,
        #[serde(skip_serializing_if = "<[Arc<ToolDefinition>]>::is_empty")]
        tools: &'a [Arc<ToolDefinition>],
        #[serde(skip_serializing_if = "is_false")]
        plan_mode: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        workspace: Option<&'a WorkspaceBinding>,
        #[serde(skip_serializing_if = "Option::is_none")]
        forked_from: Option<ForkView>,
    },
    /// `message_committed`: the message.
    Message(MessageView<'a>),
    /// `messages_withdrawn {from, reason}`
    Withdrawn { from: MessageId, reason: WithdrawalReason },
    /// `message_queued`: the queued message.
    Queued(QueuedView<'a>),
    /// `queued_message_deleted {queued_id}`
    QueuedDeleted { queued_id: QueuedId },
    /// `queued_message_promoted {queued_id, to}`
    Promoted { queued_id: QueuedId, to: PromotedTo },
    /// `turn_started {turn_id, reason}`
    TurnStarted { turn_id: TurnId, reason: TurnReason },
    /// `capacity_awaited {scope}`
    Capacity { scope: CapacityScope },
    /// `attempt_recorded {attempt_id, attempt, action, model?}`
    Attempt(AttemptView<'a>),
    /// `tool_call_started {attempt_id, call_id, name, effect_class}`
    CallStarted { attempt_id: AttemptId, call_id: &'a str, name: &'a str, effect_class: EffectClass },
    /// `tool_call_finished {attempt_id, call_id, name, result, is_error, duration_ms}`
    CallFinished {
        attempt_id: AttemptId,
        call_id: &'a str,
        name: &'a str,
        result: &'a Value,
        is_error: bool,
        duration_ms: u64,
    },
    /// `retry_scheduled {attempt_id, attempt, delay_ms, retry_at, error}`
    Retry { attempt_id: AttemptId, attempt: u32, delay_ms: u64, retry_at: Time, error: &'a ChatError },
    /// `attempt_abandoned {attempt_id, cause}`
    Abandoned { attempt_id: AttemptId, cause: AbandonCause },
    /// `action_required {calls, deadline}`
    ActionRequired { calls: Vec<CallView<'a>>, deadline: Time },
    /// `action_resolved {resolution}`
    ActionResolved { resolution: ActionResolution },
    /// `approvals_decided {decisions: [{call_id, decision, reason?}], by}`
    Decided { decisions: Vec<DecisionView<'a>>, by: &'a str },
    /// `interrupt_requested {cause}`
    Interrupt { cause: InterruptCause },
    /// `turn_finished {turn_id, outcome, error?, usage, cost_micros?, steps, duration_ms}`
    TurnFinished {
        turn_id: TurnId,
        outcome: TurnOutcome,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a ChatError>,
        usage: Usage,
        #[serde(skip_serializing_if = "Option::is_none")]
        cost_micros: Option<u64>,
        steps: u32,
        duration_ms: u64,
    },
    /// `compaction_requested {source}` and `context_cleared {source}`
    Source { source: CompactionSource },
    /// `context_compacted {source, context_tokens, window_tokens?, threshold_percent}`
    Compacted {
        source: CompactionSource,
        context_tokens: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        window_tokens: Option<u64>,
        threshold_percent: u8,
    },
    /// `settings_changed`: what changed.
    Settings(SettingsView<'a>),
    /// `chat_archived {}` and `chat_unarchived {}`
    Nothing {},
    /// `chat_erased {by, reason?}`
    Erased {
        by: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    /// `child_spawned {child, kind}`
    Child { child: ChatId, kind: ChildKind },
    /// `usage_recorded {purpose, model?, usage, cost_micros?, attempt_id?}`
    Spent(&'a UsageRecorded),
}

/// An attempt: `{attempt_id, attempt, action, model?}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptView<'a> {
    /// Its id.
    #[schema(value_type = u64)]
    pub attempt_id: AttemptId,
    /// Its number within the history version: 1, 2, 3 …
    pub attempt: u32,
    /// What it does.
    #[schema(value_type = words::AttemptAction)]
    pub action: AttemptAction,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
}

/// A decision on a call: `{call_id, decision, reason?}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decision)]
pub struct DecisionView<'a> {
    /// The call.
    pub call_id: &'a str,
    /// `approve` or `deny`.
    pub decision: &'static str,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
}

/// Changed settings: `{title?, title_source?, labels?, pinned?, model?, effort?, plan_mode?, workspace?, diff_status?,
/// context_dirty?, status_label?}`; absent ones stayed, and a `diff_status` that is null is gone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChangedSettings)]
#[allow(missing_docs, reason = "the fields are those of `verbatim_events::event::SettingsChanged`")]
pub struct SettingsView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::TitleSource>)]
    pub title_source: Option<TitleSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_mode: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::WorkspaceBinding>)]
    pub workspace: Option<&'a WorkspaceBinding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::ChangedDiffStatus>)]
    pub diff_status: Option<Option<&'a DiffStatus>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_dirty: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_label: Option<&'a str>,
}

impl<'a> EventData<'a> {
    fn of(recorded: &'a Recorded, turn_id: Option<TurnId>) -> EventData<'a> {
        match &recorded.event {
            Event::ChatCreated(created) => EventData::Created {
                owner: &created.owner,
                parent: created.parent,
                root: created.root,
                title: &created.title,
                model: created.model.as_deref(),
                effort: created.effort.as_deref(),
                labels: &created.labels,
                tools: &created.tools,
                plan_mode: created.plan_mode,
                workspace: created.workspace.as_ref(),
                forked_from: created
                    .forked_from
                    .map(|origin| ForkView { chat_id: origin.chat_id, version: origin.version }),
            },
            Event::MessageCommitted(message) => EventData::Message(MessageView::committed(recorded, message, turn_id)),
            Event::MessagesWithdrawn(withdrawn) => {
                EventData::Withdrawn { from: withdrawn.from, reason: withdrawn.reason }
            }
            Event::MessageQueued(queued) => EventData::Queued(QueuedView::queued(recorded, queued)),
            Event::QueuedMessageDeleted(deleted) => EventData::QueuedDeleted { queued_id: deleted.queued_id },
            Event::QueuedMessagePromoted(promoted) => {
                EventData::Promoted { queued_id: promoted.queued_id, to: promoted.to }
            }
            Event::TurnStarted(started) => EventData::TurnStarted { turn_id: recorded.version, reason: started.reason },
            Event::CapacityAwaited(awaited) => EventData::Capacity { scope: awaited.scope },
            Event::AttemptRecorded(attempt) => EventData::Attempt(AttemptView {
                attempt_id: recorded.version,
                attempt: attempt.number,
                action: attempt.action,
                model: attempt.model.as_deref(),
            }),
            Event::ToolCallStarted(call) => EventData::CallStarted {
                attempt_id: call.attempt_id,
                call_id: &call.call_id,
                name: &call.name,
                effect_class: call.effect_class,
            },
            Event::ToolCallFinished(call) => EventData::CallFinished {
                attempt_id: call.attempt_id,
                call_id: &call.call_id,
                name: &call.name,
                result: &call.result,
                is_error: call.is_error,
                duration_ms: call.duration_ms,
            },
            Event::RetryScheduled(retry) => EventData::Retry {
                attempt_id: retry.attempt_id,
                attempt: retry.attempt,
                delay_ms: retry.delay_ms,
                retry_at: Time(retry.retry_at),
                error: &retry.error,
            },
            Event::AttemptAbandoned(abandoned) => {
                EventData::Abandoned { attempt_id: abandoned.attempt_id, cause: abandoned.cause }
            }
            Event::ActionRequired(required) => {
                EventData::ActionRequired { calls: calls(&required.calls), deadline: Time(required.deadline) }
            }
            Event::ActionResolved(resolved) => EventData::ActionResolved { resolution: resolved.resolution },
            Event::ApprovalsDecided(decided) => EventData::Decided {
                decisions: decided
                    .decisions
                    .iter()
                    .map(|decision| DecisionView {
                        call_id: &decision.call_id,
                        decision: if decision.approved { "approve" } else { "deny" },
                        reason: decision.reason.as_deref(),
                    })
                    .collect(),
                by: &decided.by,
            },
            Event::InterruptRequested(interrupt) => EventData::Interrupt { cause: interrupt.cause },
            Event::TurnFinished(finished) => EventData::TurnFinished {
                turn_id: finished.turn_id,
                outcome: finished.outcome,
                error: finished.error.as_ref(),
                usage: finished.usage,
                cost_micros: finished.cost_micros,
                steps: finished.steps,
                duration_ms: finished.duration_ms,
            },
            Event::CompactionRequested(requested) => EventData::Source { source: requested.source },
            Event::ContextCompacted(compacted) => EventData::Compacted {
                source: compacted.source,
                context_tokens: compacted.context_tokens,
                window_tokens: compacted.window_tokens,
                threshold_percent: compacted.threshold_percent,
            },
            Event::ContextCleared(cleared) => EventData::Source { source: cleared.source },
            Event::SettingsChanged(changed) => EventData::Settings(SettingsView {
                title: changed.title.as_ref().map(|change| change.title.as_str()),
                title_source: changed.title.as_ref().map(|change| change.source),
                labels: changed.labels.as_ref(),
                pinned: changed.pinned,
                model: changed.model.as_deref(),
                effort: changed.effort.as_deref(),
                plan_mode: changed.plan_mode,
                workspace: changed.workspace.as_ref(),
                diff_status: changed.diff_status.as_ref().map(Option::as_ref),
                context_dirty: changed.context.map(|mark| mark.freshness == ContextFreshness::Changed),
                status_label: changed.status_label.as_deref(),
            }),
            Event::ChatArchived(_) | Event::ChatUnarchived(_) => EventData::Nothing {},
            Event::ChatErased(erased) => EventData::Erased { by: &erased.by, reason: erased.reason.as_deref() },
            Event::ChildSpawned(spawned) => EventData::Child { child: spawned.child, kind: spawned.kind },
            Event::UsageRecorded(recorded) => EventData::Spent(recorded),
        }
    }
}

#[cfg(test)]
mod tests;
