//! Snapshots of chats' states: one row per long chat, from which its actor and its readers start instead of from its first
//! event. Which version a chat's snapshot shows follows from its version alone, so a rebuild makes the same rows.

use super::{Column, Kind, Projection, Table, column, erased, id, key};
use crate::batch::Batch;
use crate::database::{Dialect, Statement, Value, in_list, multi_row};
use crate::fingerprint::reducer_fingerprint;
use verbatim_events::snapshot::STATE_SCHEMA;

/// The states of long chats.
pub(super) struct Snapshots;

const COLUMNS: &[Column] = &[
    key("chat_id", Kind::Id),
    key("state_schema", Kind::Integer),
    key("reducer", Kind::Text),
    column("version", Kind::Integer),
    column("digest", Kind::Text),
    column("state", Kind::Text),
];

/// A state may take megabytes.
const PAGE_ROWS: usize = 4;

impl Projection for Snapshots {
    fn name(&self) -> &'static str {
        "snapshots"
    }

    fn tables(&self) -> &'static [Table] {
        &[Table { name: "snapshots", columns: COLUMNS, page_rows: PAGE_ROWS }]
    }

    fn apply(&self, batch: &Batch, _dialect: Dialect) -> Vec<Statement> {
        // A chat whose newer state is not kept must not keep its older one: pages of other sizes would have no row.
        let without = batch.snapshots.iter().filter(|(_, kept)| kept.is_none()).map(|(chat_id, _)| *chat_id);
        let gone: Vec<_> = erased(batch).chain(without).map(|chat_id| chat_id.0).collect();
        let mut statements = in_list("DELETE FROM snapshots WHERE chat_id IN ", "", &gone);
        for (chat_id, kept) in &batch.snapshots {
            let Some(kept) = kept else { continue };
            // A row a statement: several states in one might be more than a database takes.
            statements.extend(multi_row(
                "INSERT INTO snapshots (chat_id, state_schema, reducer, version, digest, state) VALUES ",
                "(?, ?, ?, ?, ?, ?)",
                " ON CONFLICT (chat_id, state_schema, reducer) DO UPDATE SET version = excluded.version,
                 digest = excluded.digest, state = excluded.state",
                vec![vec![
                    id(*chat_id),
                    Value::unsigned(u64::from(STATE_SCHEMA)),
                    Value::text(reducer_fingerprint()),
                    Value::unsigned(kept.version),
                    Value::text(kept.encoded.digest.to_string()),
                    // JSON escapes control characters, so there is no NUL in it that `text` would replace.
                    Value::Text(Some(kept.encoded.state.clone())),
                ]],
            ));
        }
        statements
    }
}
