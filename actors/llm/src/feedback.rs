//! What a decoder says when an answer is none: the errors that every protocol has.

use chrono::DateTime;
use verbatim_events::error::{CallError, ChatError, ErrorKind};
use verbatim_events::message::FinishReason;

use crate::classify::{Failure, Fault, classify, shown};
use crate::secret::Secret;
use crate::sse::SseOverflow;

/// The longest refusal that is kept, in bytes.
pub(crate) const REFUSAL_MAX_BYTES: usize = 64 * 1024;

/// Makes the errors of one provider's answer.
#[derive(Clone, Debug)]
pub(crate) struct Feedback {
    provider: String,
    secret: Option<Secret>,
}

impl Feedback {
    /// For the provider of this configured name; `secret` is kept out of everything.
    pub(crate) fn new(provider: &str, secret: Option<Secret>) -> Feedback {
        Feedback { provider: provider.to_owned(), secret }
    }

    /// The provider's configured name.
    pub(crate) fn provider(&self) -> &str {
        &self.provider
    }

    /// An error that came inside a stream which began well: it has no status but what its text names.
    pub(crate) fn stream_error(&self, body: &str) -> CallError {
        self.classified(body, None)
    }

    /// The stream ended before the protocol's terminal event.
    pub(crate) fn ended_early(&self) -> CallError {
        self.classified("", Some(Fault::EndedEarly))
    }

    /// Data that is no JSON: a gateway's words about an error, or damage on the way. Both may pass.
    pub(crate) fn not_json(&self, data: &str) -> CallError {
        let error = self.classified(data, None);
        if error.error.kind != ErrorKind::Generic || error.error.retryable {
            return error;
        }
        let message = format!("The provider {} sent something that is no answer of its protocol.", self.provider);
        let retried = ChatError { message, retryable: true, ..error.error };
        retried.into()
    }

    /// The provider sent more than it may.
    pub(crate) fn overflow(&self, overflow: SseOverflow) -> CallError {
        let (what, limit) = match overflow {
            SseOverflow::Event(limit) => ("one event", limit),
            SseOverflow::Body(limit) => ("an answer", limit),
        };
        let message = format!("The provider {} sent more than {limit} bytes in {what}.", self.provider);
        self.own(ChatError::terminal(ErrorKind::Generic, message))
    }

    /// The error of an answer that ended so and holds nothing usable, where that is one. Whether silence after `stop` or
    /// `length` is a failure is for the caller to say.
    pub(crate) fn nothing_usable(&self, reason: FinishReason, refusal: &str) -> Option<CallError> {
        let name = &self.provider;
        let refused = !refusal.trim().is_empty();
        let is_error = match reason {
            FinishReason::ContentFilter => true,
            // A refusal is a filter's work, whatever the reason says.
            FinishReason::Stop | FinishReason::Length | FinishReason::Interrupted => refused,
            FinishReason::Unknown | FinishReason::ToolCalls if refused => true,
            FinishReason::Unknown | FinishReason::ToolCalls => {
                let message = format!("The provider {name} ended its answer without saying anything.");
                return Some(self.own(ChatError::retryable(ErrorKind::Generic, message)));
            }
        };
        is_error.then(|| {
            let message = format!("The provider {name} refused to answer. Word the message differently.");
            let detail = shown(refusal, self.secret.as_ref());
            self.own(ChatError { detail, ..ChatError::terminal(ErrorKind::ContentFilter, message) })
        })
    }

    fn classified(&self, body: &str, fault: Option<Fault>) -> CallError {
        let secret = self.secret.as_ref();
        let failure = Failure { provider: &self.provider, secret, body, fault, ..Failure::default() };
        classify(&failure, DateTime::UNIX_EPOCH)
    }

    fn own(&self, error: ChatError) -> CallError {
        ChatError { provider: Some(self.provider.clone()), ..error }.into()
    }
}

/// Adds to a refusal, up to the most that is kept.
pub(crate) fn push_refusal(refusal: &mut String, text: &str) {
    let room = REFUSAL_MAX_BYTES.saturating_sub(refusal.len());
    refusal.push_str(&text[..text.floor_char_boundary(room)]);
}

/// An answer that ends so may end anywhere, in the middle of a call too.
pub(crate) fn is_cut(reason: FinishReason) -> bool {
    matches!(reason, FinishReason::Length | FinishReason::ContentFilter)
}
