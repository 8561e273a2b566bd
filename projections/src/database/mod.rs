//! One generation's database, SQLite or PostgreSQL, behind two operations: read rows, and write a list of statements in
//! one transaction guarded by the checkpoint.

mod postgres;
mod row;
mod sqlite;
mod statement;

pub(crate) use postgres::PostgresHome;
pub(crate) use row::Row;
pub(crate) use sqlite::{SqliteHome, close_session};
pub(crate) use statement::{Dialect, Statement, Value, in_list, multi_row, signed};

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::time::{Instant, timeout_at};
use verbatim_events::ids::Position;

use crate::error::ReadError;

/// The tables that hold what was said, on PostgreSQL.
const ERASED_FROM: [&str; 9] =
    ["chats", "labels", "messages", "search", "queue", "turns", "inbox", "snapshots", "dead_letters"];

/// An open database of one generation. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Database {
    Sqlite {
        /// The only connection that writes.
        writer: SqlitePool,
        /// Connections that cannot write.
        readers: SqlitePool,
    },
    /// Connections whose search path is the generation's schema.
    Postgres {
        /// Those that write, and those that look at one moment for as long as it takes.
        writer: PgPool,
        /// Those that read.
        readers: PgPool,
        /// How long a read may take. The server gives it up then, too, but one that is gone says nothing at all.
        read_max: Duration,
    },
}

/// Binds all values of a statement to a query of any database.
macro_rules! bind_all {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match value {
                Value::Id(id) => query.bind(id),
                Value::Integer(number) => query.bind(number),
                Value::Boolean(truth) => query.bind(truth),
                Value::Text(text) => query.bind(text),
            };
        }
        query
    }};
}

/// Runs a statement and returns the number of rows it touched.
macro_rules! execute {
    ($connection:expr, $statement:expr, $dialect:expr) => {{
        let (sql, values, persistent) = $statement.sql_for($dialect);
        bind_all!(sqlx::query(AssertSqlSafe(sql)).persistent(persistent), values)
            .execute($connection)
            .await?
            .rows_affected()
    }};
}

