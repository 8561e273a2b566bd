//! One generation of the read models: a database, and the checkpoint that says how far its rows have come.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events::ids::Position;

use crate::database::{Database, PostgresHome, SqliteHome, Statement, Value, close_session};
use crate::error::ReadError;

/// Where the read models live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadLocation {
    /// In SQLite files of this directory, which belongs to this process alone.
    Sqlite {
        /// The directory; it is made if it is not there.
        directory: PathBuf,
    },
    /// In schemas of this PostgreSQL database, which several nodes may share.
    Postgres {
        /// `postgres://…`
        url: String,
    },
}

/// How far a generation's rows have come, and what they were made by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) fingerprint: String,
    pub(crate) timeline: Uuid,
    /// The last applied position; 0 for none.
    pub(crate) position: Position,
    /// When the last applied event was decided.
    pub(crate) recorded_at: Option<DateTime<Utc>>,
    /// Another generation took its place.
    pub(crate) retired: bool,
}

impl Checkpoint {
    /// The beginning of a generation.
    pub(crate) fn start(fingerprint: String, timeline: Uuid) -> Checkpoint {
        Checkpoint { fingerprint, timeline, position: 0, recorded_at: None, retired: false }
    }

    fn insert(&self) -> Statement {
        Statement::new(
            "INSERT INTO checkpoint (one, fingerprint, timeline, position, recorded_at, retired) VALUES (1, ?, ?, ?, ?, ?)",
            vec![
                Value::text(self.fingerprint.as_str()),
                Value::Id(Some(self.timeline)),
                Value::unsigned(self.position),
                Value::Integer(self.recorded_at.map(|at| at.timestamp_micros())),
                Value::Boolean(self.retired),
            ],
        )
    }

    /// Moves the checkpoint from here to `position`. Touches no row if somebody moved it, or put another in its place.
    pub(crate) fn advance(&self, position: Position, recorded_at: Option<DateTime<Utc>>) -> Statement {
        Statement::new(
            "UPDATE checkpoint SET position = ?, recorded_at = ?
             WHERE one = 1 AND position = ? AND timeline = ? AND NOT retired",
            vec![
                Value::unsigned(position),
                Value::Integer(recorded_at.map(|at| at.timestamp_micros())),
                Value::unsigned(self.position),
                Value::Id(Some(self.timeline)),
            ],
        )
    }
}

/// Where generations live.
#[derive(Clone, Debug)]
pub(crate) enum Home {
    Sqlite(SqliteHome),
    Postgres(PostgresHome),
}

impl Home {
    /// Connects; nothing is made yet.
    /// A read may take as long as `read_max`, where the database is another process.
    pub(crate) async fn connect(location: &ReadLocation, read_max: Duration) -> Result<Home, ReadError> {
        Ok(match location {
            ReadLocation::Sqlite { directory } => Home::Sqlite(SqliteHome::new(directory.clone())),
            ReadLocation::Postgres { url } => Home::Postgres(PostgresHome::connect(url, read_max).await?),
        })
    }

    /// Makes the place where generations are made.
    pub(crate) async fn prepare(&self) -> Result<(), ReadError> {
        match self {
            Home::Sqlite(home) => home.prepare(),
            Home::Postgres(home) => home.prepare().await,
        }
    }

    /// The current generation's number, once there is one.
    pub(crate) async fn current(&self) -> Result<Option<u64>, ReadError> {
        match self {
            Home::Sqlite(home) => home.current().await,
            Home::Postgres(home) => home.current().await,
        }
    }

    /// Makes `number` the current generation, atomically.
    pub(crate) async fn set_current(&self, number: u64) -> Result<(), ReadError> {
        match self {
            Home::Sqlite(home) => home.set_current(number).await,
            Home::Postgres(home) => home.set_current(number).await,
        }
    }

    /// Makes `number` the current generation unless there is one. Returns the current one.
    pub(crate) async fn set_first(&self, number: u64) -> Result<u64, ReadError> {
        match self {
            Home::Sqlite(home) => home.set_current(number).await?,
            Home::Postgres(home) => home.set_first(number).await?,
        }
        Ok(self.current().await?.unwrap_or(number))
    }

    /// Makes an empty generation.
    pub(crate) async fn create(&self, start: &Checkpoint, runtime: &Handle) -> Result<Arc<Generation>, ReadError> {
        let (number, database) = match self {
            Home::Sqlite(home) => home.create(start.insert()).await?,
            Home::Postgres(home) => home.create(start.insert()).await?,
        };
        Ok(Generation::new(number, database, self.clone(), runtime.clone()))
    }

    /// Opens a generation. `false` beside it says that the machine went down while it was being written.
    pub(crate) async fn open_generation(
        &self,
        number: u64,
        runtime: &Handle,
    ) -> Result<(Arc<Generation>, bool), ReadError> {
        let (database, intact) = match self {
            Home::Sqlite(home) => home.open_generation(number).await?,
            Home::Postgres(home) => (home.open_generation(number), true),
        };
        Ok((Generation::new(number, database, self.clone(), runtime.clone()), intact))
    }

