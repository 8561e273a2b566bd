//! Where a log under test lives, and how it is opened there again and again.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::runtime::Handle;
use verbatim_events::log::EventLog;
use verbatim_events::memory::MemoryLog;
use verbatim_events_sql::{LogOptions, PostgresLog, SqliteLog};

use crate::postgres::Postgres;

/// A place for one log.
pub enum LogHome {
    /// In memory: opening it again gives the same log.
    Memory(Arc<MemoryLog>),
    /// In a directory of its own.
    Sqlite(TempDir),
    /// In a database of its own.
    Postgres(String),
}

impl LogHome {
    /// A log in memory.
    pub async fn memory() -> LogHome {
        LogHome::Memory(Arc::new(MemoryLog::default()))
    }

    /// A log in a new directory.
    pub async fn sqlite() -> LogHome {
        LogHome::Sqlite(tempfile::tempdir().expect("a directory for a test's log"))
    }

    /// A log in a new database of this process's server.
    pub async fn postgres() -> LogHome {
        let server = Postgres::shared().await.expect("a PostgreSQL server for tests");
        LogHome::Postgres(server.database().await.expect("a database for a test"))
    }

    /// Opens the log as usual.
    pub async fn open(&self) -> OpenLog {
        self.open_with(LogOptions::default()).await
    }

    /// Opens the log with settings.
    pub async fn open_with(&self, options: LogOptions) -> OpenLog {
        let runtime = Handle::current();
        match self {
            LogHome::Memory(log) => OpenLog::Memory(log.clone()),
            LogHome::Sqlite(_) => {
                OpenLog::Sqlite(Arc::new(SqliteLog::open(self.file(), options, runtime).await.expect("a SQLite log")))
            }
            LogHome::Postgres(url) => OpenLog::Postgres(Arc::new(
                PostgresLog::connect(url, options, runtime).await.expect("a PostgreSQL log"),
            )),
        }
    }

    /// The file of a SQLite log.
    pub fn file(&self) -> PathBuf {
        match self {
            LogHome::Sqlite(directory) => directory.path().join("events.db"),
            _ => panic!("only a SQLite log lives in a file"),
        }
    }

    /// The address of a PostgreSQL log.
    pub fn url(&self) -> &str {
        match self {
            LogHome::Postgres(url) => url,
            _ => panic!("only a PostgreSQL log has an address"),
        }
    }
}

/// An open log.
pub enum OpenLog {
    /// In memory.
    Memory(Arc<MemoryLog>),
    /// On SQLite.
    Sqlite(Arc<SqliteLog>),
    /// On PostgreSQL.
    Postgres(Arc<PostgresLog>),
}

impl OpenLog {
    /// The log.
    pub fn log(&self) -> Arc<dyn EventLog> {
        match self {
            OpenLog::Memory(log) => log.clone(),
            OpenLog::Sqlite(log) => log.clone(),
            OpenLog::Postgres(log) => log.clone(),
        }
    }

    /// Closes it.
    pub async fn close(&self) {
        match self {
            OpenLog::Memory(_) => {}
            OpenLog::Sqlite(log) => log.close().await,
            OpenLog::Postgres(log) => log.close().await,
        }
    }
}
