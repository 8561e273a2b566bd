//! A conversation as alternating messages of content blocks.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};
use verbatim_events::message::{Message, Role};
use verbatim_events::model::Prompt;
use verbatim_events::part::Part;

use super::PROTOCOL;
use crate::call_ids::{CallIds, accepted_name};
use crate::metadata::own;
use crate::plain::{foreign, readable, result_text};

/// The longest id of a call, in bytes.
const CALL_ID_MAX_BYTES: usize = 64;

const USER: &str = "user";
const ASSISTANT: &str = "assistant";

/// Marks the end of what the provider keeps in its cache.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct CacheControl {
    #[serde(rename = "type")]
    kind: &'static str,
}

impl CacheControl {
    pub(super) const EPHEMERAL: CacheControl = CacheControl { kind: "ephemeral" };
}

/// One side's message.
#[derive(Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

/// A content block.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Block<'a> {
    Text(TextBlock<'a>),
    Thinking(ThinkingBlock<'a>),
    Redacted(RedactedBlock<'a>),
    Call(CallBlock<'a>),
    Result(ResultBlock<'a>),
    Provider(ProviderBlock<'a>),
}

#[derive(Serialize)]
pub(super) struct TextBlock<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<CacheControl>,
}

impl<'a> TextBlock<'a> {
    pub(super) fn new(text: Cow<'a, str>) -> TextBlock<'a> {
        TextBlock { kind: "text", text, cache_control: None }
    }
}

#[derive(Serialize)]
pub(super) struct ThinkingBlock<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    thinking: &'a str,
    signature: &'a str,
}

#[derive(Serialize)]
pub(super) struct RedactedBlock<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    data: &'a Value,
}

#[derive(Serialize)]
pub(super) struct CallBlock<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    name: String,
    input: Cow<'a, Value>,
    /// What came with the call that this crate does not know.
    #[serde(flatten)]
    more: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
pub(super) struct ResultBlock<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    tool_use_id: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_error: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

/// A block of the provider's own tools, as it came.
#[derive(Serialize)]
pub(super) struct ProviderBlock<'a> {
    #[serde(flatten)]
    fields: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

impl Block<'_> {
    /// Where the block's cache mark goes; nowhere in thinking.
    fn cache_control(&mut self) -> Option<&mut Option<CacheControl>> {
        match self {
            Block::Text(block) => Some(&mut block.cache_control),
            Block::Call(block) => Some(&mut block.cache_control),
            Block::Result(block) => Some(&mut block.cache_control),
            Block::Provider(block) => Some(&mut block.cache_control),
            Block::Thinking(_) | Block::Redacted(_) => None,
        }
    }

    fn is_thinking(&self) -> bool {
        matches!(self, Block::Thinking(_) | Block::Redacted(_))
    }
}

/// The conversation so far.
pub(super) struct Turns<'a> {
    provider: &'a str,
    turns: Vec<Turn<'a>>,
    ids: CallIds<'a>,
    tools: BTreeSet<String>,
}

impl<'a> Turns<'a> {
    /// The conversation of a prompt; messages that instruct are no part of it.
    pub(super) fn of(prompt: &'a Prompt, provider: &'a str) -> Turns<'a> {
        let ids = CallIds::new(CALL_ID_MAX_BYTES);
        let mut turns = Turns { provider, turns: Vec::new(), ids, tools: BTreeSet::new() };
        for message in &prompt.messages {
            match message.role {
                Role::System => {}
                Role::User => turns.push(USER, message.parts.iter().filter_map(text_block).collect()),
                Role::Tool => turns.take_results(message),
                Role::Assistant => turns.take_answer(message),
            }
        }
        turns
    }

    /// A thinking block may begin the answer: what the model already did in this turn began with thinking, or it did
    /// nothing yet.
    pub(super) fn may_begin_with_thinking(&self) -> bool {
        let asks =
            |turn: &Turn<'_>| turn.role == USER && turn.content.iter().any(|block| matches!(block, Block::Text(_)));
        let calls = |turn: &&Turn<'_>| turn.content.iter().any(|block| matches!(block, Block::Call(_)));
        let mut since_asked = self.turns.iter().rev().take_while(|turn| !asks(turn)).filter(calls);
        since_asked.all(|turn| turn.content.first().is_some_and(Block::is_thinking))
    }

    /// The names of the tools that the history mentions.
    pub(super) fn take_tools(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.tools)
    }

    /// The messages, the last `count` of which end what is cached.
    pub(super) fn cached(mut self, count: usize) -> Vec<Turn<'a>> {
        for turn in self.turns.iter_mut().rev().take(count) {
            if let Some(mark) = turn.content.iter_mut().rev().find_map(Block::cache_control) {
                *mark = Some(CacheControl::EPHEMERAL);
            }
        }
        self.turns
    }

    fn push(&mut self, role: &'static str, content: Vec<Block<'a>>) {
        match self.turns.last_mut() {
            _ if content.is_empty() => {}
            Some(last) if last.role == role => last.content.extend(content),
            _ => self.turns.push(Turn { role, content }),
        }
    }

    fn take_results(&mut self, message: &'a Message) {
        let mut content = Vec::with_capacity(message.parts.len());
        for part in &message.parts {
            let Part::ToolResult { call_id, result, is_error, provider_executed: false, .. } = part else { continue };
            let Some(tool_use_id) = self.ids.answer(call_id) else { continue };
            let text = result_text(result);
            // An error must say something.
            let text = if *is_error && text.trim().is_empty() { Cow::Borrowed("error") } else { text };
            content.push(Block::Result(ResultBlock {
                kind: "tool_result",
                tool_use_id,
                content: text,
                is_error: *is_error,
                cache_control: None,
            }));
        }
        self.push(USER, content);
    }

    fn take_answer(&mut self, message: &'a Message) {
        let mut content = Vec::with_capacity(message.parts.len());
        // The provider's own calls that go back as they came, and so do their results.
        let mut unchanged = BTreeSet::new();
        for (index, part) in message.parts.iter().enumerate() {
            match part {
                Part::Reasoning { text, metadata } => content.extend(self.thinking(text, metadata.as_ref())),
                Part::ToolCall { call_id, name, args, provider_executed: false, metadata } => {
                    let own = own(metadata.as_ref(), PROTOCOL, self.provider);
                    let name = accepted_name(name);
                    self.tools.insert(name.clone());
                    content.push(Block::Call(CallBlock {
                        kind: "tool_use",
                        id: self.ids.call(call_id),
                        name,
                        input: input(args),
                        more: own.and_then(|fields| fields.get("block")?.as_object()),
                        cache_control: None,
                    }));
                }
                Part::ToolCall { call_id, args, .. } => match self.own_call(part, &message.parts[index..]) {
                    Some(fields) => {
                        unchanged.insert(call_id.as_str());
                        content.push(provider_block(fields, Some(args)));
                    }
                    None => content.extend(foreign_block(part)),
                },
                Part::ToolResult { call_id, .. } => match self.own_block(part) {
                    Some(fields) if unchanged.remove(call_id.as_str()) => content.push(provider_block(fields, None)),
                    _ => content.extend(foreign_block(part)),
                },
                Part::Text { .. } | Part::File { .. } | Part::ContextFile { .. } => content.extend(text_block(part)),
                Part::Source { .. } => {}
            }
        }
        self.push(ASSISTANT, content);
    }

    fn thinking(&self, text: &'a str, metadata: Option<&'a Value>) -> Option<Block<'a>> {
        let fields = own(metadata, PROTOCOL, self.provider)?;
        if let Some(data) = fields.get("data") {
            return Some(Block::Redacted(RedactedBlock { kind: "redacted_thinking", data }));
        }
        let signature = fields.get("signature")?.as_str().filter(|signature| !signature.is_empty())?;
        Some(Block::Thinking(ThinkingBlock { kind: "thinking", thinking: text, signature }))
    }

    /// The block of this provider's own call, if its result is this provider's too and the id was not used before.
    fn own_call(&mut self, call: &'a Part, behind: &'a [Part]) -> Option<&'a Map<String, Value>> {
        let Part::ToolCall { call_id, .. } = call else { return None };
        let fields = self.own_block(call)?;
        let result = behind.iter().find(|part| part.answered_call_id() == Some(call_id))?;
        let answered = self.own_block(result)?.get("tool_use_id").and_then(Value::as_str);
        let id = fields.get("id").and_then(Value::as_str)?;
        (answered == Some(id) && self.ids.reserve(id)).then_some(fields)
    }

    /// The block that a part of the provider's own tools came as.
    fn own_block(&self, part: &'a Part) -> Option<&'a Map<String, Value>> {
        let (Part::ToolCall { metadata, .. } | Part::ToolResult { metadata, .. }) = part else { return None };
        own(metadata.as_ref(), PROTOCOL, self.provider)?.get("block")?.as_object()
    }
}

fn text_block(part: &Part) -> Option<Block<'_>> {
    readable(part).filter(|text| !text.trim().is_empty()).map(|text| Block::Text(TextBlock::new(text)))
}

fn foreign_block(part: &Part) -> Option<Block<'_>> {
    foreign(part).map(|text| Block::Text(TextBlock::new(Cow::Owned(text))))
}

fn provider_block<'a>(fields: &'a Map<String, Value>, input: Option<&'a Value>) -> Block<'a> {
    Block::Provider(ProviderBlock { fields, input, cache_control: None })
}

/// The arguments as the object that the protocol demands.
fn input(args: &Value) -> Cow<'_, Value> {
    if args.is_object() { Cow::Borrowed(args) } else { Cow::Owned(json!({ "arguments": args })) }
}
