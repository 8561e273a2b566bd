//! From a prompt to the exact bytes of a Responses request.
//!
//! Mostly nothing is stored at the provider: a request holds the whole conversation, reasoning in its encrypted form, so
//! that it is valid whatever the provider has forgotten. Items go without the ids that the provider gave them, which mean
//! nothing to it then and make it look for what it never kept. Where the provider keeps its answers and has the last one,
//! the request names that one and holds only what came after it.
//!
//! - Reasoning goes back if this provider encrypted it, and stays here otherwise.
//! - A web search of this provider goes back as it came while searches are offered; what else ran at a provider becomes
//!   text.
//! - Tools keep their schemas as they are: no strict mode.
//! - Pictures and documents of users and tools are parts of their own, text files are text.
//! - An error of a tool is marked in its text; the protocol has no field for it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};
use verbatim_events::event::{RequestRecipe, ToolDefinition};
use verbatim_events::form::FormKey;
use verbatim_events::message::{Message, Role};
use verbatim_events::model::{Continuation, Prompt};
use verbatim_events::part::{FileKind, Part};

use super::PROTOCOL;
use super::family::Family;
use crate::body::{Body, Written, add_kept, form_key, items};
use crate::call_ids::{CallIds, SentId, accepted_name, sent_ids};
use crate::files::Enclosed;
use crate::metadata::own;
use crate::plain::{ResultWithFiles, foreign, marked_result, readable, results_of, text_of};
use crate::provider_tools::{Offered, offered};

/// The longest id of a call, in bytes.
const CALL_ID_MAX_BYTES: usize = 64;

/// What makes the provider send its reasoning along, encrypted.
const INCLUDED: [&str; 1] = ["reasoning.encrypted_content"];

/// The tool whose calls go back to the provider as they came.
const WEB_SEARCH: &str = "web_search";

/// The body that `recipe` makes of `prompt`.
pub(super) fn body(recipe: &RequestRecipe, prompt: &Prompt) -> Written<Vec<u8>> {
    let family = Family::of(&recipe.provider_model);
    let own_tools = offered(recipe, &prompt.tools);
    // A recipe whose answer the prompt does not continue cannot be followed; whoever compares digests sees it.
    let continues = prompt
        .continues
        .as_ref()
        .filter(|continuation| recipe.previous_response_id.as_ref() == Some(&continuation.response.response_id));
    let head = Head { model: &recipe.provider_model, instructions: prompt.system.as_deref() };
    let mut body = Body::open(&head, "input", prompt.messages.len())?;
    Input::new(&recipe.provider, &Offered::of(&own_tools)).add(prompt, continues, &mut body)?;
    let functions = prompt.tools.iter().map(|tool| Tool::Function(Function::new(tool)));
    body.close(&Tail {
        tools: functions.chain(own_tools.into_iter().map(Tool::Own)).collect(),
        max_output_tokens: recipe.max_output_tokens,
        reasoning: recipe.effort.as_deref().and_then(|effort| family.effort(effort)).map(Reasoning::new),
        include: if family.reasons() { &INCLUDED } else { &[] },
        previous_response_id: continues.map(|continuation| continuation.response.response_id.as_str()),
        store: recipe.store,
        stream: true,
    })
}

/// What comes before the conversation.
#[derive(Serialize)]
struct Head<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
}

