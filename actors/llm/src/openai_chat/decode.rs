//! From the events of a Chat Completions answer to parts, without I/O.

use serde_json::Value;
use verbatim_events::error::CallError;
use verbatim_events::ids::AttemptId;
use verbatim_events::message::{FinishReason, Usage};
use verbatim_events::model::ModelFinished;
use verbatim_events::part::LivePart;

use super::calls::Calls;
use super::usage;
use crate::answer::{Answer, EventDecoder};
use crate::feedback::{Feedback, is_cut, push_refusal};
use crate::http::Progress;
use crate::secret::Secret;

/// Reads one answer. Every call with complete arguments comes once more at the end, as a whole part.
pub type ChatDecoder = EventDecoder<ChatAnswer>;

impl ChatDecoder {
    /// A decoder for an attempt's answer. `provider` is the configured name, for errors; `secret` is kept out of them.
    pub fn new(provider: &str, secret: Option<Secret>, attempt_id: AttemptId) -> ChatDecoder {
        let feedback = Feedback::new(provider, secret);
        EventDecoder::reading(ChatAnswer::new(feedback.clone(), attempt_id), feedback)
    }
}

/// A Chat Completions answer in the making.
#[derive(Debug)]
pub struct ChatAnswer {
    feedback: Feedback,
    calls: Calls,
    has_text: bool,
    refusal: String,
    finish_reason: Option<FinishReason>,
    usage: Option<Usage>,
    response_id: Option<String>,
    at_end_mark: bool,
}

impl ChatAnswer {
    fn new(feedback: Feedback, attempt_id: AttemptId) -> ChatAnswer {
        ChatAnswer {
            calls: Calls::new(feedback.provider(), attempt_id),
            feedback,
            has_text: false,
            refusal: String::new(),
            finish_reason: None,
            usage: None,
            response_id: None,
            at_end_mark: false,
        }
    }

    fn take_chunk(&mut self, chunk: &Value, parts: &mut Vec<LivePart>) {
        if self.response_id.is_none() {
            self.response_id = chunk.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
        }
        let choices = chunk.get("choices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        // Most chunks have no figures, or `null`: looking into that would cost more than the token itself.
        let beside = [Some(chunk), chunk.get("x_groq"), choices.first()];
        let figures = beside.into_iter().flatten().filter_map(|place| place.get("usage"));
        if let Some(usage) = figures.filter(|figures| figures.is_object()).find_map(usage::read) {
            self.usage = Some(usage);
        }
        // One answer was asked for; a server that gives more is read as if it gave the first alone.
        for choice in choices.iter().filter(|choice| choice.get("index").and_then(Value::as_u64).unwrap_or(0) == 0) {
            if let Some(delta) = choice.get("delta").or_else(|| choice.get("message")) {
                self.take_delta(delta, parts);
            }
            if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str).filter(|name| !name.is_empty()) {
                self.finish_reason = Some(finish_reason(reason));
            }
        }
    }

    fn take_delta(&mut self, delta: &Value, parts: &mut Vec<LivePart>) {
        let reasoning = ["reasoning_content", "reasoning"].into_iter().find_map(|field| delta.get(field)?.as_str());
        push_reasoning(reasoning.unwrap_or_default(), parts);
        match delta.get("content") {
            Some(Value::String(text)) => self.push_text(text, parts),
            Some(Value::Array(blocks)) => blocks.iter().for_each(|block| self.take_block(block, parts)),
            _ => {}
        }
        if let Some(text) = delta.get("refusal").and_then(Value::as_str) {
            push_refusal(&mut self.refusal, text);
        }
        let fragments = delta.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        fragments.iter().for_each(|fragment| self.calls.take(fragment, parts));
    }

    /// Content in blocks, as some servers send it: text, or reasoning as a list of texts.
    fn take_block(&mut self, block: &Value, parts: &mut Vec<LivePart>) {
        if let Some(text) = block.get("text").and_then(Value::as_str) {
            self.push_text(text, parts);
        }
        match block.get("thinking") {
            Some(Value::String(text)) => push_reasoning(text, parts),
            Some(Value::Array(pieces)) => pieces
                .iter()
                .filter_map(|piece| piece.get("text")?.as_str())
                .for_each(|text| push_reasoning(text, parts)),
            _ => {}
        }
    }

    fn push_text(&mut self, text: &str, parts: &mut Vec<LivePart>) {
        if !text.is_empty() {
            self.has_text |= !text.trim().is_empty();
            parts.push(LivePart::TextDelta { text: text.to_owned() });
        }
    }
}

impl Answer for ChatAnswer {
    fn take(&mut self, event: &Value, parts: &mut Vec<LivePart>) -> Result<(), CallError> {
        self.take_chunk(event, parts);
        Ok(())
    }

    fn take_whole(&mut self, answer: &Value, parts: &mut Vec<LivePart>) -> Result<(), CallError> {
        self.take_chunk(answer, parts);
        Ok(())
    }

    fn take_end_mark(&mut self) {
        self.at_end_mark = true;
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn progress(&self) -> Progress {
        match (self.at_end_mark, self.finish_reason) {
            (true, _) => Progress::Over,
            (false, Some(_)) => Progress::Answered,
            (false, None) => Progress::Open,
        }
    }

    fn conclude(&mut self, parts: &mut Vec<LivePart>) -> Result<ModelFinished, CallError> {
        let finish_reason = self.finish_reason.unwrap_or(FinishReason::Unknown);
        let cut = is_cut(finish_reason);
        // Reasoning alone does not count.
        let usable = self.has_text || self.calls.any_usable(cut);
        if let Some(error) = self.feedback.nothing_usable(finish_reason, &self.refusal).filter(|_| !usable) {
            return Err(error);
        }
        self.calls.finish(cut, parts);
        Ok(ModelFinished {
            finish_reason,
            usage: self.usage,
            response_id: self.response_id.take(),
            refusal: Some(std::mem::take(&mut self.refusal)).filter(|text| !text.trim().is_empty()),
        })
    }
}

fn push_reasoning(text: &str, parts: &mut Vec<LivePart>) {
    if !text.is_empty() {
        parts.push(LivePart::ReasoningDelta { text: text.to_owned() });
    }
}

fn finish_reason(name: &str) -> FinishReason {
    match name {
        "stop" | "end_turn" | "eos" => FinishReason::Stop,
        "length" | "max_tokens" | "model_length" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" | "safety" => FinishReason::ContentFilter,
        _ => FinishReason::Unknown,
    }
}
