//! What a batch needs to know before it is judged: heads of its chats, receipts under its keys. Often nothing is asked.

use rusqlite::{Connection, OptionalExtension as _, Row};
use verbatim_events::ids::{ChatId, Position};
use verbatim_events::log::{Append, LogError, Receipt};

use super::heads::{HeadCache, NO_STREAM, StreamHead};
use super::judge::Known;
use crate::raw;

const STREAM: &str = "SELECT version, hash FROM streams WHERE chat_id = ?";

/// Looks up everything `appends` touch. Heads that the writer remembers are not asked for.
pub(crate) fn look(
    connection: &Connection,
    heads: &mut HeadCache,
    head: Position,
    appends: &[Append],
) -> Result<Known, LogError> {
    let mut known = Known { head, streams: Default::default(), receipts: Default::default() };
    for append in appends {
        for stream in &append.streams {
            let chat_id = stream.chat_id;
            let found = match heads.get(chat_id) {
                Some(found) => found,
                None => {
                    let found = stream_head(connection, chat_id, head)?;
                    heads.set(chat_id, found);
                    found
                }
            };
            known.streams.insert(chat_id, found);
        }
        if let Some(receipt) = &append.receipt
            && let Some(found) = receipt_of(connection, &receipt.owner, &receipt.key, head)?
        {
            known.receipts.insert((receipt.owner.clone(), receipt.key.clone()), found);
        }
    }
    Ok(known)
}

fn stream_head(connection: &Connection, chat_id: ChatId, position: Position) -> Result<StreamHead, LogError> {
    let columns = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
    let found = connection
        .prepare_cached(STREAM)
        .and_then(|mut query| query.query_row([chat_id.0.as_bytes()], columns).optional())
        .map_err(|error| read_error(error, position))?;
    let Some((version, hash)) = found else { return Ok(NO_STREAM) };
    let version = raw::unsigned(version, position, "a chat's version")?;
    Ok((version, raw::digest(&hash, position, "a chat's hash")?))
}

fn receipt_of(
    connection: &Connection,
    owner: &str,
    key: &str,
    position: Position,
) -> Result<Option<Receipt>, LogError> {
    let columns = |row: &Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?));
    connection
        .prepare_cached(RECEIPT)
        .and_then(|mut query| query.query_row([owner, key], columns).optional())
        .map_err(|error| read_error(error, position))?
        .map(|(request_hash, position, outcome)| raw::receipt(&request_hash, position, outcome))
        .transpose()
}

const RECEIPT: &str = "SELECT request_hash, position, outcome FROM receipts WHERE owner = ? AND key = ?";

/// A value that cannot be decoded is damage; everything else passes, perhaps.
fn read_error(error: rusqlite::Error, position: Position) -> LogError {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => {
            LogError::Damaged { position, problem: error.to_string() }
        }
        other => LogError::Unavailable(other.to_string()),
    }
}
