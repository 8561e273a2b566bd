//! Reading a log, in pages. The statements are the same for both databases; only their types differ, so this is a
//! macro.

/// Defines `chat`, `all`, `head` and `receipt` for a pool of connections and its rows.
macro_rules! reads {
    ($pool:ty, $row:ty) => {
        use futures_util::TryStreamExt;
        use sqlx::Row;
        use verbatim_events::envelope::Stored;
        use verbatim_events::ids::{ChatId, Position, Version};
        use verbatim_events::log::{LogError, LogPage, Receipt};

        use crate::options::PAGE_ROWS_MAX;
        use crate::raw::{self, RawEvent, read_error, signed};
        use crate::reads::{ALL, CHAT, HEAD, HEAD_COLUMN, RECEIPT};

        /// A chat's events after a version.
        pub(crate) async fn chat(
            readers: &$pool,
            chat_id: ChatId,
            after: Version,
            limit: usize,
        ) -> Result<Vec<Stored>, LogError> {
            let mut events: Vec<Stored> = Vec::new();
            while events.len() < limit {
                let rows_max = PAGE_ROWS_MAX.min(limit - events.len());
                let last = events.last().map_or(after, |last| last.event.version);
                let query = sqlx::query(CHAT).bind(chat_id.0).bind(signed(last)).bind(rows_max as i64);
                let mut rows = query.fetch(readers);
                let before = events.len();
                while let Some(row) = rows.try_next().await.map_err(|error| read_error(error, 0))? {
                    events.push(stored(&row)?);
                }
                if events.len() - before < rows_max {
                    break;
                }
            }
            Ok(events)
        }

        /// All events after a position.
        pub(crate) async fn all(readers: &$pool, after: Position, limit: usize) -> Result<LogPage, LogError> {
            let mut page = LogPage { events: Vec::new(), scanned_to: after, head: 0 };
            loop {
                let rows_max = PAGE_ROWS_MAX.min(limit - page.events.len());
                let query = sqlx::query(ALL).bind(signed(page.scanned_to)).bind(rows_max as i64);
                let mut rows = query.fetch(readers);
                let before = page.events.len();
                while let Some(row) = rows.try_next().await.map_err(|error| read_error(error, page.scanned_to))? {
                    page.head = number(&row, HEAD_COLUMN)?;
                    if row.try_get::<Option<i64>, _>(0).map_err(|error| read_error(error, page.scanned_to))?.is_some() {
                        page.events.push(stored(&row)?);
                    }
                }
                page.scanned_to = page.events.last().map_or(after, |last| last.position);
                if page.events.len() - before < rows_max || page.events.len() == limit {
                    return Ok(page);
                }
            }
        }

        /// The log's head.
        pub(crate) async fn head(readers: &$pool) -> Result<Position, LogError> {
            let row = sqlx::query(HEAD).fetch_one(readers).await;
            number(&row.map_err(|error| read_error(error, 0))?, 0)
        }

        /// The receipt of an owner's key.
        pub(crate) async fn receipt(readers: &$pool, owner: &str, key: &str) -> Result<Option<Receipt>, LogError> {
            let row: Option<(Vec<u8>, i64, Vec<u8>)> = sqlx::query_as(RECEIPT)
                .bind(owner)
                .bind(key)
                .fetch_optional(readers)
                .await
                .map_err(|error| read_error(error, 0))?;
            row.map(|(request_hash, position, outcome)| raw::receipt(&request_hash, position, outcome)).transpose()
        }

        /// An event from its columns, in the order of `event_columns`.
        fn stored(row: &$row) -> Result<Stored, LogError> {
            let position = number(row, 0)?;
            event(row).map_err(|error| read_error(error, position))?.read()
        }

        fn event(row: &$row) -> Result<RawEvent, sqlx::Error> {
            Ok(RawEvent {
                position: row.try_get(0)?,
                chat_id: row.try_get(1)?,
                version: row.try_get(2)?,
                event_id: row.try_get(3)?,
                event_type: row.try_get(4)?,
                schema: row.try_get(5)?,
                recorded_at: row.try_get(6)?,
                actor_kind: row.try_get(7)?,
                actor_name: row.try_get(8)?,
                command_id: row.try_get(9)?,
                causation_id: row.try_get(10)?,
                trace_id: row.try_get(11)?,
                encoding: row.try_get(12)?,
                data: row.try_get(13)?,
                hash: row.try_get(14)?,
            })
        }

        fn number(row: &$row, column: usize) -> Result<u64, LogError> {
            raw::unsigned(row.try_get(column).map_err(|error| read_error(error, 0))?, 0, "a position")
        }
    };
}
pub(crate) use reads;

use crate::raw::event_columns;

/// A chat's events after a version.
pub(crate) const CHAT: &str =
    concat!("SELECT ", event_columns!(), " FROM events WHERE chat_id = $1 AND version > $2 ORDER BY version LIMIT $3");

/// The head and a page after a position, as of one moment. One row without an event if there is none.
///
/// The head's row and its events become visible together, so a page holds all events up to its last one.
pub(crate) const ALL: &str = concat!(
    "SELECT ",
    event_columns!(),
    ", head FROM (SELECT position AS head FROM log_head WHERE lane = 0) AS heads LEFT JOIN \
     (SELECT * FROM events WHERE lane = 0 AND position > $1 ORDER BY position LIMIT $2) AS page ON true \
     ORDER BY position"
);

/// Where the head stands in `ALL`.
pub(crate) const HEAD_COLUMN: usize = 15;

/// The log's head.
pub(crate) const HEAD: &str = "SELECT position FROM log_head WHERE lane = 0";

/// A receipt.
pub(crate) const RECEIPT: &str = "SELECT request_hash, position, outcome FROM receipts WHERE owner = $1 AND key = $2";