/// What comes after the conversation.
#[derive(Serialize)]
struct Tail<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    include: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_response_id: Option<&'a str>,
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
#[serde(untagged)]
enum Tool<'a> {
    Function(Function<'a>),
    /// A tool that the provider runs, in its own words.
    Own(&'a Value),
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
    strict: bool,
}

impl<'a> Function<'a> {
    fn new(tool: &'a ToolDefinition) -> Function<'a> {
        let ToolDefinition { name, description, parameters } = tool;
        Function { kind: "function", name, description, parameters, strict: false }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message {
        role: &'static str,
        content: Content<'a>,
    },
    Reasoning {
        summary: Vec<Summary<'a>>,
        encrypted_content: &'a str,
    },
    FunctionCall {
        call_id: &'a str,
        name: String,
        arguments: String,
    },
    FunctionCallOutput {
        call_id: &'a str,
        output: Content<'a>,
    },
    /// An item of the provider's, as it came.
    #[serde(untagged)]
    Own(Map<String, Value>),
}

/// What a message or a tool says.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<ContentPart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum ContentPart<'a> {
    #[serde(rename = "input_text")]
    Text { text: Cow<'a, str> },
    #[serde(rename = "input_image")]
    Image { image_url: String },
    #[serde(rename = "input_file")]
    File { filename: &'a str, file_data: String },
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary_text")]
struct Summary<'a> {
    text: &'a str,
}

/// The conversation, message by message.
struct Input<'a> {
    provider: &'a str,
    /// Searches are offered, so that earlier ones go back as they came.
    searches: bool,
    key: FormKey,
}

impl<'a> Input<'a> {
    fn new(provider: &'a str, offered: &Offered<'_>) -> Input<'a> {
        let searches = offered.knows(WEB_SEARCH);
        let key = form_key([PROTOCOL, provider, if searches { WEB_SEARCH } else { "" }]);
        Input { provider, searches, key }
    }

    /// Adds the prompt's messages, or those that the provider does not know yet.
    fn add(&self, prompt: &'a Prompt, continues: Option<&Continuation>, body: &mut Body) -> Written {
        let mut ids = CallIds::new(CALL_ID_MAX_BYTES);
        let (known, new) = prompt.messages.split_at(continues.map_or(0, |known| known.messages_known));
        // Only the last answer's calls are still to be answered.
        known.last().into_iter().flat_map(|answer| answer.open_call_ids()).for_each(|call_id| ids.adopt(call_id));
        for message in new {
            let sent = sent_ids(message, &mut ids, |_| None);
            if sent.iter().all(SentId::is_own) {
                add_kept(body, message, self.key, || self.items(message, &sent))?;
            } else {
                // What stands before the message changed its ids: they hold for this conversation alone.
                body.add(&self.items(message, &sent)?);
            }
        }
        Ok(())
    }

    /// The message's items, the ids of whose calls and answers are `sent`, in order.
    fn items(&self, message: &Message, sent: &[SentId<'_>]) -> Written<Vec<u8>> {
        match message.role {
            Role::System => items(said("system", text_of(message))),
            Role::User => user(message),
            Role::Assistant => items(self.answer(message, sent)),
            Role::Tool => results(message, sent),
        }
    }

    fn answer<'m>(&self, message: &'m Message, sent: &'m [SentId<'_>]) -> Vec<Item<'m>> {
        let mut sent = sent.iter();
        // The provider's own calls that go back as they came; each item holds its result.
        let mut unchanged = BTreeSet::new();
        let mut items = Vec::with_capacity(message.parts.len());
        for part in &message.parts {
            match part {
                Part::Reasoning { text, metadata } => items.extend(self.reasoning(text, metadata.as_ref())),
                Part::ToolCall { name, args, provider_executed: false, .. } => {
                    if let Some(call_id) = sent.next().and_then(SentId::sent) {
                        let (name, arguments) = (accepted_name(name), args.to_string());
                        items.push(Item::FunctionCall { call_id, name, arguments });
                    }
                }
                Part::ToolCall { call_id, metadata, .. } => match self.own_item(metadata.as_ref()) {
                    Some(item) => {
                        unchanged.insert(call_id.as_str());
                        items.push(item);
                    }
                    None => items.extend(said_foreign(part)),
                },
                Part::ToolResult { call_id, .. } if unchanged.contains(call_id.as_str()) => {}
                Part::ToolResult { .. } => items.extend(said_foreign(part)),
                Part::Text { .. } | Part::File { .. } | Part::ContextFile { .. } => {
                    items.extend(readable(part).and_then(|text| said("assistant", text)));
                }
                Part::Source { .. } => {}
            }
        }
        items
    }

    /// Reasoning that this provider encrypted.
    fn reasoning<'m>(&self, text: &'m str, metadata: Option<&'m Value>) -> Option<Item<'m>> {
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
    fn own_item<'m>(&self, metadata: Option<&'m Value>) -> Option<Item<'m>> {
        let item = own(metadata, PROTOCOL, self.provider).filter(|_| self.searches)?.get("item")?.as_object()?;
        (item.get("type")?.as_str()? == "web_search_call").then(|| {
            let kept = item.iter().filter(|(name, _)| *name != "id");
            Item::Own(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        })
    }
}

fn said<'m>(role: &'static str, content: Cow<'m, str>) -> Option<Item<'m>> {
    (!content.trim().is_empty()).then_some(Item::Message { role, content: Content::Text(content) })
}

/// What a user says, with the files that come with it.
fn user(message: &Message) -> Written<Vec<u8>> {
    let Some(enclosed) = Enclosed::of(message) else { return items(said("user", text_of(message))) };
    let parts = message.parts.iter().filter_map(|part| content_part(part, Some(&enclosed))).collect();
    let bytes = items([Item::Message { role: "user", content: Content::Parts(parts) }])?;
    Ok(enclosed.settle(bytes))
}

/// What a user or a tool shows: words, or a file.
fn content_part<'m>(part: &'m Part, enclosed: Option<&Enclosed>) -> Option<ContentPart<'m>> {
    let Some((file, enclosed)) = Enclosed::file(part).zip(enclosed) else {
        let text = readable(part).filter(|text| !text.trim().is_empty())?;
        return Some(ContentPart::Text { text });
    };
    Some(match file.kind {
        FileKind::Text => ContentPart::Text { text: Cow::Owned(enclosed.text(&file)) },
        FileKind::Image => ContentPart::Image { image_url: enclosed.data_url(&file) },
        FileKind::Pdf => ContentPart::File { filename: file.name, file_data: enclosed.data_url(&file) },
    })
}

fn said_foreign(part: &Part) -> Option<Item<'_>> {
    foreign(part).and_then(|text| said("assistant", Cow::Owned(text)))
}

fn results(message: &Message, sent: &[SentId<'_>]) -> Written<Vec<u8>> {
    let enclosed = Enclosed::of(message);
    let outputs = results_of(message).zip(sent).filter_map(|(ResultWithFiles { result, is_error, files }, id)| {
        let call_id = id.sent()?;
        let text = marked_result(result, is_error);
        let output = if files.is_empty() {
            Content::Text(text)
        } else {
            let text = Some(text).filter(|text| !text.trim().is_empty()).map(|text| ContentPart::Text { text });
            let files = files.iter().filter_map(|part| content_part(part, enclosed.as_ref()));
            Content::Parts(text.into_iter().chain(files).collect())
        };
        Some(Item::FunctionCallOutput { call_id, output })
    });
    let bytes = items(outputs)?;
    Ok(match &enclosed {
        Some(enclosed) => enclosed.settle(bytes),
        None => bytes,
    })
}