    /// Opens a generation that another process may be writing.
    pub(crate) fn open_to_read(&self, number: u64) -> Database {
        match self {
            Home::Sqlite(home) => home.open_to_read(number),
            Home::Postgres(home) => home.open_generation(number),
        }
    }

    /// Removes generations that nobody can be using while `keep` is current.
    pub(crate) async fn remove_leftovers(&self, keep: u64) -> Result<(), ReadError> {
        match self {
            Home::Sqlite(home) => {
                for number in home.numbers()?.into_iter().filter(|number| *number != keep) {
                    home.remove(number).await?;
                }
            }
            Home::Postgres(home) => {
                // One above may be another node's rebuild; the one just below may still be read by another node.
                for number in home.numbers().await?.into_iter().filter(|number| number + 1 < keep) {
                    home.remove(number).await?;
                }
            }
        }
        Ok(())
    }

    /// Keeps every other process from rebuilding as long as the answer is held.
    pub(crate) async fn lock_rebuild(&self) -> Result<Option<PgConnection>, ReadError> {
        match self {
            // The directory belongs to this process alone.
            Home::Sqlite(_) => Ok(None),
            Home::Postgres(home) => home.lock_rebuild().await.map(Some),
        }
    }

    /// Lets others rebuild.
    pub(crate) async fn unlock_rebuild(&self, lock: Option<PgConnection>) {
        match (self, lock) {
            (Home::Postgres(_), Some(connection)) => PostgresHome::unlock_rebuild(connection).await,
            (Home::Sqlite(_) | Home::Postgres(_), _) => {}
        }
    }

    /// Removes generations above the current one: rebuilds that died. Only under the rebuild lock.
    pub(crate) async fn remove_unfinished(&self) -> Result<(), ReadError> {
        let current = self.current().await?.unwrap_or(0);
        let numbers = match self {
            Home::Sqlite(home) => home.numbers()?,
            Home::Postgres(home) => home.numbers().await?,
        };
        for number in numbers.into_iter().filter(|number| *number > current) {
            self.remove(number).await?;
        }
        Ok(())
    }

    async fn remove(&self, number: u64) -> Result<(), ReadError> {
        match self {
            Home::Sqlite(home) => home.remove(number).await,
            Home::Postgres(home) => home.remove(number).await,
        }
    }
}

/// An open generation. When its last reader lets go of it, its connections are closed, and its rows go too if another
/// generation took its place.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) database: Database,
    home: Home,
    runtime: Handle,
    discard: AtomicBool,
}

impl Generation {
    fn new(number: u64, database: Database, home: Home, runtime: Handle) -> Arc<Generation> {
        Arc::new(Generation { number, database, home, runtime, discard: AtomicBool::new(false) })
    }

    /// How far its rows have come.
    pub(crate) async fn checkpoint(&self) -> Result<Checkpoint, ReadError> {
        read_checkpoint(&self.database).await
    }

    /// Notes for other processes that another generation took its place.
    pub(crate) async fn retire(&self) -> Result<(), ReadError> {
        self.database
            .commit(Statement::new("UPDATE checkpoint SET retired = TRUE WHERE one = 1", Vec::new()), Vec::new())
            .await?;
        Ok(())
    }

    /// Closes it and removes its rows at once. Only for one that nobody reads yet.
    pub(crate) async fn abandon(&self) -> Result<(), ReadError> {
        self.database.close().await;
        self.home.remove(self.number).await
    }

    /// Lets its rows go with its last reader.
    pub(crate) fn discard(&self) {
        self.discard.store(true, Ordering::Relaxed);
    }

    /// Closes it in order: everything is on the disk, and a later start may trust it.
    pub(crate) async fn close(&self) -> Result<(), ReadError> {
        let closed = match &self.database {
            Database::Sqlite { writer, readers } => {
                readers.close().await;
                close_session(writer).await
            }
            Database::Postgres { .. } => Ok(()),
        };
        self.database.close().await;
        closed
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let (number, database, home) = (self.number, self.database.clone(), self.home.clone());
        let discard = self.discard.load(Ordering::Relaxed);
        self.runtime.spawn(async move {
            database.close().await;
            // Other nodes may be reading a PostgreSQL generation; it goes when the next one after it goes live.
            if let (true, Home::Sqlite(home)) = (discard, &home)
                && let Err(error) = home.remove(number).await
            {
                tracing::warn!(generation = number, %error, "an old generation of the read models could not be removed");
            }
        });
    }
}

/// The checkpoint of a database.
pub(crate) async fn read_checkpoint(database: &Database) -> Result<Checkpoint, ReadError> {
    let statement = Statement::new(
        "SELECT fingerprint, timeline, position, recorded_at, retired FROM checkpoint WHERE one = 1",
        Vec::new(),
    );
    let rows = database.fetch(statement).await?;
    let row = rows.first().ok_or_else(|| ReadError::Damaged("there is no checkpoint".to_owned()))?;
    Ok(Checkpoint {
        fingerprint: row.text(0)?,
        timeline: row.id(1)?,
        position: row.unsigned(2)?,
        recorded_at: row.optional_integer(3)?.and_then(DateTime::from_timestamp_micros),
        retired: row.boolean(4)?,
    })
}
