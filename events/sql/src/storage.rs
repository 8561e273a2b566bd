//! The front: a log and its journal by the address of a database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;
use verbatim_events::journal::PartJournal;
use verbatim_events::log::{EventLog, LogError};

use crate::error::OpenError;
use crate::keys::KeyStore;
use crate::options::LogOptions;
use crate::postgres::{Claim, PostgresJournal, PostgresLog};
use crate::receipts::Forgotten;
use crate::seal::MasterKey;
use crate::sqlite::{LOG_FILE, LockFile, SqliteJournal, SqliteLog};
use crate::staging::{refuse_half_postgres, refuse_half_sqlite};
use crate::task::run_on;
use crate::vault::{ChatVault, Home, OpeningLog};

/// The part journal's file, in the log's directory.
const JOURNAL_FILE: &str = "journal.db";

/// Where a log lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The log's file.
    Sqlite(PathBuf),
    /// The database's address.
    Postgres(String),
}

impl Place {
    /// `sqlite:PATH`, where PATH is a file or the directory of `events.db`, or `postgres://…`.
    pub(crate) fn parse(address: &str) -> Result<Place, OpenError> {
        if address.starts_with("postgres://") || address.starts_with("postgresql://") {
            return Ok(Place::Postgres(address.to_owned()));
        }
        let path = address.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
        match path {
            Some(path) if !path.is_empty() => {
                let is_directory = path.ends_with('/') || Path::new(path).is_dir();
                let path = PathBuf::from(path);
                Ok(Place::Sqlite(if is_directory { path.join(LOG_FILE) } else { path }))
            }
            _ => Err(OpenError::BadAddress(address.to_owned())),
        }
    }
}

/// Writes what was forgotten out of the files of the log and the part journal. Cheap to clone.
#[derive(Clone)]
pub struct Sweeper {
    opened: Opened,
}

impl Sweeper {
    /// Forgets the receipts of an erased chat. What is in the way for long is an error; then it can be asked again.
    pub async fn forget_receipts(&self, forgotten: Forgotten) -> Result<(), LogError> {
        match &self.opened {
            Opened::Sqlite(log, _) => log.forget_receipts(forgotten).await,
            Opened::Postgres(log, _, _) => log.forget_receipts(forgotten).await,
        }
    }

    /// Writes forgotten parts out of the journal's files. What is in the way for long is an error; then it can be asked again.
    pub async fn sweep(&self) -> Result<(), LogError> {
        match &self.opened {
            Opened::Sqlite(_, journal) => journal.sweep().await,
            Opened::Postgres(_, journal, _) => journal.sweep().await,
        }
    }
}

#[derive(Clone)]
enum Opened {
    Sqlite(Arc<SqliteLog>, Arc<SqliteJournal>),
    Postgres(Arc<PostgresLog>, Arc<PostgresJournal>, Arc<Claim>),
}

/// An open log and its part journal. No other server serves from the same database meanwhile.
pub struct Storage {
    opened: Opened,
    log: Arc<dyn EventLog>,
    vault: Option<ChatVault>,
    keys: KeyStore,
}

impl Storage {
    /// Opens the log at `address` for reading and writing, and the journal beside it; makes them if need be. An address
    /// is `sqlite:PATH`, where PATH is a file or a directory (then it is `events.db` in it), or `postgres://…`.
    /// Work on the database is done on `runtime`, but for the writer of a SQLite log, which has a thread of its own.
    pub async fn open(address: &str, options: LogOptions, runtime: Handle) -> Result<Storage, OpenError> {
        let sealing = options.sealing.clone();
        let (opened, keys, home) = match Place::parse(address)? {
            Place::Sqlite(path) => {
                let beside = path.clone();
                run_on(&runtime, async move { refuse_half_sqlite(&beside).await }).await??;
                let log = SqliteLog::open(&path, options, runtime.clone()).await?;
                match SqliteJournal::open(path.with_file_name(JOURNAL_FILE), runtime.clone()).await {
                    Ok(journal) => {
                        let (keys, home) = (log.keys(), in_runtime(&runtime, || Home::sqlite(&path, true)));
                        (Opened::Sqlite(Arc::new(log), Arc::new(journal)), keys, home)
                    }
                    Err(error) => {
                        log.close().await;
                        return Err(error);
                    }
                }
            }
            Place::Postgres(url) => {
                let address = url.clone();
                let claim = runtime.spawn(async move { Claim::take(&address).await });
                let claim = claim.await.map_err(|_| OpenError::RuntimeStopped)??;
                let address = url.clone();
                run_on(&runtime, async move { refuse_half_postgres(&address).await }).await??;
                let log = PostgresLog::connect(&url, options, runtime.clone()).await?;
                let journal = PostgresJournal::connect(&url, runtime.clone()).await?;
                let keys = KeyStore::postgres(&url, runtime.clone())?;
                let home = in_runtime(&runtime, || Home::postgres(&url))?;
                (Opened::Postgres(Arc::new(log), Arc::new(journal), Arc::new(claim)), keys, home)
            }
        };
        let stored = opened.log();
        let mut storage = Storage { opened, log: Arc::clone(&stored), vault: None, keys };
        let Some(sealing) = sealing else { return Ok(storage) };
        let (inner, handle) = (Arc::clone(&stored), runtime.clone());
        let vault = run_on(&runtime, async move { ChatVault::open(home, sealing, inner, handle).await }).await;
        match vault.and_then(|opened| opened) {
            Ok(vault) => {
                storage.log = Arc::new(OpeningLog::new(stored, vault.clone()));
                storage.vault = Some(vault);
                Ok(storage)
            }
            Err(error) => {
                storage.close().await;
                Err(error)
            }
        }
    }

