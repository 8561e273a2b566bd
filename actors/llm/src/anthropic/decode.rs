//! From the events of a Messages answer to parts, without I/O.

use std::collections::BTreeMap;
use std::mem;

use serde_json::Value;
use verbatim_events::error::CallError;
use verbatim_events::ids::AttemptId;
use verbatim_events::message::{FinishReason, Usage};
use verbatim_events::model::ModelFinished;
use verbatim_events::part::LivePart;

use super::blocks::{self, Block, Ended};
use super::pause::{PAUSES_MAX, Said};
use super::usage;
use crate::answer::{Answer, EventDecoder};
use crate::feedback::{Feedback, is_cut, push_refusal};
use crate::http::Progress;
use crate::pieces::{GivenIds, Sources, list_at, reasoning_delta, text_at, text_delta};
use crate::secret::Secret;

/// Reads one answer.
pub type MessageDecoder = EventDecoder<MessageAnswer>;

impl MessageDecoder {
    /// A decoder for an attempt's answer. `provider` is the configured name, for errors and for the marks on what must go
    /// back to it; `secret` is kept out of errors.
    pub fn new(provider: &str, secret: Option<Secret>, attempt_id: AttemptId) -> MessageDecoder {
        let feedback = Feedback::new(provider, secret);
        EventDecoder::reading(MessageAnswer::new(feedback.clone(), attempt_id), feedback)
    }

    /// The reader of what follows an answer that was paused, and what the provider is to be given back for it; nothing
    /// where there is nothing to take up, or was too often.
    pub(super) fn taken_up(&self) -> Option<(MessageDecoder, Vec<Value>)> {
        let (answer, content) = self.answer.taken_up()?;
        Some((self.going_on(answer), content))
    }
}

/// A Messages answer in the making.
#[derive(Clone, Debug)]
pub struct MessageAnswer {
    feedback: Feedback,
    ids: GivenIds,
    sources: Sources,
    /// The blocks that began and did not end, by index.
    blocks: BTreeMap<u64, Block>,
    /// The call that ended last, if no arguments came: whether it is complete shows in what follows.
    blank_call: Option<LivePart>,
    /// The provider's own calls, each with its tool, until their results come.
    unanswered: BTreeMap<String, String>,
    has_text: bool,
    has_call: bool,
    has_broken_call: bool,
    refusal: String,
    finish_reason: Option<FinishReason>,
    usage: Option<Usage>,
    /// What the requests before this one cost that the answer was taken up from.
    usage_before: Option<Usage>,
    response_id: Option<String>,
    is_over: bool,
    /// It was paused and can be taken up again.
    is_paused: bool,
    /// How often it was taken up.
    pauses: usize,
    said: Said,
}

impl MessageAnswer {
    fn new(feedback: Feedback, attempt_id: AttemptId) -> MessageAnswer {
        MessageAnswer {
            feedback,
            ids: GivenIds::new(attempt_id),
            sources: Sources::default(),
            blocks: BTreeMap::new(),
            blank_call: None,
            unanswered: BTreeMap::new(),
            has_text: false,
            has_call: false,
            has_broken_call: false,
            refusal: String::new(),
            finish_reason: None,
            usage: None,
            usage_before: None,
            response_id: None,
            is_over: false,
            is_paused: false,
            pauses: 0,
            said: Said::default(),
        }
    }

    /// The answer that goes on, and what was said until now.
    fn taken_up(&self) -> Option<(MessageAnswer, Vec<Value>)> {
        let goes_on = self.is_over && self.is_paused && self.blocks.is_empty() && self.pauses < PAUSES_MAX;
        let content = self.said.content().filter(|_| goes_on)?;
        let answer = MessageAnswer {
            usage: None,
            usage_before: self.usage_in_all(),
            finish_reason: None,
            is_over: false,
            is_paused: false,
            pauses: self.pauses + 1,
            said: Said::after(content.clone()),
            ..self.clone()
        };
        Some((answer, content))
    }

    /// The figures of all requests that the answer took.
    fn usage_in_all(&self) -> Option<Usage> {
        let mut all = self.usage_before;
        if let Some(usage) = &self.usage {
            all.get_or_insert_default().add(usage);
        }
        all
    }

    fn take_start(&mut self, message: &Value) {
        self.response_id = Some(text_at(message, "id")).filter(|id| !id.is_empty()).map(str::to_owned);
        message.get("usage").into_iter().for_each(|figures| usage::take(&mut self.usage, figures));
    }

    fn take_end(&mut self, delta: &Value, figures: Option<&Value>) {
        if let Some(reason) = delta.get("stop_reason").and_then(Value::as_str) {
            self.finish_reason = Some(finish_reason(reason));
            self.is_paused = reason == PAUSED;
        }
        if let Some(words) = delta.pointer("/stop_details/explanation").and_then(Value::as_str) {
            push_refusal(&mut self.refusal, words);
        }
        figures.into_iter().for_each(|figures| usage::take(&mut self.usage, figures));
    }

    fn begin_block(&mut self, index: u64, given: &Value, parts: &mut Vec<LivePart>) {
        self.end_block(index, parts);
        self.said.begin(index, given);
        // The call before it is not the last thing in the answer, hence complete.
        parts.extend(self.blank_call.take());
        let block = Block::begin(given, &mut self.ids);
        self.has_call |= matches!(block, Block::ProviderCall { .. });
        self.blocks.insert(index, block);
        // What mostly comes in pieces may be there at once.
        match text_at(given, "type") {
            "text" => self.push_text(text_at(given, "text"), parts),
            "thinking" => self.push_thinking(index, text_at(given, "thinking"), parts),
            _ => {}
        }
        list_at(given, "citations").iter().for_each(|citation| self.sources.add(citation));
    }

