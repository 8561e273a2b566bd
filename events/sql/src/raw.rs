//! Rows as databases return them, and the way back to events. A row that is not what was written is damage, never a
//! guess.

use chrono::DateTime;
use uuid::Uuid;
use verbatim_events::envelope::{Actor, Encoding, NewEvent, Stored};
use verbatim_events::ids::{ChatId, Digest, Position};
use verbatim_events::log::{LogError, Receipt};

/// The columns of an event, in the order in which every query names them.
macro_rules! event_columns {
    () => {
        "position, chat_id, version, event_id, type, schema, recorded_at, actor_kind, actor_name, command_id, \
         causation_id, trace_id, encoding, data, hash"
    };
}
pub(crate) use event_columns;

/// An event's row with plain values.
pub(crate) struct RawEvent {
    pub(crate) position: i64,
    pub(crate) chat_id: Uuid,
    pub(crate) version: i64,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: String,
    pub(crate) schema: i64,
    pub(crate) recorded_at: i64,
    pub(crate) actor_kind: String,
    pub(crate) actor_name: String,
    pub(crate) command_id: Uuid,
    pub(crate) causation_id: Option<Uuid>,
    pub(crate) trace_id: Option<String>,
    pub(crate) encoding: i64,
    pub(crate) data: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

impl RawEvent {
    /// The event that was stored, or in what way the row is damaged.
    pub(crate) fn read(self) -> Result<Stored, LogError> {
        let position = unsigned(self.position, 0, "position")?;
        let damaged = |problem: String| LogError::Damaged { position, problem };
        let actor = match (self.actor_kind.as_str(), self.actor_name) {
            ("user", name) => Actor::User(name),
            ("node", name) => Actor::Node(name),
            ("system", _) => Actor::System,
            (kind, _) => return Err(damaged(format!("unknown kind of actor {kind:?}"))),
        };
        let encoding = i16::try_from(self.encoding).ok().and_then(Encoding::from_code);
        let recorded_at = DateTime::from_timestamp_micros(self.recorded_at);
        Ok(Stored::new(
            position,
            NewEvent {
                chat_id: ChatId(self.chat_id),
                version: unsigned(self.version, position, "version")?,
                event_id: self.event_id,
                event_type: self.event_type,
                schema: u32::try_from(self.schema).map_err(|_| damaged(format!("schema number {}", self.schema)))?,
                recorded_at: recorded_at.ok_or_else(|| damaged(format!("recorded_at {}", self.recorded_at)))?,
                actor,
                command_id: self.command_id,
                causation_id: self.causation_id,
                trace_id: self.trace_id,
                encoding: encoding.ok_or_else(|| damaged(format!("unknown encoding {}", self.encoding)))?,
                data: self.data,
                hash: digest(&self.hash, position, "hash")?,
            },
        ))
    }
}

/// The stored kind and name of an actor.
pub(crate) fn actor_columns(actor: Actor) -> (&'static str, String) {
    match actor {
        Actor::User(name) => ("user", name),
        Actor::Node(name) => ("node", name),
        Actor::System => ("system", String::new()),
    }
}

/// A number that is never negative.
pub(crate) fn unsigned(value: i64, position: Position, column: &str) -> Result<u64, LogError> {
    u64::try_from(value).map_err(|_| LogError::Damaged { position, problem: format!("{column} {value} is negative") })
}

/// A bound for a comparison: what is beyond the database's integers is beyond every row.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A digest of exactly 32 bytes.
pub(crate) fn digest(bytes: &[u8], position: Position, column: &str) -> Result<Digest, LogError> {
    Digest::from_bytes(bytes)
        .ok_or_else(|| LogError::Damaged { position, problem: format!("{column} has {} bytes, not 32", bytes.len()) })
}

/// A receipt from its columns.
pub(crate) fn receipt(request_hash: &[u8], position: i64, outcome: Vec<u8>) -> Result<Receipt, LogError> {
    let position = unsigned(position, 0, "a receipt's position")?;
    Ok(Receipt { request_hash: digest(request_hash, position, "a receipt's request hash")?, position, outcome })
}

/// A database's error while reading. A value that cannot be decoded is damage; everything else passes, perhaps.
pub(crate) fn read_error(error: sqlx::Error, position: Position) -> LogError {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            LogError::Damaged { position, problem: error.to_string() }
        }
        other => LogError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
