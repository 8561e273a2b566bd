//! Writing what a batch came to, in as few calls as possible: nearly always one, and the commit.

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe, Either};
use verbatim_events::envelope::NewEvent;
use verbatim_events::ids::{ChatId, Position};
use verbatim_events::log::NewReceipt;

use super::judge::StreamMove;
use super::statements::{ROUND_ROWS_MAX, Shape, Statements, size_for};
use crate::raw::actor_columns;

/// Columns of an event's row.
pub(super) const EVENT_COLUMNS: usize = 15;
/// Columns of a receipt's row.
const RECEIPT_COLUMNS: usize = 6;

/// Why a batch could not be written. The transaction is still open and must not be committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The database refused.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// A value could not be bound.
    #[error("{0}")]
    Value(sqlx::error::BoxDynError),
    /// The database holds something else than its only writer remembers.
    #[error("the log changed under its writer: {0}")]
    Changed(&'static str),
}

/// A batch's rows.
pub(crate) struct Rows {
    /// New chats, their heads before are empty.
    pub(crate) created: Vec<(ChatId, StreamMove)>,
    /// Known chats.
    pub(crate) moved: Vec<(ChatId, StreamMove)>,
    /// Events in order.
    pub(crate) events: Vec<NewEvent>,
    /// Receipts with their positions.
    pub(crate) receipts: Vec<(NewReceipt, Position)>,
    /// The log's head before the batch.
    pub(crate) head: Position,
    /// Which opening of the log writes.
    pub(crate) incarnation: i64,
    /// When receipts are kept; microseconds since 1970, UTC.
    pub(crate) now_micros: i64,
}

/// Begins a transaction and writes all rows into it. Every count is checked: what was not written as expected is an
/// error.
pub(crate) async fn write(
    connection: &mut SqliteConnection,
    statements: &mut Statements,
    rows: Rows,
) -> Result<(), WriteError> {
    let Rows { created, moved, events, receipts, head, incarnation, now_micros } = rows;
    let new_head = head + events.len() as u64;
    let (mut created, mut moved) = (created.into_iter(), moved.into_iter());
    let mut events = events.into_iter().enumerate().map(|(index, event)| (head + 1 + index as u64, event));
    let mut receipts = receipts.into_iter();
    let mut begin = true;
    let mut last = false;
    while !last {
        let mut arguments = Row::default();
        let mut shape = Shape { begin, created: 0, moved: 0, events: 0, receipts: 0, head: false };
        let mut expected = Vec::with_capacity(6);
        if begin {
            expected.push(None);
        }
        let rows = created.by_ref().take(ROUND_ROWS_MAX);
        shape.created = arguments.rows(&mut expected, "streams", 3, rows, created_row)?;
        let rows = moved.by_ref().take(ROUND_ROWS_MAX);
        shape.moved = arguments.rows(&mut expected, "streams", 5, rows, moved_row)?;
        let rows = events.by_ref().take(ROUND_ROWS_MAX);
        shape.events = arguments.rows(&mut expected, "events", EVENT_COLUMNS, rows, event_row)?;
        let rows = receipts.by_ref().take(ROUND_ROWS_MAX);
        shape.receipts = arguments.rows(&mut expected, "receipts", RECEIPT_COLUMNS, rows, |row, receipt| {
            receipt_row(row, receipt, now_micros)
        })?;
        last = created.len() == 0 && moved.len() == 0 && events.len() == 0 && receipts.len() == 0;
        if last {
            shape.head = true;
            expected.push(Some(("log_head", 1)));
            arguments.number(new_head)?;
            arguments.number(head)?;
            arguments.add(incarnation)?;
        }
        run(connection, statements, shape, arguments.0, &expected).await?;
        begin = false;
    }
    Ok(())
}

async fn run(
    connection: &mut SqliteConnection,
    statements: &mut Statements,
    shape: Shape,
    arguments: SqliteArguments,
    expected: &[Option<(&'static str, u64)>],
) -> Result<(), WriteError> {
    let query = sqlx::query_with(AssertSqlSafe(statements.round(shape)), arguments).persistent(true);
    let mut results = sqlx::Executor::fetch_many(connection, query);
    let mut expected = expected.iter();
    while let Some(result) = results.try_next().await? {
        let Either::Left(done) = result else { continue };
        // A BEGIN reports the count of whatever ran before it: it has no expectation.
        if let Some(Some((table, count))) = expected.next()
            && done.rows_affected() != *count
        {
            return Err(WriteError::Changed(table));
        }
    }
    match expected.len() {
        0 => Ok(()),
        _ => Err(WriteError::Changed("not all statements ran")),
    }
}

/// The values of a round, in order.
#[derive(Default)]
struct Row(SqliteArguments);

impl Row {
    fn add<'t, T>(&mut self, value: T) -> Result<(), WriteError>
    where
        T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        self.0.add(value).map_err(WriteError::Value)
    }

    /// Versions and positions: never near the limit of the database's integers, but never silently wrapped either.
    fn number(&mut self, value: u64) -> Result<(), WriteError> {
        let value = i64::try_from(value).map_err(|error| WriteError::Value(error.into()))?;
        self.add(value)
    }

    /// Adds rows and fills them up to a fixed number, which it returns. Notes how many rows the statement must write.
    fn rows<I: ExactSizeIterator>(
        &mut self,
        expected: &mut Vec<Option<(&'static str, u64)>>,
        table: &'static str,
        columns: usize,
        rows: I,
        mut write: impl FnMut(&mut Row, I::Item) -> Result<(), WriteError>,
    ) -> Result<usize, WriteError> {
        let count = rows.len();
        let size = size_for(count);
        if count == 0 {
            return Ok(0);
        }
        for row in rows {
            write(self, row)?;
        }
        for _ in count * columns..size * columns {
            self.add(None::<i64>)?;
        }
        expected.push(Some((table, count as u64)));
        Ok(size)
    }
}

fn created_row(row: &mut Row, (chat_id, moved): (ChatId, StreamMove)) -> Result<(), WriteError> {
    row.add(chat_id.0)?;
    row.number(moved.after.0)?;
    row.add(moved.after.1.0.to_vec())
}

fn moved_row(row: &mut Row, (chat_id, moved): (ChatId, StreamMove)) -> Result<(), WriteError> {
    row.add(chat_id.0)?;
    row.number(moved.before.0)?;
    row.add(moved.before.1.0.to_vec())?;
    row.number(moved.after.0)?;
    row.add(moved.after.1.0.to_vec())
}

fn event_row(row: &mut Row, (position, event): (Position, NewEvent)) -> Result<(), WriteError> {
    let (actor_kind, actor_name) = actor_columns(event.actor);
    row.number(position)?;
    row.add(event.chat_id.0)?;
    row.number(event.version)?;
    row.add(event.event_id)?;
    row.add(event.event_type)?;
    row.add(i64::from(event.schema))?;
    row.add(event.recorded_at.timestamp_micros())?;
    row.add(actor_kind)?;
    row.add(actor_name)?;
    row.add(event.command_id)?;
    row.add(event.causation_id)?;
    row.add(event.trace_id)?;
    row.add(i64::from(event.encoding.code()))?;
    row.add(event.data)?;
    row.add(event.hash.0.to_vec())
}

fn receipt_row(row: &mut Row, (receipt, position): (NewReceipt, Position), now_micros: i64) -> Result<(), WriteError> {
    row.add(receipt.owner)?;
    row.add(receipt.key)?;
    row.add(receipt.request_hash.0.to_vec())?;
    row.number(position)?;
    row.add(receipt.outcome)?;
    row.add(now_micros)
}
