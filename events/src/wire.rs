//! The persisted form of events: one table of types and schema numbers, JSON bytes in and out.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::envelope::{Cause, Encoding, NewEvent, Recorded, Stored, chain_hash, microseconds};
use crate::event::{self, Event};
use crate::ids::{ChatId, Digest, Position, Version};
use crate::upcast;
use crate::vault::{NotSealed, Sealer, associated_data};

/// How deep stored JSON may nest. Everything enters through a parser that stops at 128 levels; an event adds a few of its
/// own, and must still be readable.
pub const NESTING_MAX: usize = 192;

/// Why stored bytes could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "event {version} of {chat_id} at position {position} ({event_type}, schema {schema}) cannot be read: {problem}"
)]
pub struct WireError {
    /// The chat.
    pub chat_id: ChatId,
    /// The event.
    pub version: Version,
    /// Its position.
    pub position: Position,
    /// The stored type.
    pub event_type: String,
    /// The stored schema number.
    pub schema: u32,
    /// What is wrong.
    pub problem: String,
    /// Nothing is wrong: what it said was erased.
    pub erased: bool,
}

/// A type of event as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventType {
    /// The stored name: the event's name in snake case.
    pub name: &'static str,
    /// The schema number that is written now. All numbers from 1 on are read.
    pub schema: u32,
}

/// The one table: each event, its stored name, the schema number it is written with.
macro_rules! event_types {
    ($($variant:ident $name:literal $schema:literal;)+) => {
        /// Every type of event there is.
        pub const EVENT_TYPES: &[EventType] = &[$(EventType { name: $name, schema: $schema },)+];

        /// The stored type of an event.
        fn stored_type(event: &Event) -> EventType {
            match event {
                $(Event::$variant(_) => EventType { name: $name, schema: $schema },)+
            }
        }

        /// An event's JSON in its type's current schema.
        fn encode(event: &Event) -> Vec<u8> {
            match event {
                $(Event::$variant(body) => serde_json::to_vec(body),)+
            }
            .expect("an event's JSON has string keys and finite numbers alone")
        }

        /// Reads the JSON of a type's current schema.
        fn read_current(name: &str, data: &[u8]) -> Result<Event, String> {
            match name {
                $($name => read_json::<event::$variant>(data, NESTING_MAX).map(Event::$variant),)+
                _ => Err("no event has this type".to_owned()),
            }
        }
    };
}

event_types! {
    ChatCreated "chat_created" 2;
    MessageCommitted "message_committed" 5;
    MessagesWithdrawn "messages_withdrawn" 1;
    MessageQueued "message_queued" 2;
    QueuedMessageDeleted "queued_message_deleted" 1;
    QueuedMessagePromoted "queued_message_promoted" 1;
    TurnStarted "turn_started" 2;
    CapacityAwaited "capacity_awaited" 1;
    AttemptRecorded "attempt_recorded" 3;
    ToolCallStarted "tool_call_started" 1;
    ToolCallFinished "tool_call_finished" 3;
    RetryScheduled "retry_scheduled" 1;
    AttemptAbandoned "attempt_abandoned" 1;
    ActionRequired "action_required" 1;
    ActionResolved "action_resolved" 1;
    ApprovalsDecided "approvals_decided" 1;
    InterruptRequested "interrupt_requested" 1;
    TurnFinished "turn_finished" 1;
    CompactionRequested "compaction_requested" 1;
    ContextCompacted "context_compacted" 1;
    ContextCleared "context_cleared" 1;
    SettingsChanged "settings_changed" 3;
    ChatArchived "chat_archived" 1;
    ChatUnarchived "chat_unarchived" 1;
    ChatErased "chat_erased" 3;
    ChildSpawned "child_spawned" 1;
    UsageRecorded "usage_recorded" 1;
}

