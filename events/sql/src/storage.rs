//! The front: a log and its journal by the address of a database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;
use verbatim_events::journal::PartJournal;
use verbatim_events::log::EventLog;

use crate::error::OpenError;
use crate::keys::KeyStore;
use crate::options::LogOptions;
use crate::postgres::{Claim, PostgresJournal, PostgresLog};
use crate::sqlite::{SqliteJournal, SqliteLog};

/// The log's file in a directory.
const LOG_FILE: &str = "events.db";
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

enum Opened {
    Sqlite(Arc<SqliteLog>, Arc<SqliteJournal>),
    Postgres(Arc<PostgresLog>, Arc<PostgresJournal>, Claim),
}

/// An open log and its part journal. No other server serves from the same database meanwhile.
pub struct Storage {
    opened: Opened,
    keys: KeyStore,
}

impl Storage {
    /// Opens the log at `address` for reading and writing, and the journal beside it; makes them if need be. An address
    /// is `sqlite:PATH`, where PATH is a file or a directory (then it is `events.db` in it), or `postgres://…`.
    /// Work on the database is done on `runtime`, but for the writer of a SQLite log, which has a thread of its own.
    pub async fn open(address: &str, options: LogOptions, runtime: Handle) -> Result<Storage, OpenError> {
        let (opened, keys) = match Place::parse(address)? {
            Place::Sqlite(path) => {
                let log = SqliteLog::open(&path, options, runtime.clone()).await?;
                match SqliteJournal::open(path.with_file_name(JOURNAL_FILE), runtime).await {
                    Ok(journal) => {
                        let keys = log.keys();
                        (Opened::Sqlite(Arc::new(log), Arc::new(journal)), keys)
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
                let log = PostgresLog::connect(&url, options, runtime.clone()).await?;
                let journal = PostgresJournal::connect(&url, runtime.clone()).await?;
                let keys = KeyStore::postgres(&url, runtime)?;
                (Opened::Postgres(Arc::new(log), Arc::new(journal), claim), keys)
            }
        };
        Ok(Storage { opened, keys })
    }

    /// The log.
    pub fn log(&self) -> Arc<dyn EventLog> {
        match &self.opened {
            Opened::Sqlite(log, _) => log.clone(),
            Opened::Postgres(log, _, _) => log.clone(),
        }
    }

    /// The part journal.
    pub fn journal(&self) -> Arc<dyn PartJournal> {
        match &self.opened {
            Opened::Sqlite(_, journal) => journal.clone(),
            Opened::Postgres(_, journal, _) => journal.clone(),
        }
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
    Ok(match Place::parse(address)? {
        Place::Sqlite(path) => Arc::new(SqliteLog::open_read_only(path, options, runtime).await?),
        Place::Postgres(url) => Arc::new(PostgresLog::connect_read_only(&url, options, runtime).await?),
    })
}

#[cfg(test)]
mod tests;
