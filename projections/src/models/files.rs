//! Files: which chats ever showed a file. Whether one still does, its outline says.

use verbatim_events::event::Event;
use verbatim_events::part::Part;

use super::{Column, Kind, PAGE_ROWS, Projection, Table, erased, id, key};
use crate::batch::{Batch, Step};
use crate::database::{Dialect, Statement, Value, in_list, multi_row};

/// The chats of files.
pub(super) struct Files;

const COLUMNS: &[Column] = &[key("file_id", Kind::Text), key("chat_id", Kind::Id)];

impl Projection for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    fn tables(&self) -> &'static [Table] {
        &[Table { name: "chat_files", columns: COLUMNS, page_rows: PAGE_ROWS }]
    }

    fn apply(&self, batch: &Batch, _dialect: Dialect) -> Vec<Statement> {
        let mut statements = multi_row(
            "INSERT INTO chat_files (file_id, chat_id) VALUES ",
            "(?, ?)",
            " ON CONFLICT (file_id, chat_id) DO NOTHING",
            batch.steps.iter().flat_map(shown).collect(),
        );
        let gone: Vec<_> = erased(batch).map(|chat_id| chat_id.0).collect();
        statements.extend(in_list("DELETE FROM chat_files WHERE chat_id IN ", "", &gone));
        statements
    }
}

fn shown(step: &Step) -> Vec<Vec<Value>> {
    let Event::MessageCommitted(committed) = &step.recorded.event else { return Vec::new() };
    let ids = committed.parts.iter().filter_map(|part| match part {
        Part::File { file_id, .. } => Some(file_id),
        _ => None,
    });
    ids.map(|file_id| vec![Value::text(file_id), id(step.recorded.chat_id)]).collect()
}
