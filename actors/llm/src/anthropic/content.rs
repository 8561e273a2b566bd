//! From a message to its content blocks.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use verbatim_events::form::Form;
use verbatim_events::message::{Message, Role};
use verbatim_events::part::{FileKind, Part};

use super::PROTOCOL;
use super::request::{
    Answer, Block, CallBlock, FileBlock, FileBytes, ProviderBlock, RedactedBlock, ResultBlock, TextBlock, ThinkingBlock,
};
use crate::body::Written;
use crate::call_ids::{SentId, accepted_name};
use crate::files::Enclosed;
use crate::metadata::own;
use crate::plain::{ResultWithFiles, foreign, readable, result_text, results_of};
use crate::provider_tools::Offered;

/// What is among a message's blocks, as its form remembers it.
pub(super) const HAS_TEXT: u8 = 1;
pub(super) const HAS_CALL: u8 = 2;
pub(super) const BEGINS_WITH_THINKING: u8 = 4;

/// What a message's blocks depend on besides the message.
pub(super) struct Content<'a> {
    /// The configured provider that they go to.
    pub(super) provider: &'a str,
    /// Its own tools, as far as they are offered.
    pub(super) offered: Offered<'a>,
}

impl Content<'_> {
    /// The message's blocks as they are sent; the ids of its calls and answers are `sent`, in order.
    pub(super) fn form(&self, message: &Message, sent: &[SentId<'_>]) -> Written<Form> {
        let enclosed = Enclosed::of(message);
        let blocks = match message.role {
            Role::System => Vec::new(),
            Role::User => message.parts.iter().filter_map(|part| user_block(part, enclosed.as_ref())).collect(),
            Role::Tool => results(message, sent, enclosed.as_ref()),
            Role::Assistant => self.answer(message, sent),
        };
        let mut form = Form::default();
        for block in &blocks {
            if form.bytes.is_empty() {
                form.flags |= if block.is_thinking() { BEGINS_WITH_THINKING } else { 0 };
            } else {
                form.bytes.push(b',');
            }
            form.flags |= match block {
                Block::Text(_) | Block::File(_) => HAS_TEXT,
                Block::Call(_) => HAS_CALL,
                _ => 0,
            };
            match &enclosed {
                None => serde_json::to_writer(&mut form.bytes, block)?,
                Some(enclosed) => form.bytes.extend(enclosed.settle(serde_json::to_vec(block)?)),
            }
            if block.takes_mark() {
                // A mark is the last field of its block.
                form.mark = Some(form.bytes.len() - 1);
            }
        }
        Ok(form)
    }

    /// The id of the block that the provider's own call at an index came as, where it can go back: the tool is offered, and
    /// the result is this provider's too.
    pub(super) fn own_call_id<'m>(&self, parts: &'m [Part], index: usize) -> Option<&'m str> {
        let call = &parts[index];
        let Part::ToolCall { call_id, name, provider_executed: true, .. } = call else { return None };
        let id = self.own_block(call)?.get("id").and_then(Value::as_str)?;
        let result = parts[index..].iter().find(|part| part.answered_call_id() == Some(call_id))?;
        let answered = self.own_block(result)?.get("tool_use_id").and_then(Value::as_str);
        (self.offered.knows(name) && answered == Some(id)).then_some(id)
    }

    /// The block that a part of the provider's own tools came as.
    fn own_block<'m>(&self, part: &'m Part) -> Option<&'m Map<String, Value>> {
        let (Part::ToolCall { metadata, .. } | Part::ToolResult { metadata, .. }) = part else { return None };
        own(metadata.as_ref(), PROTOCOL, self.provider)?.get("block")?.as_object()
    }

    fn answer<'m>(&self, message: &'m Message, sent: &'m [SentId<'_>]) -> Vec<Block<'m>> {
        let mut content = Vec::with_capacity(message.parts.len());
        let mut sent = sent.iter();
        // The provider's own calls that go back as they came, and so do their results.
        let mut unchanged = BTreeSet::new();
        for (index, part) in message.parts.iter().enumerate() {
            match part {
                Part::Reasoning { text, metadata } => content.extend(self.thinking(text, metadata.as_ref())),
                Part::ToolCall { name, args, provider_executed: false, metadata, .. } => {
                    let own = own(metadata.as_ref(), PROTOCOL, self.provider);
                    if let Some(id) = sent.next().and_then(SentId::sent) {
                        content.push(Block::Call(CallBlock {
                            kind: "tool_use",
                            id,
                            name: accepted_name(name),
                            input: input(args),
                            more: own.and_then(|fields| fields.get("block")?.as_object()),
                        }));
                    }
                }
                Part::ToolCall { call_id, args, .. } => {
                    let can_go_back = self.own_call_id(&message.parts, index).is_some();
                    let is_sent = can_go_back && sent.next().is_some_and(|id| id.sent().is_some());
                    match self.own_block(part).filter(|_| is_sent) {
                        Some(fields) => {
                            unchanged.insert(call_id.as_str());
                            content.push(Block::Provider(ProviderBlock { fields, input: Some(input(args)) }));
                        }
                        None => content.extend(foreign_block(part)),
                    }
                }
                Part::ToolResult { call_id, .. } => match self.own_block(part) {
                    Some(fields) if unchanged.remove(call_id.as_str()) => {
                        content.push(Block::Provider(ProviderBlock { fields, input: None }));
                    }
                    _ => content.extend(foreign_block(part)),
                },
                Part::Text { .. } | Part::File { .. } | Part::ContextFile { .. } => content.extend(text_block(part)),
                Part::Source { .. } => {}
            }
        }
        content
    }

    fn thinking<'m>(&self, text: &'m str, metadata: Option<&'m Value>) -> Option<Block<'m>> {
        let fields = own(metadata, PROTOCOL, self.provider)?;
        if let Some(data) = fields.get("data") {
            return Some(Block::Redacted(RedactedBlock { kind: "redacted_thinking", data }));
        }
        let signature = fields.get("signature")?.as_str().filter(|signature| !signature.is_empty())?;
        Some(Block::Thinking(ThinkingBlock { kind: "thinking", thinking: text, signature }))
    }
}

