//! The writer's statements: one text per shape of a round, so that SQLite prepares few and reuses them.
//!
//! A round writes up to 256 rows of each kind in one call. Rows come in fixed numbers, filled up with rows of nulls
//! that are not written.

use std::collections::HashMap;
use std::sync::Arc;

use crate::raw::event_columns;

/// Rows of one kind in one round, at most.
pub(crate) const ROUND_ROWS_MAX: usize = 256;

/// The numbers of rows for which there are texts.
const SIZES: [usize; 6] = [0, 1, 4, 16, 64, ROUND_ROWS_MAX];

/// The smallest fixed number of rows that holds `rows`, which are at most `ROUND_ROWS_MAX`.
pub(crate) fn size_for(rows: usize) -> usize {
    SIZES.into_iter().find(|size| *size >= rows).unwrap_or(ROUND_ROWS_MAX)
}

/// Texts that are remembered; beyond it all are made again as they are needed.
const TEXTS_MAX: usize = 256;

/// What one round does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    /// Begin the transaction.
    pub(crate) begin: bool,
    /// Fixed number of rows of new chats.
    pub(crate) created: usize,
    /// Fixed number of rows of known chats.
    pub(crate) moved: usize,
    /// Fixed number of events.
    pub(crate) events: usize,
    /// Fixed number of receipts.
    pub(crate) receipts: usize,
    /// Advance the log's head.
    pub(crate) head: bool,
}

/// The texts in use.
#[derive(Default)]
pub(crate) struct Statements {
    rounds: HashMap<Shape, Arc<str>>,
    looks: HashMap<(usize, usize), Arc<str>>,
}

impl Statements {
    /// The text of a round. Parameters: per created row chat, version, hash; per moved row chat, expected version,
    /// expected hash, version, hash; per event its columns; per receipt owner, key, request hash, position, outcome,
    /// recorded at; then new head, old head, incarnation.
    pub(crate) fn round(&mut self, shape: Shape) -> Arc<str> {
        if self.rounds.len() >= TEXTS_MAX && !self.rounds.contains_key(&shape) {
            self.rounds.clear();
        }
        Arc::clone(self.rounds.entry(shape).or_insert_with(|| round_text(shape).into()))
    }

    /// The text that looks up heads of chats and receipts of keys, both in fixed numbers of rows. Parameters: per chat
    /// its id; per receipt owner, key.
    pub(crate) fn look(&mut self, chats: usize, receipts: usize) -> Arc<str> {
        Arc::clone(self.looks.entry((chats, receipts)).or_insert_with(|| look_text(chats, receipts).into()))
    }
}

fn round_text(shape: Shape) -> String {
    let mut text = String::new();
    if shape.begin {
        text += "BEGIN IMMEDIATE;";
    }
    if shape.created > 0 {
        text += &format!(
            "INSERT INTO streams (chat_id, version, hash) SELECT * FROM ({}) WHERE column1 IS NOT NULL;",
            values(shape.created, 3)
        );
    }
    if shape.moved > 0 {
        text += &format!(
            "UPDATE streams SET version = moved.column4, hash = moved.column5 FROM ({}) AS moved \
             WHERE chat_id = moved.column1 AND version = moved.column2 AND hash = moved.column3;",
            values(shape.moved, 5)
        );
    }
    if shape.events > 0 {
        text += &format!(
            "INSERT INTO events ({}) SELECT * FROM ({}) WHERE column1 IS NOT NULL;",
            event_columns!(),
            values(shape.events, event_columns!().split(',').count())
        );
    }
    if shape.receipts > 0 {
        text += &format!(
            "INSERT INTO receipts (owner, key, request_hash, position, outcome, recorded_at) \
             SELECT * FROM ({}) WHERE column1 IS NOT NULL;",
            values(shape.receipts, 6)
        );
    }
    if shape.head {
        text += "UPDATE log_head SET position = ? WHERE lane = 0 AND position = ? \
                 AND (SELECT incarnation FROM log_meta) = ?;";
    }
    text
}

fn look_text(chats: usize, receipts: usize) -> String {
    let mut parts = Vec::new();
    if chats > 0 {
        parts.push(format!(
            "SELECT chat_id, version, hash, NULL, NULL FROM streams WHERE chat_id IN ({})",
            vec!["?"; chats].join(",")
        ));
    }
    if receipts > 0 {
        parts.push(format!(
            "SELECT owner, position, request_hash, key, outcome FROM receipts WHERE (owner, key) IN ({})",
            values(receipts, 2)
        ));
    }
    parts.join(" UNION ALL ")
}

/// `VALUES (?,?),(?,?)…`
fn values(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("VALUES {}", vec![row.as_str(); rows].join(","))
}

#[cfg(test)]
mod tests;
