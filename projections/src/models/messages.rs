//! Messages: one row per committed message. A withdrawn one stays and says which event withdrew it; an erased chat's go.

use verbatim_events::event::Event;
use verbatim_events::message::Message;

use super::{Column, Kind, PAGE_ROWS, Projection, Table, column, erased, id, json, key, name};
use crate::batch::{Batch, Step};
use crate::database::{Dialect, Statement, Value, in_list, multi_row};

/// The messages.
pub(super) struct Messages;

const COLUMNS: &[Column] = &[
    key("position", Kind::Integer),
    column("chat_id", Kind::Id),
    column("id", Kind::Integer),
    column("role", Kind::Text),
    column("visibility", Kind::Text),
    column("origin", Kind::Text),
    column("turn_id", Kind::Integer),
    column("withdrawn_by", Kind::Integer),
    column("message", Kind::Text),
];

impl Projection for Messages {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn tables(&self) -> &'static [Table] {
        &[Table { name: "messages", columns: COLUMNS, page_rows: PAGE_ROWS }]
    }

    fn apply(&self, batch: &Batch, _dialect: Dialect) -> Vec<Statement> {
        let mut statements = multi_row(
            "INSERT INTO messages (position, chat_id, id, role, visibility, origin, turn_id, message) VALUES ",
            "(?, ?, ?, ?, ?, ?, ?, ?)",
            "",
            batch.steps.iter().filter_map(message_row).collect(),
        );
        // After the inserts: a message may come and go within one page. Each reaches only what was there before it.
        statements.extend(batch.steps.iter().filter_map(|step| match &step.recorded.event {
            Event::MessagesWithdrawn(withdrawn) => Some(Statement::new(
                "UPDATE messages SET withdrawn_by = ?
                 WHERE chat_id = ? AND id >= ? AND id < ? AND withdrawn_by IS NULL",
                vec![
                    Value::unsigned(step.recorded.version),
                    id(step.recorded.chat_id),
                    Value::unsigned(withdrawn.from),
                    Value::unsigned(step.recorded.version),
                ],
            )),
            _ => None,
        }));
        let gone: Vec<_> = erased(batch).map(|chat_id| chat_id.0).collect();
        statements.extend(in_list("DELETE FROM messages WHERE chat_id IN ", "", &gone));
        statements
    }
}

fn message_row(step: &Step) -> Option<Vec<Value>> {
    let recorded = &step.recorded;
    let Event::MessageCommitted(committed) = &recorded.event else {
        return None;
    };
    Some(vec![
        Value::unsigned(recorded.position),
        id(recorded.chat_id),
        Value::unsigned(recorded.version),
        name(&committed.role),
        name(&committed.visibility),
        name(&committed.origin),
        Value::optional_unsigned(step.turn_id),
        json(&Message::committed(recorded, committed, step.turn_id)),
    ])
}
