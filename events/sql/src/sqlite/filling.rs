//! What filling an empty log needs of a SQLite file.

use std::path::Path;

use rusqlite::Connection;
use verbatim_events::envelope::NewEvent;
use verbatim_events::ids::Position;

use super::connect::log_writer;
use super::lock::LockFile;
use super::{make_directory_of, open, round};
use crate::error::OpenError;

/// Events that are added at once.
pub(crate) struct Rows {
    pub(crate) events: Vec<NewEvent>,
    /// The log's head before.
    pub(crate) head: Position,
    /// Which opening of the log writes.
    pub(crate) incarnation: i64,
}

/// Keeps every other writer out of the log at `path`, makes its tables, and says where it stands.
pub(crate) async fn take_empty(path: &Path, now_micros: i64) -> Result<(LockFile, Position), OpenError> {
    make_directory_of(path)?;
    let lock = LockFile::take(path)?;
    open::prepare_file(path, now_micros).await?;
    let head = open::read_head(&log_writer(path, None)?)?;
    Ok((lock, head))
}

/// Makes a new log at `path`; which opening of it this is.
pub(crate) async fn prepare(path: &Path, now_micros: i64) -> Result<i64, OpenError> {
    Ok(open::prepare_file(path, now_micros).await?.incarnation)
}

/// A connection that writes a file which nobody misses after a crash.
pub(crate) fn scratch_writer(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = log_writer(path, None)?;
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 1000;")?;
    Ok(connection)
}

/// A connection that writes the log itself.
pub(crate) fn log_connection(path: &Path) -> Result<Connection, rusqlite::Error> {
    log_writer(path, None)
}

/// Adds events in one transaction. After an error the connection must not be used any more.
pub(crate) fn add(connection: &Connection, rows: Rows) -> Result<(), String> {
    let Rows { events, head, incarnation } = rows;
    let rows = round::Rows {
        created: Vec::new(),
        moved: Vec::new(),
        events,
        receipts: Vec::new(),
        head,
        incarnation,
        now_micros: 0,
    };
    round::write(connection, rows).map_err(|error| error.to_string())?;
    round::commit(connection).map_err(|error| error.to_string())
}

/// Moves what a large transaction left in the WAL into the file. What fails here, the next writer does.
pub(crate) fn shrink(connection: &Connection) {
    let done = connection.query_row("PRAGMA main.wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    if let Err(error) = done {
        tracing::warn!(%error, "the log's WAL was not emptied");
    }
}
