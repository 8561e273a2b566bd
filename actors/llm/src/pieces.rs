//! Small pieces of an answer that every decoder puts together alike.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use verbatim_events::ids::AttemptId;
use verbatim_events::part::{LivePart, Part};

/// How many different sources one answer may cite; later ones are ignored.
const SOURCES_MAX: usize = 1024;

/// The sources that an answer cites, each once, held back until the text that cites them is over: a part between two
/// pieces of a text would cut it in two.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    seen: BTreeSet<String>,
    waiting: Vec<Part>,
}

impl Sources {
    /// Takes a citation, an object with `url` and `title`. One without an address is no source.
    pub(crate) fn add(&mut self, citation: &Value) {
        let text = |field: &str| citation.get(field).and_then(Value::as_str).unwrap_or_default();
        let url = text("url");
        if !url.is_empty() && self.seen.len() < SOURCES_MAX && self.seen.insert(url.to_owned()) {
            self.waiting.push(Part::Source { url: url.to_owned(), title: text("title").to_owned() });
        }
    }

    /// Gives the sources that wait.
    pub(crate) fn flush(&mut self, parts: &mut Vec<LivePart>) {
        parts.extend(self.waiting.drain(..).map(LivePart::Whole));
    }

    /// Something was cited.
    pub(crate) fn any(&self) -> bool {
        !self.seen.is_empty()
    }
}

/// The ids of an answer's calls. A call that came without an id, or with one that another call of the answer has already,
/// gets one from the attempt, so that it is the same whenever the stream is read again.
#[derive(Clone, Debug)]
pub(crate) struct GivenIds {
    attempt_id: AttemptId,
    used: BTreeSet<String>,
}

impl GivenIds {
    pub(crate) fn new(attempt_id: AttemptId) -> GivenIds {
        GivenIds { attempt_id, used: BTreeSet::new() }
    }

    /// The id of a new call.
    pub(crate) fn take(&mut self, given: &str) -> String {
        let own = given.is_empty() || self.used.contains(given);
        let id = if own { format!("call_{}_{}", self.attempt_id, self.used.len()) } else { given.to_owned() };
        self.used.insert(id.clone());
        id
    }
}

/// Complete arguments as a value; nothing if they are incomplete. `null` and nothing at all are an empty object.
pub(crate) fn arguments(json: &str) -> Option<Value> {
    if json.trim().is_empty() {
        return Some(Value::Object(Map::new()));
    }
    match serde_json::from_str(json) {
        Ok(Value::Null) => Some(Value::Object(Map::new())),
        Ok(value) => Some(value),
        Err(_) => None,
    }
}

/// A piece of text; nothing for the empty one.
pub(crate) fn text_delta(text: &str) -> Option<LivePart> {
    (!text.is_empty()).then(|| LivePart::TextDelta { text: text.to_owned() })
}

/// A piece of reasoning; nothing for the empty one.
pub(crate) fn reasoning_delta(text: &str) -> Option<LivePart> {
    (!text.is_empty()).then(|| LivePart::ReasoningDelta { text: text.to_owned() })
}

/// A value's text at a field; empty if it has none.
pub(crate) fn text_at<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A value's list at a field; empty if it has none.
pub(crate) fn list_at<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
