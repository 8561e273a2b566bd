//! Keys to the server, in the log's database: they must outlive every read model, and they are no events, since what a
//! chat is must never depend on who may see it.
//!
//! **Invariant:** the key itself never comes here, only its SHA-256.

mod postgres;
pub(crate) mod sqlite;

use chrono::{DateTime, Utc};
use sqlx::{PgPool, SqlitePool};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;
use verbatim_events::ids::Digest;

use crate::error::OpenError;
use crate::options::LogOptions;
use crate::postgres::{keys_pool, migrate};
use crate::sqlite::SqliteLog;
use crate::storage::Place;
use crate::task::run_on;

/// Changes of keys that may wait for the writer of a SQLite log.
pub(crate) const KEY_CHANGES_MAX: usize = 64;

/// A key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Its id: a UUIDv7. Not secret.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// Whom it speaks for.
    pub owner: String,
    /// What it may do: names that the store does not look into, without spaces.
    pub roles: Vec<String>,
    /// SHA-256 of the key.
    pub digest: Digest,
    /// When it was made; UTC, microseconds.
    pub created_at: DateTime<Utc>,
    /// Since when it is no longer valid.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// How many keys there are. Keys are only ever added and revoked, each once: as long as this stays, so do the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyTally {
    /// All of them.
    pub all: u64,
    /// Those that were revoked.
    pub revoked: u64,
}

/// Why keys could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// The database does not answer, or refuses.
    #[error("the keys are not available: {0}")]
    Unavailable(String),
    /// Too many changes wait already.
    #[error("too many changes of keys wait already")]
    Busy,
    /// A row is not what was written.
    #[error("key {id} is damaged: {problem}")]
    Damaged {
        /// Which key.
        id: Uuid,
        /// In what way.
        problem: String,
    },
}

impl From<sqlx::Error> for KeyStoreError {
    fn from(error: sqlx::Error) -> KeyStoreError {
        KeyStoreError::Unavailable(error.to_string())
    }
}

impl From<rusqlite::Error> for KeyStoreError {
    fn from(error: rusqlite::Error) -> KeyStoreError {
        KeyStoreError::Unavailable(error.to_string())
    }
}

/// A change of the keys.
#[derive(Clone, Debug)]
pub(crate) enum KeyChange {
    Add(StoredKey),
    Revoke { id: Uuid, at: DateTime<Utc> },
}

/// A change that waits for the writer of a SQLite log, with the way back to its caller.
pub(crate) struct KeyRequest {
    change: KeyChange,
    answer: oneshot::Sender<Result<bool, KeyStoreError>>,
}

impl KeyRequest {
    pub(crate) fn change(&self) -> &KeyChange {
        &self.change
    }

    pub(crate) fn answer(self, done: Result<bool, KeyStoreError>) {
        // A caller that no longer waits needs no answer.
        let _ = self.answer.send(done);
    }
}

#[derive(Clone)]
enum Home {
    Sqlite { readers: SqlitePool, changes: Option<mpsc::Sender<KeyRequest>> },
    Postgres(PgPool),
}

/// The keys in a log's database. Cheap to clone.
#[derive(Clone)]
pub struct KeyStore {
    home: Home,
    runtime: Handle,
    /// The log that was opened for the keys alone.
    log: Option<std::sync::Arc<SqliteLog>>,
}

impl KeyStore {
    /// Opens the keys of the log at `address` without serving from it; makes the log if need be. A SQLite log must not be
    /// in use. Addresses are those of `Storage::open`.
    pub async fn open(address: &str, runtime: Handle) -> Result<KeyStore, OpenError> {
        match Place::parse(address)? {
            Place::Sqlite(path) => {
                let log = SqliteLog::open(&path, LogOptions::default(), runtime).await?;
                let keys = log.keys();
                Ok(KeyStore { log: Some(std::sync::Arc::new(log)), ..keys })
            }
            Place::Postgres(url) => {
                let address = url.clone();
                run_on(&runtime, async move { migrate(&address, &LogOptions::default()).await }).await??;
                KeyStore::postgres(&url, runtime)
            }
        }
    }

    pub(crate) fn sqlite(readers: SqlitePool, changes: Option<mpsc::Sender<KeyRequest>>, runtime: Handle) -> KeyStore {
        KeyStore { home: Home::Sqlite { readers, changes }, runtime, log: None }
    }

    pub(crate) fn postgres(url: &str, runtime: Handle) -> Result<KeyStore, OpenError> {
        // A pool notes the runtime that it is made in.
        let _entered = runtime.enter();
        Ok(KeyStore { home: Home::Postgres(keys_pool(url)?), runtime: runtime.clone(), log: None })
    }

