//! What filling an empty log needs of a PostgreSQL database.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Executor as _};
use tokio::runtime::Handle;
use verbatim_events::ids::Position;

use super::{PostgresLog, connect, migrate, read_head};
use crate::error::OpenError;
use crate::options::LogOptions;

/// Makes the log's tables and says where it stands; with a connection to it.
pub(crate) async fn take(
    url: &str,
    options: &LogOptions,
) -> Result<(PgConnectOptions, PgConnection, Position), OpenError> {
    migrate(url, options).await?;
    let address = connect::address(url)?;
    let mut connection = connect::connect(&address).await?;
    let head = read_head(&mut connection).await?;
    Ok((address, connection, head))
}

/// Makes a log in this schema, which exists, and opens it for reading.
pub(crate) async fn open_schema(
    url: &str,
    schema: &str,
    options: LogOptions,
    runtime: Handle,
) -> Result<PostgresLog, OpenError> {
    let joint = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{joint}options=-c%20search_path%3D{schema}");
    migrate(&url, &options).await?;
    PostgresLog::connect_here(&url, options, runtime, false).await
}

/// A connection whose work may take as long as it takes.
pub(crate) async fn patient(address: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = connect::connect(address).await?;
    connection.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0").await?;
    Ok(connection)
}

/// Whether there is a schema of this name.
pub(crate) async fn has_schema(url: &str, schema: &str) -> Result<bool, OpenError> {
    let mut connection = connect::connect(&connect::address(url)?).await?;
    let found = sqlx::query_scalar("SELECT to_regnamespace($1) IS NOT NULL").bind(schema).fetch_one(&mut connection);
    let found = found.await?;
    connection.close().await?;
    Ok(found)
}
