//! The persisted form of events: one table of types and schema numbers, JSON bytes in and out. `table.rs`, `link.rs` and
//! `json.rs` serve the other kinds of stream, too.

mod json;
mod link;
mod table;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::envelope::{Cause, NewEvent, Recorded, Stored};
use crate::event::Event;
use crate::ids::{ChatId, Digest, Version};
use crate::upcast;
use crate::vault::{NotSealed, Sealer};

pub use json::NESTING_MAX;
pub(crate) use json::read_json;
pub(crate) use link::StreamEnd;
pub use link::verify_link;
pub use table::{EventType, WireError};
pub(crate) use table::{StreamEvent, event_types, open};

event_types! {
    /// Every type of event there is.
    EVENT_TYPES of Event, raised by upcast::STEPS, else "no event has this type";
    ChatCreated "chat_created" 2;
    MessageCommitted "message_committed" 5;
    MessagesWithdrawn "messages_withdrawn" 1;
    MessageQueued "message_queued" 2;
    QueuedMessageDeleted "queued_message_deleted" 1;
    QueuedMessagePromoted "queued_message_promoted" 1;
    TurnStarted "turn_started" 2;
    CapacityAwaited "capacity_awaited" 1;
    AttemptRecorded "attempt_recorded" 5;
    ToolCallStarted "tool_call_started" 1;
    ToolCallFinished "tool_call_finished" 3;
    RetryScheduled "retry_scheduled" 2;
    AttemptAbandoned "attempt_abandoned" 1;
    ActionRequired "action_required" 1;
    ActionResolved "action_resolved" 1;
    ApprovalsDecided "approvals_decided" 1;
    InterruptRequested "interrupt_requested" 1;
    TurnFinished "turn_finished" 1;
    CompactionRequested "compaction_requested" 1;
    ContextCompacted "context_compacted" 1;
    ContextCleared "context_cleared" 1;
    SettingsChanged "settings_changed" 4;
    ChatArchived "chat_archived" 1;
    ChatUnarchived "chat_unarchived" 1;
    ChatErased "chat_erased" 3;
    ChildSpawned "child_spawned" 1;
    UsageRecorded "usage_recorded" 1;
}

/// Whether events of this type are stored plain even where a chat's events are sealed: what is left when a chat's key is
/// gone.
fn stays_readable(event: &Event) -> bool {
    matches!(event, Event::ChatErased(_))
}

/// Seals decided events into a chat's chain: numbers them after `version`, writes their bytes, hashes them.
/// `new_id` gives each event its UUIDv7. Returns what is appended and what the state machine reads (position 0).
pub fn seal(
    chat_id: ChatId,
    version: Version,
    previous: Digest,
    events: Vec<Event>,
    cause: &Cause,
    recorded_at: DateTime<Utc>,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Vec<(NewEvent, Recorded)> {
    seal_with(None, chat_id, version, previous, events, cause, recorded_at, new_id)
        .expect("only a sealer can fail, and there is none")
}

/// As `seal`, with the chat's sealer, if it has one: bytes are sealed before they are hashed.
#[allow(clippy::too_many_arguments, reason = "it is `seal` with one thing more")]
pub fn seal_with(
    sealer: Option<&dyn Sealer>,
    chat_id: ChatId,
    version: Version,
    previous: Digest,
    events: Vec<Event>,
    cause: &Cause,
    recorded_at: DateTime<Utc>,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Result<Vec<(NewEvent, Recorded)>, NotSealed> {
    let mut end = StreamEnd { stream: chat_id, version, hash: previous, cause, recorded_at };
    let sealed = events.into_iter().map(|event| {
        let new = match sealer {
            Some(sealer) if !stays_readable(&event) => end.add_sealed(&event, new_id(), sealer)?,
            _ => end.add(&event, new_id()),
        };
        let NewEvent { version, recorded_at, hash, .. } = new;
        Ok((new, Recorded { position: 0, chat_id, version, recorded_at, hash, event }))
    });
    sealed.collect()
}

/// Reads a stored event, whatever schema number it was written with.
pub fn decode(stored: &Stored) -> Result<Recorded, WireError> {
    let event = open(stored)?;
    let NewEvent { chat_id, version, recorded_at, hash, .. } = stored.event;
    Ok(Recorded { position: stored.position, chat_id, version, recorded_at, hash, event })
}

#[cfg(test)]
pub(crate) mod golden;
#[cfg(test)]
mod tests;
