//! What surrounds every recorded event, and the hash chain that makes tampering visible.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::Event;
use crate::ids::{ChatId, Digest, Position, Version};

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Actor {
    /// A person or program with a key, by its owner's name.
    User(String),
    /// A node of the server.
    Node(String),
    /// The system itself: migrations, imports, housekeeping.
    System,
}

/// How an event's `data` is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON as it is.
    Plain,
    /// JSON sealed with the chat's key.
    Sealed,
}

impl Encoding {
    /// The number in the log.
    pub fn code(self) -> i16 {
        match self {
            Encoding::Plain => 0,
            Encoding::Sealed => 1,
        }
    }

    /// The encoding of a number in the log.
    pub fn from_code(code: i16) -> Option<Encoding> {
        match code {
            0 => Some(Encoding::Plain),
            1 => Some(Encoding::Sealed),
            _ => None,
        }
    }
}

/// An event ready to be appended: everything but its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// Its chat.
    pub chat_id: ChatId,
    /// Its place in the chat's stream.
    pub version: Version,
    /// Its id: a UUIDv7.
    pub event_id: Uuid,
    /// Its type's stored name.
    pub event_type: String,
    /// The schema number of `data`.
    pub schema: u32,
    /// When it was decided; UTC, microseconds. Information, never an order.
    pub recorded_at: DateTime<Utc>,
    /// Who caused it.
    pub actor: Actor,
    /// The command that caused it.
    pub command_id: Uuid,
    /// The event that caused the command, where one did.
    pub causation_id: Option<Uuid>,
    /// The trace it belongs to.
    pub trace_id: Option<String>,
    /// How `data` is stored.
    pub encoding: Encoding,
    /// The stored bytes. Hashes are over these, never over something made from them.
    pub data: Vec<u8>,
    /// SHA-256 over the previous hash, the envelope and the data.
    pub hash: Digest,
}

/// What can be read of an event's words.
#[derive(Clone, PartialEq, Eq)]
pub enum Words {
    /// What is stored, if it is plain; nobody looked further.
    AsStored,
    /// What its chat's key opened.
    Opened(Vec<u8>),
    /// Nothing, ever again: its chat's key was destroyed.
    Erased,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Words::AsStored => "AsStored",
            Words::Opened(_) => "Opened(…)",
            Words::Erased => "Erased",
        })
    }
}

/// An event as the log holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its place in the whole log.
    pub position: Position,
    /// Everything else.
    pub event: NewEvent,
    /// What a sealed event says, as far as it is known.
    pub words: Words,
}

impl Stored {
    /// An event as it stands in the log, of which nothing was opened.
    pub fn new(position: Position, event: NewEvent) -> Stored {
        Stored { position, event, words: Words::AsStored }
    }

    /// The JSON of what it says, if it can be read.
    pub fn json(&self) -> Option<&[u8]> {
        match (self.event.encoding, &self.words) {
            (Encoding::Plain, _) => Some(&self.event.data),
            (Encoding::Sealed, Words::Opened(json)) => Some(json),
            (Encoding::Sealed, Words::AsStored | Words::Erased) => None,
        }
    }

    /// What it said was erased: it can be counted and its hash checked, and nothing else.
    pub fn is_erased(&self) -> bool {
        self.event.encoding == Encoding::Sealed && self.words == Words::Erased
    }
}

/// A stored event with its data read.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its place in the whole log. 0 while it is decided but not yet appended.
    pub position: Position,
    /// Its chat.
    pub chat_id: ChatId,
    /// Its place in the chat's stream.
    pub version: Version,
    /// When it was decided.
    pub recorded_at: DateTime<Utc>,
    /// The chain's hash up to and including it. `Digest::ZERO` while it is decided but not yet sealed.
    pub hash: Digest,
    /// What happened.
    pub event: Event,
}

impl Recorded {
    /// An event that is decided, and neither sealed nor appended.
    pub fn decided(chat_id: ChatId, version: Version, recorded_at: DateTime<Utc>, event: Event) -> Recorded {
        Recorded { position: 0, chat_id, version, recorded_at, hash: Digest::ZERO, event }
    }
}

/// What a whole append's events share.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// Who.
    pub actor: Actor,
    /// The command.
    pub command_id: Uuid,
    /// The event that caused the command.
    pub causation_id: Option<Uuid>,
    /// The trace.
    pub trace_id: Option<String>,
}

/// The chain's next hash. Every field is preceded by its length, so no two envelopes share their bytes.
pub fn chain_hash(previous: &Digest, event: &NewEvent) -> Digest {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    let mut field = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    field(&previous.0);
    field(event.chat_id.0.as_bytes());
    field(&event.version.to_be_bytes());
    field(event.event_id.as_bytes());
    field(event.event_type.as_bytes());
    field(&event.schema.to_be_bytes());
    field(&event.recorded_at.timestamp_micros().to_be_bytes());
    let actor = match &event.actor {
        Actor::User(name) => ("user", name.as_str()),
        Actor::Node(name) => ("node", name.as_str()),
        Actor::System => ("system", ""),
    };
    field(actor.0.as_bytes());
    field(actor.1.as_bytes());
    field(event.command_id.as_bytes());
    field(event.causation_id.as_ref().map_or(&[][..], |id| id.as_bytes()));
    field(event.trace_id.as_deref().unwrap_or_default().as_bytes());
    field(&event.encoding.code().to_be_bytes());
    field(&event.data);
    Digest(hasher.finalize().into())
}

/// `moment` cut to the microsecond, which is what the log keeps.
pub fn microseconds(moment: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(moment.timestamp_micros()).unwrap_or(moment)
}
