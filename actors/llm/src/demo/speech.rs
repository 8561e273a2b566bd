//! Saying a plan: token by token, at the ordered pace, to the ordered end.

use std::time::Duration;

use verbatim_events::ids::AttemptId;
use verbatim_events::message::FinishReason;
use verbatim_events::model::PartSink;
use verbatim_events::part::{LivePart, Part};

use super::answer::Plan;

/// How an answer is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The wait before each token, in ms.
    pub slow_ms: u64,
    /// Fall silent for good after so many tokens.
    pub stall_after: Option<usize>,
    /// Break off after so many tokens.
    pub cut_after: Option<usize>,
    /// The most tokens of text.
    pub tokens_max: usize,
}

/// Why an answer was not said to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// It was ordered to break off.
    Cut,
    /// Nobody wants more.
    Unwanted,
}

/// An answer that is being said.
pub(super) struct Speech {
    manner: Manner,
    sink: PartSink,
    tokens: usize,
    /// Bytes of reasoning said so far.
    pub reasoning_bytes: usize,
    /// Bytes of everything said so far, reasoning included.
    pub bytes: usize,
}

impl Speech {
    pub(super) fn new(manner: Manner, sink: PartSink) -> Speech {
        Speech { manner, sink, tokens: 0, reasoning_bytes: 0, bytes: 0 }
    }

    /// Says a plan; gives why it ended.
    pub(super) async fn say(&mut self, plan: &Plan, attempt_id: AttemptId) -> Result<FinishReason, Stopped> {
        for word in words(plan.reasoning.as_deref().unwrap_or_default()) {
            self.before_token().await?;
            self.reasoning_bytes += word.len();
            self.give(LivePart::ReasoningDelta { text: word.to_owned() }, word.len())?;
        }
        for (index, word) in words(&plan.text).enumerate() {
            if index == self.manner.tokens_max {
                return Ok(FinishReason::Length);
            }
            self.before_token().await?;
            self.give(LivePart::TextDelta { text: word.to_owned() }, word.len())?;
        }
        for (index, (name, args)) in plan.calls.iter().enumerate() {
            self.before_token().await?;
            let (call_id, name) = (format!("call_{attempt_id}_{index}"), name.clone());
            let text = args.to_string();
            let bytes = text.len();
            self.give(LivePart::ToolArgsDelta { call_id: call_id.clone(), name: name.clone(), args: text }, bytes)?;
            let call = Part::ToolCall { call_id, name, args: args.clone(), provider_executed: false, metadata: None };
            self.give(LivePart::Whole(call), 0)?;
        }
        // An order to stop beyond the answer's end holds at its end.
        self.tokens = usize::MAX;
        self.stop_if_due().await?;
        Ok(if plan.calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls })
    }

    async fn before_token(&mut self) -> Result<(), Stopped> {
        self.stop_if_due().await?;
        self.tokens += 1;
        if self.manner.slow_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.manner.slow_ms)).await;
        } else {
            // A long answer at full speed lets others work in between.
            tokio::task::coop::consume_budget().await;
        }
        Ok(())
    }

    async fn stop_if_due(&mut self) -> Result<(), Stopped> {
        if self.manner.cut_after.is_some_and(|after| self.tokens >= after) {
            return Err(Stopped::Cut);
        }
        if self.manner.stall_after.is_some_and(|after| self.tokens >= after) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn give(&mut self, part: LivePart, bytes: usize) -> Result<(), Stopped> {
        self.bytes += bytes;
        if (self.sink)(part) { Ok(()) } else { Err(Stopped::Unwanted) }
    }
}

/// The words of a text, each with the space after it, so that they add up to the text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(char::is_whitespace)
}
