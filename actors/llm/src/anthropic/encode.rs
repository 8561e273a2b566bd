//! From a prompt to the exact bytes of a Messages request.
//!
//! - Messages of one side that follow each other become one: the protocol alternates. What tools answered comes first.
//! - A call and its result have the same id, which no other call of the conversation has.
//! - Thinking goes back with its signature; without one, or to another provider, it stays here.
//! - What this provider ran itself goes back as it came; what another ran becomes text.
//! - The last block of the instructions and of the last two messages end what the provider is to keep in its cache.
//! - A history with tools needs their definitions. Where none are offered any more, empty ones stand in, and none may be
//!   called.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};
use verbatim_events::error::{ChatError, ErrorKind};
use verbatim_events::event::{RequestRecipe, ToolDefinition};
use verbatim_events::ids::Digest;
use verbatim_events::message::Role;
use verbatim_events::model::{EncodedRequest, Prompt};

use super::PROTOCOL;
use super::family::{Family, Thought};
use super::turns::{Block, CacheControl, TextBlock, Turn, Turns};
use crate::effort::Effort;
use crate::plain::text_of;

/// The number of this encoder. Whoever changes a byte it writes counts it up.
pub const ENCODER: u32 = 1;

/// How many of the last messages end what is cached.
const CACHED_TURNS: usize = 2;

/// The request that `recipe` makes of `prompt`.
pub(super) fn encode(recipe: RequestRecipe, prompt: &Prompt) -> Result<EncodedRequest, ChatError> {
    let family = Family::of(&recipe.provider_model);
    let max_tokens = recipe.max_output_tokens.unwrap_or(family.default_max_tokens);
    let effort = recipe.effort.as_deref().and_then(Effort::read);
    let mut turns = Turns::of(prompt, &recipe.provider);
    let thought = family.thinking(effort, max_tokens, turns.may_begin_with_thinking());
    let mentioned = turns.take_tools();
    let (tools, tool_choice) = tools(&prompt.tools, &mentioned);
    let request = Request {
        model: &recipe.provider_model,
        max_tokens,
        system: system(prompt),
        messages: turns.cached(CACHED_TURNS),
        tools,
        tool_choice,
        thought,
        stream: true,
    };
    let body = serde_json::to_vec(&request).map_err(|error| {
        ChatError::terminal(ErrorKind::Generic, format!("The request to the model cannot be written as JSON: {error}."))
    })?;
    Ok(EncodedRequest { digest: Digest::of(&body), body, recipe })
}

/// The recipe's fields for a model.
pub(super) fn recipe(
    provider: &str,
    provider_model: &str,
    max_output_tokens: Option<u64>,
    effort: Option<&str>,
) -> RequestRecipe {
    RequestRecipe {
        protocol: PROTOCOL.to_owned(),
        provider: provider.to_owned(),
        provider_model: provider_model.to_owned(),
        max_output_tokens,
        effort: effort.map(str::to_owned),
        encoder: ENCODER,
    }
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ToolChoice>,
    #[serde(flatten)]
    thought: Thought,
    stream: bool,
}

#[derive(Serialize)]
struct Tool<'a> {
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

fn tools<'a>(offered: &'a [ToolDefinition], mentioned: &'a BTreeSet<String>) -> (Vec<Tool<'a>>, Option<ToolChoice>) {
    if offered.is_empty() && !mentioned.is_empty() {
        let stand_in = |name: &'a String| Tool {
            name,
            description: "No longer available.",
            input_schema: Cow::Owned(json!({ "type": "object" })),
        };
        return (mentioned.iter().map(stand_in).collect(), Some(ToolChoice { kind: "none" }));
    }
    let tools = offered.iter().map(|tool| Tool {
        name: &tool.name,
        description: &tool.description,
        input_schema: schema(&tool.parameters),
    });
    (tools.collect(), None)
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
