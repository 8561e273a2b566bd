//! Writing what a batch came to: one transaction, a prepared statement per row.

use rusqlite::{Connection, Params, params};
use verbatim_events::envelope::NewEvent;
use verbatim_events::ids::{ChatId, Position};
use verbatim_events::log::NewReceipt;

use super::judge::StreamMove;
use crate::raw::{actor_columns, event_columns};

const BEGIN: &str = "BEGIN IMMEDIATE";

const COMMIT: &str = "COMMIT";

const CREATE_STREAM: &str = "INSERT INTO streams (chat_id, version, hash) VALUES (?, ?, ?)";

const MOVE_STREAM: &str =
    "UPDATE streams SET version = ?4, hash = ?5 WHERE chat_id = ?1 AND version = ?2 AND hash = ?3";

const ADD_EVENT: &str =
    concat!("INSERT INTO events (", event_columns!(), ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

const ADD_RECEIPT: &str = "INSERT INTO receipts (owner, key, request_hash, position, outcome, recorded_at) \
                           VALUES (?, ?, ?, ?, ?, ?)";

const MOVE_HEAD: &str = "UPDATE log_head SET position = ? WHERE lane = 0 AND position = ? \
                         AND (SELECT incarnation FROM log_meta) = ?";

/// Why a batch could not be written. The transaction is still open and must not be committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The database refused.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    /// A number is too large for the database's integers.
    #[error("{0}")]
    Number(#[from] std::num::TryFromIntError),
    /// The database holds something else than its only writer remembers.
    #[error("the log changed under its writer: {0}")]
    Changed(&'static str),
}

/// A batch's rows.
pub(crate) struct Rows {
    /// New chats, their heads before are empty.
    pub(crate) created: Vec<(ChatId, StreamMove)>,
    /// Known chats.
    pub(crate) moved: Vec<(ChatId, StreamMove)>,
    /// Events in order.
    pub(crate) events: Vec<NewEvent>,
    /// Receipts with their positions.
    pub(crate) receipts: Vec<(NewReceipt, Position)>,
    /// The log's head before the batch.
    pub(crate) head: Position,
    /// Which opening of the log writes.
    pub(crate) incarnation: i64,
    /// When receipts are kept; microseconds since 1970, UTC.
    pub(crate) now_micros: i64,
}

/// Begins a transaction and writes all rows into it. Every count is checked: what was not written as expected is an
/// error.
pub(crate) fn write(connection: &Connection, rows: Rows) -> Result<(), WriteError> {
    let Rows { created, moved, events, receipts, head, incarnation, now_micros } = rows;
    connection.prepare_cached(BEGIN)?.execute([])?;
    let new_head = number(head + events.len() as u64)?;
    for (chat_id, StreamMove { after, .. }) in created {
        one(connection, CREATE_STREAM, "streams", params![chat_id.0.as_bytes(), number(after.0)?, &after.1.0[..]])?;
    }
    for (chat_id, StreamMove { before, after }) in moved {
        let (old, new) = (number(before.0)?, number(after.0)?);
        let values = params![chat_id.0.as_bytes(), old, &before.1.0[..], new, &after.1.0[..]];
        one(connection, MOVE_STREAM, "streams", values)?;
    }
    for (event, position) in events.into_iter().zip(head + 1..) {
        add_event(connection, position, event)?;
    }
    for (receipt, position) in receipts {
        let (position, hash) = (number(position)?, &receipt.request_hash.0[..]);
        let values = params![receipt.owner, receipt.key, hash, position, receipt.outcome, now_micros];
        one(connection, ADD_RECEIPT, "receipts", values)?;
    }
    one(connection, MOVE_HEAD, "log_head", params![new_head, number(head)?, incarnation])
}

/// Commits. After an error nobody knows whether it happened.
pub(crate) fn commit(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(COMMIT)?.execute([]).map(drop)
}

fn add_event(connection: &Connection, position: Position, event: NewEvent) -> Result<(), WriteError> {
    let (actor_kind, actor_name) = actor_columns(event.actor);
    let values = params![
        number(position)?,
        event.chat_id.0.as_bytes(),
        number(event.version)?,
        event.event_id.as_bytes(),
        event.event_type,
        event.schema,
        event.recorded_at.timestamp_micros(),
        actor_kind,
        actor_name,
        event.command_id.as_bytes(),
        event.causation_id.as_ref().map(|id| &id.as_bytes()[..]),
        event.trace_id,
        event.encoding.code(),
        event.data,
        &event.hash.0[..],
    ];
    one(connection, ADD_EVENT, "events", values)
}

/// Runs a statement that must write exactly one row of `table`.
fn one(connection: &Connection, text: &str, table: &'static str, values: impl Params) -> Result<(), WriteError> {
    match connection.prepare_cached(text)?.execute(values)? {
        1 => Ok(()),
        _ => Err(WriteError::Changed(table)),
    }
}

/// Versions and positions: never near the limit of the database's integers, but never silently wrapped either.
fn number(value: u64) -> Result<i64, WriteError> {
    Ok(i64::try_from(value)?)
}
