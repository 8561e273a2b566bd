//! Full-text search: the words of every message that users may see, one row per message, in each database's own index.
//! Withdrawn messages keep their words; a query leaves them out by their row in `messages`.

use verbatim_events::event::Event;
use verbatim_events::part::Part;

use super::{Projection, Table, erased};
use crate::batch::{Batch, Step};
use crate::database::{Dialect, Statement, Value, in_list, multi_row};

/// The words of messages.
pub(super) struct Search;

/// Words beyond this many bytes of a message are not found. PostgreSQL refuses vectors over 1 MiB, and nobody looks for
/// the end of a tool's output.
const WORDS_MAX_BYTES: usize = 128 * 1024;

impl Projection for Search {
    fn name(&self) -> &'static str {
        "search"
    }

    fn tables(&self) -> &'static [Table] {
        // The databases' own indexes cannot be read back row by row; their source is `messages`.
        &[]
    }

    fn apply(&self, batch: &Batch, dialect: Dialect) -> Vec<Statement> {
        let (head, row) = match dialect {
            Dialect::Sqlite => ("INSERT INTO search (rowid, words) VALUES ", "(?, ?)"),
            Dialect::Postgres => ("INSERT INTO search (position, words) VALUES ", "(?, to_tsvector('simple', ?))"),
        };
        let gone: Vec<_> = erased(batch).map(|chat_id| chat_id.0).collect();
        let rows = batch.steps.iter().filter(|step| !gone.contains(&step.recorded.chat_id.0));
        let mut statements = multi_row(head, row, "", rows.filter_map(search_row).collect());
        // Before `messages` forgets which rows were the chat's.
        let head = match dialect {
            Dialect::Sqlite => "DELETE FROM search WHERE rowid IN (SELECT position FROM messages WHERE chat_id IN ",
            Dialect::Postgres => {
                "DELETE FROM search WHERE position IN (SELECT position FROM messages WHERE chat_id IN "
            }
        };
        statements.extend(in_list(head, ")", &gone));
        statements
    }
}

fn search_row(step: &Step) -> Option<Vec<Value>> {
    let Event::MessageCommitted(committed) = &step.recorded.event else {
        return None;
    };
    if committed.visibility == verbatim_events::message::Visibility::Model {
        return None;
    }
    let mut words = String::new();
    for part in &committed.parts {
        let text = match part {
            Part::Text { text } => text.as_str(),
            Part::Source { title, .. } => title,
            Part::File { name, .. } => name,
            Part::ToolCall { name, .. } => name,
            Part::Reasoning { .. } | Part::ToolResult { .. } | Part::ContextFile { .. } => continue,
        };
        let room = WORDS_MAX_BYTES.saturating_sub(words.len());
        words.push_str(&text[..text.floor_char_boundary(room.min(text.len()))]);
        words.push('\n');
    }
    (!words.trim().is_empty()).then(|| vec![Value::unsigned(step.recorded.position), Value::text(words)])
}
