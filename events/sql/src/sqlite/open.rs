//! Opening a SQLite log: the lock, the version, the tables, who it is, and where it stands.

use std::path::Path;

use rusqlite::Connection;
use sqlx::sqlite::{SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _};
use uuid::Uuid;
use verbatim_events::ids::Position;

use super::connect::{check_version, make_private, reader_options, writer_options};
use crate::error::OpenError;
use crate::migrate::{SQLITE, migrator};

/// Who a log is.
pub(crate) struct Identity {
    pub(crate) timeline: Uuid,
    pub(crate) incarnation: i64,
}

/// The database in the file `path`, made ready for a new writer, and who the log is.
pub(crate) async fn prepare_file(path: &Path, now_micros: i64) -> Result<Identity, OpenError> {
    make_private(path)?;
    let mut connection = writer_options(path, SqliteSynchronous::Full).connect().await?;
    let identity = prepare(&mut connection, now_micros).await?;
    connection.close().await?;
    Ok(identity)
}

/// Makes the log ready for a new writer: tables, identity (a new one for a new log), the next incarnation.
async fn prepare(connection: &mut SqliteConnection, now_micros: i64) -> Result<Identity, OpenError> {
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
pub(crate) fn read_head(connection: &Connection) -> Result<Position, OpenError> {
    let query =
        "SELECT (SELECT position FROM log_head WHERE lane = 0), (SELECT coalesce(max(position), 0) FROM events)";
    let (head, last): (i64, i64) = connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
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
