//! From the events of a Responses answer to parts, without I/O.
//!
//! Deltas are published as they come. An item that is done tells what its deltas left out, and the end tells of items that
//! were left out altogether: servers differ in what they stream.

use std::mem;

use serde_json::{Value, json};
use verbatim_events::error::CallError;
use verbatim_events::ids::AttemptId;
use verbatim_events::message::{FinishReason, Usage};
use verbatim_events::model::ModelFinished;
use verbatim_events::part::LivePart;

use super::items::{self, Call, Items};
use super::usage;
use crate::answer::{Answer, EventDecoder};
use crate::feedback::{Feedback, is_cut, push_refusal};
use crate::http::Progress;
use crate::pieces::{GivenIds, Sources, list_at, reasoning_delta, text_at, text_delta};
use crate::secret::Secret;

/// What stands between two pieces that belong to different texts of one part.
const GAP: &str = "\n\n";

/// Reads one answer.
pub type ResponseDecoder = EventDecoder<ResponseAnswer>;

impl ResponseDecoder {
    /// A decoder for an attempt's answer. `provider` is the configured name, for errors and for the marks on what must go
    /// back to it; `secret` is kept out of errors.
    pub fn new(provider: &str, secret: Option<Secret>, attempt_id: AttemptId) -> ResponseDecoder {
        let feedback = Feedback::new(provider, secret);
        EventDecoder::reading(ResponseAnswer::new(feedback.clone(), attempt_id), feedback)
    }
}

