//! Generations as PostgreSQL schemas `read_<n>`, and one row that names the current one.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _};

use crate::database::{Database, Dialect, Statement, Value, signed};
use crate::error::ReadError;

const SCHEMA: &str = include_str!("../../../migrations/read/postgres/0001_read.sql");
/// The schema that holds the pointer to the current generation.
const POINTER_SCHEMA: &str = "
    CREATE SCHEMA IF NOT EXISTS read_models;
    CREATE TABLE IF NOT EXISTS read_models.current (one BIGINT PRIMARY KEY CHECK (one = 1), generation BIGINT NOT NULL)";
/// Held while schemas are made or dropped: several nodes may start at once.
const SCHEMA_LOCK: i64 = 0x7665_7262_7265_6164;
/// Held by the node that rebuilds, for as long as it does.
const REBUILD_LOCK: i64 = SCHEMA_LOCK + 1;
/// Connections of one generation that write, or look at one moment.
const WRITERS_MAX: u32 = 3;
/// Connections of one generation that read.
const READERS_MAX: u32 = 5;

/// Where the PostgreSQL generations live.
#[derive(Clone, Debug)]
pub(crate) struct PostgresHome {
    options: Arc<PgConnectOptions>,
    /// For the pointer and for making and dropping schemas.
    admin: PgPool,
    /// How long a read may take.
    read_max: Duration,
}

impl PostgresHome {
    /// Uses the database at `url`. Nothing is made yet.
    pub(crate) async fn connect(url: &str, read_max: Duration) -> Result<PostgresHome, ReadError> {
        let options = Arc::new(PgConnectOptions::from_str(url)?.application_name("verbatim-read"));
        let admin = pool_options(2).connect_with(options.as_ref().clone()).await?;
        Ok(PostgresHome { options, admin, read_max })
    }

    /// Makes the pointer's table if it is not there.
    pub(crate) async fn prepare(&self) -> Result<(), ReadError> {
        let mut transaction = self.admin.begin().await?;
        lock_schemas(&mut transaction).await?;
        sqlx::raw_sql(POINTER_SCHEMA).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The current generation's number, once there is one.
    pub(crate) async fn current(&self) -> Result<Option<u64>, ReadError> {
        let prepared: bool =
            sqlx::query_scalar("SELECT to_regclass('read_models.current') IS NOT NULL").fetch_one(&self.admin).await?;
        if !prepared {
            return Ok(None);
        }
        let number: Option<i64> =
            sqlx::query_scalar("SELECT generation FROM read_models.current").fetch_optional(&self.admin).await?;
        Ok(number.and_then(|number| u64::try_from(number).ok()))
    }

    /// Makes `number` the current generation, atomically.
    pub(crate) async fn set_current(&self, number: u64) -> Result<(), ReadError> {
        sqlx::query(
            "INSERT INTO read_models.current (one, generation) VALUES (1, $1)
             ON CONFLICT (one) DO UPDATE SET generation = excluded.generation",
        )
        .bind(signed(number))
        .execute(&self.admin)
        .await?;
        Ok(())
    }

    /// Makes `number` the current generation unless another node was first.
    pub(crate) async fn set_first(&self, number: u64) -> Result<(), ReadError> {
        sqlx::query("INSERT INTO read_models.current (one, generation) VALUES (1, $1) ON CONFLICT DO NOTHING")
            .bind(signed(number))
            .execute(&self.admin)
            .await?;
        Ok(())
    }

    /// Makes an empty generation and returns its number. `seed` writes its checkpoint.
    pub(crate) async fn create(&self, seed: Statement) -> Result<(u64, Database), ReadError> {
        let mut transaction = self.admin.begin().await?;
        lock_schemas(&mut transaction).await?;
        let number = schema_numbers(&mut transaction).await?.into_iter().max().unwrap_or(0) + 1;
        let place = format!("CREATE SCHEMA read_{number}; SET LOCAL search_path TO read_{number};");
        sqlx::raw_sql(AssertSqlSafe(place)).execute(&mut *transaction).await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        let (sql, values, _) = seed.sql_for(Dialect::Postgres);
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for value in values {
            query = match value {
                Value::Id(id) => query.bind(id),
                Value::Integer(number) => query.bind(number),
                Value::Boolean(truth) => query.bind(truth),
                Value::Text(text) => query.bind(text),
            };
        }
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok((number, self.open_generation(number)))
    }

    /// Opens a generation; connections are made when they are needed.
    pub(crate) fn open_generation(&self, number: u64) -> Database {
        // Rows and checkpoint are lost together or not at all, so nobody needs to wait for the disk.
        let options = self
            .options
            .as_ref()
            .clone()
            .options([("search_path", format!("read_{number}")), ("synchronous_commit", "off".to_owned())]);
        let limited = options.clone().options([("statement_timeout", self.read_max.as_millis().to_string())]);
        Database::Postgres {
            writer: pool_options(WRITERS_MAX).connect_lazy_with(options),
            readers: pool_options(READERS_MAX).connect_lazy_with(limited),
            read_max: self.read_max,
        }
    }

    /// Drops a generation's schema.
    pub(crate) async fn remove(&self, number: u64) -> Result<(), ReadError> {
        let mut transaction = self.admin.begin().await?;
        lock_schemas(&mut transaction).await?;
        let drop = format!("DROP SCHEMA IF EXISTS read_{number} CASCADE");
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The numbers of all generations that are there, finished or not.
    pub(crate) async fn numbers(&self) -> Result<Vec<u64>, ReadError> {
        let mut connection = self.admin.acquire().await?;
        schema_numbers(&mut connection).await
    }

    /// Keeps every other node from rebuilding as long as the connection lives.
    pub(crate) async fn lock_rebuild(&self) -> Result<PgConnection, ReadError> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        let locked: bool =
            sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(REBUILD_LOCK).fetch_one(&mut connection).await?;
        if locked { Ok(connection) } else { Err(ReadError::RebuildRunning) }
    }

    /// Lets others rebuild. The end of the connection does so, too, but only when the database notices it.
    pub(crate) async fn unlock_rebuild(mut connection: PgConnection) {
        let unlocked = sqlx::query("SELECT pg_advisory_unlock($1)").bind(REBUILD_LOCK).execute(&mut connection).await;
        if let Err(error) = unlocked {
            tracing::debug!(%error, "the lock of a rebuild goes with its connection");
        }
    }
}

async fn lock_schemas(connection: &mut PgConnection) -> Result<(), ReadError> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(SCHEMA_LOCK).execute(connection).await?;
    Ok(())
}

async fn schema_numbers(connection: &mut PgConnection) -> Result<Vec<u64>, ReadError> {
    let rows = sqlx::query("SELECT nspname::text FROM pg_namespace WHERE nspname ~ '^read_[0-9]+$'")
        .fetch_all(connection)
        .await?;
    let mut numbers = Vec::with_capacity(rows.len());
    for row in rows {
        let name: String = row.try_get(0)?;
        numbers.extend(name.strip_prefix("read_").and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(numbers)
}

fn pool_options(connections_max: u32) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(connections_max).acquire_timeout(Duration::from_secs(10))
}
