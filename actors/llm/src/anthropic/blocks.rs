//! The content blocks of an answer, from their beginning to the parts that they become.

use serde_json::{Map, Value};
use verbatim_events::part::{LivePart, Part};

use super::PROTOCOL;
use crate::metadata::marked;
use crate::pieces::{GivenIds, arguments, text_at};

/// A block that began.
#[derive(Clone, Debug)]
pub(super) enum Block {
    /// Thinking, readable or redacted.
    Thinking {
        /// Some of it was published.
        spoke: bool,
        signature: String,
        redacted: Option<Value>,
    },
    /// A call of a tool that somebody else runs.
    Call {
        call_id: String,
        name: String,
        json: String,
        input: Value,
        /// Fields that this module does not know.
        more: Map<String, Value>,
    },
    /// A call of a tool that the provider runs.
    ProviderCall { block: Map<String, Value>, json: String },
    /// What the provider's tool answered.
    ProviderResult { block: Map<String, Value> },
    /// Text, which is published as it comes, or something unknown.
    Other,
}

/// What a block became.
pub(super) enum Ended {
    Nothing,
    Reasoning(LivePart),
    Call(LivePart),
    /// A call without any arguments: complete only if the answer was not cut there.
    BlankCall(LivePart),
    /// A call whose arguments cannot be read.
    BrokenCall,
    ProviderCall {
        id: String,
        name: String,
        part: LivePart,
    },
    ProviderResult {
        id: String,
        block: Map<String, Value>,
    },
}

impl Block {
    pub(super) fn thinking() -> Block {
        Block::Thinking { spoke: false, signature: String::new(), redacted: None }
    }

    pub(super) fn begin(given: &Value, ids: &mut GivenIds) -> Block {
        let kind = text_at(given, "type");
        let mut fields = given.as_object().cloned().unwrap_or_default();
        // Where the cache ends is for the next request to say.
        fields.remove("cache_control");
        match kind {
            "thinking" => {
                Block::Thinking { spoke: false, signature: text_at(given, "signature").to_owned(), redacted: None }
            }
            "redacted_thinking" => {
                Block::Thinking { spoke: false, signature: String::new(), redacted: given.get("data").cloned() }
            }
            "tool_use" => {
                let mut more = fields;
                let input = more.remove("input").unwrap_or_default();
                more.retain(|name, _| !matches!(name.as_str(), "type" | "id" | "name"));
                let (call_id, name) = (ids.take(text_at(given, "id")), text_at(given, "name").to_owned());
                Block::Call { call_id, name, json: String::new(), input, more }
            }
            "server_tool_use" | "mcp_tool_use" if !text_at(given, "id").is_empty() => {
                Block::ProviderCall { block: fields, json: String::new() }
            }
            kind if kind.ends_with("_tool_result") => Block::ProviderResult { block: fields },
            _ => Block::Other,
        }
    }

    /// Takes more of a call's input; gives what watchers see of it. A provider's own call shows when it is complete: before
    /// that it cannot be told from a call that somebody must answer.
    pub(super) fn take_input(&mut self, piece: &str) -> Option<LivePart> {
        match self {
            Block::Call { call_id, name, json, .. } => {
                json.push_str(piece);
                (!piece.is_empty() && !name.is_empty()).then(|| LivePart::ToolArgsDelta {
                    call_id: call_id.clone(),
                    name: name.clone(),
                    args: piece.to_owned(),
                })
            }
            Block::ProviderCall { json, .. } => {
                json.push_str(piece);
                None
            }
            Block::Thinking { .. } | Block::ProviderResult { .. } | Block::Other => None,
        }
    }

    pub(super) fn end(self, provider: &str) -> Ended {
        match self {
            Block::Thinking { spoke: false, signature, redacted: None } if signature.is_empty() => Ended::Nothing,
            Block::Thinking { signature, redacted, .. } => {
                let metadata = match redacted {
                    Some(data) => marked(PROTOCOL, provider, [("type", "redacted_thinking".into()), ("data", data)]),
                    None => marked(PROTOCOL, provider, [("type", "thinking".into()), ("signature", signature.into())]),
                };
                // Without text it takes the text of the deltas before it.
                Ended::Reasoning(LivePart::Whole(Part::Reasoning { text: String::new(), metadata: Some(metadata) }))
            }
            Block::Call { name, .. } if name.is_empty() => Ended::Nothing,
            Block::Call { call_id, name, json, input, more } => {
                let is_blank = json.trim().is_empty() && is_empty(&input);
                let Some(args) = input_of(&json, input) else { return Ended::BrokenCall };
                let metadata = (!more.is_empty()).then(|| marked(PROTOCOL, provider, [("block", Value::Object(more))]));
                let part = Part::ToolCall { call_id, name, args, provider_executed: false, metadata };
                if is_blank { Ended::BlankCall(LivePart::Whole(part)) } else { Ended::Call(LivePart::Whole(part)) }
            }
            Block::ProviderCall { mut block, json } => {
                let input = block.remove("input").unwrap_or_default();
                let Some(args) = input_of(&json, input) else { return Ended::Nothing };
                let text = |field: &str| block.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
                let (id, name) = (text("id"), text("name"));
                let part = Part::ToolCall {
                    call_id: id.clone(),
                    name: name.clone(),
                    args,
                    provider_executed: true,
                    metadata: Some(marked(PROTOCOL, provider, [("block", Value::Object(block))])),
                };
                Ended::ProviderCall { id, name, part: LivePart::Whole(part) }
            }
            Block::ProviderResult { block } => {
                let id = block.get("tool_use_id").and_then(Value::as_str).unwrap_or_default().to_owned();
                Ended::ProviderResult { id, block }
            }
            Block::Other => Ended::Nothing,
        }
    }
}

/// The provider's result of its own call: readable in the part, and whole in the metadata, to go back unchanged.
pub(super) fn provider_result(provider: &str, call_id: String, name: String, block: Map<String, Value>) -> LivePart {
    let content = block.get("content").cloned().unwrap_or_default();
    let names_error = |kind: &str| kind.ends_with("_error");
    let is_error = content.get("type").and_then(Value::as_str).is_some_and(names_error)
        || block.get("is_error").and_then(Value::as_bool) == Some(true);
    let result = content.get("error_code").filter(|_| is_error).cloned().unwrap_or_else(|| readable(&content));
    LivePart::Whole(Part::ToolResult {
        call_id,
        name,
        result,
        is_error,
        provider_executed: true,
        metadata: Some(marked(PROTOCOL, provider, [("block", Value::Object(block))])),
    })
}

/// The empty result of a call that the provider left without one.
pub(super) fn missing_result(provider: &str, call_id: String, name: String) -> LivePart {
    LivePart::Whole(Part::ToolResult {
        call_id,
        name,
        result: Value::from(""),
        is_error: false,
        provider_executed: true,
        metadata: Some(marked(PROTOCOL, provider, [])),
    })
}

/// The content without what only the provider can read.
fn readable(content: &Value) -> Value {
    match content {
        Value::Array(items) => items.iter().map(readable).collect(),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| !name.starts_with("encrypted_"));
            Value::Object(kept.map(|(name, value)| (name.clone(), readable(value))).collect())
        }
        value => value.clone(),
    }
}

/// The input that came in pieces, else the one that was there at the beginning.
fn input_of(json: &str, input: Value) -> Option<Value> {
    if json.trim().is_empty() && !is_empty(&input) { Some(input) } else { arguments(json) }
}

fn is_empty(input: &Value) -> bool {
    match input {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
