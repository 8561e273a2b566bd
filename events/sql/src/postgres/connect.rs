//! Connections to PostgreSQL, each with the time limits of its work.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Row};

use crate::error::OpenError;

/// The oldest version the log is made for.
const VERSION_NEEDED: i32 = 15;
/// How long the server may work on a batch before it gives it up, in ms.
const STATEMENT_TIMEOUT_MS: u64 = 30_000;
/// How long a batch may wait for a lock, in ms.
const LOCK_TIMEOUT_MS: u64 = 10_000;
/// How long a transaction may stand still, in ms.
const IDLE_TIMEOUT_MS: u64 = 30_000;
/// How long a connection may take to be made.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for an answer of the server. Longer than the server itself takes to give up.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_millis(STATEMENT_TIMEOUT_MS + 10_000);
/// How long a read waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// The address of a database.
pub(crate) fn address(url: &str) -> Result<PgConnectOptions, OpenError> {
    let options = PgConnectOptions::from_str(url).map_err(|_| OpenError::BadAddress(without_password(url)))?;
    Ok(options.application_name("verbatim").disable_statement_logging())
}

/// An address as it may be shown.
pub(crate) fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}"),
        _ => url.to_owned(),
    }
}

/// Makes a connection for the writer, which must not wait for ever, and whose commits are on the disk.
pub(crate) async fn writer(address: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let limits = [
        ("statement_timeout", STATEMENT_TIMEOUT_MS),
        ("lock_timeout", LOCK_TIMEOUT_MS),
        ("idle_in_transaction_session_timeout", IDLE_TIMEOUT_MS),
    ];
    let mut connection = connect(&address.clone().options(limits)).await?;
    sqlx::query(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
    )
    .execute(&mut connection)
    .await?;
    Ok(connection)
}

/// Makes a connection, or says in good time that it cannot be made.
pub(crate) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(connected) => connected,
        Err(_) => Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "the database did not answer the connection",
        ))),
    }
}

/// Connections that only read.
pub(crate) fn readers(address: &PgConnectOptions, max: u32) -> PgPool {
    let limits =
        [("default_transaction_read_only", "on".to_owned()), ("statement_timeout", STATEMENT_TIMEOUT_MS.to_string())];
    pool(max).connect_lazy_with(address.clone().options(limits))
}

/// A pool that makes its connections when they are needed. Each is tried before it is used: the database may have died.
pub(crate) fn pool(max: u32) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(max.max(1)).acquire_timeout(ACQUIRE_TIMEOUT).test_before_acquire(true)
}

/// Refuses a server that is too old.
pub(crate) async fn check_version(connection: &mut PgConnection) -> Result<(), OpenError> {
    let row = sqlx::query("SELECT current_setting('server_version_num')::integer, current_setting('server_version')")
        .fetch_one(connection)
        .await?;
    let (number, found): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    match number / 10_000 >= VERSION_NEEDED {
        true => Ok(()),
        false => Err(OpenError::PostgresTooOld { found, needed: VERSION_NEEDED }),
    }
}

#[cfg(test)]
mod tests;
