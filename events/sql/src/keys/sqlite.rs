//! Keys in SQLite: read through the readers, changed by the log's writer on its one connection.

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnection;

use super::{ADD, KeyChange, KeyStoreError, KeyTally, LIST, REVOKE, Row, StoredKey, TALLY};

pub(super) async fn list(readers: &SqlitePool) -> Result<Vec<StoredKey>, KeyStoreError> {
    let rows: Vec<Row> = sqlx::query_as(LIST).fetch_all(readers).await?;
    rows.into_iter().map(super::read).collect()
}

pub(super) async fn tally(readers: &SqlitePool) -> Result<KeyTally, KeyStoreError> {
    Ok(super::tally(sqlx::query_as(TALLY).fetch_one(readers).await?))
}

/// Makes a change in one statement, which is its own transaction; whether it changed anything.
pub(crate) async fn change(connection: &mut SqliteConnection, change: &KeyChange) -> Result<bool, sqlx::Error> {
    let query = match change {
        KeyChange::Add(key) => sqlx::query(ADD)
            .bind(key.id)
            .bind(&key.name)
            .bind(&key.owner)
            .bind(key.roles.join(" "))
            .bind(&key.digest.0[..])
            .bind(key.created_at.timestamp_micros()),
        KeyChange::Revoke { id, at } => sqlx::query(REVOKE).bind(*id).bind(at.timestamp_micros()),
    };
    Ok(query.execute(connection).await?.rows_affected() > 0)
}
