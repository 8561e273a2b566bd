//! The part journal in a SQLite file of its own. Nothing waits for the disk: it survives the server's death, not the
//! machine's.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow, SqliteSynchronous};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Executor, Row, SqlitePool};
use tokio::runtime::Handle;
use verbatim_events::ids::{AttemptId, ChatId};
use verbatim_events::journal::PartJournal;
use verbatim_events::log::{BoxFuture, LogError};
use verbatim_events::part::NumberedPart;

use super::connect::{check_version, make_private, writer_options};
use super::lock::LockFile;
use super::{make_directory_of, reader_pool};
use crate::error::OpenError;
use crate::options::{LogOptions, PAGE_ROWS_MAX};
use crate::parts::{self, Batch, PartStore, Writing};
use crate::raw::{read_error, signed};
use crate::task::{read_on, run_on};

/// The table's shape, as the file's `user_version`. A file of another shape is emptied: parts are no truth.
const SHAPE: i64 = 1;

/// Parts written by one statement, at most; others go in the next.
const ROWS_MAX: usize = 64;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS parts (chat_id BLOB NOT NULL, attempt_id INTEGER NOT NULL, \
                      n INTEGER NOT NULL, after_version INTEGER NOT NULL, part BLOB NOT NULL, \
                      PRIMARY KEY (chat_id, attempt_id, n)) STRICT, WITHOUT ROWID";

/// Parts of open attempts in a SQLite file.
pub struct SqliteJournal {
    path: PathBuf,
    runtime: Handle,
    readers: SqlitePool,
    writing: Writing,
}

impl SqliteJournal {
    /// Opens the journal in the file `path`; makes the file and its directory if need be, and makes it anew if it is
    /// damaged: parts are no truth. Refused if another process has it open. All work on the database is done on
    /// `runtime`.
    pub async fn open(path: impl AsRef<Path>, runtime: Handle) -> Result<SqliteJournal, OpenError> {
        let path = path.as_ref().to_owned();
        run_on(&runtime.clone(), async move { SqliteJournal::open_here(path, runtime).await }).await?
    }

    async fn open_here(path: PathBuf, runtime: Handle) -> Result<SqliteJournal, OpenError> {
        make_directory_of(&path)?;
        let lock = LockFile::take(&path)?;
        let connection = match connect(&path).await {
            Err(OpenError::Database(error)) if is_damage(&error) => {
                // A file that waits for no disk is damaged by a power cut sooner or later.
                tracing::warn!(path = %path.display(), %error, "The part journal is damaged; it is made anew.");
                remove(&path)?;
                connect(&path).await?
            }
            opened => opened?,
        };
        let readers = reader_pool(&path, &LogOptions::default());
        let writing = Writing::start(Store { connection, _lock: lock }, &runtime);
        Ok(SqliteJournal { path, runtime, readers, writing })
    }

    /// Writes what was forgotten out of the database and the file beside it: pages that were split hold copies that no
    /// deletion finds. Fails where readers are in the way for long.
    pub async fn sweep(&self) -> Result<(), LogError> {
        let path = self.path.clone();
        read_on(&self.runtime, async move {
            let options = writer_options(&path, SqliteSynchronous::Off);
            let mut connection = options.connect().await.map_err(unreadable)?;
            connection.execute("VACUUM").await.map_err(unreadable)?;
            let busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)")
                .fetch_one(&mut connection)
                .await
                .map_err(unreadable)?;
            connection.close().await.map_err(unreadable)?;
            match busy {
                0 => Ok(()),
                _ => Err(LogError::Unavailable("the part journal is being read".to_owned())),
            }
        })
        .await
    }

    /// Finishes what waits and gives the file back.
    pub async fn close(&self) {
        let (written, readers) = (self.writing.close(), self.readers.clone());
        let closed = run_on(&self.runtime, async move {
            readers.close().await;
            written.await;
        });
        // If the runtime is gone, so are the writer and its lock.
        let _ = closed.await;
    }
}

impl PartJournal for SqliteJournal {
    fn write(
        &self,
        chat_id: ChatId,
        attempt_id: AttemptId,
        parts: Vec<NumberedPart>,
    ) -> BoxFuture<'_, Result<(), LogError>> {
        self.writing.write(chat_id, attempt_id, parts)
    }

    fn read(&self, chat_id: ChatId, attempt_id: AttemptId) -> BoxFuture<'_, Result<Vec<NumberedPart>, LogError>> {
        let readers = self.readers.clone();
        Box::pin(read_on(&self.runtime, async move { read(&readers, chat_id, attempt_id).await }))
    }

    fn forget(&self, chat_id: ChatId, up_to: AttemptId) -> BoxFuture<'_, Result<(), LogError>> {
        self.writing.forget(chat_id, up_to)
    }
}

