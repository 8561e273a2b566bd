//! Somewhere to keep read models, and a way behind their backs: here a PostgreSQL database.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use support::postgres::Postgres;
use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events::log::EventLog;
use verbatim_projections::{ReadLocation, ReadModels, ReadSettings};

/// A database of its own on this process's server.
pub struct Place {
    url: String,
}

impl Place {
    pub async fn new() -> Place {
        let server = Postgres::shared().await.expect("a PostgreSQL server for tests");
        Place { url: server.database().await.expect("a database for a test") }
    }

    pub fn location(&self) -> ReadLocation {
        ReadLocation::Postgres { url: self.url.clone() }
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

    /// Whether a generation is there, finished or not.
    pub async fn has_generation(&self, generation: u64) -> bool {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar("SELECT to_regnamespace($1) IS NOT NULL")
            .bind(format!("read_{generation}"))
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// Runs SQL in a generation, as no part of the program does.
    pub async fn execute(&self, generation: u64, sql: &str) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        connection.execute(AssertSqlSafe(format!("SET search_path TO read_{generation}"))).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// From now on a generation's database refuses messages that hold `word`.
    pub async fn refuse_messages_with(&self, generation: u64, word: &str) {
        let check = format!("CHECK (message NOT LIKE '%{word}%')");
        self.execute(generation, &format!("ALTER TABLE messages ADD CONSTRAINT refuse {check}")).await;
    }

    /// An id as SQL writes it.
    pub fn id_literal(&self, id: u128) -> String {
        format!("'{}'", Uuid::from_u128(id))
    }
}