    /// The log.
    pub fn log(&self) -> Arc<dyn EventLog> {
        Arc::clone(&self.log)
    }

    /// The keys that chats are sealed with; `None` for a log that was opened without sealing.
    pub fn vault(&self) -> Option<ChatVault> {
        self.vault.clone()
    }

    /// The part journal.
    pub fn journal(&self) -> Arc<dyn PartJournal> {
        match &self.opened {
            Opened::Sqlite(_, journal) => journal.clone(),
            Opened::Postgres(_, journal, _) => journal.clone(),
        }
    }

    /// What writes forgotten receipts and parts out of the files.
    pub fn sweeper(&self) -> Sweeper {
        Sweeper { opened: self.opened.clone() }
    }

    /// The keys to the server.
    pub fn keys(&self) -> KeyStore {
        self.keys.clone()
    }

    /// Returns when another server has taken the log over, which it can while the database is away. SQLite's lock file
    /// is never lost.
    pub async fn taken_over(&self) {
        match &self.opened {
            Opened::Sqlite(..) => std::future::pending().await,
            Opened::Postgres(_, _, claim) => claim.lost().await,
        }
    }

    /// Takes no more writes, finishes those that wait, and gives the database back.
    pub async fn close(&self) {
        self.keys.close().await;
        if let Some(vault) = &self.vault {
            vault.close().await;
        }
        match &self.opened {
            Opened::Sqlite(log, journal) => {
                log.close().await;
                journal.close().await;
            }
            Opened::Postgres(log, journal, _) => {
                log.close().await;
                journal.close().await;
            }
        }
    }
}

/// Opens the existing log at `address` for reading alone, beside a server that writes it.
pub async fn open_read_only(
    address: &str,
    options: LogOptions,
    runtime: Handle,
) -> Result<Arc<dyn EventLog>, OpenError> {
    let master = options.sealing.as_ref().map(|sealing| Arc::clone(&sealing.master));
    let (log, home): (Arc<dyn EventLog>, Home) = match Place::parse(address)? {
        Place::Sqlite(path) => {
            let log = SqliteLog::open_read_only(&path, options, runtime.clone()).await?;
            (Arc::new(log), in_runtime(&runtime, || Home::sqlite(&path, false)))
        }
        Place::Postgres(url) => {
            let log = PostgresLog::connect_read_only(&url, options, runtime.clone()).await?;
            (Arc::new(log), in_runtime(&runtime, || Home::postgres(&url))?)
        }
    };
    let (inner, handle) = (Arc::clone(&log), runtime.clone());
    let vault = run_on(&runtime, async move { ChatVault::open_read_only(home, master, inner, handle).await }).await??;
    Ok(match vault {
        Some(vault) => Arc::new(OpeningLog::new(log, vault)),
        None => log,
    })
}

/// Opens the existing log at `address` for reading alone, and leaves what is sealed as it is: no key is needed.
pub async fn open_as_stored(
    address: &str,
    options: LogOptions,
    runtime: Handle,
) -> Result<Arc<dyn EventLog>, OpenError> {
    Ok(match Place::parse(address)? {
        Place::Sqlite(path) => Arc::new(SqliteLog::open_read_only(&path, options, runtime).await?),
        Place::Postgres(url) => Arc::new(PostgresLog::connect_read_only(&url, options, runtime).await?),
    })
}

/// The mark of the master key that wraps the keys of the log at `address`; `None` for a log that has no keys. Nothing is
/// made.
pub async fn master_key_mark(address: &str, runtime: Handle) -> Result<Option<String>, OpenError> {
    let home = match Place::parse(address)? {
        Place::Sqlite(path) => in_runtime(&runtime, || Home::sqlite(&path, false)),
        Place::Postgres(url) => in_runtime(&runtime, || Home::postgres(&url))?,
    };
    let work = async move {
        let mark = home.mark().await;
        home.close().await;
        mark
    };
    run_on(&runtime, work).await?
}

/// Wraps all keys of the log at `address` with another master key, in one commit; how many there are. `None` for a log
/// that has no keys. Refused while a server serves from it.
pub async fn rotate_master_key(
    address: &str,
    old: Arc<MasterKey>,
    new: Arc<MasterKey>,
    runtime: Handle,
) -> Result<Option<u64>, OpenError> {
    let place = Place::parse(address)?;
    let home = match &place {
        Place::Sqlite(path) => in_runtime(&runtime, || Home::sqlite(path, true)),
        Place::Postgres(url) => in_runtime(&runtime, || Home::postgres(url))?,
    };
    let work = async move {
        let (_lock, _claim) = match &place {
            Place::Sqlite(path) => (Some(LockFile::take(path)?), None),
            Place::Postgres(url) => (None, Some(Claim::take(url).await?)),
        };
        let rotated = match home.mark().await? {
            None => Ok(None),
            Some(expected) if expected != old.mark() => Err(OpenError::WrongMasterKey { expected, given: old.mark() }),
            Some(_) => home.rewrap(&old, &new).await.map(Some),
        };
        home.close().await;
        rotated
    };
    run_on(&runtime, work).await?
}

/// A pool notes the runtime that it is made in.
pub(crate) fn in_runtime<T>(runtime: &Handle, make: impl FnOnce() -> T) -> T {
    let _entered = runtime.enter();
    make()
}

impl Opened {
    fn log(&self) -> Arc<dyn EventLog> {
        match self {
            Opened::Sqlite(log, _) => log.clone(),
            Opened::Postgres(log, _, _) => log.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
