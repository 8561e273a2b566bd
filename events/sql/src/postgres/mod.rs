//! The log in a PostgreSQL database. Any number of nodes may write it; the database judges.

mod batch;
mod claim;
mod connect;
pub(crate) mod filling;
mod follow;
mod journal;
mod read;
mod writer;

use parking_lot::Mutex;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;
use verbatim_events::envelope::Stored;
use verbatim_events::ids::{ChatId, Position, Version};
use verbatim_events::log::{Append, AppendError, Appended, BoxFuture, EventLog, LogError, LogPage, Receipt};

pub(crate) use claim::Claim;
pub use journal::PostgresJournal;

use crate::error::OpenError;
use crate::head::KnownHead;
use crate::migrate::{POSTGRES, migrator};
use crate::options::LogOptions;
use crate::port::event_log;
use crate::prune::Pruning;
use crate::queue::Queue;
use crate::raw::read_error;
use crate::receipts::{Forgotten, forget_in_postgres};
use crate::task::{read_on, run_on};
use writer::Writer;

/// Connections that read and change keys: there are few such requests.
const KEYS_CONNECTIONS_MAX: u32 = 2;

/// Connections that read and change chats' keys: most of them are in memory.
const VAULT_CONNECTIONS_MAX: u32 = 3;

/// A log in a PostgreSQL database.
pub struct PostgresLog {
    runtime: Handle,
    address: PgConnectOptions,
    /// `None` for a log that was opened for reading.
    queue: Option<Queue>,
    closing: watch::Sender<bool>,
    readers: PgPool,
    known_head: KnownHead,
    timeline: Uuid,
    /// The writer, the listener and the poller.
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl PostgresLog {
    /// Connects to the log in the database at `url` and makes its tables if need be. All work is done on `runtime`.
    pub async fn connect(url: &str, options: LogOptions, runtime: Handle) -> Result<PostgresLog, OpenError> {
        let url = url.to_owned();
        run_on(&runtime.clone(), async move { PostgresLog::connect_here(&url, options, runtime, true).await }).await?
    }

    /// Connects to an existing log for reading alone.
    pub async fn connect_read_only(url: &str, options: LogOptions, runtime: Handle) -> Result<PostgresLog, OpenError> {
        let url = url.to_owned();
        run_on(&runtime.clone(), async move { PostgresLog::connect_here(&url, options, runtime, false).await }).await?
    }

    async fn connect_here(
        url: &str,
        options: LogOptions,
        runtime: Handle,
        writing: bool,
    ) -> Result<PostgresLog, OpenError> {
        let address = connect::address(url)?;
        let mut connection = connect::writer(&address).await?;
        connect::check_version(&mut connection).await?;
        if writing {
            prepare(&mut connection, options.now_micros()).await?;
        }
        let timeline = sqlx::query_scalar("SELECT timeline FROM log_meta").fetch_one(&mut connection).await?;
        let known_head = KnownHead::new(read_head(&mut connection).await?);
        let readers = connect::readers(&address, options.readers_max);
        let (closing, closed) = watch::channel(false);
        let mut tasks = vec![
            runtime.spawn(follow::poll(readers.clone(), known_head.clone(), closed.clone())),
            runtime.spawn(follow::listen(address.clone(), timeline, known_head.clone(), closed.clone())),
        ];
        let mut queue = None;
        if writing {
            let (sender, inbox) = Queue::new(options.queue_max);
            queue = Some(sender);
            let writer = Writer {
                address: address.clone(),
                options,
                inbox,
                closing: closed,
                known_head: known_head.clone(),
                connection: Some(connection),
                pruning: Pruning::default(),
            };
            tasks.push(runtime.spawn(writer.run()));
        } else {
            connection.close().await?;
        }
        Ok(PostgresLog { runtime, address, queue, closing, readers, known_head, timeline, tasks: Mutex::new(tasks) })
    }

    /// Forgets receipts, and frees their room.
    pub async fn forget_receipts(&self, forgotten: Forgotten) -> Result<(), LogError> {
        let address = self.address.clone();
        read_on(&self.runtime, async move {
            let work = async {
                let mut connection = connect::writer(&address).await?;
                forget_in_postgres(&mut connection, &forgotten).await?;
                connection.close().await
            };
            let silence = |_| LogError::Unavailable("the database did not answer in time".to_owned());
            let done = tokio::time::timeout(connect::ANSWER_TIMEOUT, work).await.map_err(silence)?;
            done.map_err(|error| read_error(error, 0))
        })
        .await
    }

    /// Takes no more appends, finishes those that wait, and leaves the database. Reads fail afterwards.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let (readers, tasks) = (self.readers.clone(), std::mem::take(&mut *self.tasks.lock()));
        let closed = run_on(&self.runtime, async move {
            for task in tasks {
                // A task that panicked has nothing left to wait for.
                let _ = task.await;
            }
            readers.close().await;
        });
        // If the runtime is gone, so are the tasks.
        let _ = closed.await;
    }
}

event_log!(PostgresLog);

/// Connections to the vault at `url`, made when they are needed, and its place as it may be shown.
pub(crate) fn vault_pool(url: &str) -> Result<(String, PgPool), OpenError> {
    Ok((connect::without_password(url), connect::pool(VAULT_CONNECTIONS_MAX).connect_lazy_with(connect::address(url)?)))
}

/// Connections to the keys at `url`, made when they are needed.
pub(crate) fn keys_pool(url: &str) -> Result<PgPool, OpenError> {
    Ok(connect::pool(KEYS_CONNECTIONS_MAX).connect_lazy_with(connect::address(url)?))
}

/// Brings the tables at `url` to this version.
pub(crate) async fn migrate(url: &str, options: &LogOptions) -> Result<(), OpenError> {
    let mut connection = connect::writer(&connect::address(url)?).await?;
    connect::check_version(&mut connection).await?;
    prepare(&mut connection, options.now_micros()).await?;
    connection.close().await?;
    Ok(())
}

/// Brings the tables to this version, and gives a new log its identity.
async fn prepare(connection: &mut PgConnection, now_micros: i64) -> Result<(), OpenError> {
    // `run` on a borrowed connection makes no future that may move between threads; this is what it calls.
    migrator(POSTGRES).run_direct(None, connection, false).await?;
    sqlx::query(
        "INSERT INTO log_meta (id, timeline, incarnation, created_at) VALUES (1, $1, 1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(Uuid::now_v7())
    .bind(now_micros)
    .execute(connection)
    .await?;
    Ok(())
}

/// The log's head, checked against its events: both as of one moment.
async fn read_head(connection: &mut PgConnection) -> Result<Position, OpenError> {
    let (head, last): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT position FROM log_head WHERE lane = 0), \
         (SELECT coalesce(max(position), 0) FROM events WHERE lane = 0)",
    )
    .fetch_one(connection)
    .await?;
    if head != last {
        return Err(OpenError::Damaged(format!("the head says {head}, but the last event is at {last}")));
    }
    Position::try_from(head).map_err(|_| OpenError::Damaged(format!("the head is {head}")))
}
