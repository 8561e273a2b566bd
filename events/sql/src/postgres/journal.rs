//! The part journal in a PostgreSQL database: an unlogged table, which a crash of the database may empty.

use sqlx::PgPool;
use tokio::runtime::Handle;
use verbatim_events::ids::{AttemptId, ChatId};
use verbatim_events::journal::PartJournal;
use verbatim_events::log::{BoxFuture, LogError};
use verbatim_events::part::NumberedPart;

use super::connect;
use crate::error::OpenError;
use crate::parts::{self, Batch, PartStore, Writing};
use crate::raw::{read_error, signed};
use crate::task::{read_on, run_on};

/// Connections of the journal: one writes, the others read.
const CONNECTIONS_MAX: u32 = 3;

const WRITE: &str = "INSERT INTO parts (chat_id, attempt_id, n, after_version, part) \
                     SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[]) \
                     ON CONFLICT (chat_id, attempt_id, n) \
                     DO UPDATE SET after_version = excluded.after_version, part = excluded.part";

const FORGET: &str = "DELETE FROM parts p USING unnest($1::uuid[], $2::bigint[]) AS f (chat_id, up_to) \
                      WHERE p.chat_id = f.chat_id AND p.attempt_id <= f.up_to";

const READ: &str = "SELECT n, after_version, part FROM parts WHERE chat_id = $1 AND attempt_id = $2 ORDER BY n";

/// Parts of open attempts in a PostgreSQL database.
pub struct PostgresJournal {
    runtime: Handle,
    pool: PgPool,
    writing: Writing,
}

impl PostgresJournal {
    /// Connects to the journal in the database at `url`, whose tables the log has made. All work is done on `runtime`.
    pub async fn connect(url: &str, runtime: Handle) -> Result<PostgresJournal, OpenError> {
        let address = connect::address(url)?;
        run_on(&runtime.clone(), async move {
            let pool =
                connect::pool(CONNECTIONS_MAX).connect_lazy_with(address.options([("synchronous_commit", "off")]));
            // So that a missing table is found now, not by the first answer of a model.
            sqlx::query("SELECT FROM parts LIMIT 0").execute(&pool).await?;
            let writing = Writing::start(Store { pool: pool.clone() }, &runtime);
            Ok(PostgresJournal { runtime, pool, writing })
        })
        .await?
    }

    /// Frees the room of what was forgotten.
    pub async fn sweep(&self) -> Result<(), LogError> {
        let pool = self.pool.clone();
        read_on(&self.runtime, async move {
            sqlx::query("VACUUM parts").execute(&pool).await.map(drop).map_err(|error| read_error(error, 0))
        })
        .await
    }

    /// Finishes what waits and leaves the database.
    pub async fn close(&self) {
        let (written, pool) = (self.writing.close(), self.pool.clone());
        let closed = run_on(&self.runtime, async move {
            written.await;
            pool.close().await;
        });
        // If the runtime is gone, so is the writer.
        let _ = closed.await;
    }
}

impl PartJournal for PostgresJournal {
    fn write(
        &self,
        chat_id: ChatId,
        attempt_id: AttemptId,
        parts: Vec<NumberedPart>,
    ) -> BoxFuture<'_, Result<(), LogError>> {
        self.writing.write(chat_id, attempt_id, parts)
    }

    fn read(&self, chat_id: ChatId, attempt_id: AttemptId) -> BoxFuture<'_, Result<Vec<NumberedPart>, LogError>> {
        let pool = self.pool.clone();
        Box::pin(read_on(&self.runtime, async move {
            let query = sqlx::query_as(READ).bind(chat_id.0).bind(signed(attempt_id));
            let rows: Vec<(i64, i64, Vec<u8>)> = query.fetch_all(&pool).await.map_err(|error| read_error(error, 0))?;
            rows.iter().map(|(n, after_version, json)| parts::part(*n, *after_version, json)).collect()
        }))
    }

    fn forget(&self, chat_id: ChatId, up_to: AttemptId) -> BoxFuture<'_, Result<(), LogError>> {
        self.writing.forget(chat_id, up_to)
    }
}

/// The writer's side. Each statement is a transaction: forgetting is only tidying up, it need not be one with the
/// writes.
struct Store {
    pool: PgPool,
}

impl PartStore for Store {
    async fn apply(&mut self, batch: Batch) -> Result<(), LogError> {
        self.write(batch).await.map_err(|error| LogError::Unavailable(error.to_string()))
    }

    async fn close(self) {}
}

impl Store {
    async fn write(&self, batch: Batch) -> Result<(), sqlx::Error> {
        if !batch.parts.is_empty() {
            let (mut chats, mut attempts, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
            let (mut versions, mut parts) = (Vec::new(), Vec::new());
            for ((chat_id, attempt_id, n), (after_version, json)) in batch.parts {
                chats.push(chat_id.0);
                attempts.push(signed(attempt_id));
                numbers.push(signed(n));
                versions.push(signed(after_version));
                parts.push(json);
            }
            let query = sqlx::query(WRITE).bind(chats).bind(attempts).bind(numbers).bind(versions).bind(parts);
            query.execute(&self.pool).await?;
        }
        if !batch.forgotten.is_empty() {
            let (chats, attempts): (Vec<_>, Vec<_>) =
                batch.forgotten.into_iter().map(|(chat_id, up_to)| (chat_id.0, signed(up_to))).unzip();
            sqlx::query(FORGET).bind(chats).bind(attempts).execute(&self.pool).await?;
        }
        Ok(())
    }
}