    /// All keys, revoked ones too, in the order in which they were made.
    pub async fn list(&self) -> Result<Vec<StoredKey>, KeyStoreError> {
        let home = self.home.clone();
        self.on_runtime(async move {
            match home {
                Home::Sqlite { readers, .. } => sqlite::list(&readers).await,
                Home::Postgres(pool) => postgres::list(&pool).await,
            }
        })
        .await
    }

    /// How many keys there are; much cheaper than to list them.
    pub async fn tally(&self) -> Result<KeyTally, KeyStoreError> {
        let home = self.home.clone();
        self.on_runtime(async move {
            match home {
                Home::Sqlite { readers, .. } => sqlite::tally(&readers).await,
                Home::Postgres(pool) => postgres::tally(&pool).await,
            }
        })
        .await
    }

    /// Keeps a new key. Done once this returns.
    pub async fn add(&self, key: StoredKey) -> Result<(), KeyStoreError> {
        self.change(KeyChange::Add(key)).await.map(|_| ())
    }

    /// Revokes a key for ever. False if there is no such key, or it was revoked before.
    pub async fn revoke(&self, id: Uuid, at: DateTime<Utc>) -> Result<bool, KeyStoreError> {
        self.change(KeyChange::Revoke { id, at }).await
    }

    /// Leaves the database, where it was opened for the keys alone.
    pub async fn close(&self) {
        if let Home::Postgres(pool) = &self.home {
            let pool = pool.clone();
            // If the runtime is gone, so are the connections.
            let _ = run_on(&self.runtime, async move { pool.close().await }).await;
        }
        if let Some(log) = &self.log {
            log.close().await;
        }
    }

    async fn change(&self, change: KeyChange) -> Result<bool, KeyStoreError> {
        let closed = || KeyStoreError::Unavailable("the log is closed".to_owned());
        match &self.home {
            Home::Sqlite { changes: None, .. } => {
                Err(KeyStoreError::Unavailable("the log was opened for reading".to_owned()))
            }
            Home::Sqlite { changes: Some(changes), .. } => {
                let (answer, answered) = oneshot::channel();
                changes.try_send(KeyRequest { change, answer }).map_err(|error| match error {
                    mpsc::error::TrySendError::Full(_) => KeyStoreError::Busy,
                    mpsc::error::TrySendError::Closed(_) => closed(),
                })?;
                answered.await.unwrap_or_else(|_| Err(closed()))
            }
            Home::Postgres(pool) => {
                let pool = pool.clone();
                self.on_runtime(async move { Ok(postgres::change(&pool, &change).await?) }).await
            }
        }
    }

    async fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, KeyStoreError>> + Send + 'static,
    ) -> Result<T, KeyStoreError> {
        run_on(&self.runtime, work).await.unwrap_or_else(|error| Err(KeyStoreError::Unavailable(error.to_string())))
    }
}

/// The columns of a key, in the order of `Row`.
pub(crate) const LIST: &str = "SELECT id, name, owner, roles, digest, created_at, revoked_at FROM keys ORDER BY id";

pub(crate) const TALLY: &str = "SELECT count(*), count(revoked_at) FROM keys";

pub(crate) const ADD: &str =
    "INSERT INTO keys (id, name, owner, roles, digest, created_at) VALUES ($1, $2, $3, $4, $5, $6)";

pub(crate) const REVOKE: &str = "UPDATE keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";

/// A key's row with plain values.
pub(crate) type Row = (Uuid, String, String, String, Vec<u8>, i64, Option<i64>);

/// The key of a row, or in what way the row is damaged.
pub(crate) fn read((id, name, owner, roles, digest, created_at, revoked_at): Row) -> Result<StoredKey, KeyStoreError> {
    let damaged = |problem: &str| KeyStoreError::Damaged { id, problem: problem.to_owned() };
    let time = |micros| DateTime::from_timestamp_micros(micros).ok_or_else(|| damaged("a time is none"));
    Ok(StoredKey {
        id,
        name,
        owner,
        roles: roles.split_whitespace().map(str::to_owned).collect(),
        digest: Digest::from_bytes(&digest).ok_or_else(|| damaged("its digest has not 32 bytes"))?,
        created_at: time(created_at)?,
        revoked_at: revoked_at.map(time).transpose()?,
    })
}

/// The tally of its row.
pub(crate) fn tally((all, revoked): (i64, i64)) -> KeyTally {
    KeyTally { all: all.unsigned_abs(), revoked: revoked.unsigned_abs() }
}

#[cfg(test)]
mod tests;