    fn take_delta(&mut self, index: u64, delta: &Value, parts: &mut Vec<LivePart>) {
        self.said.take(index, delta);
        match text_at(delta, "type") {
            "text_delta" => self.push_text(text_at(delta, "text"), parts),
            "thinking_delta" => self.push_thinking(index, text_at(delta, "thinking"), parts),
            "signature_delta" => {
                if let Block::Thinking { signature, .. } = self.thinking(index) {
                    signature.push_str(text_at(delta, "signature"));
                }
            }
            "citations_delta" => delta.get("citation").into_iter().for_each(|citation| self.sources.add(citation)),
            "input_json_delta" => {
                let piece = text_at(delta, "partial_json");
                let published = self.blocks.get_mut(&index).and_then(|block| block.take_input(piece));
                self.push(published, parts);
            }
            _ => {}
        }
    }

    fn end_block(&mut self, index: u64, parts: &mut Vec<LivePart>) {
        let Some(block) = self.blocks.remove(&index) else { return };
        match block.end(self.feedback.provider()) {
            Ended::Nothing => {}
            Ended::Reasoning(part) => self.push(Some(part), parts),
            Ended::Call(part) => {
                self.has_call = true;
                self.push(Some(part), parts);
            }
            Ended::BlankCall(part) => {
                self.sources.flush(parts);
                self.blank_call = Some(part);
            }
            Ended::BrokenCall => self.has_broken_call = true,
            Ended::ProviderCall { id, name, part } => {
                if self.unanswered.insert(id, name).is_none() {
                    self.push(Some(part), parts);
                }
            }
            Ended::ProviderResult { id, block } => {
                // A result of a call that is not in this answer has no place in it.
                if let Some(name) = self.unanswered.remove(&id) {
                    let part = blocks::provider_result(self.feedback.provider(), id, name, block);
                    self.push(Some(part), parts);
                }
            }
        }
    }

    /// The thinking block at an index, which begins if it did not.
    fn thinking(&mut self, index: u64) -> &mut Block {
        self.blocks.entry(index).or_insert_with(Block::thinking)
    }

    fn push_thinking(&mut self, index: u64, text: &str, parts: &mut Vec<LivePart>) {
        if let Block::Thinking { spoke, .. } = self.thinking(index) {
            *spoke |= !text.is_empty();
        }
        self.push(reasoning_delta(text), parts);
    }

    fn push_text(&mut self, text: &str, parts: &mut Vec<LivePart>) {
        self.has_text |= !text.trim().is_empty();
        parts.extend(text_delta(text));
    }

    /// Adds a part that is no text: the sources of the text before it come first.
    fn push(&mut self, part: Option<LivePart>, parts: &mut Vec<LivePart>) {
        if let Some(part) = part {
            self.sources.flush(parts);
            parts.push(part);
        }
    }
}

impl Answer for MessageAnswer {
    fn take(&mut self, event: &Value, parts: &mut Vec<LivePart>) -> Result<(), CallError> {
        let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        let at = |field: &str| event.get(field).unwrap_or(&Value::Null);
        match text_at(event, "type") {
            "message_start" => self.take_start(at("message")),
            "content_block_start" => self.begin_block(index, at("content_block"), parts),
            "content_block_delta" => self.take_delta(index, at("delta"), parts),
            "content_block_stop" => self.end_block(index, parts),
            "message_delta" => self.take_end(at("delta"), event.get("usage")),
            "message_stop" => self.is_over = true,
            _ => {}
        }
        Ok(())
    }

    fn take_whole(&mut self, answer: &Value, parts: &mut Vec<LivePart>) -> Result<(), CallError> {
        if text_at(answer, "type") != "message" {
            return Ok(());
        }
        self.take_start(answer);
        for (index, block) in (0..).zip(list_at(answer, "content")) {
            self.begin_block(index, block, parts);
            self.end_block(index, parts);
        }
        self.take_end(answer, None);
        self.is_over = true;
        Ok(())
    }

    fn usage(&self) -> Option<Usage> {
        self.usage_in_all()
    }

    fn progress(&self) -> Progress {
        if self.is_over { Progress::Over } else { Progress::Open }
    }

    fn conclude(&mut self, parts: &mut Vec<LivePart>) -> Result<ModelFinished, CallError> {
        let finish_reason = self.finish_reason.unwrap_or(FinishReason::Unknown);
        let cut = is_cut(finish_reason);
        while let Some(index) = self.blocks.keys().next().copied() {
            self.end_block(index, parts);
        }
        let blank_call = self.blank_call.take().filter(|_| !cut);
        // A call that cannot be read is for the caller to judge, unless the answer was cut in it.
        let has_call = self.has_call || blank_call.is_some() || (self.has_broken_call && !cut);
        if !self.has_text
            && !has_call
            && !self.sources.any()
            && let Some(error) = self.feedback.nothing_usable(finish_reason, &self.refusal)
        {
            return Err(error);
        }
        self.push(blank_call, parts);
        for (id, name) in mem::take(&mut self.unanswered) {
            let part = blocks::missing_result(self.feedback.provider(), id, name);
            self.push(Some(part), parts);
        }
        self.sources.flush(parts);
        Ok(ModelFinished {
            finish_reason,
            usage: self.usage_in_all(),
            response_id: self.response_id.take(),
            refusal: Some(mem::take(&mut self.refusal)).filter(|text| !text.trim().is_empty()),
        })
    }
}

/// Why an answer ends that the provider would go on with.
const PAUSED: &str = "pause_turn";

fn finish_reason(name: &str) -> FinishReason {
    match name {
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        // A turn that is paused for good is one that the provider cut: it stopped its own tools at their limit.
        "max_tokens" | "model_context_window_exceeded" | PAUSED => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        _ => FinishReason::Unknown,
    }
}
