//! Chats that grow: appends with a correct chain of hashes, of as many and as large events as a test likes.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use verbatim_events::envelope::{Actor, Encoding, NewEvent, Stored, chain_hash, microseconds};
use verbatim_events::ids::{ChatId, Digest, Version};
use verbatim_events::log::{Append, NewReceipt, StreamAppend};

/// A chat as its writer knows it: its id, its last version, its last hash.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// The chat.
    pub chat_id: ChatId,
    /// Its last version.
    pub version: Version,
    /// Its last hash.
    pub hash: Digest,
}

impl Chain {
    /// A chat that does not exist yet.
    pub fn new() -> Chain {
        Chain { chat_id: ChatId(Uuid::now_v7()), version: 0, hash: Digest::ZERO }
    }

    /// The next `count` events of some bytes each, as the chat's part of an append; the chain moves on.
    pub fn grow(&mut self, count: usize) -> StreamAppend {
        self.grow_with(count, 40)
    }

    /// As `grow`, with `size_bytes` of data per event.
    pub fn grow_with(&mut self, count: usize, size_bytes: usize) -> StreamAppend {
        let (expected_version, expected_hash) = (self.version, self.hash);
        let events = (0..count).map(|_| self.next_event(size_bytes)).collect();
        StreamAppend { chat_id: self.chat_id, expected_version, expected_hash, events }
    }

    /// An append of `count` events to this chat alone.
    pub fn append(&mut self, count: usize) -> Append {
        Append { streams: vec![self.grow(count)], receipt: None }
    }

    /// As `append`, with a receipt.
    pub fn append_with(&mut self, count: usize, receipt: NewReceipt) -> Append {
        Append { streams: vec![self.grow(count)], receipt: Some(receipt) }
    }

    fn next_event(&mut self, size_bytes: usize) -> NewEvent {
        let version = self.version + 1;
        // Every kind of actor and every optional field occurs.
        let actor = match version % 3 {
            0 => Actor::System,
            1 => Actor::User("ada".to_owned()),
            _ => Actor::Node("node-ä".to_owned()),
        };
        let text = format!("{{\"version\":{version},\"text\":\"");
        let padding = "ü".repeat(size_bytes.saturating_sub(text.len() + 2) / 2);
        let mut event = NewEvent {
            chat_id: self.chat_id,
            version,
            event_id: Uuid::now_v7(),
            event_type: "message_committed".to_owned(),
            schema: 1 + u32::try_from(version % 2).unwrap_or_default(),
            recorded_at: microseconds(Utc::now()),
            actor,
            command_id: Uuid::now_v7(),
            causation_id: version.is_multiple_of(2).then(Uuid::now_v7),
            trace_id: version.is_multiple_of(3).then(|| "trace-1".to_owned()),
            encoding: if version.is_multiple_of(5) { Encoding::Sealed } else { Encoding::Plain },
            data: format!("{text}{padding}\"}}").into_bytes(),
            hash: Digest::ZERO,
        };
        event.hash = chain_hash(&self.hash, &event);
        (self.version, self.hash) = (version, event.hash);
        event
    }
}

impl Default for Chain {
    fn default() -> Chain {
        Chain::new()
    }
}

/// A receipt of owner `ada` for `key`, whose outcome and request hash follow from `what`.
pub fn receipt(key: &str, what: &str) -> NewReceipt {
    NewReceipt {
        owner: "ada".to_owned(),
        key: key.to_owned(),
        request_hash: Digest::of(what.as_bytes()),
        outcome: what.as_bytes().to_vec(),
    }
}

/// Fails unless `events` are versions 1, 2, 3 … of one chat and their chain of hashes holds. Returns the chain's end.
pub fn verify_chain(events: &[Stored]) -> (Version, Digest) {
    let mut end = (0, Digest::ZERO);
    for stored in events {
        let event = &stored.event;
        assert_eq!(event.chat_id, events[0].event.chat_id);
        assert_eq!(event.version, end.0 + 1, "versions of {} have a gap", event.chat_id);
        assert_eq!(event.hash, chain_hash(&end.1, event), "the chain breaks at version {}", event.version);
        end = (event.version, event.hash);
    }
    end
}

/// Some moment, for receipts that are to age.
pub fn some_moment() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default()
}
