//! The log in a SQLite file. One process writes it, through one connection; others may read beside it.

mod checkpoint;
mod connect;
mod copy;
pub(crate) mod filling;
mod heads;
mod journal;
mod judge;
mod lock;
mod look;
mod open;
mod read;
mod round;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;
use verbatim_events::envelope::Stored;
use verbatim_events::ids::{ChatId, Position, Version};
use verbatim_events::log::{Append, AppendError, Appended, BoxFuture, EventLog, LogError, LogPage, Receipt};

pub(crate) use connect::BUSY_TIMEOUT;
pub use copy::{Copied, copy_log, keep_chat_keys, renew_timeline};
pub use journal::SqliteJournal;

/// The log's file in a directory.
pub const LOG_FILE: &str = "events.db";
/// The file of the keys that chats are sealed with, in the log's directory.
pub const KEYS_FILE: &str = "keys.db";

use crate::error::OpenError;
use crate::head::KnownHead;
use crate::keys::{KEY_CHANGES_MAX, KeyRequest, KeyStore};
use crate::options::LogOptions;
use crate::port::event_log;
use crate::queue::Queue;
use crate::receipts::{FORGETS_MAX, ForgetRequest, Forgotten};
use crate::task::{read_on, run_on};
pub(crate) use lock::LockFile;
use writer::{Handover, Writer};

/// How often a log that somebody else writes is asked for its head.
const POLL: Duration = Duration::from_secs(1);
/// How long a read waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// A log in a SQLite file.
pub struct SqliteLog {
    path: PathBuf,
    runtime: Handle,
    /// `None` for a log that was opened for reading.
    queue: Option<Queue>,
    /// The writer changes keys, too; `None` for a log that was opened for reading.
    key_changes: Option<mpsc::Sender<KeyRequest>>,
    /// And forgets receipts; `None` for a log that was opened for reading.
    forgets: Option<mpsc::Sender<ForgetRequest>>,
    closing: watch::Sender<bool>,
    readers: SqlitePool,
    known_head: KnownHead,
    timeline: Uuid,
    /// Closed when the writer has ended, or the poller of a log that was opened for reading.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl SqliteLog {
    /// Opens the log in the file `path` for reading and writing; makes the file and its directory if need be. Refused
    /// if another process has it open. Reads are done on `runtime`, writes on a thread of their own.
    pub async fn open(path: impl AsRef<Path>, options: LogOptions, runtime: Handle) -> Result<SqliteLog, OpenError> {
        let path = path.as_ref().to_owned();
        run_on(&runtime.clone(), async move { SqliteLog::open_here(path, options, runtime).await }).await?
    }

    /// Opens an existing log for reading alone, beside the process that writes it.
    pub async fn open_read_only(
        path: impl AsRef<Path>,
        options: LogOptions,
        runtime: Handle,
    ) -> Result<SqliteLog, OpenError> {
        let path = path.as_ref().to_owned();
        run_on(&runtime.clone(), async move { SqliteLog::open_read_only_here(path, options, runtime).await }).await?
    }

    async fn open_here(path: PathBuf, options: LogOptions, runtime: Handle) -> Result<SqliteLog, OpenError> {
        make_directory_of(&path)?;
        let lock = LockFile::take(&path)?;
        let identity = open::prepare_file(&path, options.now_micros()).await?;
        let connection = connect::log_writer(&path, options.file_max_bytes)?;
        let known_head = KnownHead::new(open::read_head(&connection)?);
        let readers = reader_pool(&path, &options);
        let (queue, inbox) = Queue::new(options.queue_max);
        let (key_changes, key_requests) = mpsc::channel(KEY_CHANGES_MAX);
        let (forgets, forget_requests) = mpsc::channel(FORGETS_MAX);
        let (closing, closing_receiver) = watch::channel(false);
        let writer = Writer::new(Handover {
            path: path.clone(),
            options,
            inbox,
            key_requests,
            forget_requests,
            closing: closing_receiver,
            known_head: known_head.clone(),
            incarnation: identity.incarnation,
            connection,
            lock,
        });
        let ended = Mutex::new(Some(writer.start(&path)?));
        let timeline = identity.timeline;
        let (queue, key_changes, forgets) = (Some(queue), Some(key_changes), Some(forgets));
        Ok(SqliteLog { path, runtime, queue, key_changes, forgets, closing, readers, known_head, timeline, ended })
    }

    async fn open_read_only_here(path: PathBuf, options: LogOptions, runtime: Handle) -> Result<SqliteLog, OpenError> {
        let timeline = open::read_timeline(&path).await?;
        let readers = reader_pool(&path, &options);
        let known_head = KnownHead::new(0);
        let (closing, closing_receiver) = watch::channel(false);
        let (ends, ended) = oneshot::channel();
        let poll = poll(readers.clone(), known_head.clone(), closing_receiver);
        runtime.spawn(async move {
            poll.await;
            drop(ends);
        });
        let ended = Mutex::new(Some(ended));
        let (queue, key_changes, forgets) = (None, None, None);
        Ok(SqliteLog { path, runtime, queue, key_changes, forgets, closing, readers, known_head, timeline, ended })
    }

    /// The database's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys in the log's database.
    pub(crate) fn keys(&self) -> KeyStore {
        KeyStore::sqlite(self.readers.clone(), self.key_changes.clone(), self.runtime.clone())
    }

    /// Forgets receipts, and writes them out of the files. Fails where readers are in the way for long; then it can be asked
    /// again.
    pub async fn forget_receipts(&self, forgotten: Forgotten) -> Result<(), LogError> {
        let unavailable = |problem: &str| LogError::Unavailable(problem.to_owned());
        let forgets = self.forgets.as_ref().ok_or_else(|| unavailable("the log was opened for reading"))?;
        let (answer, answered) = oneshot::channel();
        let request = ForgetRequest { forgotten, answer };
        forgets.send(request).await.map_err(|_| unavailable("the log is closed"))?;
        answered.await.unwrap_or_else(|_| Err(unavailable("the log is closed")))
    }

    /// Takes no more appends, finishes those that wait, and gives the file back. Reads fail afterwards.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let (readers, ended) = (self.readers.clone(), self.ended.lock().take());
        let closed = run_on(&self.runtime, async move {
            // Readers go first: the last checkpoint needs the file for itself.
            readers.close().await;
            if let Some(ended) = ended {
                // A writer that panicked has nothing left to wait for.
                let _ = ended.await;
            }
        });
        // If the runtime is gone, nobody reads, and the writer ends by itself.
        let _ = closed.await;
    }
}

event_log!(SqliteLog);

/// Looks for a new head now and then, for a log that another process writes.
async fn poll(readers: SqlitePool, known_head: KnownHead, mut closing: watch::Receiver<bool>) {
    loop {
        match read::head(&readers).await {
            Ok(head) => known_head.publish(head),
            Err(error) => tracing::warn!(%error, "the log's head could not be read"),
        }
        // Done when the log is closed or gone.
        if tokio::time::timeout(POLL, closing.wait_for(|closing| *closing)).await.is_ok() {
            return;
        }
    }
}

fn reader_pool(path: &Path, options: &LogOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(options.readers_max.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(connect::reader_options(path))
}

/// Makes the directory a file is to live in.
fn make_directory_of(path: &Path) -> Result<(), OpenError> {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => {
            std::fs::create_dir_all(directory).map_err(|source| OpenError::Io { path: directory.to_owned(), source })
        }
        _ => Ok(()),
    }
}