/// The writing connection to a journal that is whole and has its table.
async fn connect(path: &Path) -> Result<SqliteConnection, OpenError> {
    make_private(path)?;
    let mut connection = writer_options(path, SqliteSynchronous::Off)
        // Nothing here is worth choosing the moment of a checkpoint; none of them waits for the disk.
        .pragma("wal_autocheckpoint", "1000")
        // An erased chat's words must not stay in pages that are merely free.
        .pragma("secure_delete", "ON")
        .connect()
        .await?;
    check_version(&mut connection).await?;
    // Only open attempts have parts, so there is never much to look at.
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    if verdict != "ok" {
        return Err(OpenError::Database(sqlx::Error::Decode(verdict.into())));
    }
    let shape: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await?;
    if shape != SHAPE {
        connection.execute("DROP TABLE IF EXISTS parts").await?;
        connection.execute(AssertSqlSafe(format!("PRAGMA user_version = {SHAPE}"))).await?;
    }
    connection.execute(CREATE).await?;
    Ok(connection)
}

/// Whether the file, and not the machine around it, is what is wrong.
fn is_damage(error: &sqlx::Error) -> bool {
    const CORRUPT: i32 = 11;
    const NOT_A_DATABASE: i32 = 26;
    match error {
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => true,
        sqlx::Error::Database(error) => {
            let code: Option<i32> = error.code().and_then(|code| code.parse().ok());
            // The low byte is the code, what is above it says more.
            code.is_some_and(|code| matches!(code & 0xff, CORRUPT | NOT_A_DATABASE))
        }
        _ => false,
    }
}

/// Removes the file and what SQLite keeps beside it.
fn remove(path: &Path) -> Result<(), OpenError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(OpenError::Io { path: name.into(), source: error });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Why a read failed: damage, or that the file cannot be read now.
fn unreadable(error: sqlx::Error) -> LogError {
    if is_damage(&error) {
        return LogError::Damaged { position: 0, problem: error.to_string() };
    }
    read_error(error, 0)
}

/// The writer's side.
struct Store {
    connection: SqliteConnection,
    _lock: LockFile,
}

impl PartStore for Store {
    async fn apply(&mut self, batch: Batch) -> Result<(), LogError> {
        let result = write(&mut self.connection, batch).await;
        if result.is_err() {
            // Nothing to roll back if the transaction did not begin: then this fails, and that is all right.
            let _ = self.connection.execute("ROLLBACK").await;
        }
        result.map_err(|error| LogError::Unavailable(error.to_string()))
    }

    async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the part journal's connection did not close well");
        }
    }
}

async fn write(connection: &mut SqliteConnection, batch: Batch) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let rows: Vec<_> = batch.parts.into_iter().collect();
    for rows in rows.chunks(ROWS_MAX) {
        // Two sizes, so that there are two statements.
        let size = if rows.len() == 1 { 1 } else { ROWS_MAX };
        let mut arguments = SqliteArguments::default();
        for ((chat_id, attempt_id, n), (after_version, json)) in rows {
            arguments.add(chat_id.0).map_err(sqlx::Error::Encode)?;
            for number in [attempt_id, n, after_version] {
                arguments.add(signed(*number)).map_err(sqlx::Error::Encode)?;
            }
            arguments.add(json.clone()).map_err(sqlx::Error::Encode)?;
        }
        let text = if size == 1 { insert(1) } else { insert(ROWS_MAX) };
        sqlx::query_with(AssertSqlSafe(text), arguments).execute(&mut *connection).await?;
    }
    for (chat_id, up_to) in batch.forgotten {
        sqlx::query("DELETE FROM parts WHERE chat_id = ? AND attempt_id <= ?")
            .bind(chat_id.0)
            .bind(signed(up_to))
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(())
}

/// A statement that writes `rows` parts; missing ones are null and not written.
fn insert(rows: usize) -> String {
    let values = vec!["(?,?,?,?,?)"; rows].join(",");
    format!(
        "INSERT INTO parts (chat_id, attempt_id, n, after_version, part) \
         SELECT * FROM (VALUES {values}) WHERE column1 IS NOT NULL \
         ON CONFLICT (chat_id, attempt_id, n) \
         DO UPDATE SET after_version = excluded.after_version, part = excluded.part"
    )
}

async fn read(readers: &SqlitePool, chat_id: ChatId, attempt_id: AttemptId) -> Result<Vec<NumberedPart>, LogError> {
    let query = "SELECT n, after_version, part FROM parts WHERE chat_id = ? AND attempt_id = ? AND n > ? \
                 ORDER BY n LIMIT ?";
    let mut parts: Vec<NumberedPart> = Vec::new();
    loop {
        let before = parts.len();
        let mut rows = sqlx::query(query)
            .bind(chat_id.0)
            .bind(signed(attempt_id))
            .bind(parts.last().map_or(0, |part| signed(part.n)))
            .bind(PAGE_ROWS_MAX as i64)
            .fetch(readers);
        while let Some(row) = rows.try_next().await.map_err(unreadable)? {
            parts.push(part(&row)?);
        }
        if parts.len() - before < PAGE_ROWS_MAX {
            return Ok(parts);
        }
    }
}

fn part(row: &SqliteRow) -> Result<NumberedPart, LogError> {
    let columns = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get::<Vec<u8>, _>(2)?));
    let (n, after_version, json) = columns().map_err(unreadable)?;
    parts::part(n, after_version, &json)
}