fn results<'m>(message: &'m Message, sent: &'m [SentId<'_>], enclosed: Option<&Enclosed>) -> Vec<Block<'m>> {
    let blocks = results_of(message).zip(sent).filter_map(|(ResultWithFiles { result, is_error, files }, id)| {
        let text = result_text(result);
        // An error must say something.
        let text = if is_error && text.trim().is_empty() { Cow::Borrowed("error") } else { text };
        let content = if files.is_empty() {
            Answer::Text(text)
        } else {
            let text = Some(text).filter(|text| !text.trim().is_empty());
            let text = text.map(|text| Block::Text(TextBlock::new(text)));
            Answer::Blocks(text.into_iter().chain(files.iter().filter_map(|part| user_block(part, enclosed))).collect())
        };
        Some(Block::Result(ResultBlock { kind: "tool_result", tool_use_id: id.sent()?, content, is_error }))
    });
    blocks.collect()
}

/// What a user or a tool shows: words, or a file.
fn user_block<'m>(part: &'m Part, enclosed: Option<&Enclosed>) -> Option<Block<'m>> {
    let Some((file, enclosed)) = Enclosed::file(part).zip(enclosed) else { return text_block(part) };
    let (kind, title) = match file.kind {
        FileKind::Text => return Some(Block::Text(TextBlock::new(Cow::Owned(enclosed.text(&file))))),
        FileKind::Image => ("image", None),
        FileKind::Pdf => ("document", Some(file.name)),
    };
    let source = FileBytes { kind: "base64", media_type: file.media_type, data: enclosed.base64(&file) };
    Some(Block::File(FileBlock { kind, source, title }))
}

fn text_block(part: &Part) -> Option<Block<'_>> {
    readable(part).filter(|text| !text.trim().is_empty()).map(|text| Block::Text(TextBlock::new(text)))
}

fn foreign_block(part: &Part) -> Option<Block<'_>> {
    foreign(part).map(|text| Block::Text(TextBlock::new(Cow::Owned(text))))
}

/// The arguments as the object that the protocol demands.
fn input(args: &Value) -> Cow<'_, Value> {
    if args.is_object() { Cow::Borrowed(args) } else { Cow::Owned(json!({ "arguments": args })) }
}
