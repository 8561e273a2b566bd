//! A log and its keys copied while a server writes them, and a copied log made ready to be another one.
//!
//! **Invariant:** the log is copied before the keys. A key is durable before the first event that names it, so the keys of
//! all events of the copy were there when the keys were copied, but for those that an erasure destroyed in between.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::connect::{BUSY_TIMEOUT, check_version, reader_options};
use super::{KEYS_FILE, LOG_FILE};
use crate::error::OpenError;
use crate::task::run_on;

/// What a copy holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The copy of the log.
    pub log: PathBuf,
    /// The copy of the keys, beside it; `None` for a log that has none.
    pub keys: Option<PathBuf>,
    /// The mark of the master key that wraps the keys; `None` for a log that has none.
    pub master_mark: Option<String>,
}

/// Copies the log in the file `from`, then its keys, as each stands at one moment; both into `folder`, under the names that
/// they are opened by. What was erased or deleted before is not in the copy, not even as free space. Neither file may be
/// there yet.
pub async fn copy_log(from: &Path, folder: &Path, runtime: &Handle) -> Result<Copied, OpenError> {
    let (from, log) = (from.to_owned(), folder.join(LOG_FILE));
    run_on(runtime, async move {
        let mut source = reader(&from).connect().await?;
        check_version(&mut source).await?;
        copy_into(source, &log).await?;
        let (from, to) = (from.with_file_name(KEYS_FILE), log.with_file_name(KEYS_FILE));
        if !from.exists() {
            return Ok(Copied { log, keys: None, master_mark: None });
        }
        copy_into(reader(&from).connect().await?, &to).await?;
        let mut copy = reader(&to).connect().await?;
        let master_mark = sqlx::query_scalar("SELECT mark FROM master").fetch_optional(&mut copy).await?;
        copy.close().await?;
        Ok(Copied { log, keys: Some(to), master_mark })
    })
    .await?
}

/// Removes from copied keys those of chats that are not in `keep`, for good. Returns how many are left.
pub async fn keep_chat_keys(keys: &Path, keep: BTreeSet<Uuid>, runtime: &Handle) -> Result<u64, OpenError> {
    let keys = keys.to_owned();
    run_on(runtime, async move {
        let mut connection = alone(&keys).connect().await?;
        let known: Vec<Uuid> = sqlx::query_scalar("SELECT key_id FROM chat_keys").fetch_all(&mut connection).await?;
        let mut transaction = connection.begin().await?;
        let mut left = 0;
        for key_id in known {
            if keep.contains(&key_id) {
                left += 1;
                continue;
            }
            let removal = sqlx::query("DELETE FROM chat_keys WHERE key_id = ?").bind(key_id);
            removal.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        sqlx::query("VACUUM").execute(&mut connection).await?;
        connection.close().await?;
        Ok(left)
    })
    .await?
}

/// Makes a copied log another one than the log that it was copied from: both go on by themselves, so positions of the one
/// mean nothing in the other. Returns the new timeline. Nobody may have it open.
pub async fn renew_timeline(log: &Path, runtime: &Handle) -> Result<Uuid, OpenError> {
    let (log, timeline) = (log.to_owned(), Uuid::now_v7());
    run_on(runtime, async move {
        let mut connection = alone(&log).connect().await?;
        let done = sqlx::query("UPDATE log_meta SET timeline = ?").bind(timeline).execute(&mut connection).await?;
        connection.close().await?;
        match done.rows_affected() {
            1 => Ok(timeline),
            _ => Err(OpenError::Damaged("it does not say who it is".to_owned())),
        }
    })
    .await?
}

/// A connection for copying from. It cannot write what it reads; that it may write nothing at all would keep it from copying.
fn reader(path: &Path) -> SqliteConnectOptions {
    reader_options(path).pragma("query_only", "0")
}

/// A connection to a file that nobody else has.
fn alone(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Full)
        .pragma("secure_delete", "ON")
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// Writes all that a database holds at this moment into a new file. Pages that are free are left out.
async fn copy_into(mut source: SqliteConnection, to: &Path) -> Result<(), OpenError> {
    let refuse = |source| OpenError::Io { path: to.to_owned(), source };
    // Made before SQLite writes into it, so that nobody else ever could read it.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(refuse)?;
    let name = to.to_str().ok_or_else(|| refuse(std::io::Error::other("its name is no text")))?;
    sqlx::query("VACUUM INTO ?").bind(name).execute(&mut source).await?;
    source.close().await?;
    file.sync_all().map_err(refuse)
}