/// Every (type, schema number) that may stand in a log, for audits.
pub fn readable_schemas() -> impl Iterator<Item = (&'static str, u32)> {
    EVENT_TYPES.iter().flat_map(|kind| (1..=kind.schema).map(|schema| (kind.name, schema)))
}

/// The stored name of an event's type: its name in snake case.
pub fn event_type(event: &Event) -> &'static str {
    stored_type(event).name
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
    let recorded_at = microseconds(recorded_at);
    let mut previous = previous;
    (version + 1..)
        .zip(events)
        .map(|(version, event)| {
            let kind = stored_type(&event);
            let mut new = NewEvent {
                chat_id,
                version,
                event_id: new_id(),
                event_type: kind.name.to_owned(),
                schema: kind.schema,
                recorded_at,
                actor: cause.actor.clone(),
                command_id: cause.command_id,
                causation_id: cause.causation_id,
                trace_id: cause.trace_id.clone(),
                encoding: Encoding::Plain,
                data: encode(&event),
                hash: Digest::ZERO,
            };
            if let Some(sealer) = sealer
                && !stays_readable(&event)
            {
                new.data = sealer.seal(&associated_data(&new), &new.data)?;
                new.encoding = Encoding::Sealed;
            }
            new.hash = chain_hash(&previous, &new);
            previous = new.hash;
            let recorded = Recorded { position: 0, chat_id, version, recorded_at, hash: new.hash, event };
            Ok((new, recorded))
        })
        .collect()
}

/// Reads a stored event, whatever schema number it was written with.
pub fn decode(stored: &Stored) -> Result<Recorded, WireError> {
    let Stored { position, event: new, .. } = stored;
    let event = match stored.json() {
        Some(json) => read(&new.event_type, new.schema, json, EVENT_TYPES, upcast::STEPS),
        None if stored.is_erased() => Err("what it said was erased".to_owned()),
        None => Err("it is sealed, and no key opened it".to_owned()),
    };
    match event {
        Ok(event) => Ok(Recorded {
            position: *position,
            chat_id: new.chat_id,
            version: new.version,
            recorded_at: new.recorded_at,
            hash: new.hash,
            event,
        }),
        Err(problem) => Err(WireError {
            chat_id: new.chat_id,
            version: new.version,
            position: *position,
            event_type: new.event_type.clone(),
            schema: new.schema,
            problem,
            erased: stored.is_erased(),
        }),
    }
}

/// Whether `stored` is what was sealed after the event of hash `previous` (`Digest::ZERO` before a chat's first event):
/// nothing in it or before it was changed since.
pub fn verify_link(previous: &Digest, stored: &Stored) -> bool {
    chain_hash(previous, &stored.event) == stored.event.hash
}

/// Reads the JSON of a type and schema number, by the given tables.
fn read(name: &str, schema: u32, data: &[u8], types: &[EventType], steps: &[upcast::Step]) -> Result<Event, String> {
    let current = types.iter().find(|kind| kind.name == name).ok_or("no event has this type")?.schema;
    if schema == current {
        return read_current(name, data);
    }
    if schema == 0 || schema > current {
        return Err(format!("schema {schema} is unknown; this program reads 1 to {current}"));
    }
    let raised = upcast::raise(steps, name, schema, current, read_json::<Value>(data, NESTING_MAX)?)?;
    read_current(name, &serde_json::to_vec(&raised).map_err(|problem| problem.to_string())?)
}

/// Reads one whole JSON text that nests at most `deepest` levels.
pub(crate) fn read_json<'a, T: Deserialize<'a>>(data: &'a [u8], deepest: usize) -> Result<T, String> {
    if nesting(data) > deepest {
        return Err(format!("its JSON nests deeper than {deepest} levels"));
    }
    let mut reader = serde_json::Deserializer::from_slice(data);
    reader.disable_recursion_limit();
    T::deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|problem| format!("malformed JSON: {problem}"))
}

/// How deep a JSON text nests: open brackets outside of strings. Of other bytes, no less than a parser would find.
fn nesting(data: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in data {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests;
