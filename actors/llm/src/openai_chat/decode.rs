//! From the bytes of a Chat Completions answer to parts, without I/O.

use chrono::DateTime;
use serde_json::Value;
use verbatim_events::error::{CallError, ChatError, ErrorKind};
use verbatim_events::ids::AttemptId;
use verbatim_events::message::{FinishReason, Usage};
use verbatim_events::model::ModelFinished;
use verbatim_events::part::LivePart;

use super::calls::Calls;
use super::usage;
use crate::classify::{Failure, Fault, classify, shown};
use crate::http::{Decoder, Progress};
use crate::secret::Secret;
use crate::sse::{SseDecoder, SseEvent, SseLimits, SseOverflow};

/// What ends a stream.
const END_MARK: &str = "[DONE]";

/// The longest refusal that is kept, in bytes.
const REFUSAL_MAX_BYTES: usize = 64 * 1024;

/// Reads one answer. Every call with complete arguments comes once more at the end, as a whole part.
#[derive(Debug)]
pub struct ChatDecoder {
    provider: String,
    secret: Option<Secret>,
    sse: SseDecoder,
    calls: Calls,
    has_text: bool,
    refusal: String,
    finish_reason: Option<FinishReason>,
    usage: Option<Usage>,
    response_id: Option<String>,
    at_end_mark: bool,
    failed: Option<CallError>,
}

impl ChatDecoder {
    /// A decoder for an attempt's answer. `provider` is the configured name, for errors; `secret` is kept out of them.
    pub fn new(provider: &str, secret: Option<Secret>, attempt_id: AttemptId) -> ChatDecoder {
        ChatDecoder {
            provider: provider.to_owned(),
            secret,
            sse: SseDecoder::new(SseLimits::default()),
            calls: Calls::new(attempt_id),
            has_text: false,
            refusal: String::new(),
            finish_reason: None,
            usage: None,
            response_id: None,
            at_end_mark: false,
            failed: None,
        }
    }

    fn progress(&self) -> Progress {
        match (self.at_end_mark, self.finish_reason) {
            (true, _) => Progress::Over,
            (false, Some(_)) => Progress::Answered,
            (false, None) => Progress::Open,
        }
    }

    /// Remembers a failure, so that nothing is read any more.
    fn fail(&mut self, error: CallError) -> CallError {
        self.failed = Some(error.clone());
        error
    }

    fn take_event(&mut self, event: &SseEvent, parts: &mut Vec<LivePart>) -> Result<(), CallError> {
        let data = event.data.trim();
        if self.at_end_mark || data.is_empty() {
            return Ok(());
        }
        if data == END_MARK {
            self.at_end_mark = true;
            return Ok(());
        }
        match serde_json::from_str::<Value>(data) {
            Ok(value) if event.name == "error" || names_error(&value) => Err(self.stream_error(data)),
            Ok(value) => {
                self.take_chunk(&value, parts);
                Ok(())
            }
            // What follows a complete answer cannot spoil it.
            Err(_) if self.finish_reason.is_some() => Ok(()),
            Err(_) => Err(self.not_json(data)),
        }
    }

