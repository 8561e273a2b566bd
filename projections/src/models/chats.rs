//! Chats: one row each, with the columns that lists filter and sort by and the whole outline, and one row per label.

use std::collections::BTreeMap;

use super::{Column, Kind, PAGE_ROWS, Projection, Table, column, id, json, key};
use crate::batch::{Batch, Touched};
use crate::database::{Dialect, Statement, Value, in_list, multi_row};

/// The chats and their labels.
pub(super) struct Chats;

const CHAT_COLUMNS: &[Column] = &[
    key("chat_id", Kind::Id),
    column("owner", Kind::Text),
    column("parent", Kind::Id),
    column("root", Kind::Id),
    column("title", Kind::Text),
    column("status", Kind::Text),
    column("archived", Kind::Boolean),
    column("pinned", Kind::Boolean),
    column("erased", Kind::Boolean),
    column("version", Kind::Integer),
    column("position", Kind::Integer),
    column("workspace", Kind::Text),
    column("outline", Kind::Text),
];

const LABEL_COLUMNS: &[Column] = &[key("chat_id", Kind::Id), key("name", Kind::Text), column("value", Kind::Text)];

impl Projection for Chats {
    fn name(&self) -> &'static str {
        "chats"
    }

    fn tables(&self) -> &'static [Table] {
        &[
            Table { name: "chats", columns: CHAT_COLUMNS, page_rows: PAGE_ROWS },
            Table { name: "labels", columns: LABEL_COLUMNS, page_rows: PAGE_ROWS },
        ]
    }

    fn apply(&self, batch: &Batch, _dialect: Dialect) -> Vec<Statement> {
        let mut statements = multi_row(
            "INSERT INTO chats (chat_id, owner, parent, root, title, status, archived, pinned, erased, version, position,
             workspace, outline) VALUES ",
            "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            " ON CONFLICT (chat_id) DO UPDATE SET title = excluded.title, status = excluded.status,
             archived = excluded.archived, pinned = excluded.pinned, erased = excluded.erased,
             version = excluded.version, position = excluded.position, workspace = excluded.workspace,
             outline = excluded.outline",
            batch.chats.values().map(chat_row).collect(),
        );
        let relabelled = || batch.chats.values().filter(|touched| labels_before(touched) != &touched.after.labels);
        let cleared: Vec<_> = relabelled()
            .filter(|touched| !labels_before(touched).is_empty())
            .map(|touched| touched.after.id.0)
            .collect();
        statements.extend(in_list("DELETE FROM labels WHERE chat_id IN ", "", &cleared));
        let labels = relabelled()
            .flat_map(|touched| {
                touched.after.labels.iter().map(|(name, value)| {
                    vec![id(touched.after.id), Value::text(name.as_str()), Value::text(value.as_str())]
                })
            })
            .collect();
        statements.extend(multi_row("INSERT INTO labels (chat_id, name, value) VALUES ", "(?, ?, ?)", "", labels));
        statements
    }
}

fn chat_row(touched: &Touched) -> Vec<Value> {
    let outline = &touched.after;
    vec![
        id(outline.id),
        Value::text(outline.owner.as_str()),
        Value::Id(outline.parent.map(|parent| parent.0)),
        id(outline.root),
        // Folded here, for SQLite folds ASCII alone.
        Value::text(outline.title.to_lowercase()),
        Value::text(outline.status.name()),
        Value::Boolean(outline.archived),
        Value::Boolean(outline.pinned),
        Value::Boolean(outline.erased),
        Value::unsigned(outline.version),
        Value::unsigned(touched.position),
        outline.workspace.as_ref().and_then(|bound| bound.id.as_deref()).map_or(Value::Text(None), Value::text),
        json(outline.as_ref()),
    ]
}

fn labels_before(touched: &Touched) -> &BTreeMap<String, String> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    touched.before.as_ref().map_or(&NONE, |outline| &outline.labels)
}