impl Database {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Database::Sqlite { .. } => Dialect::Sqlite,
            Database::Postgres { .. } => Dialect::Postgres,
        }
    }

    /// Writes what was deleted out of the database and the files beside it. On SQLite all of it is written anew: pages that
    /// were split hold copies that no deletion finds. Readers go on meanwhile, rows wait.
    pub(crate) async fn sweep(&self) -> Result<(), ReadError> {
        match self {
            Database::Sqlite { writer, .. } => {
                sqlx::query("VACUUM").execute(writer).await?;
                let busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(writer).await?;
                if busy != 0 {
                    return Err(ReadError::BeingRead);
                }
            }
            Database::Postgres { writer, .. } => {
                for table in ERASED_FROM {
                    sqlx::query(AssertSqlSafe(format!("VACUUM {table}"))).execute(writer).await?;
                }
            }
        }
        Ok(())
    }

    /// The rows of a statement that only reads.
    pub(crate) async fn fetch(&self, statement: Statement) -> Result<Vec<Row>, ReadError> {
        let (sql, values, persistent) = statement.sql_for(self.dialect());
        Ok(match self {
            Database::Sqlite { readers, .. } => {
                let query = bind_all!(sqlx::query(AssertSqlSafe(sql)).persistent(persistent), values);
                query.fetch_all(readers).await?.into_iter().map(Row::Sqlite).collect()
            }
            Database::Postgres { readers, read_max, .. } => {
                let query = bind_all!(sqlx::query(AssertSqlSafe(sql)).persistent(persistent), values);
                let limit_ms = u64::try_from(read_max.as_millis()).unwrap_or(u64::MAX);
                let too_slow = |_| ReadError::TooSlow { limit_ms };
                let deadline = Instant::now() + *read_max;
                let mut connection = timeout_at(deadline, readers.acquire()).await.map_err(too_slow)??;
                match timeout_at(deadline, query.fetch_all(&mut *connection)).await {
                    Ok(rows) => {
                        rows.map_err(|error| slow_or(error, limit_ms))?.into_iter().map(Row::Postgres).collect()
                    }
                    Err(elapsed) => {
                        // Nobody knows whether anything is at its other end; given back it would keep the next one waiting.
                        drop(connection.detach());
                        return Err(too_slow(elapsed));
                    }
                }
            }
        })
    }

    /// Runs `guard`, which must touch exactly one row, then all statements, in one transaction. Returns whether the
    /// guard held; if it did not, nothing was written.
    pub(crate) async fn commit(&self, guard: Statement, statements: Vec<Statement>) -> Result<bool, ReadError> {
        match self {
            Database::Sqlite { writer, .. } => {
                let mut connection = writer.acquire().await?;
                let written = commit_sqlite(&mut connection, guard, statements).await;
                if written.is_err() {
                    // A full disk makes the database roll back by itself, which the driver does not notice: it would
                    // refuse every further transaction on this connection. The pool opens another.
                    connection.close_on_drop();
                }
                return written;
            }
            Database::Postgres { writer, .. } => {
                let mut transaction = writer.begin().await?;
                if execute!(&mut *transaction, guard, Dialect::Postgres) != 1 {
                    transaction.rollback().await?;
                    return Ok(false);
                }
                for statement in statements {
                    execute!(&mut *transaction, statement, Dialect::Postgres);
                }
                transaction.commit().await?;
            }
        }
        Ok(true)
    }

    /// The rows as they are now, whatever is written later.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, ReadError> {
        Ok(match self {
            Database::Sqlite { readers, .. } => Snapshot::Sqlite(readers.begin().await?),
            Database::Postgres { writer, .. } => {
                Snapshot::Postgres(writer.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        })
    }

    /// Closes all connections, waiting for those in use.
    pub(crate) async fn close(&self) {
        match self {
            Database::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Database::Postgres { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

/// A server that gave a read up because it took too long says so by a code of its own.
fn slow_or(error: sqlx::Error, limit_ms: u64) -> ReadError {
    const CANCELED: &str = "57014";
    match &error {
        sqlx::Error::Database(reported) if reported.code().as_deref() == Some(CANCELED) => {
            ReadError::TooSlow { limit_ms }
        }
        _ => error.into(),
    }
}

/// `Database::commit` on the only connection that writes.
async fn commit_sqlite(
    connection: &mut SqliteConnection,
    guard: Statement,
    statements: Vec<Statement>,
) -> Result<bool, ReadError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    if execute!(&mut *transaction, guard, Dialect::Sqlite) != 1 {
        transaction.rollback().await?;
        return Ok(false);
    }
    for statement in statements {
        execute!(&mut *transaction, statement, Dialect::Sqlite);
    }
    transaction.commit().await?;
    Ok(true)
}

/// A transaction that only reads: all its answers show one moment, the one of its first.
pub(crate) enum Snapshot {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Snapshot {
    /// The rows of a statement that only reads.
    pub(crate) async fn fetch(&mut self, statement: Statement) -> Result<Vec<Row>, ReadError> {
        Ok(match self {
            Snapshot::Sqlite(transaction) => {
                let (sql, values, persistent) = statement.sql_for(Dialect::Sqlite);
                let query = bind_all!(sqlx::query(AssertSqlSafe(sql)).persistent(persistent), values);
                query.fetch_all(&mut **transaction).await?.into_iter().map(Row::Sqlite).collect()
            }
            Snapshot::Postgres(transaction) => {
                let (sql, values, persistent) = statement.sql_for(Dialect::Postgres);
                let query = bind_all!(sqlx::query(AssertSqlSafe(sql)).persistent(persistent), values);
                query.fetch_all(&mut **transaction).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The position that it shows.
    pub(crate) async fn position(&mut self) -> Result<Position, ReadError> {
        let rows = self.fetch(Statement::new("SELECT position FROM checkpoint WHERE one = 1", Vec::new())).await?;
        rows.first().ok_or_else(|| ReadError::Damaged("there is no checkpoint".to_owned()))?.unsigned(0)
    }
}
