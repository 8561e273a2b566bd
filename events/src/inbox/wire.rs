//! The persisted form of marks: their own table of types and schema numbers, beside the chats'.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{InboxEvent, RecordedMark, stream_id};
use crate::envelope::{Cause, NewEvent, Stored};
use crate::ids::{Digest, Version};
use crate::upcast::Step;
use crate::wire::{StreamEnd, WireError, event_types, open};

event_types! {
    /// Every type of event of the inboxes' streams.
    INBOX_EVENT_TYPES of InboxEvent, raised by STEPS, else "no event of an inbox has this type";
    Marked "notifications_marked" 1;
    AllRead "all_notifications_read" 1;
}

/// How events with an old schema number are read.
const STEPS: &[Step] = &[];

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
    StreamEnd { stream: stream_id(event.owner()), version, hash: *previous, cause, recorded_at }.add(event, event_id)
}

/// Reads a stored mark, whatever schema number it was written with.
pub fn decode(stored: &Stored) -> Result<RecordedMark, WireError> {
    let event = open(stored)?;
    let NewEvent { chat_id: stream, version, recorded_at, hash, .. } = stored.event;
    Ok(RecordedMark { position: stored.position, stream, version, recorded_at, hash, event })
}
