//! Keys in SQLite: read through the readers, changed by the log's writer on its one connection.

use rusqlite::{Connection, named_params};
use sqlx::SqlitePool;

use super::{ADD, KeyChange, KeyStoreError, KeyTally, LIST, REVOKE, Row, StoredKey, TALLY};

pub(super) async fn list(readers: &SqlitePool) -> Result<Vec<StoredKey>, KeyStoreError> {
    let rows: Vec<Row> = sqlx::query_as(LIST).fetch_all(readers).await?;
    rows.into_iter().map(super::read).collect()
}

pub(super) async fn tally(readers: &SqlitePool) -> Result<KeyTally, KeyStoreError> {
    Ok(super::tally(sqlx::query_as(TALLY).fetch_one(readers).await?))
}

/// Makes a change in one statement, which is its own transaction; whether it changed anything.
pub(crate) fn change(connection: &Connection, change: &KeyChange) -> Result<bool, rusqlite::Error> {
    let rows = match change {
        KeyChange::Add(key) => connection.prepare_cached(ADD)?.execute(named_params! {
            "$1": key.id.as_bytes(),
            "$2": key.name,
            "$3": key.owner,
            "$4": key.roles.join(" "),
            "$5": &key.digest.0[..],
            "$6": key.created_at.timestamp_micros(),
        })?,
        KeyChange::Revoke { id, at } => connection
            .prepare_cached(REVOKE)?
            .execute(named_params! { "$1": id.as_bytes(), "$2": at.timestamp_micros() })?,
    };
    Ok(rows > 0)
}
