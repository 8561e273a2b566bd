//! What a batch needs to know before it is judged: heads of its chats, receipts under its keys. One call, often none.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row};
use uuid::Uuid;
use verbatim_events::ids::{ChatId, Position};
use verbatim_events::log::{Append, LogError};

use super::heads::{HeadCache, StreamHead};
use super::judge::{Known, ReceiptKey};
use super::statements::{ROUND_ROWS_MAX, Statements, size_for};
use crate::raw;

/// Looks up everything `appends` touch. Heads that the writer remembers are not asked for.
pub(crate) async fn look(
    connection: &mut SqliteConnection,
    statements: &mut Statements,
    heads: &mut HeadCache,
    head: Position,
    appends: &[Append],
) -> Result<Known, LogError> {
    let mut known = Known { head, streams: Default::default(), receipts: Default::default() };
    let mut chats: HashSet<ChatId> = HashSet::new();
    let mut keys: HashSet<ReceiptKey> = HashSet::new();
    for append in appends {
        for stream in &append.streams {
            match heads.get(stream.chat_id) {
                Some(head) => drop(known.streams.insert(stream.chat_id, head)),
                None => drop(chats.insert(stream.chat_id)),
            }
        }
        keys.extend(append.receipt.iter().map(|receipt| (receipt.owner.clone(), receipt.key.clone())));
    }
    let (chats, keys): (Vec<_>, Vec<_>) = (chats.into_iter().collect(), keys.into_iter().collect());
    let (mut chats, mut keys) = (&chats[..], &keys[..]);
    while !chats.is_empty() || !keys.is_empty() {
        let (some_chats, more_chats) = chats.split_at(chats.len().min(ROUND_ROWS_MAX));
        let (some_keys, more_keys) = keys.split_at(keys.len().min(ROUND_ROWS_MAX));
        (chats, keys) = (more_chats, more_keys);
        look_once(connection, statements, &mut known, some_chats, some_keys).await?;
    }
    for (chat_id, head) in &known.streams {
        heads.set(*chat_id, *head);
    }
    Ok(known)
}

async fn look_once(
    connection: &mut SqliteConnection,
    statements: &mut Statements,
    known: &mut Known,
    chats: &[ChatId],
    keys: &[ReceiptKey],
) -> Result<(), LogError> {
    let text = statements.look(size_for(chats.len()), size_for(keys.len()));
    let arguments = arguments(chats, keys).map_err(|error| LogError::Unavailable(error.to_string()))?;
    let mut rows = sqlx::query_with(AssertSqlSafe(text), arguments).fetch(connection);
    let error = |error| raw::read_error(error, known.head);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(error)? {
        found.push(row);
    }
    drop(rows);
    for row in found {
        match row.try_get::<Option<String>, _>(3).map_err(error)? {
            None => {
                let (chat_id, head) = stream(&row, known.head)?;
                known.streams.insert(chat_id, head);
            }
            Some(key) => {
                let request_hash: Vec<u8> = row.try_get(2).map_err(error)?;
                let receipt =
                    raw::receipt(&request_hash, row.try_get(1).map_err(error)?, row.try_get(4).map_err(error)?)?;
                known.receipts.insert((row.try_get(0).map_err(error)?, key), receipt);
            }
        }
    }
    Ok(())
}

fn stream(row: &SqliteRow, position: Position) -> Result<(ChatId, StreamHead), LogError> {
    let error = |error| raw::read_error(error, position);
    let chat_id: Uuid = row.try_get(0).map_err(error)?;
    let version = raw::unsigned(row.try_get(1).map_err(error)?, position, "a chat's version")?;
    let hash: Vec<u8> = row.try_get(2).map_err(error)?;
    Ok((ChatId(chat_id), (version, raw::digest(&hash, position, "a chat's hash")?)))
}

fn arguments(chats: &[ChatId], keys: &[ReceiptKey]) -> Result<SqliteArguments, sqlx::error::BoxDynError> {
    let mut arguments = SqliteArguments::default();
    for chat_id in chats {
        arguments.add(chat_id.0)?;
    }
    for _ in chats.len()..size_for(chats.len()) {
        arguments.add(None::<i64>)?;
    }
    for (owner, key) in keys {
        arguments.add(owner.clone())?;
        arguments.add(key.clone())?;
    }
    Ok(arguments)
}
