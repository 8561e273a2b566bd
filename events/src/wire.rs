//! The persisted form of events: one table of types and schema numbers, JSON bytes in and out.

use crate::envelope::{Cause, NewEvent, Recorded, Stored};
use crate::event::Event;
use crate::ids::{ChatId, Digest, Position, Version};
use chrono::{DateTime, Utc};
use uuid::Uuid;

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
}

/// The stored name of an event's type: its name in snake case.
pub fn event_type(event: &Event) -> &'static str {
    let _ = event;
    unimplemented!()
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
    let _ = (chat_id, version, previous, events, cause, recorded_at, new_id);
    unimplemented!()
}

/// Reads a stored event, whatever schema number it was written with.
pub fn decode(stored: &Stored) -> Result<Recorded, WireError> {
    let _ = stored;
    unimplemented!()
}
