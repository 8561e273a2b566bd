//! The inbox: one row for each thing worth telling an owner, with whether it was read.
//!
//! What a row says comes from the core's `notification`; reading and unreading are events of the owner's own stream. So the
//! log alone gives the same rows again. Rows stay, as turns do: an owner is shown the newest alone. To remove all others
//! would make the rows depend on chats that were erased since.

use verbatim_events::event::Event;
use verbatim_events::ids::Position;
use verbatim_events::inbox::{Address, InboxEvent};
use verbatim_events::notification::Notification;

use super::{Column, Kind, PAGE_ROWS, Projection, Table, column, id, key, name, time};
use crate::batch::{Batch, Step};
use crate::database::{Dialect, Statement, Value, multi_row};

/// The notifications.
pub(super) struct Inbox;

const COLUMNS: &[Column] = &[
    key("position", Kind::Integer),
    column("owner", Kind::Text),
    column("chat_id", Kind::Id),
    column("version", Kind::Integer),
    column("template", Kind::Text),
    column("turn_id", Kind::Integer),
    column("outcome", Kind::Text),
    column("error_kind", Kind::Text),
    column("created_at", Kind::Integer),
    column("is_read", Kind::Boolean),
];

impl Projection for Inbox {
    fn name(&self) -> &'static str {
        "inbox"
    }

    fn tables(&self) -> &'static [Table] {
        &[Table { name: "inbox", columns: COLUMNS, page_rows: PAGE_ROWS }]
    }

    fn apply(&self, batch: &Batch, _dialect: Dialect) -> Vec<Statement> {
        let mut writing = Writing::default();
        let mut marks = batch.marks.iter().peekable();
        for step in &batch.steps {
            while let Some(mark) = marks.next_if(|mark| mark.position < step.recorded.position) {
                writing.mark(mark.position, &mark.event);
            }
            writing.step(batch, step);
        }
        for mark in marks {
            writing.mark(mark.position, &mark.event);
        }
        writing.flush();
        writing.statements
    }
}

/// The statements of a batch as they gather. Whatever changes rows that are there comes after all rows before it.
#[derive(Default)]
struct Writing {
    statements: Vec<Statement>,
    /// Rows that are still to be written.
    rows: Vec<Vec<Value>>,
}

impl Writing {
    fn step(&mut self, batch: &Batch, step: &Step) {
        let recorded = &step.recorded;
        // A chat without an outline after the page was not applied.
        let Some(touched) = batch.chats.get(&recorded.chat_id) else { return };
        if let Event::ChatErased(_) = &recorded.event {
            self.flush();
            self.statements.push(Statement::new("DELETE FROM inbox WHERE chat_id = ?", vec![id(recorded.chat_id)]));
        } else if let Some(told) = step.notification {
            self.rows.push(row(step, &touched.after.owner, &told));
        }
    }

    fn mark(&mut self, position: Position, event: &InboxEvent) {
        self.flush();
        match event {
            InboxEvent::Marked(marked) => {
                let read = |address: &Address| {
                    Statement::new(
                        "UPDATE inbox SET is_read = ? WHERE owner = ? AND chat_id = ? AND version = ?",
                        vec![
                            Value::Boolean(marked.read),
                            Value::text(marked.owner.as_str()),
                            id(address.chat_id),
                            Value::unsigned(address.version),
                        ],
                    )
                };
                self.statements.extend(marked.notifications.iter().map(read));
            }
            InboxEvent::AllRead(all) => {
                let owner = || Value::text(all.owner.as_str());
                self.statements.push(match &all.through {
                    None => Statement::new(
                        "UPDATE inbox SET is_read = TRUE WHERE owner = ? AND position < ? AND NOT is_read",
                        vec![owner(), Value::unsigned(position)],
                    ),
                    Some(through) => Statement::new(
                        "UPDATE inbox SET is_read = TRUE WHERE owner = ? AND NOT is_read AND position <=
                         (SELECT newest.position FROM inbox AS newest
                          WHERE newest.owner = ? AND newest.chat_id = ? AND newest.version = ?)",
                        vec![owner(), owner(), id(through.chat_id), Value::unsigned(through.version)],
                    ),
                });
            }
        }
    }

    /// Writes the rows that gathered.
    fn flush(&mut self) {
        self.statements.extend(multi_row(
            "INSERT INTO inbox (position, owner, chat_id, version, template, turn_id, outcome, error_kind, created_at,
             is_read) VALUES ",
            "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "",
            std::mem::take(&mut self.rows),
        ));
    }
}

fn row(step: &Step, owner: &str, told: &Notification) -> Vec<Value> {
    let recorded = &step.recorded;
    vec![
        Value::unsigned(recorded.position),
        Value::text(owner),
        id(recorded.chat_id),
        Value::unsigned(recorded.version),
        Value::text(told.template.name()),
        Value::unsigned(told.turn_id),
        told.outcome.map_or(Value::Text(None), |outcome| name(&outcome)),
        Value::Text(told.error_kind.map(|kind| kind.name().to_owned())),
        time(recorded.recorded_at),
        Value::Boolean(false),
    ]
}
