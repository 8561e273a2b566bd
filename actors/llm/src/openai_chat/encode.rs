//! From a prompt to the exact bytes of a Chat Completions request.
//!
//! Choices that keep the widest range of compatible servers content, all of them functions of the recipe:
//!
//! - The output limit is `max_tokens`, which every server knows, except for the model families that accept nothing but
//!   `max_completion_tokens` (see `limits_by_completion`).
//! - Content is a plain string, and a list of parts only where a user shows pictures or documents. Text files are text.
//! - An error of a tool is marked in its text; the protocol has no field for it.
//! - What a provider ran itself becomes text: the protocol has no place for it.
//! - Reasoning stays here, except for the families that demand their own back within a turn (see `wants_reasoning`).
//! - What a tool shows is named, not sent: the protocol has no place for it.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use verbatim_events::event::{RequestRecipe, ToolDefinition};
use verbatim_events::ids::Digest;
use verbatim_events::message::{Message, Role};
use verbatim_events::model::Prompt;
use verbatim_events::part::{FileKind, Part};

use super::PROTOCOL;
use crate::body::{Body, Written, add_kept, form_key, items};
use crate::effort::base_name;
use crate::files::Enclosed;
use crate::plain::{ResultWithFiles, foreign, marked_result, readable, results_of, text_of};

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

/// The kinds of files that a model takes: OpenAI's own read documents, few others do.
pub(super) fn file_kinds(provider_model: &str) -> &'static [FileKind] {
    let name = base_name(provider_model);
    let is_own = name.starts_with("gpt-") || name.starts_with("chatgpt-") || limits_by_completion(provider_model);
    if is_own { &[FileKind::Image, FileKind::Pdf] } else { &[FileKind::Image] }
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
        tools: prompt.tools.iter().map(|tool| Tool::new(tool)).collect(),
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
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
}

/// What a message says.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<ContentPart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ContentPart<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: ImageUrl },
    File { file: File<'a> },
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

#[derive(Serialize)]
struct File<'a> {
    filename: &'a str,
    file_data: String,
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
        Role::User => user(message),
        Role::Assistant => items(assistant(message, with_reasoning)),
        Role::Tool => tool_results(message),
    }
}

/// What a user says, with the files that come with it.
fn user(message: &Message) -> Written<Vec<u8>> {
    let Some(enclosed) = Enclosed::of(message) else { return items([plain("user", text_of(message))]) };
    let text = |part| match Enclosed::file(part) {
        Some(file) if file.kind == FileKind::Text => Some(Cow::Owned(enclosed.text(&file))),
        _ => readable(part).filter(|text| !text.is_empty()),
    };
    let is_media = |part| Enclosed::file(part).is_some_and(|file| file.kind != FileKind::Text);
    if !message.parts.iter().any(is_media) {
        let texts: Vec<_> = message.parts.iter().filter_map(text).collect();
        return items([plain("user", Cow::Owned(texts.join("\n\n")))]).map(|bytes| enclosed.settle(bytes));
    }
    let parts = message.parts.iter().filter_map(|part| match Enclosed::file(part) {
        Some(file) if file.kind == FileKind::Image => {
            Some(ContentPart::ImageUrl { image_url: ImageUrl { url: enclosed.data_url(&file) } })
        }
        Some(file) if file.kind == FileKind::Pdf => {
            Some(ContentPart::File { file: File { filename: file.name, file_data: enclosed.data_url(&file) } })
        }
        _ => text(part).map(|text| ContentPart::Text { text }),
    });
    let content = Some(Content::Parts(parts.collect()));
    items([WireMessage { content, ..plain("user", Cow::Borrowed("")) }]).map(|bytes| enclosed.settle(bytes))
}

fn plain<'a>(role: &'static str, content: Cow<'a, str>) -> WireMessage<'a> {
    WireMessage {
        role,
        tool_call_id: None,
        content: Some(Content::Text(content)),
        reasoning_content: None,
        tool_calls: Vec::new(),
    }
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
        content: Some(content).filter(|content| !content.is_empty()).map(Content::Text),
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

/// What tools answered, a message for each call. Files of a result are part of its text.
fn tool_results(message: &Message) -> Written<Vec<u8>> {
    let enclosed = Enclosed::of(message);
    let call_ids = message.parts.iter().filter_map(|part| match part {
        Part::ToolResult { call_id, provider_executed: false, .. } => Some(call_id),
        _ => None,
    });
    let messages = call_ids.zip(results_of(message)).map(|(call_id, ResultWithFiles { result, is_error, files })| {
        let text = |part| match Enclosed::file(part).zip(enclosed.as_ref()) {
            Some((file, enclosed)) => Some(Cow::Owned(enclosed.text(&file))),
            None => readable(part),
        };
        let content = files.iter().filter_map(text).fold(marked_result(result, is_error), |mut all, text| {
            let _ = write!(all.to_mut(), "\n\n{text}");
            all
        });
        WireMessage { tool_call_id: Some(wire_call_id(call_id)), ..plain("tool", content) }
    });
    let bytes = items(messages)?;
    Ok(match &enclosed {
        Some(enclosed) => enclosed.settle(bytes),
        None => bytes,
    })
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
