//! The work index: chats that owe something. After a crash these are the chats to look at; all others rest.

use verbatim_events::chat::{Outline, Status};

use super::{Column, Kind, PAGE_ROWS, Projection, Table, column, id, key, time};
use crate::batch::Batch;
use crate::database::{Dialect, Statement, Value, in_list, multi_row};

/// Chats with something under way.
pub(super) struct Work;

const COLUMNS: &[Column] = &[key("chat_id", Kind::Id), column("status", Kind::Text), column("since", Kind::Integer)];

impl Projection for Work {
    fn name(&self) -> &'static str {
        "work"
    }

    fn tables(&self) -> &'static [Table] {
        &[Table { name: "work", columns: COLUMNS, page_rows: PAGE_ROWS }]
    }

    fn apply(&self, batch: &Batch, _dialect: Dialect) -> Vec<Statement> {
        let mut statements = multi_row(
            "INSERT INTO work (chat_id, status, since) VALUES ",
            "(?, ?, ?)",
            " ON CONFLICT (chat_id) DO UPDATE SET status = excluded.status, since = excluded.since",
            batch
                .chats
                .values()
                .filter(|touched| owes(&touched.after))
                .map(|touched| {
                    let outline = &touched.after;
                    let since = outline.turn.as_ref().map_or(outline.updated_at, |turn| turn.started_at);
                    vec![id(outline.id), Value::text(outline.status.name()), time(since)]
                })
                .collect(),
        );
        let settled: Vec<_> = batch
            .chats
            .values()
            .filter(|touched| !owes(&touched.after) && touched.before.as_deref().is_some_and(owes))
            .map(|touched| touched.after.id.0)
            .collect();
        statements.extend(in_list("DELETE FROM work WHERE chat_id IN ", "", &settled));
        statements
    }
}

fn owes(outline: &Outline) -> bool {
    matches!(outline.status, Status::Running | Status::Interrupting | Status::RequiresAction)
}
