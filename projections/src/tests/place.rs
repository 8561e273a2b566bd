//! Somewhere to keep read models, and a way behind their backs: here a directory.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, SqlitePool};
use tempfile::TempDir;
use tokio::runtime::Handle;
use verbatim_events::log::EventLog;
use verbatim_projections::{ReadLocation, ReadModels, ReadSettings};

/// A directory of its own that goes with the test.
pub struct Place {
    directory: TempDir,
}

impl Place {
    pub async fn new() -> Place {
        Place { directory: TempDir::new().unwrap() }
    }

    pub fn location(&self) -> ReadLocation {
        ReadLocation::Sqlite { directory: self.directory.path().to_owned() }
    }

    pub async fn open(&self, log: Arc<dyn EventLog>) -> ReadModels {
        self.open_with(log, 16).await
    }

    pub async fn open_with(&self, log: Arc<dyn EventLog>, page_events: usize) -> ReadModels {
        ReadModels::open(
            self.location(),
            log,
            Handle::current(),
            ReadSettings { page_events, ..ReadSettings::default() },
        )
        .await
        .unwrap()
    }

    /// A generation's file.
    pub fn file(&self, generation: u64) -> PathBuf {
        self.directory.path().join(format!("read-{generation}.db"))
    }

    /// Whether a generation is there, finished or not.
    pub async fn has_generation(&self, generation: u64) -> bool {
        self.file(generation).exists()
    }

    /// Runs SQL in a generation, as no part of the program does.
    pub async fn execute(&self, generation: u64, sql: &str) {
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(self.file(generation))).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        pool.close().await;
    }

    /// From now on a generation's database refuses messages that hold `word`.
    pub async fn refuse_messages_with(&self, generation: u64, word: &str) {
        let condition = format!("WHEN NEW.message LIKE '%{word}%' BEGIN SELECT RAISE(ABORT, 'unwelcome'); END");
        self.execute(generation, &format!("CREATE TRIGGER refuse BEFORE INSERT ON messages {condition}")).await;
    }

    /// An id as SQL writes it.
    pub fn id_literal(&self, id: u128) -> String {
        format!("x'{id:032x}'")
    }
}
