//! From a prompt to the exact bytes of a Messages request.
//!
//! - Messages of one side that follow each other become one: the protocol alternates. What tools answered comes first.
//! - A call and its result have the same id, which no other call of the conversation has.
//! - Thinking goes back with its signature; without one, or to another provider, it stays here.
//! - What this provider ran itself goes back as it came while the tool is offered; what another ran becomes text.
//! - Pictures and documents of users and tools are blocks of their own, text files are text.
//! - The last block of the instructions and of the last two messages end what the provider is to keep in its cache.
//! - A history with tools needs their definitions. Where none are offered any more, empty ones stand in, and none may be
//!   called.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};
use verbatim_events::event::{RequestRecipe, ToolDefinition};
use verbatim_events::message::Role;
use verbatim_events::model::Prompt;
use verbatim_events::part::Part;

use super::content::Content;
use super::family::{Family, Thought};
use super::request::{Block, CacheControl, TextBlock};
use super::turns;
use crate::body::{Body, Written};
use crate::call_ids::accepted_name;
use crate::effort::Effort;
use crate::plain::text_of;
use crate::provider_tools::{Offered, offered};

/// Features of the provider's own tools that a request must ask for: the tool's type and the feature.
const TOOL_BETAS: [(&str, &str); 3] = [
    ("web_fetch_20250910", "web-fetch-2025-09-10"),
    ("code_execution_20250522", "code-execution-2025-05-22"),
    ("code_execution_20250825", "code-execution-2025-08-25"),
];

/// The body that `recipe` makes of `prompt`.
pub(super) fn body(recipe: &RequestRecipe, prompt: &Prompt) -> Written<Vec<u8>> {
    let family = Family::of(&recipe.provider_model);
    let max_tokens = recipe.max_output_tokens.unwrap_or(family.default_max_tokens);
    let effort = recipe.effort.as_deref().and_then(Effort::read);
    let own_tools = offered(recipe, &prompt.tools);
    let head = Head { model: &recipe.provider_model, max_tokens, system: system(prompt) };
    let mut body = Body::open(&head, "messages", prompt.messages.len())?;
    let content = Content { provider: &recipe.provider, offered: Offered::of(&own_tools) };
    let may_begin_with_thinking = turns::add(&prompt.messages, &content, &mut body)?;
    let mentioned = if prompt.tools.is_empty() && own_tools.is_empty() { mentioned(prompt) } else { BTreeSet::new() };
    let (mut tools, tool_choice) = tools(&prompt.tools, &mentioned);
    tools.extend(own_tools.into_iter().map(Tool::Own));
    let thought = family.thinking(effort, max_tokens, may_begin_with_thinking);
    body.close(&Tail { tools, tool_choice, thought, stream: true })
}

/// The beta features that a request needs.
pub(super) fn betas(recipe: &RequestRecipe) -> Vec<&'static str> {
    let types = || recipe.provider_tools.iter().filter_map(|tool| tool.get("type")?.as_str());
    let of_tools = TOOL_BETAS.into_iter().filter(|(kind, _)| types().any(|given| given == *kind)).map(|(_, beta)| beta);
    Family::of(&recipe.provider_model).beta().into_iter().chain(of_tools).collect()
}

/// What comes before the messages.
#[derive(Serialize)]
struct Head<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
}

/// What comes after the messages.
#[derive(Serialize)]
struct Tail<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ToolChoice>,
    #[serde(flatten)]
    thought: Thought,
    stream: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Tool<'a> {
    Function(Function<'a>),
    /// A tool that the provider runs, in its own words.
    Own(&'a Value),
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    input_schema: Cow<'a, Value>,
}

#[derive(Serialize)]
struct ToolChoice {
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The instructions, then the messages that instruct; the last block is kept in the provider's cache.
fn system(prompt: &Prompt) -> Vec<Block<'_>> {
    let instructing =
        prompt.messages.iter().filter(|message| message.role == Role::System).map(|message| text_of(message));
    let texts = prompt.system.as_deref().map(Cow::Borrowed).into_iter().chain(instructing);
    let blocks = texts.filter(|text| !text.trim().is_empty()).map(|text| Block::Text(TextBlock::new(text)));
    let mut blocks: Vec<_> = blocks.collect();
    if let Some(Block::Text(last)) = blocks.last_mut() {
        last.cache_control = Some(CacheControl::EPHEMERAL);
    }
    blocks
}

/// The names of the tools that the history mentions.
fn mentioned(prompt: &Prompt) -> BTreeSet<String> {
    let answers = prompt.messages.iter().filter(|message| message.role == Role::Assistant);
    let calls = answers.flat_map(|message| &message.parts).filter_map(|part| match part {
        Part::ToolCall { name, provider_executed: false, .. } => Some(accepted_name(name)),
        _ => None,
    });
    calls.collect()
}

fn tools<'a>(
    offered: &'a [Arc<ToolDefinition>],
    mentioned: &'a BTreeSet<String>,
) -> (Vec<Tool<'a>>, Option<ToolChoice>) {
    let stand_in = |name: &'a String| Function {
        name,
        description: "No longer available.",
        input_schema: Cow::Owned(json!({ "type": "object" })),
    };
    let function = |tool: &'a Arc<ToolDefinition>| Function {
        name: &tool.name,
        description: &tool.description,
        input_schema: schema(&tool.parameters),
    };
    let stand_ins = mentioned.iter().map(stand_in).map(Tool::Function);
    let tools = offered.iter().map(function).map(Tool::Function).chain(stand_ins).collect();
    (tools, (!mentioned.is_empty()).then_some(ToolChoice { kind: "none" }))
}

/// The schema with the type that the protocol demands.
fn schema(parameters: &Value) -> Cow<'_, Value> {
    match parameters {
        Value::Object(fields) if fields.contains_key("type") => Cow::Borrowed(parameters),
        Value::Object(fields) => {
            let mut fields: Map<String, Value> = fields.clone();
            fields.insert("type".to_owned(), "object".into());
            Cow::Owned(Value::Object(fields))
        }
        _ => Cow::Owned(json!({ "type": "object" })),
    }
}
