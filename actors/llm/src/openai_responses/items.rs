//! The items of an answer's output: what of each was published already, and what it is when it is complete.

use serde_json::Value;
use verbatim_events::part::{LivePart, Part};

use super::PROTOCOL;
use crate::metadata::marked;
use crate::pieces::{arguments, list_at, text_at};

/// How many items one answer may hold; later ones are ignored.
const ITEMS_MAX: usize = 4096;

/// Items of tools that the provider runs, and the names of the tools.
const PROVIDER_TOOLS: [(&str, &str); 4] = [
    ("web_search_call", "web_search"),
    ("file_search_call", "file_search"),
    ("code_interpreter_call", "code_interpreter"),
    ("mcp_call", "mcp"),
];

/// One item.
#[derive(Debug, Default)]
pub(super) struct Item {
    index: Option<u64>,
    id: String,
    /// The kind of item, once it is known.
    pub(super) kind: String,
    /// It is complete.
    pub(super) is_done: bool,
    /// The arguments that deltas told.
    pub(super) args: String,
    /// What was published of its reasoning.
    pub(super) reasoning: String,
    /// The call that it is, once it has a name.
    pub(super) call: Option<Call>,
}

/// A call of a tool that somebody else runs.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) call_id: String,
    pub(super) name: String,
}

/// The items so far, in the order of their beginning.
#[derive(Debug, Default)]
pub(super) struct Items(Vec<Item>);

impl Items {
    /// The place of the item that an event speaks of: by its index in the output, else by its id, else the last one. One
    /// that did not begin begins here; nothing where there are too many.
    pub(super) fn place(&mut self, index: Option<u64>, id: &str) -> Option<usize> {
        let found = match index {
            Some(index) => self.0.iter().rposition(|item| item.index == Some(index)),
            None if id.is_empty() => self.0.len().checked_sub(1),
            None => self.0.iter().rposition(|item| item.id == id),
        };
        if found.is_some() {
            return found;
        }
        if self.0.len() == ITEMS_MAX {
            return None;
        }
        self.0.push(Item { index, id: id.to_owned(), ..Item::default() });
        self.0.len().checked_sub(1)
    }

    pub(super) fn at(&mut self, place: usize) -> &mut Item {
        &mut self.0[place]
    }

    /// Arguments of some call were published.
    pub(super) fn any_arguments(&self) -> bool {
        self.0.iter().any(|item| !item.args.is_empty())
    }
}

/// A reasoning item as a part; nothing where it holds nothing. `spoken` is what deltas told of it.
pub(super) fn reasoning(item: &Value, spoken: &str, provider: &str) -> Option<LivePart> {
    let summary: Vec<&str> = list_at(item, "summary").iter().map(|piece| text_at(piece, "text")).collect();
    let encrypted =
        item.get("encrypted_content").filter(|content| content.as_str().is_some_and(|text| !text.is_empty()));
    let content: Vec<&str> = list_at(item, "content").iter().map(|piece| text_at(piece, "text")).collect();
    let told =
        [summary.join("\n\n"), content.join("\n\n")].into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    if encrypted.is_none() && spoken.is_empty() && told.is_empty() {
        return None;
    }
    let id = text_at(item, "id");
    // Without text the part takes the text of the deltas before it.
    let text = if spoken.is_empty() { told } else { String::new() };
    let shown = if spoken.is_empty() { &text } else { spoken };
    let is_as_shown = if shown.is_empty() { summary.is_empty() } else { summary == [shown] };
    let metadata = match (encrypted, is_as_shown) {
        (None, _) => marked(PROTOCOL, provider, [("id", id.into())]),
        (Some(content), true) => {
            marked(PROTOCOL, provider, [("id", id.into()), ("encrypted_content", content.clone())])
        }
        (Some(content), false) => {
            let summary = ("summary", summary.into());
            marked(PROTOCOL, provider, [("id", id.into()), ("encrypted_content", content.clone()), summary])
        }
    };
    Some(LivePart::Whole(Part::Reasoning { text, metadata: Some(metadata) }))
}

/// A function call as a part; nothing where its arguments are incomplete. `told` are the arguments that deltas told.
pub(super) fn call(item: &Value, call: Call, told: &str) -> Option<LivePart> {
    if text_at(item, "status") == "incomplete" {
        return None;
    }
    let args = match item.get("arguments") {
        Some(Value::String(text)) if !text.is_empty() => arguments(text)?,
        None | Some(Value::Null | Value::String(_)) => arguments(told)?,
        // Not the text but the value itself.
        Some(value) => value.clone(),
    };
    let Call { call_id, name } = call;
    Some(LivePart::Whole(Part::ToolCall { call_id, name, args, provider_executed: false, metadata: None }))
}

/// The tool that an item of this kind says the provider ran.
pub(super) fn provider_tool(kind: &str) -> Option<&'static str> {
    PROVIDER_TOOLS.into_iter().find(|(known, _)| *known == kind).map(|(_, name)| name)
}

/// What the provider ran itself: the call, and its result, an empty one where the provider tells none.
pub(super) fn provider_run(item: &Value, call_id: &str, tool: &str, provider: &str) -> [LivePart; 2] {
    let known = |name: &str| matches!(name, "type" | "id" | "status" | "action");
    let answers = |name: &str| matches!(name, "results" | "outputs" | "output" | "error" | "result");
    let fields = item.as_object();
    let args = match item.get("action") {
        Some(action) => action.clone(),
        None => {
            let asked = fields.into_iter().flatten().filter(|(name, _)| !known(name) && !answers(name));
            Value::Object(asked.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
    };
    let told = fields.into_iter().flatten().find(|(name, value)| answers(name) && !value.is_null());
    let is_error = text_at(item, "status") == "failed" || told.is_some_and(|(name, _)| name == "error");
    let result = told.map_or_else(|| Value::from(""), |(_, value)| value.clone());
    let (call_id, name) = (call_id.to_owned(), tool.to_owned());
    let metadata = marked(PROTOCOL, provider, [("item", item.clone())]);
    let answer = Part::ToolResult {
        call_id: call_id.clone(),
        name: name.clone(),
        result,
        is_error,
        provider_executed: true,
        metadata: Some(marked(PROTOCOL, provider, [])),
    };
    let call = Part::ToolCall { call_id, name, args, provider_executed: true, metadata: Some(metadata) };
    [LivePart::Whole(call), LivePart::Whole(answer)]
}