/// Which text a piece belongs to: the item's place, what kind of text, and its index there.
type Voice = (usize, &'static str, u64);

/// A Responses answer in the making.
#[derive(Debug)]
pub struct ResponseAnswer {
    feedback: Feedback,
    ids: GivenIds,
    sources: Sources,
    items: Items,
    /// The text that was spoken last, if nothing else came after it.
    last_voice: Option<Voice>,
    /// The texts of which something was told.
    voices: Vec<Voice>,
    has_text: bool,
    has_local_call: bool,
    has_provider_call: bool,
    refusal: String,
    finish_reason: Option<FinishReason>,
    usage: Option<Usage>,
    response_id: Option<String>,
}

impl ResponseAnswer {
    fn new(feedback: Feedback, attempt_id: AttemptId) -> ResponseAnswer {
        ResponseAnswer {
            feedback,
            ids: GivenIds::new(attempt_id),
            sources: Sources::default(),
            items: Items::default(),
            last_voice: None,
            voices: Vec::new(),
            has_text: false,
            has_local_call: false,
            has_provider_call: false,
            refusal: String::new(),
            finish_reason: None,
            usage: None,
            response_id: None,
        }
    }

    fn take_piece(&mut self, place: usize, event: &Value, parts: &mut Vec<LivePart>) {
        let index = |field: &str| event.get(field).and_then(Value::as_u64).unwrap_or(0);
        let (content, summary) = (index("content_index"), index("summary_index"));
        let delta = text_at(event, "delta");
        match text_at(event, "type") {
            "response.output_text.delta" => self.speak((place, "text", content), delta, parts),
            "response.output_text.done" => self.speak_whole((place, "text", content), text_at(event, "text"), parts),
            "response.output_text.annotation.added" => {
                event.get("annotation").into_iter().for_each(|citation| self.sources.add(citation));
            }
            "response.refusal.delta" => self.refuse((place, "refusal", content), delta),
            "response.refusal.done" => self.refuse_whole((place, "refusal", content), text_at(event, "refusal")),
            "response.reasoning_summary_text.delta" => self.think((place, "summary", summary), delta, parts),
            "response.reasoning_summary_text.done" => {
                self.think_whole((place, "summary", summary), text_at(event, "text"), parts);
            }
            "response.reasoning_text.delta" => self.think((place, "thought", content), delta, parts),
            "response.reasoning_text.done" => {
                self.think_whole((place, "thought", content), text_at(event, "text"), parts);
            }
            "response.function_call_arguments.delta" => self.argue(place, delta, parts),
            _ => {}
        }
    }

    fn begin_item(&mut self, place: usize, item: &Value) {
        let kind = text_at(item, "type");
        kind.clone_into(&mut self.items.at(place).kind);
        let name = text_at(item, "name");
        if kind == "function_call" && !name.is_empty() && self.items.at(place).call.is_none() {
            let call = Call { call_id: self.ids.take(text_at(item, "call_id")), name: name.to_owned() };
            self.items.at(place).call = Some(call);
        }
    }

    fn end_item(&mut self, place: usize, item: &Value, parts: &mut Vec<LivePart>) {
        if mem::replace(&mut self.items.at(place).is_done, true) {
            return;
        }
        self.begin_item(place, item);
        let kind = text_at(item, "type");
        match kind {
            "message" => self.end_message(place, item, parts),
            "reasoning" => {
                let spoken = mem::take(&mut self.items.at(place).reasoning);
                let part = items::reasoning(item, &spoken, self.feedback.provider());
                self.push(part, parts);
            }
            "function_call" => {
                let begun = self.items.at(place);
                let call = begun.call.clone().and_then(|call| items::call(item, call, &begun.args));
                if let Some(part) = call {
                    self.has_local_call = true;
                    self.push(Some(part), parts);
                }
            }
            _ => {
                if let Some(tool) = items::provider_tool(kind) {
                    self.has_provider_call = true;
                    let call_id = self.ids.take(text_at(item, "id"));
                    for part in items::provider_run(item, &call_id, tool, self.feedback.provider()) {
                        self.push(Some(part), parts);
                    }
                }
            }
        }
    }

    fn end_message(&mut self, place: usize, item: &Value, parts: &mut Vec<LivePart>) {
        for (index, content) in (0..).zip(list_at(item, "content")) {
            match text_at(content, "type") {
                "refusal" => self.refuse_whole((place, "refusal", index), text_at(content, "refusal")),
                _ => self.speak_whole((place, "text", index), text_at(content, "text"), parts),
            }
            list_at(content, "annotations").iter().for_each(|citation| self.sources.add(citation));
        }
    }

    /// The answer is over: what the response says as a whole.
    fn take_response(&mut self, response: &Value, parts: &mut Vec<LivePart>) -> Result<(), CallError> {
        self.identify(response);
        let status = text_at(response, "status");
        if status == "failed" {
            let told = response.get("error").filter(|error| !error.is_null());
            let unsaid = json!({ "code": "server_error", "message": "The response failed." });
            let body = json!({ "error": told.unwrap_or(&unsaid) });
            return Err(self.feedback.stream_error(&body.to_string()));
        }
        for (index, item) in (0..).zip(list_at(response, "output")) {
            if let Some(place) = self.items.place(Some(index), text_at(item, "id")) {
                self.end_item(place, item, parts);
            }
        }
        if let Some(usage) = response.get("usage").and_then(usage::read) {
            self.usage = Some(usage);
        }
        let why = response.pointer("/incomplete_details/reason").and_then(Value::as_str);
        self.finish_reason = Some(match (status, why) {
            (_, Some("max_output_tokens" | "max_tokens")) => FinishReason::Length,
            (_, Some("content_filter")) => FinishReason::ContentFilter,
            ("completed" | "", None) if self.calls_tools() => FinishReason::ToolCalls,
            ("completed" | "", None) => FinishReason::Stop,
            _ => FinishReason::Unknown,
        });
        Ok(())
    }

    fn identify(&mut self, response: &Value) {
        let id = text_at(response, "id");
        if !id.is_empty() {
            self.response_id = Some(id.to_owned());
        }
    }

    fn calls_tools(&self) -> bool {
        self.has_local_call || self.items.any_arguments()
    }

    fn speak(&mut self, voice: Voice, text: &str, parts: &mut Vec<LivePart>) {
        if text.is_empty() {
            return;
        }
        // Two messages in a row become one text.
        if self.last_voice.is_some_and(|last| last != voice) {
            parts.extend(text_delta(GAP));
        }
        self.note(voice);
        self.has_text |= !text.trim().is_empty();
        parts.extend(text_delta(text));
        self.last_voice = Some(voice);
    }

    fn speak_whole(&mut self, voice: Voice, text: &str, parts: &mut Vec<LivePart>) {
        if !self.voices.contains(&voice) {
            self.speak(voice, text, parts);
        }
    }

    fn think(&mut self, voice: Voice, text: &str, parts: &mut Vec<LivePart>) {
        if text.is_empty() {
            return;
        }
        let is_new = self.note(voice);
        let item = self.items.at(voice.0);
        let gap = if is_new && !item.reasoning.is_empty() { GAP } else { "" };
        item.reasoning.push_str(gap);
        item.reasoning.push_str(text);
        self.push(reasoning_delta(gap), parts);
        self.push(reasoning_delta(text), parts);
    }

    fn think_whole(&mut self, voice: Voice, text: &str, parts: &mut Vec<LivePart>) {
        if !self.voices.contains(&voice) {
            self.think(voice, text, parts);
        }
    }

    fn refuse(&mut self, voice: Voice, text: &str) {
        self.note(voice);
        push_refusal(&mut self.refusal, text);
    }

    fn refuse_whole(&mut self, voice: Voice, text: &str) {
        if !self.voices.contains(&voice) {
            self.refuse(voice, text);
        }
    }

    fn argue(&mut self, place: usize, args: &str, parts: &mut Vec<LivePart>) {
        let item = self.items.at(place);
        if args.is_empty() || item.is_done {
            return;
        }
        if let Some(Call { call_id, name }) = item.call.clone() {
            item.args.push_str(args);
            self.push(Some(LivePart::ToolArgsDelta { call_id, name, args: args.to_owned() }), parts);
        }
    }

    /// Remembers that something of a text was told; whether it is the first piece.
    fn note(&mut self, voice: Voice) -> bool {
        let is_new = self.voices.last() != Some(&voice) && !self.voices.contains(&voice);
        if is_new {
            self.voices.push(voice);
        }
        is_new
    }

    /// Adds a part that is no text: the sources of the text before it come first.
    fn push(&mut self, part: Option<LivePart>, parts: &mut Vec<LivePart>) {
        if let Some(part) = part {
            self.sources.flush(parts);
            self.last_voice = None;
            parts.push(part);
        }
    }
}

impl Answer for ResponseAnswer {
    fn take(&mut self, event: &Value, parts: &mut Vec<LivePart>) -> Result<(), CallError> {
        let kind = text_at(event, "type");
        let at = |field: &str| event.get(field).unwrap_or(&Value::Null);
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.identify(at("response"));
                return Ok(());
            }
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                return self.take_response(at("response"), parts);
            }
            _ => {}
        }
        let index = event.get("output_index").and_then(Value::as_u64);
        let item = at("item");
        let id = if item.is_null() { text_at(event, "item_id") } else { text_at(item, "id") };
        if !kind.starts_with("response.") {
            return Ok(());
        }
        let Some(place) = self.items.place(index, id) else { return Ok(()) };
        match kind {
            "response.output_item.added" => self.begin_item(place, item),
            "response.output_item.done" => self.end_item(place, item, parts),
            _ => self.take_piece(place, event, parts),
        }
        Ok(())
    }

    fn take_whole(&mut self, answer: &Value, parts: &mut Vec<LivePart>) -> Result<(), CallError> {
        if answer.get("output").is_some() || text_at(answer, "object") == "response" {
            return self.take_response(answer, parts);
        }
        Ok(())
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn progress(&self) -> Progress {
        if self.finish_reason.is_some() { Progress::Over } else { Progress::Open }
    }

    fn conclude(&mut self, parts: &mut Vec<LivePart>) -> Result<ModelFinished, CallError> {
        let finish_reason = self.finish_reason.unwrap_or(FinishReason::Unknown);
        // A call that cannot be read is for the caller to judge, unless the answer was cut in it.
        let has_call = self.has_local_call || (self.items.any_arguments() && !is_cut(finish_reason));
        if !self.has_text
            && !has_call
            && !self.has_provider_call
            && !self.sources.any()
            && let Some(error) = self.feedback.nothing_usable(finish_reason, &self.refusal)
        {
            return Err(error);
        }
        self.sources.flush(parts);
        Ok(ModelFinished {
            finish_reason,
            usage: self.usage,
            response_id: self.response_id.take(),
            refusal: Some(mem::take(&mut self.refusal)).filter(|text| !text.trim().is_empty()),
        })
    }
}
