//! Receipts that go before their time: those of an erased chat. What stands in them was said to whoever held the key, and
//! the digest of a short request can be guessed.

use rusqlite::{Connection, params};
use sqlx::PgConnection;
use tokio::sync::oneshot;
use verbatim_events::ids::Position;
use verbatim_events::log::LogError;

/// Requests that may wait for the writer of a SQLite log.
pub(crate) const FORGETS_MAX: usize = 64;

/// How much of an outcome's beginning receipts are found by, in bytes. Stands in the migrations, too.
pub const OUTCOME_PREFIX_BYTES: usize = 49;

/// Which receipts are to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// How their outcomes begin: `OUTCOME_PREFIX_BYTES` bytes.
    pub outcome_prefix: Vec<u8>,
    /// Where the append stands that made the chat. Of its receipt the key stays, with nothing in it: used again it must not
    /// make the chat a second time.
    pub made_at: Position,
    /// Where the append stands that erased the chat. Its receipt stays as it is.
    pub erased_at: Position,
}

/// Removes receipts; needs the index of the third migration. Parameters are numbered as they come, which is how one of the
/// databases numbers them whatever they are called.
const REMOVE: &str = "DELETE FROM receipts WHERE substr(outcome, 1, 49) = $1 AND position <> $2 AND position <> $3";

/// Takes everything but the key out of a receipt.
const EMPTY: &str =
    "UPDATE receipts SET request_hash = $1, outcome = $2 WHERE substr(outcome, 1, 49) = $3 AND position = $4";

/// Receipts that are written anew after some of them went: pages that were split hold copies of what stood in them before,
/// which no deletion finds. Of more the writer, and all who wait for it, would hear too long.
const REWRITTEN_MAX: i64 = 5_000;

/// Writes all receipts anew; what pages are free by that is overwritten.
const REWRITE: &str = "CREATE TEMP TABLE kept AS SELECT * FROM receipts; DELETE FROM receipts; \
                       INSERT INTO receipts SELECT * FROM temp.kept ORDER BY owner, key; DROP TABLE temp.kept";

/// The request hash of a receipt that holds nothing any more.
const NO_HASH: [u8; 32] = [0; 32];

/// A wish that waits for the writer of a SQLite log, with the way back to its caller.
pub(crate) struct ForgetRequest {
    pub(crate) forgotten: Forgotten,
    pub(crate) answer: oneshot::Sender<Result<(), LogError>>,
}

/// Forgets in a SQLite database, on its writing connection: one transaction.
pub(crate) fn forget_in_sqlite(connection: &Connection, forgotten: &Forgotten) -> Result<(), rusqlite::Error> {
    let Forgotten { outcome_prefix, made_at, erased_at } = forgotten;
    let (made_at, erased_at) = (made_at.cast_signed(), erased_at.cast_signed());
    let transaction = connection.unchecked_transaction()?;
    let removed = transaction.prepare_cached(REMOVE)?.execute(params![outcome_prefix, made_at, erased_at])?;
    let emptied =
        transaction.prepare_cached(EMPTY)?.execute(params![&NO_HASH[..], &b""[..], outcome_prefix, made_at])?;
    if removed + emptied > 0 {
        let count: i64 = transaction.query_row("SELECT count(*) FROM receipts", [], |row| row.get(0))?;
        if count <= REWRITTEN_MAX {
            transaction.execute_batch(REWRITE)?;
        }
    }
    transaction.commit()
}

/// Forgets in a PostgreSQL database, and frees the room.
pub(crate) async fn forget_in_postgres(
    connection: &mut PgConnection,
    forgotten: &Forgotten,
) -> Result<(), sqlx::Error> {
    let Forgotten { outcome_prefix, made_at, erased_at } = forgotten;
    let (made_at, erased_at) = (made_at.cast_signed(), erased_at.cast_signed());
    let remove = sqlx::query(REMOVE).bind(outcome_prefix).bind(made_at).bind(erased_at);
    let removed = remove.execute(&mut *connection).await?.rows_affected();
    let empty = sqlx::query(EMPTY).bind(&NO_HASH[..]).bind(&b""[..]).bind(outcome_prefix).bind(made_at);
    let emptied = empty.execute(&mut *connection).await?.rows_affected();
    if removed + emptied > 0 {
        sqlx::query("VACUUM receipts").execute(connection).await?;
    }
    Ok(())
}
