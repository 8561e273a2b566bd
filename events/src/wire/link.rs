//! How events are added to a stream's chain, whichever stream it is.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::table::StreamEvent;
use crate::envelope::{Cause, Encoding, NewEvent, Stored, chain_hash, microseconds};
use crate::ids::{ChatId, Digest, Version};
use crate::vault::{NotSealed, Sealer, associated_data};

/// The end of a stream, which moves on with every event that is added.
pub(crate) struct StreamEnd<'a> {
    /// The stream.
    pub(crate) stream: ChatId,
    /// The version of its last event; 0 before its first.
    pub(crate) version: Version,
    /// The hash of its last event; `Digest::ZERO` before its first.
    pub(crate) hash: Digest,
    /// What is added is caused by this.
    pub(crate) cause: &'a Cause,
    /// When it was decided.
    pub(crate) recorded_at: DateTime<Utc>,
}

impl StreamEnd<'_> {
    /// Adds an event whose bytes are stored as they are.
    pub(crate) fn add(&mut self, event: &impl StreamEvent, event_id: Uuid) -> NewEvent {
        let new = self.next(event, event_id);
        self.link(new)
    }

    /// Adds an event whose bytes are sealed before they are hashed.
    pub(crate) fn add_sealed(
        &mut self,
        event: &impl StreamEvent,
        event_id: Uuid,
        sealer: &dyn Sealer,
    ) -> Result<NewEvent, NotSealed> {
        let mut new = self.next(event, event_id);
        new.data = sealer.seal(&associated_data(&new), &new.data)?;
        new.encoding = Encoding::Sealed;
        Ok(self.link(new))
    }

    /// The event after the last one, plain and without its hash.
    fn next(&self, event: &impl StreamEvent, event_id: Uuid) -> NewEvent {
        let kind = event.stored_type();
        NewEvent {
            chat_id: self.stream,
            version: self.version + 1,
            event_id,
            event_type: kind.name.to_owned(),
            schema: kind.schema,
            recorded_at: microseconds(self.recorded_at),
            actor: self.cause.actor.clone(),
            command_id: self.cause.command_id,
            causation_id: self.cause.causation_id,
            trace_id: self.cause.trace_id.clone(),
            encoding: Encoding::Plain,
            data: event.encode(),
            hash: Digest::ZERO,
        }
    }

    fn link(&mut self, mut new: NewEvent) -> NewEvent {
        new.hash = chain_hash(&self.hash, &new);
        (self.version, self.hash) = (new.version, new.hash);
        new
    }
}

/// Whether `stored` is what was sealed after the event of hash `previous` (`Digest::ZERO` before a stream's first event):
/// nothing in it or before it was changed since.
pub fn verify_link(previous: &Digest, stored: &Stored) -> bool {
    chain_hash(previous, &stored.event) == stored.event.hash
}
