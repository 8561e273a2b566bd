//! What changed in a chat between two of its events.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use verbatim_events::chat::Chat;
use verbatim_events::part::Part;

use super::line::said;
use crate::cli::output::{Style, harmless, shortened};

/// Characters of a value that a line shows.
const SHOWN: usize = 120;

/// Lists whose items have ids: they are compared by id, not by place.
const BY_ID: [&str; 2] = ["history", "queue"];

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    /// Where, as a JSON pointer; items of the history and the queue by their ids.
    path: String,
    /// What stood there.
    before: Option<Value>,
    /// What stands there.
    after: Option<Value>,
}

/// All differences between two states, in the order of their places.
pub(super) fn between(before: &Chat, after: &Chat) -> anyhow::Result<Vec<Change>> {
    let (before, after) = (by_id(written(before)?), by_id(written(after)?));
    let mut changes = Vec::new();
    compare(String::new(), Some(&before), Some(&after), &mut changes);
    Ok(changes)
}

/// `{from, to, changes: [{path, before?, after?}]}`
pub(super) fn json(before: &Chat, after: &Chat, changes: &[Change]) -> Value {
    let changes: Vec<Value> = changes
        .iter()
        .map(|change| {
            let mut shown = json!({ "path": change.path });
            for (name, value) in [("before", &change.before), ("after", &change.after)] {
                if let Some(value) = value {
                    shown[name] = value.clone();
                }
            }
            shown
        })
        .collect();
    json!({ "from": before.outline.version, "to": after.outline.version, "changes": changes })
}

/// A line per difference: what is new, what is gone, what is another.
pub(super) fn text(before: &Chat, after: &Chat, changes: &[Change], style: Style) -> String {
    let mut text =
        style.bold(&format!("version {} to version {}", before.outline.version, after.outline.version)) + "\n";
    for change in changes {
        let place = place(&change.path);
        text.push_str(&match (&change.before, &change.after) {
            (None, Some(after)) => format!("{} {place}: {}\n", style.green("+"), shown(&change.path, after)),
            (Some(before), None) => format!("{} {place}: {}\n", style.red("-"), shown(&change.path, before)),
            (Some(before), Some(after)) => {
                let (before, after) = (shown(&change.path, before), shown(&change.path, after));
                format!("{} {place}: {before} -> {after}\n", style.yellow("~"))
            }
            (None, None) => String::new(),
        });
    }
    if changes.is_empty() {
        text.push_str("nothing changed\n");
    }
    text
}

/// A chat as it is compared: its history is the list of its messages.
fn written(chat: &Chat) -> serde_json::Result<Value> {
    let mut written = serde_json::to_value(chat)?;
    written["history"] = chat.history.iter().map(serde_json::to_value).collect::<serde_json::Result<Value>>()?;
    Ok(written)
}

/// The history and the queue as objects by id.
fn by_id(mut chat: Value) -> Value {
    for name in BY_ID {
        if let Some(Value::Array(items)) = chat.get_mut(name).map(Value::take) {
            // Ids of equal width would sort as text; these do not, so that the order is kept by `compare`.
            let items: Map<String, Value> = items.into_iter().map(|item| (item["id"].to_string(), item)).collect();
            chat[name] = Value::Object(items);
        }
    }
    chat
}

fn compare(path: String, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Change>) {
    match (before, after) {
        (before, after) if before == after => {}
        // An object that was empty or is empty now differs in its members, too.
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let names = before.keys().chain(after.keys());
            // Numbers in their own order, everything else by name.
            let names: BTreeMap<(u64, &str), &String> =
                names.map(|name| ((name.parse().unwrap_or(0), name.as_str()), name)).collect();
            for name in names.into_values() {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                compare(format!("{path}/{escaped}"), before.get(name), after.get(name), changes);
            }
        }
        // A field without a value and no field are the same to whoever reads this.
        (before, after) => {
            let given = |value: Option<&Value>| value.filter(|value| !value.is_null()).cloned();
            let (before, after) = (given(before), given(after));
            if before != after {
                changes.push(Change { path, before, after });
            }
        }
    }
}

/// The place in words: `history/#12`, `outline.status`.
fn place(path: &str) -> String {
    let path = path.trim_start_matches('/').replace("~1", "/").replace("~0", "~");
    for (name, word) in [("history/", "message #"), ("queue/", "queued message #")] {
        if let Some(id) = path.strip_prefix(name) {
            return harmless(&format!("{word}{}", id.replace('/', ".")));
        }
    }
    harmless(path.strip_prefix("outline/").unwrap_or(&path))
}

/// A value in short; a whole message by what it says.
fn shown(path: &str, value: &Value) -> String {
    let is_item = BY_ID.iter().any(|name| path.strip_prefix(&format!("/{name}/")).is_some_and(|id| !id.contains('/')));
    if is_item && let Ok(parts) = serde_json::from_value::<Vec<Part>>(value["parts"].clone()) {
        let speaker = value["role"].as_str().or(value["author"].as_str()).unwrap_or_default();
        return format!("{}: {}", harmless(speaker), said(&parts));
    }
    match value {
        Value::String(text) => format!("\"{}\"", shortened(text, SHOWN)),
        other => shortened(&other.to_string(), SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(before: Value, after: Value) -> Vec<(String, Option<Value>, Option<Value>)> {
        let mut changes = Vec::new();
        compare(String::new(), Some(&by_id(before)), Some(&by_id(after)), &mut changes);
        changes.into_iter().map(|change| (change.path, change.before, change.after)).collect()
    }

    #[test]
    fn messages_are_compared_by_id_and_in_the_order_of_their_ids() {
        let said = |id: u64| json!({"id": id, "role": "user", "parts": [{"type": "text", "text": "x"}]});
        let before = json!({"history": [said(2), said(9), said(12)]});
        let after = json!({"history": [said(2), said(100), said(101)]});
        let paths: Vec<_> = changes(before, after)
            .into_iter()
            .map(|(path, before, after)| (path, before.is_some(), after.is_some()))
            .collect();
        let expected = [
            ("/history/9", true, false),
            ("/history/12", true, false),
            ("/history/100", false, true),
            ("/history/101", false, true),
        ];
        assert_eq!(paths, expected.map(|(path, before, after)| (path.to_owned(), before, after)));
    }

    #[test]
    fn what_has_no_value_is_not_there() {
        let before = json!({"a": null, "b": 1, "c": {}, "d": 4});
        let after = json!({"b": null, "c": {"x/y": true}, "d": 5});
        let expected = [
            ("/b", Some(json!(1)), None),
            ("/c/x~1y", None, Some(json!(true))),
            ("/d", Some(json!(4)), Some(json!(5))),
        ];
        assert_eq!(changes(before, after), expected.map(|(path, before, after)| (path.to_owned(), before, after)));
    }

    #[test]
    fn places_and_values_are_in_words() {
        assert_eq!(place("/outline/status"), "status");
        assert_eq!(place("/history/12"), "message #12");
        assert_eq!(place("/queue/7/steer"), "queued message #7.steer");
        let message = json!({"id": 12, "role": "assistant", "parts": [{"type": "text", "text": "Hello."}]});
        assert_eq!(shown("/history/12", &message), r#"assistant: "Hello.""#);
        assert_eq!(shown("/outline/status", &json!("running")), r#""running""#);
    }
}
