//! The lines of an export. Fields that are not known are refused: a file of a newer format has another number.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;
use verbatim_events::envelope::Actor;
use verbatim_events::ids::{ChatId, Digest, Position, Version};

/// The number of the format that is written and read.
pub const FORMAT: u32 = 1;

/// How an export holds what is sealed in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// As words.
    Opened,
    /// As it is stored.
    Sealed,
}

/// What an export was narrowed down to. All that is given must be so of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filters {
    /// These chats, and those that they made; all if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chats: Vec<ChatId>,
    /// This owner's chats, and what was read of the inbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Recorded then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Recorded before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Filters {
    /// Nothing is left out.
    pub fn is_everything(&self) -> bool {
        *self == Filters::default()
    }

    /// The span of time, if there is one.
    pub fn span(&self) -> Option<String> {
        let since = self.since.map(|since| format!("since {}", since.to_rfc3339()));
        let until = self.until.map(|until| format!("until {}", until.to_rfc3339()));
        let span: Vec<String> = since.into_iter().chain(until).collect();
        if span.is_empty() { None } else { Some(span.join(", ")) }
    }
}

/// The first line: what follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The format's number.
    pub verbatim_export: u32,
    /// How it holds what is sealed.
    pub form: Form,
    /// The version of the program that wrote it.
    pub program: String,
    /// When it was begun; UTC.
    pub exported_at: DateTime<Utc>,
    /// The log that it is from.
    pub timeline: Uuid,
    /// Up to which position of that log it goes.
    pub head: Position,
    /// The mark of the master key that wraps that log's keys; absent for a log without keys. Says nothing of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_key: Option<String>,
    /// What was left out.
    pub filters: Filters,
}

/// How an event's bytes stand in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// As JSON.
    Plain,
    /// Sealed with the chat's key.
    Sealed,
}

/// An event: all that its hash is over, and the hash. One of `data`, `data_base64` and `sealed` is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLine<'a> {
    /// Its place in the log that it is from.
    pub position: Position,
    /// Its stream: a chat's, the settings', an inbox's.
    pub chat_id: ChatId,
    /// Its place in the stream.
    pub version: Version,
    /// Its id.
    pub event_id: Uuid,
    /// Its type's stored name.
    pub event_type: String,
    /// The schema number of what it says.
    pub schema: u32,
    /// When it was decided; UTC, microseconds.
    pub recorded_at: DateTime<Utc>,
    /// Who caused it.
    pub actor: Actor,
    /// The command that caused it.
    pub command_id: Uuid,
    /// The event that caused the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The trace it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// How its bytes stand in the log.
    pub encoding: Stored,
    /// The hash of the event before it in its stream, where that event is not in the export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_hash: Option<Digest>,
    /// SHA-256 over the previous hash, the envelope and the stored bytes.
    pub hash: Digest,
    /// What it says: of a plain event the stored bytes, one by one.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub data: Option<&'a RawValue>,
    /// The same where it is no JSON that fits in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
    /// The stored bytes of a sealed event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

/// A value that is there, be it `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The last line: what there was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trailer {
    /// The format's number.
    pub verbatim_export_end: u32,
    /// Events between the first line and this one.
    pub events: u64,
    /// Streams that they belong to.
    pub streams: u64,
    /// SHA-256 over the id, the last version and its hash of every stream, in the order of the ids: the same for every whole
    /// export of the same streams, whatever its form.
    pub heads: Digest,
    /// SHA-256 over all bytes before this line.
    pub sha256: Digest,
}
