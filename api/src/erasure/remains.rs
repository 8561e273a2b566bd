//! What there is of a chat outside its events, read from them while they can still be read.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use verbatim_events::ids::ChatId;
use verbatim_events::log::{EventLog, LogError};
use verbatim_events_sql::key_of;

/// Events read at once.
const PAGE_EVENTS: usize = 500;

/// What is to be removed of a chat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Remains {
    /// The keys that its events were sealed with: one, or none.
    pub(super) keys: BTreeSet<Uuid>,
    /// The files that it ever showed.
    pub(super) files: BTreeSet<Uuid>,
}

impl Remains {
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What `to_text` wrote.
    pub(super) fn read(text: &str) -> Option<Remains> {
        serde_json::from_str(text).ok()
    }

    /// Takes note of every part that shows a file, wherever it stands.
    fn note(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                if fields.get("type").and_then(Value::as_str) == Some("file")
                    && let Some(id) = fields.get("file_id").and_then(Value::as_str).and_then(|id| id.parse().ok())
                {
                    self.files.insert(id);
                }
                fields.values().for_each(|field| self.note(field));
            }
            Value::Array(items) => items.iter().for_each(|item| self.note(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// What there is of a chat. Of events that cannot be read any more only the key is known.
pub(super) async fn of(log: &dyn EventLog, chat_id: ChatId) -> Result<Remains, LogError> {
    let (mut remains, mut version) = (Remains::default(), 0);
    loop {
        let page = log.read_chat(chat_id, version, PAGE_EVENTS).await?;
        let Some(last) = page.last() else { return Ok(remains) };
        version = last.event.version;
        for stored in &page {
            remains.keys.extend(key_of(&stored.event));
            if let Some(value) = stored.json().and_then(|json| serde_json::from_slice::<Value>(json).ok()) {
                remains.note(&value);
            }
        }
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
        let mut remains = Remains::default();
        remains.note(&json!({"parts": [{"type": "text", "text": "a"}, part(one)], "deep": {"er": [[part(two)]]}}));
        remains.note(&json!({"file_id": Uuid::from_u128(3), "type": "text"}));
        remains.note(&json!({"file_id": "../x", "type": "file"}));
        assert_eq!(remains.files, BTreeSet::from([one, two]));
        assert_eq!(Remains::read(&remains.to_text()), Some(remains));
        assert_eq!(Remains::read("{"), None);
    }
}
