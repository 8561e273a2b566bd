//! The projections, one file each: from a batch of events to the statements that bring their rows up to date.
//!
//! **Invariant:** a projection sees the log alone, holds no state of its own and touches only its own tables. Rows of a
//! page and of its events one by one come out the same.

mod chats;
mod files;
mod inbox;
mod messages;
mod queue;
mod search;
mod snapshots;
mod turns;
mod usage;
mod work;

use chrono::{DateTime, Utc};
use verbatim_events::ids::ChatId;

use crate::batch::{Batch, DeadLetter};
use crate::database::{Dialect, Statement, Value, in_list, multi_row};

/// A read model. To add one: a file, a line in `ALL`, and its tables in both migrations.
pub(crate) trait Projection: Send + Sync {
    /// Its stable name.
    fn name(&self) -> &'static str;

    /// Its tables, for comparing two generations.
    fn tables(&self) -> &'static [Table];

    /// The statements that bring its rows from before the batch to after it, in order.
    fn apply(&self, batch: &Batch, dialect: Dialect) -> Vec<Statement>;
}

/// A table as a comparison reads it.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// The key's columns come first.
    pub(crate) columns: &'static [Column],
    /// How many rows a comparison holds at once.
    pub(crate) page_rows: usize,
}

/// Rows of the usual size that a comparison holds at once.
const PAGE_ROWS: usize = 500;

impl Table {
    /// How many of the columns make the key.
    pub(crate) fn key_columns(&self) -> usize {
        self.columns.iter().take_while(|column| column.key).count()
    }
}

/// A column as a comparison reads it.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) key: bool,
}

/// What a column holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Id,
    Integer,
    Boolean,
    Text,
}

/// A key's column.
const fn key(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, key: true }
}

/// Another column.
const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, key: false }
}

/// All projections. `search` reads the rows of `messages` when it forgets a chat, so it comes first.
pub(crate) const ALL: &[&dyn Projection] = &[
    &chats::Chats,
    &search::Search,
    &messages::Messages,
    &queue::Queue,
    &files::Files,
    &turns::Turns,
    &usage::UsageDays,
    &inbox::Inbox,
    &work::Work,
    &snapshots::Snapshots,
];

/// The chats whose projection stopped; the runner's own table.
pub(crate) const DEAD_LETTERS: Table = Table {
    name: "dead_letters",
    columns: &[
        key("chat_id", Kind::Id),
        column("position", Kind::Integer),
        column("version", Kind::Integer),
        column("event_type", Kind::Text),
        column("recorded_at", Kind::Integer),
        column("problem", Kind::Text),
    ],
    page_rows: PAGE_ROWS,
};

/// The names of all projections.
pub fn projection_names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|projection| projection.name())
}

/// All statements of a batch, dead letters included.
pub(crate) fn statements(batch: &Batch, dialect: Dialect) -> Vec<Statement> {
    let mut statements = dead_letter_statements(batch.dead_letters.iter());
    let gone: Vec<_> = erased(batch).map(|chat_id| chat_id.0).collect();
    statements.extend(in_list("DELETE FROM dead_letters WHERE chat_id IN ", "", &gone));
    for projection in ALL {
        statements.extend(projection.apply(batch, dialect));
    }
    statements
}

fn dead_letter_statements<'a>(letters: impl Iterator<Item = &'a DeadLetter>) -> Vec<Statement> {
    let rows = letters
        .map(|letter| {
            vec![
                id(letter.chat_id),
                Value::unsigned(letter.position),
                Value::unsigned(letter.version),
                Value::text(&letter.event_type),
                time(letter.recorded_at),
                Value::text(&letter.problem),
            ]
        })
        .collect();
    multi_row(
        "INSERT INTO dead_letters (chat_id, position, version, event_type, recorded_at, problem) VALUES ",
        "(?, ?, ?, ?, ?, ?)",
        "",
        rows,
    )
}

fn id(chat_id: ChatId) -> Value {
    Value::Id(Some(chat_id.0))
}

/// A moment, in microseconds.
fn time(moment: DateTime<Utc>) -> Value {
    Value::Integer(Some(moment.timestamp_micros()))
}

/// `value` as JSON text.
fn json(value: &impl serde::Serialize) -> Value {
    // Our own types have string keys and finite numbers, so writing them cannot fail; were it to, reading the empty
    // text says that the row is damaged.
    Value::Text(Some(serde_json::to_string(value).unwrap_or_default()))
}

/// The stable name of an enum's variant without fields, as JSON has it.
fn name(value: &impl serde::Serialize) -> Value {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Value::text(name),
        _ => Value::text(""),
    }
}

/// The chats that a batch erased.
fn erased(batch: &Batch) -> impl Iterator<Item = ChatId> + '_ {
    batch.chats.iter().filter_map(|(chat_id, touched)| {
        let before = touched.before.as_ref().is_some_and(|outline| outline.erased);
        (touched.after.erased && !before).then_some(*chat_id)
    })
}
