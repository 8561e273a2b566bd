//! The persisted form of marks: their own table of types and schema numbers, beside the chats'.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{AllNotificationsRead, InboxEvent, NotificationsMarked, RecordedMark, stream_id};
use crate::envelope::{Cause, Encoding, NewEvent, Stored, chain_hash, microseconds};
use crate::ids::{Digest, Version};
use crate::upcast::{self, Step};
use crate::wire::{EventType, NESTING_MAX, WireError, read_json};

const MARKED: EventType = EventType { name: "notifications_marked", schema: 1 };
const ALL_READ: EventType = EventType { name: "all_notifications_read", schema: 1 };

/// Every type of event of the inboxes' streams.
pub const INBOX_EVENT_TYPES: &[EventType] = &[MARKED, ALL_READ];

/// How events with an old schema number are read.
const STEPS: &[Step] = &[];

/// Every (type, schema number) that may stand in an inbox's stream.
pub fn readable_schemas() -> impl Iterator<Item = (&'static str, u32)> {
    INBOX_EVENT_TYPES.iter().flat_map(|kind| (1..=kind.schema).map(|schema| (kind.name, schema)))
}

fn stored_type(event: &InboxEvent) -> EventType {
    match event {
        InboxEvent::Marked(_) => MARKED,
        InboxEvent::AllRead(_) => ALL_READ,
    }
}

/// The stored name of an event's type.
pub fn event_type(event: &InboxEvent) -> &'static str {
    stored_type(event).name
}

/// An event's JSON in its type's current schema.
pub(super) fn encode(event: &InboxEvent) -> Vec<u8> {
    match event {
        InboxEvent::Marked(body) => serde_json::to_vec(body),
        InboxEvent::AllRead(body) => serde_json::to_vec(body),
    }
    .expect("an event's JSON has string keys and finite numbers alone")
}

/// Seals a mark into its owner's chain after the event of `version` and hash `previous`. It holds no content, so it is
/// stored as it is.
pub fn seal(
    version: Version,
    previous: &Digest,
    event: &InboxEvent,
    cause: &Cause,
    recorded_at: DateTime<Utc>,
    event_id: Uuid,
) -> NewEvent {
    let kind = stored_type(event);
    let mut new = NewEvent {
        chat_id: stream_id(event.owner()),
        version: version + 1,
        event_id,
        event_type: kind.name.to_owned(),
        schema: kind.schema,
        recorded_at: microseconds(recorded_at),
        actor: cause.actor.clone(),
        command_id: cause.command_id,
        causation_id: cause.causation_id,
        trace_id: cause.trace_id.clone(),
        encoding: Encoding::Plain,
        data: encode(event),
        hash: Digest::ZERO,
    };
    new.hash = chain_hash(previous, &new);
    new
}

/// Reads a stored mark, whatever schema number it was written with.
pub fn decode(stored: &Stored) -> Result<RecordedMark, WireError> {
    let Stored { position, event: new, .. } = stored;
    let event = match new.encoding {
        Encoding::Plain => read(&new.event_type, new.schema, &new.data),
        Encoding::Sealed => Err("sealed, no key".to_owned()),
    };
    match event {
        Ok(event) => Ok(RecordedMark {
            position: *position,
            stream: new.chat_id,
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
            erased: false,
        }),
    }
}

/// Reads the JSON of a type and schema number.
pub(super) fn read(name: &str, schema: u32, data: &[u8]) -> Result<InboxEvent, String> {
    let kind = INBOX_EVENT_TYPES.iter().find(|kind| kind.name == name);
    let current = kind.ok_or("no event of an inbox has this type")?.schema;
    if schema == 0 || schema > current {
        return Err(format!("schema {schema} is unknown; this program reads 1 to {current}"));
    }
    let raised;
    let data = if schema == current {
        data
    } else {
        let old: Value = read_json(data, NESTING_MAX)?;
        let value = upcast::raise(STEPS, name, schema, current, old)?;
        raised = serde_json::to_vec(&value).map_err(|problem| problem.to_string())?;
        &raised
    };
    match name {
        "notifications_marked" => read_json::<NotificationsMarked>(data, NESTING_MAX).map(InboxEvent::Marked),
        _ => read_json::<AllNotificationsRead>(data, NESTING_MAX).map(InboxEvent::AllRead),
    }
}
