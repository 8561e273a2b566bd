//! Events as auditors see them: the stored bytes of the data, with the whole envelope and the chain's hashes.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;
use verbatim_events::chat::Status;
use verbatim_events::envelope::{Actor, Encoding, Stored};
use verbatim_events::ids::{ChatId, Digest, Version};

use super::{Time, words};

/// A stored event: `{version, type, at, status?, position, chat_id, event_id, schema, actor: {kind, name?}, command_id,
/// causation_id?, trace_id?, encoding, previous_hash?, hash, data, erased?}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RawEvent)]
pub struct RawView<'a> {
    /// Its place in the chat's stream.
    #[schema(value_type = u64)]
    pub version: Version,
    /// Its stored name.
    pub r#type: &'a str,
    /// When it was decided.
    pub at: Time,
    /// The chat's status after it; absent where the events before it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Status>)]
    pub status: Option<Status>,
    /// Its place in the whole log; opaque.
    pub position: String,
    /// Its chat.
    #[schema(value_type = words::ChatId)]
    pub chat_id: ChatId,
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub event_id: Uuid,
    /// The schema number of `data`.
    pub schema: u32,
    /// Who caused it.
    #[schema(value_type = words::Actor)]
    pub actor: &'a Actor,
    /// The command that caused it.
    #[schema(value_type = String, format = "uuid")]
    pub command_id: Uuid,
    /// The event that caused the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub causation_id: Option<Uuid>,
    /// The trace it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<&'a str>,
    /// How `data` is stored: `plain` or `sealed`.
    pub encoding: &'static str,
    /// The hash of the event before it; zeros for the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub previous_hash: Option<Digest>,
    /// SHA-256 over the previous hash, the envelope and the data.
    #[schema(value_type = String)]
    pub hash: Digest,
    /// The stored JSON, byte by byte, opened if it is sealed; null where its key is gone or it is no JSON. Hashes are
    /// over the sealed bytes.
    #[schema(value_type = Option<Value>)]
    pub data: Option<&'a RawValue>,
    /// The chat was erased, and what the event said with it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
}

impl<'a> RawView<'a> {
    /// The stored event. `position` is its opaque form.
    pub fn of(stored: &'a Stored, position: String, status: Option<Status>, previous: Option<Digest>) -> RawView<'a> {
        let event = &stored.event;
        let encoding = match event.encoding {
            Encoding::Plain => "plain",
            Encoding::Sealed => "sealed",
        };
        let data = stored.json().and_then(|json| serde_json::from_slice(json).ok());
        RawView {
            version: event.version,
            r#type: &event.event_type,
            at: Time(event.recorded_at),
            status,
            position,
            chat_id: event.chat_id,
            event_id: event.event_id,
            schema: event.schema,
            actor: &event.actor,
            command_id: event.command_id,
            causation_id: event.causation_id,
            trace_id: event.trace_id.as_deref(),
            encoding,
            previous_hash: previous,
            hash: event.hash,
            data,
            erased: stored.is_erased(),
        }
    }
}

#[cfg(test)]
mod tests;
