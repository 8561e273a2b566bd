//! From a prompt to the exact bytes of a Chat Completions request.
//!
//! Choices that keep the widest range of compatible servers content, all of them functions of the recipe:
//!
//! - The output limit is `max_tokens`, which every server knows, except for the model families that accept nothing but
//!   `max_completion_tokens` (see `limits_by_completion`).
//! - Content is a plain string, never a list of blocks.
//! - An error of a tool is marked in its text; the protocol has no field for it.
//! - What a provider ran itself becomes text: the protocol has no place for it.
//! - Reasoning stays here, except for the families that demand their own back within a turn (see `wants_reasoning`).
//! - A file that only has an id is named, not sent.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use verbatim_events::event::{RequestRecipe, ToolDefinition};
use verbatim_events::ids::Digest;
use verbatim_events::message::{Message, Role};
use verbatim_events::model::Prompt;
use verbatim_events::part::Part;

use super::PROTOCOL;
use crate::body::{Body, Written, add_kept, form_key, items};
use crate::effort::base_name;
use crate::plain::{foreign, marked_result, readable, text_of};

/// The longest id of a call that OpenAI accepts; another provider's may be longer.
const CALL_ID_MAX_BYTES: usize = 40;

/// The model families that accept the output limit as `max_completion_tokens` alone: `o1`, `o3` …, `gpt-5` and later.
fn limits_by_completion(provider_model: &str) -> bool {
    let name = base_name(provider_model);
    let number =
        |rest: &str| rest.split(|character: char| !character.is_ascii_digit()).next().and_then(|n| n.parse().ok());
    let reasoning = name.strip_prefix('o').and_then(number).is_some_and(|_: u32| true);
    reasoning || name.strip_prefix("gpt-").and_then(number).is_some_and(|generation: u32| generation >= 5)
}

/// The model families that refuse a turn's later steps without the reasoning of its earlier ones.
fn wants_reasoning(provider_model: &str) -> bool {
    let name = base_name(provider_model);
    name.starts_with("deepseek") || name.starts_with("kimi")
}

/// The body that `recipe` makes of `prompt`.
pub(super) fn body(recipe: &RequestRecipe, prompt: &Prompt) -> Written<Vec<u8>> {
    let limit = recipe.max_output_tokens;
    let by_completion = limits_by_completion(&recipe.provider_model);
    let mut body = Body::open(&Head { model: &recipe.provider_model }, "messages", prompt.messages.len())?;
    if let Some(text) = &prompt.system {
        body.add(&items([plain("system", Cow::Borrowed(text))])?);
    }
    let wants_reasoning = wants_reasoning(&recipe.provider_model);
    let turn_from = prompt.messages.iter().rposition(|message| message.role == Role::User).unwrap_or(0);
    let key = form_key([PROTOCOL]);
    for (index, message) in prompt.messages.iter().enumerate() {
        if wants_reasoning && index > turn_from && message.role == Role::Assistant {
            // Only while the turn lasts, hence not kept.
            body.add(&wire(message, true)?);
        } else {
            add_kept(&mut body, message, key, || wire(message, false))?;
        }
    }
    body.close(&Tail {
        tools: prompt.tools.iter().map(Tool::new).collect(),
        max_tokens: limit.filter(|_| !by_completion),
        max_completion_tokens: limit.filter(|_| by_completion),
        reasoning_effort: recipe.effort.as_deref(),
        stream: true,
        stream_options: StreamOptions { include_usage: true },
    })
}

/// What comes before the messages.
#[derive(Serialize)]
struct Head<'a> {
    model: &'a str,
}

/// What comes after the messages.
#[derive(Serialize)]
struct Tail<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
    stream: bool,
    stream_options: StreamOptions,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
    content: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireFunction<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<&'a Value>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    arguments: String,
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: ToolFunction<'a>,
}

#[derive(Serialize)]
struct ToolFunction<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

impl<'a> Tool<'a> {
    fn new(tool: &'a ToolDefinition) -> Tool<'a> {
        let function = ToolFunction { name: &tool.name, description: &tool.description, parameters: &tool.parameters };
        Tool { kind: "function", function }
    }
}

/// A message as it is sent, whatever stands around it.
fn wire(message: &Message, with_reasoning: bool) -> Written<Vec<u8>> {
    match message.role {
        Role::System => items([plain("system", text_of(message))]),
        Role::User => items([plain("user", text_of(message))]),
        Role::Assistant => items(assistant(message, with_reasoning)),
        Role::Tool => items(message.parts.iter().filter_map(tool_result)),
    }
}

fn plain<'a>(role: &'static str, content: Cow<'a, str>) -> WireMessage<'a> {
    WireMessage { role, tool_call_id: None, content: Some(content), reasoning_content: None, tool_calls: Vec::new() }
}

/// An assistant's message; nothing where it holds neither text nor calls, since servers refuse such a message.
fn assistant(message: &Message, with_reasoning: bool) -> Option<WireMessage<'_>> {
    let content = words(message);
    let tool_calls: Vec<_> = message.parts.iter().filter_map(tool_call).collect();
    if content.is_empty() && tool_calls.is_empty() {
        return None;
    }
    let reasoning: String = message
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Reasoning { text, metadata: None } => Some(text.as_str()),
            _ => None,
        })
        .filter(|_| with_reasoning && !tool_calls.is_empty())
        .collect();
    Some(WireMessage {
        role: "assistant",
        tool_call_id: None,
        content: Some(content).filter(|content| !content.is_empty()),
        reasoning_content: Some(reasoning).filter(|text| !text.is_empty()),
        tool_calls,
    })
}

/// What an assistant's message says in words, with what a provider ran itself.
fn words(message: &Message) -> Cow<'_, str> {
    let by_provider = |part: &&Part| {
        matches!(
            part,
            Part::ToolCall { provider_executed: true, .. } | Part::ToolResult { provider_executed: true, .. }
        )
    };
    if !message.parts.iter().any(|part| by_provider(&part)) {
        return text_of(message);
    }
    let told = |part: &Part| if by_provider(&part) { foreign(part) } else { readable(part).map(Cow::into_owned) };
    let texts: Vec<_> = message.parts.iter().filter_map(told).filter(|text| !text.is_empty()).collect();
    Cow::Owned(texts.join("\n\n"))
}

/// A call that somebody other than the provider answers.
fn tool_call(part: &Part) -> Option<WireCall<'_>> {
    let Part::ToolCall { call_id, name, args, provider_executed: false, metadata } = part else { return None };
    Some(WireCall {
        id: wire_call_id(call_id),
        kind: "function",
        function: WireFunction { name, arguments: args.to_string() },
        extra_content: metadata.as_ref().and_then(|metadata| metadata.get("extra_content")),
    })
}

fn tool_result(part: &Part) -> Option<WireMessage<'_>> {
    let Part::ToolResult { call_id, result, is_error, provider_executed: false, .. } = part else { return None };
    let content = marked_result(result, *is_error);
    Some(WireMessage { tool_call_id: Some(wire_call_id(call_id)), ..plain("tool", content) })
}

/// The call's id, or a digest of it where it is too long; the same for the call and its result.
fn wire_call_id(call_id: &str) -> Cow<'_, str> {
    if call_id.len() <= CALL_ID_MAX_BYTES {
        return Cow::Borrowed(call_id);
    }
    let mut short = Digest::of(call_id.as_bytes()).to_string();
    short.truncate(32);
    Cow::Owned(format!("call_{short}"))
}
