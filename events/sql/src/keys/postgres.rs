//! Keys in PostgreSQL: any number of nodes read and change them.

use sqlx::PgPool;

use super::{ADD, KeyChange, KeyStoreError, KeyTally, LIST, REVOKE, Row, StoredKey, TALLY};

pub(super) async fn list(pool: &PgPool) -> Result<Vec<StoredKey>, KeyStoreError> {
    let rows: Vec<Row> = sqlx::query_as(LIST).fetch_all(pool).await?;
    rows.into_iter().map(super::read).collect()
}

pub(super) async fn tally(pool: &PgPool) -> Result<KeyTally, KeyStoreError> {
    Ok(super::tally(sqlx::query_as(TALLY).fetch_one(pool).await?))
}

/// Makes a change in one statement, which is its own transaction; whether it changed anything.
pub(super) async fn change(pool: &PgPool, change: &KeyChange) -> Result<bool, sqlx::Error> {
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
    Ok(query.execute(pool).await?.rows_affected() > 0)
}
