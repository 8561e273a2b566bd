//! Filling a log in a SQLite file: in a file beside it, and then in one transaction.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events::envelope::NewEvent;
use verbatim_events::ids::Position;

use super::StagingError;
use crate::error::OpenError;
use crate::options::LogOptions;
use crate::raw::event_columns;
use crate::sqlite::filling::{self, Rows};
use crate::sqlite::{LockFile, SqliteLog};
use crate::task::run_on;

/// What the file beside the log is called: the log's name with this at its end.
const SUFFIX: &str = ".import";

/// What SQLite puts beside a file, and we do.
const BESIDE: [&str; 4] = ["-wal", "-shm", "-journal", ".lock"];

/// Events go over in the order of their positions, so that the file is written from its beginning to its end.
const MOVE_EVENTS: &str = concat!(
    "INSERT INTO main.events (",
    event_columns!(),
    ") SELECT ",
    event_columns!(),
    " FROM staged.events ORDER BY position"
);

/// With `max` the other columns are those of the row that has it.
const MOVE_STREAMS: &str = "INSERT INTO main.streams (chat_id, version, hash) \
                            SELECT chat_id, version, hash FROM (SELECT chat_id, max(version) AS version, hash \
                            FROM staged.events GROUP BY chat_id)";

const MOVE_HEAD: &str =
    "UPDATE main.log_head SET position = (SELECT position FROM staged.log_head WHERE lane = 0) WHERE lane = 0";

/// A file beside a log.
pub(super) struct SqliteStaging {
    path: PathBuf,
    staged: PathBuf,
    /// `None` while it is at work, and for good after an error.
    connection: Option<Connection>,
    incarnation: i64,
    readers: Arc<SqliteLog>,
    lock: LockFile,
}

impl SqliteStaging {
    /// Makes the file, and opens it for reading.
    pub(super) async fn begin(
        path: PathBuf,
        options: LogOptions,
        runtime: &Handle,
    ) -> Result<(SqliteStaging, Arc<SqliteLog>), StagingError> {
        let handle = runtime.clone();
        run_on(runtime, async move {
            let (lock, head) = filling::take_empty(&path, options.now_micros()).await?;
            if head > 0 {
                return Err(StagingError::NotEmpty { head });
            }
            let staged = staged_path(&path);
            remove(&staged)?;
            let incarnation = filling::prepare(&staged, options.now_micros()).await?;
            let connection = filling::scratch_writer(&staged).map_err(OpenError::from)?;
            let readers = Arc::new(SqliteLog::open_read_only(&staged, options, handle).await?);
            let stage = SqliteStaging {
                path,
                staged,
                connection: Some(connection),
                incarnation,
                readers: Arc::clone(&readers),
                lock,
            };
            Ok((stage, readers))
        })
        .await?
    }

    /// Adds events after `head`.
    pub(super) async fn add(
        &mut self,
        head: Position,
        events: Vec<NewEvent>,
        runtime: &Handle,
    ) -> Result<(), StagingError> {
        let connection = self.connection.take();
        let connection = connection.ok_or_else(|| StagingError::Write("the file failed before".to_owned()))?;
        let incarnation = self.incarnation;
        let work = move || {
            filling::add(&connection, Rows { events, head, incarnation })?;
            Ok::<_, String>(connection)
        };
        let added = runtime.spawn_blocking(work).await.map_err(|error| StagingError::Write(error.to_string()))?;
        self.connection = Some(added.map_err(StagingError::Write)?);
        Ok(())
    }

    /// Moves everything into the log, in one transaction.
    pub(super) async fn publish(self, timeline: Uuid, runtime: &Handle) -> Result<(), StagingError> {
        let SqliteStaging { path, staged, connection, readers, lock, .. } = self;
        readers.close().await;
        let work = move || {
            let _held = lock;
            drop(connection);
            let moved = move_into(&path, &staged, timeline);
            let removed = remove(&staged);
            moved?;
            // The log is whole: what could not be removed the next start removes.
            if let Err(error) = removed {
                tracing::warn!(%error, "the file that the log was filled from is still there");
            }
            Ok(())
        };
        runtime.spawn_blocking(work).await.map_err(|error| StagingError::Unknown(error.to_string()))?
    }

    /// Removes the file.
    pub(super) async fn discard(self, runtime: &Handle) -> Result<(), StagingError> {
        let SqliteStaging { staged, connection, readers, lock, .. } = self;
        readers.close().await;
        let work = move || {
            let _held = lock;
            drop(connection);
            remove(&staged)
        };
        let removed = runtime.spawn_blocking(work).await.map_err(|error| StagingError::Write(error.to_string()))?;
        Ok(removed?)
    }
}

fn move_into(path: &Path, staged: &Path, timeline: Uuid) -> Result<(), StagingError> {
    let failed = |error: rusqlite::Error| StagingError::Write(error.to_string());
    let name = staged.to_str().ok_or_else(|| StagingError::Write("the file's name is no text".to_owned()))?;
    let mut connection = filling::log_connection(path).map_err(failed)?;
    connection.execute("ATTACH ?1 AS staged", [name]).map_err(failed)?;
    // Dropped without a commit, it changes nothing.
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
    let head: i64 = transaction
        .query_row("SELECT position FROM main.log_head WHERE lane = 0", [], |row| row.get(0))
        .map_err(failed)?;
    if head != 0 {
        return Err(StagingError::NotEmpty { head: head.unsigned_abs() });
    }
    for statement in [MOVE_EVENTS, MOVE_STREAMS, MOVE_HEAD] {
        transaction.execute(statement, []).map_err(failed)?;
    }
    transaction.execute("UPDATE main.log_meta SET timeline = ?1", [timeline.as_bytes()]).map_err(failed)?;
    transaction.commit().map_err(|error| StagingError::Unknown(error.to_string()))?;
    filling::shrink(&connection);
    Ok(())
}

/// Refuses a log beside which a filling was cut short. If the log is filled, what lies there is of no use, and is removed.
pub(crate) async fn refuse_half(path: &Path) -> Result<(), OpenError> {
    let staged = staged_path(path);
    if !staged.exists() {
        return Ok(());
    }
    let (_lock, head) = filling::take_empty(path, 0).await?;
    if head > 0 { remove(&staged) } else { Err(OpenError::HalfFilled { place: staged.display().to_string() }) }
}

fn staged_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    PathBuf::from(name)
}

/// Removes the file and what lies beside it. The file itself goes last: as long as it is there, something is left.
fn remove(staged: &Path) -> Result<(), OpenError> {
    let beside = BESIDE.iter().map(|suffix| {
        let mut name = staged.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    });
    for path in beside.chain([staged.to_owned()]) {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(OpenError::Io { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}
