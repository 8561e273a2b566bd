//! The claim on a database: while one server holds it, no other serves from the same log.
//!
//! Expected versions already keep two servers from damaging the log. But each of them would take the other's attempts for
//! abandoned and call the models again, so a second server is refused until chats have owners among several nodes.

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::watch;

use super::connect;
use crate::error::OpenError;

/// The advisory lock's number: the letters "verbatim" as bytes.
const LOCK: i64 = 0x7665_7262_6174_696d;
/// How often the claim's connection is tried.
const POLL: Duration = Duration::from_secs(1);
/// How long a start waits for a server that is just ending: its session is closed by the database, not by itself.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the lock is tried meanwhile.
const RETRY: Duration = Duration::from_millis(100);

/// A held claim; given back when it is dropped.
pub(crate) struct Claim {
    /// Turns true when another server has taken the log over.
    lost: watch::Receiver<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Claim {
    /// Takes the claim, or says that another server has it.
    pub(crate) async fn take(url: &str) -> Result<Claim, OpenError> {
        let address = connect::address(url)?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let connection = loop {
            if let Some(connection) = try_lock(&address).await? {
                break connection;
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(OpenError::ServedElsewhere);
            }
            tokio::time::sleep(RETRY).await;
        };
        let (tell, lost) = watch::channel(false);
        let task = tokio::spawn(async move {
            keep(address, connection).await;
            // Nobody may be listening any more: then the server stops anyway.
            let _ = tell.send(true);
        });
        Ok(Claim { lost, task })
    }

    /// Returns when another server has taken the log over.
    pub(crate) async fn lost(&self) {
        let mut lost = self.lost.clone();
        if lost.wait_for(|lost| *lost).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Ends the connection, and with it the lock.
        self.task.abort();
    }
}

async fn try_lock(address: &PgConnectOptions) -> Result<Option<PgConnection>, sqlx::Error> {
    let mut connection = connect::connect(address).await?;
    let row = sqlx::query("SELECT pg_try_advisory_lock($1)").bind(LOCK).fetch_one(&mut connection).await?;
    Ok(row.try_get::<bool, _>(0)?.then_some(connection))
}

/// Holds the lock, takes it again whenever the database comes back, and returns when somebody else has it then.
async fn keep(address: PgConnectOptions, mut connection: PgConnection) {
    loop {
        while sqlx::query("SELECT 1").execute(&mut connection).await.is_ok() {
            tokio::time::sleep(POLL).await;
        }
        connection = loop {
            match try_lock(&address).await {
                Ok(Some(connection)) => break connection,
                // The database may not have noticed yet that our own former session is gone.
                Ok(None) => match Box::pin(wait_for_lock(&address)).await {
                    Some(connection) => break connection,
                    None => return,
                },
                Err(_) => tokio::time::sleep(POLL).await,
            }
        };
    }
}

/// Tries for a while. None if another server holds the lock all that time.
async fn wait_for_lock(address: &PgConnectOptions) -> Option<PgConnection> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        tokio::time::sleep(RETRY).await;
        match try_lock(address).await {
            Ok(Some(connection)) => return Some(connection),
            Ok(None) => {}
            // Gone again: whoever holds the lock then is seen when the database is back.
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
    None
}
