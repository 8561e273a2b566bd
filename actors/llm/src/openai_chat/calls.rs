//! The tool calls of one answer, put together from fragments that may interleave.

use serde_json::{Value, json};
use verbatim_events::ids::AttemptId;
use verbatim_events::part::{LivePart, Part};

use super::PROTOCOL;
use crate::metadata::marked;

/// How many calls one answer may hold; later ones are ignored.
const CALLS_MAX: usize = 256;

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    /// The id as the server gave it; empty if it gave none.
    given_id: String,
    /// The id the call has here, once it was needed.
    id: Option<String>,
    name: String,
    args: String,
    /// How much of `args` was published, in bytes.
    published: usize,
    extra_content: Option<Value>,
}

/// The calls so far, in the order of their beginning.
#[derive(Debug)]
pub(super) struct Calls {
    provider: String,
    attempt_id: AttemptId,
    calls: Vec<Call>,
}

impl Calls {
    pub(super) fn new(provider: &str, attempt_id: AttemptId) -> Calls {
        Calls { provider: provider.to_owned(), attempt_id, calls: Vec::new() }
    }

    /// Some call can be used. `cut` says that the answer was cut short, so that its last call may be incomplete.
    pub(super) fn any_usable(&self, cut: bool) -> bool {
        let named = || self.calls.iter().filter(|call| !call.name.is_empty());
        let broken = cut && named().next_back().is_some_and(|call| read(&call.args, true).is_none());
        named().count() > usize::from(broken)
    }

    /// Takes one fragment.
    pub(super) fn take<'a>(&mut self, fragment: &'a Value, parts: &mut Vec<LivePart>) {
        let function = fragment.get("function");
        let in_function = |field: &str| function.and_then(|function| function.get(field));
        let text = |value: Option<&'a Value>| value.and_then(Value::as_str).unwrap_or_default();
        let (given_id, name) = (text(fragment.get("id")), text(in_function("name")));
        let Some(at) = self.place(fragment.get("index").and_then(Value::as_u64), given_id, name) else { return };
        let call = &mut self.calls[at];
        if call.given_id.is_empty() {
            given_id.clone_into(&mut call.given_id);
        }
        // Servers send the name whole, some of them again and again.
        if call.name.is_empty() {
            name.clone_into(&mut call.name);
        }
        match in_function("arguments") {
            Some(Value::String(piece)) => call.args.push_str(piece),
            Some(Value::Null) | None => {}
            // Not streamed but given as the value itself.
            Some(value) => call.args.push_str(&value.to_string()),
        }
        if let Some(extra) = fragment.get("extra_content").filter(|extra| !extra.is_null()) {
            call.extra_content = Some(extra.clone());
        }
        self.publish(at, parts);
    }

    /// Ends all calls: each that has complete arguments comes once more, whole. The others stay what their deltas say,
    /// and whoever puts the deltas together decides.
    pub(super) fn finish(&mut self, cut: bool, parts: &mut Vec<LivePart>) {
        let last = self.calls.iter().rposition(|call| !call.name.is_empty());
        for at in 0..self.calls.len() {
            let Some(args) = read(&self.calls[at].args, cut && last == Some(at)) else { continue };
            let Some(call_id) = self.call_id(at) else { continue };
            let call = &mut self.calls[at];
            let name = call.name.clone();
            let extra = call.extra_content.take();
            let metadata = extra.map(|extra| marked(PROTOCOL, &self.provider, [("extra_content", extra)]));
            parts.push(LivePart::Whole(Part::ToolCall { call_id, name, args, provider_executed: false, metadata }));
        }
    }

    /// Which call a fragment belongs to: by index, else by id, else the last one. An index that comes again with another
    /// id and a name is a new call, since some servers give every call the index 0.
    fn place(&mut self, index: Option<u64>, given_id: &str, name: &str) -> Option<usize> {
        let found = match index {
            Some(index) => self.calls.iter().rposition(|call| call.index == Some(index)),
            None if given_id.is_empty() && name.is_empty() => self.calls.len().checked_sub(1),
            None if given_id.is_empty() => None,
            None => self.calls.iter().rposition(|call| call.given_id == given_id),
        };
        let same = found.filter(|at| {
            let call = &self.calls[*at];
            let other_id = !given_id.is_empty() && !call.given_id.is_empty() && call.given_id != given_id;
            !(other_id && !name.is_empty() && !call.name.is_empty())
        });
        if same.is_none() {
            if self.calls.len() == CALLS_MAX {
                return None;
            }
            self.calls.push(Call { index, ..Call::default() });
        }
        same.or_else(|| self.calls.len().checked_sub(1))
    }

    /// Publishes the new arguments of a call, once it has a name.
    fn publish(&mut self, at: usize, parts: &mut Vec<LivePart>) {
        let call = &self.calls[at];
        if call.published == call.args.len() {
            return;
        }
        let Some(call_id) = self.call_id(at) else { return };
        let call = &mut self.calls[at];
        let args = call.args[call.published..].to_owned();
        call.published = call.args.len();
        parts.push(LivePart::ToolArgsDelta { call_id, name: call.name.clone(), args });
    }

    /// The id that a call has here; none before it has a name. A call that came without an id, or with one that another
    /// call of the answer has already, gets one from the attempt, so that it is the same whenever the stream is read again.
    fn call_id(&mut self, at: usize) -> Option<String> {
        let call = &self.calls[at];
        if call.name.is_empty() {
            return None;
        }
        if call.id.is_none() {
            let taken = self.calls.iter().any(|other| other.id.as_ref() == Some(&call.given_id));
            let own = call.given_id.is_empty() || taken;
            let id = if own { format!("call_{}_{at}", self.attempt_id) } else { call.given_id.clone() };
            self.calls[at].id = Some(id);
        }
        self.calls[at].id.clone()
    }
}

/// Complete arguments as a value. None at all are an empty object, unless the answer was cut before they came.
fn read(args: &str, cut: bool) -> Option<Value> {
    match serde_json::from_str(args) {
        Ok(Value::Null) => Some(json!({})),
        Ok(value) => Some(value),
        Err(_) => (args.trim().is_empty() && !cut).then(|| json!({})),
    }
}
