//! The queue: one row per message that waits, with what it says.

use std::collections::BTreeSet;

use verbatim_events::event::{Event, PromotedTo};
use verbatim_events::ids::{ChatId, QueuedId};

use super::{Column, Kind, PAGE_ROWS, Projection, Table, column, id, json, key, time};
use crate::batch::{Batch, Step};
use crate::database::{Dialect, Statement, Value, multi_row, signed};

/// The messages that wait.
pub(super) struct Queue;

const COLUMNS: &[Column] = &[
    key("chat_id", Kind::Id),
    key("id", Kind::Integer),
    column("seat", Kind::Integer),
    column("queued_at", Kind::Integer),
    column("message", Kind::Text),
];

impl Projection for Queue {
    fn name(&self) -> &'static str {
        "queue"
    }

    fn tables(&self) -> &'static [Table] {
        &[Table { name: "queue", columns: COLUMNS, page_rows: PAGE_ROWS }]
    }

    fn apply(&self, batch: &Batch, _dialect: Dialect) -> Vec<Statement> {
        let mut statements = multi_row(
            "INSERT INTO queue (chat_id, id, seat, queued_at, message) VALUES ",
            "(?, ?, ?, ?, ?)",
            "",
            batch.steps.iter().filter(|step| still_waits(batch, step)).filter_map(queued_row).collect(),
        );
        statements.extend(batch.steps.iter().filter_map(promotion));
        // Whatever made a message leave, the outline says what is left.
        let gone = left(batch).into_iter().map(|(chat_id, queued_id)| vec![id(chat_id), Value::unsigned(queued_id)]);
        statements.extend(multi_row(
            "DELETE FROM queue WHERE (chat_id, id) IN (VALUES ",
            "(?, ?)",
            ")",
            gone.collect(),
        ));
        statements
    }
}

/// The messages that waited before the batch and do not after it.
fn left(batch: &Batch) -> BTreeSet<(ChatId, QueuedId)> {
    let mut gone = BTreeSet::new();
    for (chat_id, touched) in &batch.chats {
        let waited = touched.before.iter().flat_map(|outline| &outline.queue);
        gone.extend(waited.filter(|id| !touched.after.queue.contains(id)).map(|id| (*chat_id, *id)));
    }
    gone
}

fn still_waits(batch: &Batch, step: &Step) -> bool {
    let chat = batch.chats.get(&step.recorded.chat_id);
    chat.is_some_and(|touched| touched.after.queue.contains(&step.recorded.version))
}

fn queued_row(step: &Step) -> Option<Vec<Value>> {
    let Event::MessageQueued(queued) = &step.recorded.event else {
        return None;
    };
    let version = Value::unsigned(step.recorded.version);
    // A newcomer sits behind all others: its version is above theirs.
    Some(vec![id(step.recorded.chat_id), version.clone(), version, time(step.recorded.recorded_at), json(queued)])
}

/// A message promoted to the head sits before all others, earlier promoted ones too.
fn promotion(step: &Step) -> Option<Statement> {
    let Event::QueuedMessagePromoted(promoted) = &step.recorded.event else {
        return None;
    };
    (promoted.to == PromotedTo::Head).then(|| {
        Statement::new(
            "UPDATE queue SET seat = ? WHERE chat_id = ? AND id = ?",
            vec![
                Value::Integer(Some(-signed(step.recorded.version))),
                id(step.recorded.chat_id),
                Value::unsigned(promoted.queued_id),
            ],
        )
    })
}