    fn take_chunk(&mut self, chunk: &Value, parts: &mut Vec<LivePart>) {
        if self.response_id.is_none() {
            self.response_id = chunk.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
        }
        let figures = [chunk.get("usage"), chunk.pointer("/x_groq/usage"), chunk.pointer("/choices/0/usage")];
        if let Some(usage) = figures.into_iter().flatten().find_map(usage::read) {
            self.usage = Some(usage);
        }
        // One answer was asked for; a server that gives more is read as if it gave the first alone.
        let choices = chunk.get("choices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
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
            let room = REFUSAL_MAX_BYTES.saturating_sub(self.refusal.len());
            self.refusal.push_str(&text[..text.floor_char_boundary(room)]);
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

    /// An error that came inside a stream which began well: it has no status but what its text names.
    fn stream_error(&self, data: &str) -> CallError {
        self.classified(data, None)
    }

    fn classified(&self, body: &str, fault: Option<Fault>) -> CallError {
        let secret = self.secret.as_ref();
        let failure = Failure { provider: &self.provider, secret, body, fault, ..Failure::default() };
        classify(&failure, DateTime::UNIX_EPOCH)
    }

    /// Data that is no JSON: a gateway's words about an error, or damage on the way. Both may pass.
    fn not_json(&self, data: &str) -> CallError {
        let error = self.classified(data, None);
        if error.error.kind != ErrorKind::Generic || error.error.retryable {
            return error;
        }
        let message = format!("The provider {} sent something that is no answer of its protocol.", self.provider);
        let retried = ChatError { message, retryable: true, ..error.error };
        CallError { error: retried, retry_after_ms: None }
    }

    fn overflow(&self, overflow: SseOverflow) -> CallError {
        let (what, limit) = match overflow {
            SseOverflow::Event(limit) => ("one event", limit),
            SseOverflow::Body(limit) => ("an answer", limit),
        };
        let message = format!("The provider {} sent more than {limit} bytes in {what}.", self.provider);
        self.own(ChatError::terminal(ErrorKind::Generic, message))
    }

    fn own(&self, error: ChatError) -> CallError {
        ChatError { provider: Some(self.provider.clone()), ..error }.into()
    }

    /// The error of an answer that holds nothing usable, where that is one: reasoning alone does not count.
    fn nothing_usable(&self, reason: FinishReason) -> Option<CallError> {
        if self.has_text || self.calls.any_usable(is_cut(reason)) {
            return None;
        }
        let name = &self.provider;
        let refused = !self.refusal.trim().is_empty();
        let error = match reason {
            FinishReason::ContentFilter => true,
            // A refusal is a filter's work, whatever the reason says.
            FinishReason::Stop | FinishReason::Length | FinishReason::Interrupted => refused,
            FinishReason::Unknown | FinishReason::ToolCalls if refused => true,
            FinishReason::Unknown | FinishReason::ToolCalls => {
                let message = format!("The provider {name} ended its answer without saying anything.");
                return Some(self.own(ChatError::retryable(ErrorKind::Generic, message)));
            }
        };
        error.then(|| {
            let message = format!("The provider {name} refused to answer. Word the message differently.");
            let detail = shown(&self.refusal, self.secret.as_ref());
            self.own(ChatError { detail, ..ChatError::terminal(ErrorKind::ContentFilter, message) })
        })
    }
}

impl Decoder for ChatDecoder {
    fn feed(&mut self, bytes: &[u8], parts: &mut Vec<LivePart>) -> Result<Progress, CallError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut events = Vec::new();
        let fed = self.sse.feed(bytes, &mut events);
        for event in &events {
            self.take_event(event, parts).map_err(|error| self.fail(error))?;
        }
        // Whatever follows the end mark is of no concern, not even its size.
        match fed {
            Err(overflow) if !self.at_end_mark => {
                let error = self.overflow(overflow);
                Err(self.fail(error))
            }
            _ => Ok(self.progress()),
        }
    }

    fn feed_whole(&mut self, body: &[u8], parts: &mut Vec<LivePart>) -> Result<Progress, CallError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let data = String::from_utf8_lossy(body).into_owned();
        let event = SseEvent { name: String::new(), data };
        self.take_event(&event, parts).map_err(|error| self.fail(error))?;
        Ok(self.progress())
    }

    fn finish(&mut self, parts: &mut Vec<LivePart>) -> Result<ModelFinished, CallError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if let Some(event) = self.sse.finish() {
            // A last event that was cut is no event; that the stream was cut shows below.
            let whole = event.data.trim() == END_MARK || serde_json::from_str::<Value>(&event.data).is_ok();
            if whole {
                self.take_event(&event, parts).map_err(|error| self.fail(error))?;
            }
        }
        if self.progress() == Progress::Open {
            let error = self.classified("", Some(Fault::EndedEarly));
            return Err(self.fail(error));
        }
        let finish_reason = self.finish_reason.unwrap_or(FinishReason::Unknown);
        if let Some(error) = self.nothing_usable(finish_reason) {
            return Err(self.fail(error));
        }
        self.calls.finish(is_cut(finish_reason), parts);
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

/// An object that tells of an error instead of giving a piece of the answer.
fn names_error(value: &Value) -> bool {
    let told = value.get("error").is_some_and(|error| match error {
        Value::Object(fields) => !fields.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => false,
    });
    told || value.get("object").and_then(Value::as_str) == Some("error")
}

/// An answer that ends so may end anywhere, in the middle of a call too.
fn is_cut(reason: FinishReason) -> bool {
    matches!(reason, FinishReason::Length | FinishReason::ContentFilter)
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
