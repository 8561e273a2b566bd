//! Which files an event shows, whatever it is.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

/// Takes note of every part that shows a file, wherever it stands.
pub fn note_files(value: &Value, found: &mut BTreeSet<Uuid>) {
    match value {
        Value::Object(fields) => {
            if fields.get("type").and_then(Value::as_str) == Some("file")
                && let Some(id) = fields.get("file_id").and_then(Value::as_str).and_then(|id| id.parse().ok())
            {
                found.insert(id);
            }
            fields.values().for_each(|field| note_files(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| note_files(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_found_wherever_a_part_stands() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let part = |id: Uuid| json!({"type": "file", "file_id": id, "name": "a", "media_type": "text/plain"});
        let mut found = BTreeSet::new();
        let text = json!({"type": "text", "text": "a"});
        note_files(&json!({"parts": [text, part(one)], "deep": {"er": [[part(two)]]}}), &mut found);
        note_files(&json!({"file_id": Uuid::from_u128(3), "type": "text"}), &mut found);
        note_files(&json!({"file_id": "../x", "type": "file"}), &mut found);
        assert_eq!(found, BTreeSet::from([one, two]));
    }
}
