//! From a prompt to the exact bytes of a Responses request.
//!
//! Nothing is stored at the provider: a request holds the whole conversation, reasoning in its encrypted form, so that it
//! is valid whatever the provider has forgotten. Items go without the ids that the provider gave them, which mean
//! nothing to it then and make it look for what it never kept.
//!
//! - Reasoning goes back if this provider encrypted it, and stays here otherwise.
//! - A web search of this provider goes back as it came; what else ran at a provider becomes text.
//! - Tools keep their schemas as they are: no strict mode.
//! - An error of a tool is marked in its text; the protocol has no field for it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};
use verbatim_events::error::{ChatError, ErrorKind};
use verbatim_events::event::{RequestRecipe, ToolDefinition};
use verbatim_events::ids::Digest;
use verbatim_events::message::{Message, Role};
use verbatim_events::model::{EncodedRequest, Prompt};
use verbatim_events::part::Part;

use super::PROTOCOL;
use super::family::Family;
use crate::call_ids::{CallIds, accepted_name};
use crate::metadata::own;
use crate::plain::{foreign, marked_result, readable, text_of};

/// The number of this encoder. Whoever changes a byte it writes counts it up.
pub const ENCODER: u32 = 1;

/// The longest id of a call, in bytes.
const CALL_ID_MAX_BYTES: usize = 64;

/// What makes the provider send its reasoning along, encrypted.
const INCLUDED: [&str; 1] = ["reasoning.encrypted_content"];

/// The request that `recipe` makes of `prompt`.
pub(super) fn encode(recipe: RequestRecipe, prompt: &Prompt) -> Result<EncodedRequest, ChatError> {
    let family = Family::of(&recipe.provider_model);
    let request = Request {
        model: &recipe.provider_model,
        instructions: prompt.system.as_deref(),
        input: Input::of(prompt, &recipe.provider),
        tools: prompt.tools.iter().map(Tool::new).collect(),
        max_output_tokens: recipe.max_output_tokens,
        reasoning: recipe.effort.as_deref().and_then(|effort| family.effort(effort)).map(Reasoning::new),
        include: if family.reasons() { &INCLUDED } else { &[] },
        store: false,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    include: &'static [&'static str],
    store: bool,
    stream: bool,
}

#[derive(Serialize)]
struct Reasoning<'a> {
    effort: Cow<'a, str>,
    /// Whoever asks for an effort wants to see it; some accounts may not, so nobody else is given it.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'static str>,
}

impl<'a> Reasoning<'a> {
    fn new(effort: Cow<'a, str>) -> Reasoning<'a> {
        let summary = (effort != "none").then_some("auto");
        Reasoning { effort, summary }
    }
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
    strict: bool,
}

impl<'a> Tool<'a> {
    fn new(tool: &'a ToolDefinition) -> Tool<'a> {
        let ToolDefinition { name, description, parameters } = tool;
        Tool { kind: "function", name, description, parameters, strict: false }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message {
        role: &'static str,
        content: Cow<'a, str>,
    },
    Reasoning {
        summary: Vec<Summary<'a>>,
        encrypted_content: &'a str,
    },
    FunctionCall {
        call_id: String,
        name: String,
        arguments: String,
    },
    FunctionCallOutput {
        call_id: String,
        output: Cow<'a, str>,
    },
    /// An item of the provider's, as it came.
    #[serde(untagged)]
    Own(Map<String, Value>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary_text")]
struct Summary<'a> {
    text: &'a str,
}

/// The conversation so far.
struct Input<'a> {
    provider: &'a str,
    items: Vec<Item<'a>>,
    ids: CallIds<'a>,
}

impl<'a> Input<'a> {
    fn of(prompt: &'a Prompt, provider: &'a str) -> Vec<Item<'a>> {
        let ids = CallIds::new(CALL_ID_MAX_BYTES);
        let mut input = Input { provider, items: Vec::with_capacity(prompt.messages.len()), ids };
        for message in &prompt.messages {
            match message.role {
                Role::System => input.say("system", text_of(message)),
                Role::User => input.say("user", text_of(message)),
                Role::Assistant => input.take_answer(message),
                Role::Tool => input.take_results(message),
            }
        }
        input.items
    }

    fn say(&mut self, role: &'static str, content: Cow<'a, str>) {
        if !content.trim().is_empty() {
            self.items.push(Item::Message { role, content });
        }
    }

    fn take_results(&mut self, message: &'a Message) {
        for part in &message.parts {
            let Part::ToolResult { call_id, result, is_error, provider_executed: false, .. } = part else { continue };
            let Some(call_id) = self.ids.answer(call_id) else { continue };
            self.items.push(Item::FunctionCallOutput { call_id, output: marked_result(result, *is_error) });
        }
    }

    fn take_answer(&mut self, message: &'a Message) {
        // The provider's own calls that go back as they came; each item holds its result.
        let mut unchanged = BTreeSet::new();
        for part in &message.parts {
            match part {
                Part::Reasoning { text, metadata } => self.items.extend(self.reasoning(text, metadata.as_ref())),
                Part::ToolCall { call_id, name, args, provider_executed: false, .. } => {
                    let call_id = self.ids.call(call_id);
                    let (name, arguments) = (accepted_name(name), args.to_string());
                    self.items.push(Item::FunctionCall { call_id, name, arguments });
                }
                Part::ToolCall { call_id, metadata, .. } => match self.own_item(metadata.as_ref()) {
                    Some(item) => {
                        unchanged.insert(call_id.as_str());
                        self.items.push(item);
                    }
                    None => self.say_foreign(part),
                },
                Part::ToolResult { call_id, .. } if unchanged.contains(call_id.as_str()) => {}
                Part::ToolResult { .. } => self.say_foreign(part),
                Part::Text { .. } | Part::File { .. } | Part::ContextFile { .. } => {
                    readable(part).into_iter().for_each(|text| self.say("assistant", text));
                }
                Part::Source { .. } => {}
            }
        }
    }

    fn say_foreign(&mut self, part: &Part) {
        foreign(part).into_iter().for_each(|text| self.say("assistant", Cow::Owned(text)));
    }

    /// Reasoning that this provider encrypted.
    fn reasoning(&self, text: &'a str, metadata: Option<&'a Value>) -> Option<Item<'a>> {
        let fields = own(metadata, PROTOCOL, self.provider)?;
        let encrypted_content = fields.get("encrypted_content")?.as_str().filter(|content| !content.is_empty())?;
        let summary: Vec<&str> = match fields.get("summary").and_then(Value::as_array) {
            Some(texts) => texts.iter().filter_map(Value::as_str).collect(),
            None if text.is_empty() => Vec::new(),
            None => vec![text],
        };
        let summary = summary.into_iter().map(|text| Summary { text }).collect();
        Some(Item::Reasoning { summary, encrypted_content })
    }

    /// The item that a web search of this provider came as, without its id.
    fn own_item(&self, metadata: Option<&Value>) -> Option<Item<'a>> {
        let item = own(metadata, PROTOCOL, self.provider)?.get("item")?.as_object()?;
        (item.get("type")?.as_str()? == "web_search_call").then(|| {
            let kept = item.iter().filter(|(name, _)| *name != "id");
            Item::Own(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        })
    }
}
