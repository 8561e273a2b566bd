//! What the decoders of all protocols share: server-sent events that carry JSON, errors among them, and the rule that a
//! failure stays.

use serde_json::Value;
use verbatim_events::error::CallError;
use verbatim_events::message::Usage;
use verbatim_events::model::ModelFinished;
use verbatim_events::part::LivePart;

use crate::feedback::Feedback;
use crate::http::{Decoder, Progress};
use crate::sse::{SseDecoder, SseEvent, SseLimits};

/// What ends a stream of some servers, whatever their protocol.
const END_MARK: &str = "[DONE]";

/// An answer in the making: one protocol's meaning of its events.
pub trait Answer: Send {
    /// Takes the JSON of one event. Errors that an event tells in the common form never come here.
    fn take(&mut self, event: &Value, parts: &mut Vec<LivePart>) -> Result<(), CallError>;
    /// Takes a whole answer of a server that does not stream.
    fn take_whole(&mut self, answer: &Value, parts: &mut Vec<LivePart>) -> Result<(), CallError>;
    /// The stream's end mark came.
    fn take_end_mark(&mut self) {}
    /// What it has said of tokens so far.
    fn usage(&self) -> Option<Usage>;
    /// How far the answer has come.
    fn progress(&self) -> Progress;
    /// The answer is over: its last parts, and how it ended.
    fn conclude(&mut self, parts: &mut Vec<LivePart>) -> Result<ModelFinished, CallError>;
}

/// Reads one answer. After an error every further call gives that error.
#[derive(Debug)]
pub struct EventDecoder<A> {
    pub(crate) answer: A,
    feedback: Feedback,
    sse: SseDecoder,
    failed: Option<CallError>,
}

impl<A: Answer> EventDecoder<A> {
    pub(crate) fn reading(answer: A, feedback: Feedback) -> EventDecoder<A> {
        EventDecoder { answer, feedback, sse: SseDecoder::new(SseLimits::default()), failed: None }
    }

    /// The reader of another stream that goes on with the answer.
    pub(crate) fn going_on(&self, answer: A) -> EventDecoder<A> {
        EventDecoder::reading(answer, self.feedback.clone())
    }

    /// Remembers a failure, so that nothing is read any more.
    fn fail(&mut self, error: CallError) -> CallError {
        self.failed = Some(error.clone());
        error
    }

    fn take_event(&mut self, event: &SseEvent, parts: &mut Vec<LivePart>) -> Result<(), CallError> {
        let data = event.data.trim();
        if self.answer.progress() == Progress::Over || data.is_empty() {
            return Ok(());
        }
        if data == END_MARK {
            self.answer.take_end_mark();
            return Ok(());
        }
        match serde_json::from_str::<Value>(data) {
            Ok(value) if event.name == "error" || names_error(&value) => Err(self.feedback.stream_error(data)),
            Ok(value) => self.answer.take(&value, parts),
            // What follows a complete answer cannot spoil it.
            Err(_) if self.answer.progress() != Progress::Open => Ok(()),
            Err(_) => Err(self.feedback.not_json(data)),
        }
    }

    fn take_whole(&mut self, data: &str, parts: &mut Vec<LivePart>) -> Result<(), CallError> {
        match serde_json::from_str::<Value>(data) {
            Ok(value) if names_error(&value) => Err(self.feedback.stream_error(data)),
            Ok(value) => self.answer.take_whole(&value, parts),
            Err(_) => Err(self.feedback.not_json(data)),
        }
    }
}

impl<A: Answer> Decoder for EventDecoder<A> {
    fn feed(&mut self, bytes: &[u8], parts: &mut Vec<LivePart>) -> Result<Progress, CallError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut events = Vec::new();
        let fed = self.sse.feed(bytes, &mut events);
        for event in &events {
            self.take_event(event, parts).map_err(|error| self.fail(error))?;
        }
        // Whatever follows the end is of no concern, not even its size.
        match fed {
            Err(overflow) if self.answer.progress() != Progress::Over => {
                let error = self.feedback.overflow(overflow);
                Err(self.fail(error))
            }
            _ => Ok(self.answer.progress()),
        }
    }

    fn feed_whole(&mut self, body: &[u8], parts: &mut Vec<LivePart>) -> Result<Progress, CallError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let data = String::from_utf8_lossy(body);
        self.take_whole(data.trim(), parts).map_err(|error| self.fail(error))?;
        Ok(self.answer.progress())
    }

    fn usage(&self) -> Option<Usage> {
        self.answer.usage()
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
        if self.answer.progress() == Progress::Open {
            let error = self.feedback.ended_early();
            return Err(self.fail(error));
        }
        self.answer.conclude(parts).map_err(|error| self.fail(error))
    }
}

/// An object that tells of an error instead of giving a piece of the answer.
fn names_error(value: &Value) -> bool {
    let told = value.get("error").is_some_and(|error| match error {
        Value::Object(fields) => !fields.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => false,
    });
    let is = |field: &str| value.get(field).and_then(Value::as_str) == Some("error");
    told || is("object") || is("type")
}
