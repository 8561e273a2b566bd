//! Compares two generations row by row, page by page, without holding either in memory.

use uuid::Uuid;

use crate::database::{Database, Row, Snapshot, Statement, Value};
use crate::error::ReadError;
use crate::models::{ALL, DEAD_LETTERS, Kind, Table};

/// Compares every row of `live` with `rebuilt`, which stand at one position and are not changed meanwhile. Returns how
/// many rows there are; fails at the first difference. `seen` hears of every page.
pub(crate) async fn compare(live: &mut Snapshot, rebuilt: &Database, seen: impl Fn(u64)) -> Result<u64, ReadError> {
    let mut rows = 0;
    let tables = ALL.iter().flat_map(|projection| projection.tables()).chain([&DEAD_LETTERS]);
    for table in tables {
        let mut after = None;
        loop {
            let statement = page(table, after.as_deref());
            let left = read(table, live.fetch(statement.clone()).await?)?;
            let right = read(table, rebuilt.fetch(statement).await?)?;
            let pairs = left.len().max(right.len());
            for index in 0..pairs {
                let (left, right) = (left.get(index), right.get(index));
                if left != right {
                    return Err(difference(table, left, right));
                }
            }
            rows += pairs as u64;
            seen(rows);
            match left.last() {
                Some(last) if pairs == table.page_rows => after = Some(key_of(table, last).to_vec()),
                _ => break,
            }
        }
    }
    Ok(rows)
}

fn page(table: &Table, after: Option<&[Value]>) -> Statement {
    let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
    let keys = names[..table.key_columns()].join(", ");
    let columns = names.join(", ");
    let name = table.name;
    let mut values = after.map_or_else(Vec::new, <[Value]>::to_vec);
    let condition = match after {
        Some(after) => format!(" WHERE ({keys}) > ({})", vec!["?"; after.len()].join(", ")),
        None => String::new(),
    };
    values.push(Value::unsigned(table.page_rows as u64));
    Statement::once(format!("SELECT {columns} FROM {name}{condition} ORDER BY {keys} LIMIT ?"), values)
}

fn read(table: &Table, rows: Vec<Row>) -> Result<Vec<Vec<Value>>, ReadError> {
    rows.iter()
        .map(|row| {
            let columns = table.columns.iter().enumerate();
            columns.map(|(index, column)| value(row, index, column.kind)).collect::<Result<Vec<_>, _>>()
        })
        .collect()
}

fn value(row: &Row, column: usize, kind: Kind) -> Result<Value, ReadError> {
    Ok(match kind {
        Kind::Id => Value::Id(row.optional_id(column)?),
        Kind::Integer => Value::Integer(row.optional_integer(column)?),
        Kind::Boolean => Value::Boolean(row.boolean(column)?),
        Kind::Text => Value::Text(row.optional_text(column)?),
    })
}

fn key_of<'a>(table: &Table, row: &'a [Value]) -> &'a [Value] {
    &row[..table.key_columns()]
}

fn difference(table: &Table, live: Option<&Vec<Value>>, rebuilt: Option<&Vec<Value>>) -> ReadError {
    // Rows come in key order: where the keys differ, the smaller one is missing on the other side.
    let key = live.or(rebuilt).map_or_else(String::new, |row| show(key_of(table, row)));
    let column = match (live, rebuilt) {
        (Some(live), Some(rebuilt)) => live.iter().zip(rebuilt).position(|(live, rebuilt)| live != rebuilt),
        _ => None,
    };
    let side = |row: Option<&Vec<Value>>| match (row, column) {
        (None, _) => "has no such row".to_owned(),
        // Names and lengths, never the words: this goes into logs and answers.
        (Some(row), Some(column)) => format!("{} = {}", table.columns[column].name, show(&row[column..=column])),
        (Some(_), None) => "has it".to_owned(),
    };
    ReadError::Differs { table: table.name, row: key, live: side(live), rebuilt: side(rebuilt) }
}

fn show(values: &[Value]) -> String {
    let shown = values.iter().map(|value| match value {
        Value::Id(Some(id)) => Uuid::to_string(id),
        Value::Integer(Some(number)) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Text(Some(text)) => format!("{} bytes", text.len()),
        Value::Id(None) | Value::Integer(None) | Value::Text(None) => "nothing".to_owned(),
    });
    shown.collect::<Vec<_>>().join(", ")
}
