//! Connections to SQLite files, and which SQLite is good enough.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

use crate::error::OpenError;

/// Older versions can damage a database in WAL mode when two connections write or checkpoint at the same moment.
pub(crate) const SQLITE_NEEDED: &str = "3.51.3";

/// The size of a page of a database that we make, in bytes.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// How long a statement waits for a lock that a foreign process holds.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that the log's writer keeps prepared.
const STATEMENTS_KEPT: usize = 32;

/// The log's writing connection to a database that exists and is in WAL mode. Works on the thread that calls, so that a
/// transaction of many statements wakes nobody; makes the checkpoints at times of its own choice. Every commit is on the
/// disk before it is answered.
pub(crate) fn log_writer(path: &Path, file_max_bytes: Option<u64>) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.execute_batch(
        // Events are never deleted; receipts are, and of an erased chat's nothing may stay in pages that are merely free.
        "PRAGMA mmap_size = 0; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; \
         PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;",
    )?;
    if let Some(file_max_bytes) = file_max_bytes {
        let pages = file_max_bytes / PAGE_BYTES;
        connection.execute_batch(&format!("PRAGMA max_page_count = {pages}"))?;
    }
    Ok(connection)
}

/// Makes the empty file of a database that is not there yet, for its owner alone; what SQLite puts beside it takes its mode.
/// A file that is there stays as it is: others may have been let in on purpose.
pub(crate) fn make_private(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(source) if source.kind() != ErrorKind::AlreadyExists => {
            Err(OpenError::Io { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// A connection that writes a database in WAL mode and makes it if need be. Checkpoints are left to whoever has it.
pub(crate) fn writer_options(path: &Path, synchronous: SqliteSynchronous) -> SqliteConnectOptions {
    common_options(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .pragma("wal_autocheckpoint", "0")
        .statement_cache_capacity(64)
}

/// A reading connection; it can neither write nor make a checkpoint.
pub(crate) fn reader_options(path: &Path) -> SqliteConnectOptions {
    let options = common_options(path).read_only(true).pragma("query_only", "1").row_buffer_size(256);
    if is_frozen(path, may_write(path)) { options.immutable(true) } else { options }
}

/// Whether nobody can be writing to a database: its folder takes no files, and it was closed in order. Even to read, SQLite
/// wants to put files beside a database in WAL mode, unless it is told that nothing will change.
fn is_frozen(path: &Path, may_write: bool) -> bool {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        Path::new(&name).exists()
    };
    // What stands in a WAL belongs to the database, and an immutable one is read without it.
    !may_write && !beside("-wal") && !beside("-shm")
}

/// Whether this process may make files beside a database. Where that cannot be told, it may.
fn may_write(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let refused = [Errno::ACCESS, Errno::ROFS, Errno::PERM];
    !access(folder, Access::WRITE_OK).is_err_and(|error| refused.contains(&error))
}

fn common_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .page_size(PAGE_BYTES as u32)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("mmap_size", "0")
        .disable_statement_logging()
}

/// Refuses a SQLite that is too old.
pub(crate) async fn check_version(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(connection).await?;
    good_enough(&found)
}

/// Whether a version is at least the needed one. What is no version is not good enough.
pub(crate) fn good_enough(found: &str) -> Result<(), OpenError> {
    let numbers = |version: &str| version.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>().ok();
    match (numbers(found), numbers(SQLITE_NEEDED)) {
        (Some(is), Some(needed)) if is >= needed => Ok(()),
        _ => Err(OpenError::SqliteTooOld { found: found.to_owned(), needed: SQLITE_NEEDED }),
    }
}

#[cfg(test)]
mod tests;
