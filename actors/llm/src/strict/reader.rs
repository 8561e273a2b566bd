//! What the readers of all protocols share: what they find, and the rules that are alike everywhere.

use serde_json::{Map, Value};

/// A reader of one request's body. `Seen` is what a protocol remembers of what it has read.
#[derive(Default)]
pub(super) struct Reader<Seen = ()> {
    pub(super) seen: Seen,
    problems: Vec<String>,
}

impl<Seen> Reader<Seen> {
    /// Notes a problem unless something holds.
    pub(super) fn check(&mut self, holds: bool, problem: impl Into<String>) {
        if !holds {
            self.problems.push(problem.into());
        }
    }

    /// Notes every field of the body that the protocol does not know.
    pub(super) fn check_fields(&mut self, body: &Value, known: &[&str]) {
        for field in body.as_object().into_iter().flat_map(Map::keys) {
            self.check(known.contains(&field.as_str()), format!("unknown field {field}"));
        }
    }

    /// Everything that was found.
    pub(super) fn into_problems(self) -> Vec<String> {
        self.problems
    }
}

/// A name or an id as the protocols take it.
pub(super) fn is_name(value: &Value, bytes_max: usize) -> bool {
    let accepted = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    value.as_str().is_some_and(|name| (1..=bytes_max).contains(&name.len()) && name.bytes().all(accepted))
}

/// Whether a text says something.
pub(super) fn is_said(text: &Value) -> bool {
    text.as_str().is_some_and(|text| !text.trim().is_empty())
}

/// Whether a value is a `data:` address of bytes of this kind.
pub(super) fn is_data(value: &Value, kind: &str) -> bool {
    value.as_str().is_some_and(|url| url.starts_with(&format!("data:{kind}")))
}
