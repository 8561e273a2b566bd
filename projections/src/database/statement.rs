//! One SQL statement for either database: `?` placeholders, owned values.
//!
//! **Invariant:** SQL text is made of this crate's constants alone; whatever comes from outside is a bound value. No
//! statement holds a question mark that is not a placeholder.

use std::fmt::Write as _;

use uuid::Uuid;

/// Rows per statement. Fixed sizes keep the databases' caches of prepared statements small.
const ROWS_PER_STATEMENT: [usize; 3] = [64, 8, 1];

/// The databases' dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// A bound value. The kind is known even where the value is absent, for PostgreSQL wants to know it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Id(Option<Uuid>),
    Integer(Option<i64>),
    Boolean(bool),
    Text(Option<String>),
}

impl Value {
    /// A text. PostgreSQL cannot store NUL, so both databases get the replacement character in its place.
    pub(crate) fn text(text: impl Into<String>) -> Value {
        let text = text.into();
        Value::Text(Some(if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }))
    }

    /// An unsigned number; versions, positions and counts stay far below the signed limit.
    pub(crate) fn unsigned(number: u64) -> Value {
        Value::Integer(Some(signed(number)))
    }

    /// An unsigned number that may be absent.
    pub(crate) fn optional_unsigned(number: Option<u64>) -> Value {
        Value::Integer(number.map(signed))
    }
}

/// `number` as the databases keep it.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A statement with its values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
    /// The databases may keep it prepared: its text is one of few.
    pub(crate) persistent: bool,
}

impl Statement {
    /// A statement whose text is one of few.
    pub(crate) fn new(sql: impl Into<String>, values: Vec<Value>) -> Statement {
        Statement { sql: sql.into(), values, persistent: true }
    }

    /// A statement whose text varies with what was asked.
    pub(crate) fn once(sql: impl Into<String>, values: Vec<Value>) -> Statement {
        Statement { persistent: false, ..Statement::new(sql, values) }
    }

    /// The statement's text with the dialect's placeholders.
    pub(crate) fn sql_for(self, dialect: Dialect) -> (String, Vec<Value>, bool) {
        let sql = match dialect {
            Dialect::Sqlite => self.sql,
            Dialect::Postgres => number_placeholders(&self.sql),
        };
        (sql, self.values, self.persistent)
    }
}

/// Statements that hold all `rows`: `head`, then `row` once per row with commas between, then `tail`.
pub(crate) fn multi_row(head: &str, row: &str, tail: &str, rows: Vec<Vec<Value>>) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut left = rows.len();
    let mut rows = rows.into_iter();
    for size in ROWS_PER_STATEMENT {
        while left >= size {
            let mut sql = String::with_capacity(head.len() + tail.len() + size * (row.len() + 2));
            sql.push_str(head);
            for index in 0..size {
                sql.push_str(if index == 0 { "" } else { ", " });
                sql.push_str(row);
            }
            sql.push_str(tail);
            statements.push(Statement::new(sql, rows.by_ref().take(size).flatten().collect()));
            left -= size;
        }
    }
    statements
}

/// Statements that ask for all `ids` with `IN (…)`; the last one repeats an id until it is full.
pub(crate) fn in_list(head: &str, tail: &str, ids: &[Uuid]) -> Vec<Statement> {
    const WIDTH: usize = 64;
    ids.chunks(WIDTH)
        .map(|chunk| {
            let size = if chunk.len() == 1 { 1 } else { WIDTH };
            let marks = vec!["?"; size].join(", ");
            let values = (0..size).map(|index| Value::Id(Some(chunk[index.min(chunk.len() - 1)]))).collect::<Vec<_>>();
            Statement::new(format!("{head}({marks}){tail}"), values)
        })
        .collect()
}

fn number_placeholders(sql: &str) -> String {
    let mut numbered = String::with_capacity(sql.len() + 16);
    let mut pieces = sql.split('?');
    numbered.extend(pieces.next());
    for (index, piece) in pieces.enumerate() {
        let _ = write!(numbered, "${}", index + 1);
        numbered.push_str(piece);
    }
    numbered
}

#[cfg(test)]
mod tests;
