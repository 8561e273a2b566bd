//! Opening a SQLite log: the lock, the version, the tables, who it is, and where it stands.

use std::path::Path;

use sqlx::sqlite::{SqliteConnection, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use uuid::Uuid;
use verbatim_events::ids::Position;

use super::connect::{PAGE_BYTES, check_version, reader_options, writer_options};
use crate::error::OpenError;
use crate::migrate::{SQLITE, migrator};
use crate::options::LogOptions;

/// Who a log is.
pub(crate) struct Identity {
    pub(crate) timeline: Uuid,
    pub(crate) incarnation: i64,
}

/// The writing connection. Every commit is on the disk before it is answered.
pub(crate) async fn connect_writer(path: &Path, options: &LogOptions) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = writer_options(path, SqliteSynchronous::Full).connect().await?;
    if let Some(file_max_bytes) = options.file_max_bytes {
        let pages = file_max_bytes / PAGE_BYTES;
        connection.execute(AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"))).await?;
    }
    Ok(connection)
}

/// Makes the log ready for a new writer: tables, identity (a new one for a new log), the next incarnation.
pub(crate) async fn prepare(connection: &mut SqliteConnection, now_micros: i64) -> Result<Identity, OpenError> {
    check_version(connection).await?;
    // `run` on a borrowed connection makes no future that may move between threads; this is what it calls.
    migrator(SQLITE).run_direct(None, connection, false).await?;
    sqlx::query(
        "INSERT INTO log_meta (id, timeline, incarnation, created_at) VALUES (1, ?, 0, ?) ON CONFLICT DO NOTHING",
    )
    .bind(Uuid::now_v7())
    .bind(now_micros)
    .execute(&mut *connection)
    .await?;
    let (timeline, incarnation) =
        sqlx::query_as("UPDATE log_meta SET incarnation = incarnation + 1 RETURNING timeline, incarnation")
            .fetch_one(&mut *connection)
            .await?;
    Ok(Identity { timeline, incarnation })
}

/// The log's head, checked against its events.
pub(crate) async fn read_head(connection: &mut SqliteConnection) -> Result<Position, OpenError> {
    let (head, last): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT position FROM log_head WHERE lane = 0), (SELECT coalesce(max(position), 0) FROM events)",
    )
    .fetch_one(connection)
    .await?;
    if head != last {
        return Err(OpenError::Damaged(format!("the head says {head}, but the last event is at {last}")));
    }
    Position::try_from(head).map_err(|_| OpenError::Damaged(format!("the head is {head}")))
}

/// The timeline of a log that exists, read without changing anything.
pub(crate) async fn read_timeline(path: &Path) -> Result<Uuid, OpenError> {
    let mut connection = reader_options(path).connect().await?;
    check_version(&mut connection).await?;
    let timeline = sqlx::query_scalar("SELECT timeline FROM log_meta").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(timeline)
}
