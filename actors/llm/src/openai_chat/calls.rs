//! The tool calls of one answer, put together from fragments that may interleave.

use serde_json::{Value, json};
use verbatim_events::ids::AttemptId;
use verbatim_events::part::{LivePart, Part};

/// How many calls one answer may hold; later ones are ignored.
const CALLS_MAX: usize = 256;

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    /// The id as the server gave it; empty if it gave none.
    given_id: String,
    /// The id the call has here, once it was announced.
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
    attempt_id: AttemptId,
    calls: Vec<Call>,
}

impl Calls {
    pub(super) fn new(attempt_id: AttemptId) -> Calls {
        Calls { attempt_id, calls: Vec::new() }
    }

    /// A call with a name has begun.
    pub(super) fn any(&self) -> bool {
        self.calls.iter().any(|call| call.id.is_some())
    }

    /// Takes one fragment.
    pub(super) fn take(&mut self, fragment: &Value, parts: &mut Vec<LivePart>) {
        let text = |pointer: &str| fragment.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (given_id, name) = (text("/id"), text("/function/name"));
        let Some(at) = self.place(fragment.get("index").and_then(Value::as_u64), given_id, name) else { return };
        let call = &mut self.calls[at];
        if call.given_id.is_empty() {
            given_id.clone_into(&mut call.given_id);
        }
        // Servers send the name whole, some of them again and again.
        if call.name.is_empty() {
            name.clone_into(&mut call.name);
        }
        match fragment.pointer("/function/arguments") {
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

    /// Ends all calls: each comes once more, whole. `cut` says that the answer was cut short.
    pub(super) fn finish(&mut self, cut: bool, parts: &mut Vec<LivePart>) {
        for call in self.calls.drain(..) {
            let Some(call_id) = call.id else { continue };
            let metadata = call.extra_content.map(|extra| json!({ "extra_content": extra }));
            let args = read(call.args, cut);
            let part = Part::ToolCall { call_id, name: call.name, args, provider_executed: false, metadata };
            parts.push(LivePart::Whole(part));
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

    /// Publishes what is new of a call, once it has a name. A call without an id of its own, or with one that another
    /// call of the answer has already, gets one from the attempt, so that it is the same whenever the stream is read again.
    fn publish(&mut self, at: usize, parts: &mut Vec<LivePart>) {
        if self.calls[at].name.is_empty() {
            return;
        }
        let announced = self.calls[at].id.is_some();
        let call_id = match &self.calls[at].id {
            Some(id) => id.clone(),
            None => {
                let given = &self.calls[at].given_id;
                let taken = self.calls.iter().any(|call| call.id.as_ref() == Some(given));
                if given.is_empty() || taken { format!("call_{}_{at}", self.attempt_id) } else { given.clone() }
            }
        };
        let call = &mut self.calls[at];
        call.id = Some(call_id.clone());
        let args = call.args[call.published..].to_owned();
        call.published = call.args.len();
        if !announced || !args.is_empty() {
            parts.push(LivePart::ToolArgsDelta { call_id, name: call.name.clone(), args });
        }
    }
}

/// The arguments as a value. None at all are an empty object, unless the answer was cut before they came. Text that is no
/// JSON stays text: whoever checks it against the tool's schema tells the model what is wrong with it.
fn read(args: String, cut: bool) -> Value {
    match serde_json::from_str(&args) {
        Ok(Value::Null) => json!({}),
        Ok(value) => value,
        Err(_) if args.trim().is_empty() && !cut => json!({}),
        Err(_) => Value::String(args),
    }
}
