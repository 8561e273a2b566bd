//! The built-in model: no network, no key, and the same answer to the same conversation.
//!
//! Directives in the user's message (see `answer::HELP`) make it slow, silent, broken or a caller of tools, so that a chat's
//! whole behaviour can be seen and tested. Without `slow` it answers at once: what a benchmark then measures is the server.
//!
//! `times N` needs to know which attempt this is, which no prompt says. The provider counts per chat and message in
//! memory, for the newest few thousand messages: a restart forgets, and another node counts for itself.

mod answer;
mod attempts;
mod directive;
mod speech;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use chrono::DateTime;
use verbatim_events::error::{CallError, ChatError, ErrorKind};
use verbatim_events::ids::Digest;
use verbatim_events::log::BoxFuture;
use verbatim_events::message::Usage;
use verbatim_events::model::{
    CallIdentity, EncodedRequest, Meter, ModelFinished, ModelProvider, ModelSettings, PartSink, Prompt,
};
use verbatim_events::prompt::SUMMARY_INSTRUCTION;

use self::answer::Plan;
use self::attempts::Attempts;
use self::directive::Break;
use self::speech::{Manner, Speech, Stopped};
use crate::classify::{Failure, Fault, RetryHeaders, classify};
use crate::http::unwanted;
use crate::protocol;

pub use wire::Lines;

/// The protocol's name in recipes and settings.
pub const PROTOCOL: &str = "demo";

/// The number of this encoder. Whoever changes a byte it writes counts it up.
pub const ENCODER: u32 = 2;

/// Bytes that pass for a token in the usage figures.
const BYTES_PER_TOKEN: usize = 4;

/// The demo model's provider. Cheap to clone; clones count attempts together.
#[derive(Clone, Debug)]
pub struct Demo {
    name: Arc<str>,
    attempts: Arc<Attempts>,
}

impl Demo {
    /// The provider under its usual name, `demo`.
    pub fn new() -> Demo {
        Demo::named("demo")
    }

    /// The provider under a configured name.
    pub fn named(name: &str) -> Demo {
        Demo { name: Arc::from(name), attempts: Arc::default() }
    }
}

impl Default for Demo {
    fn default() -> Demo {
        Demo::new()
    }
}

fn unusable(provider: &str, error: &serde_json::Error) -> ChatError {
    let message = format!("The demo model cannot work with this request: {error}.");
    ChatError { provider: Some(provider.to_owned()), ..ChatError::terminal(ErrorKind::Generic, message) }
}

impl ModelProvider for Demo {
    fn encode(
        &self,
        prompt: &Prompt,
        model: &ModelSettings,
        effort: Option<&str>,
    ) -> Result<EncodedRequest, ChatError> {
        protocol::encode::<Lines>(protocol::recipe::<Lines>(&self.name, false, None, prompt, model, effort), prompt)
    }

    fn call(
        &self,
        request: EncodedRequest,
        identity: CallIdentity,
        sink: PartSink,
        meter: Meter,
    ) -> BoxFuture<'static, Result<ModelFinished, CallError>> {
        let this = self.clone();
        Box::pin(async move { this.answer(&request, identity, sink, &meter).await })
    }
}

impl Demo {
    async fn answer(
        &self,
        request: &EncodedRequest,
        identity: CallIdentity,
        sink: PartSink,
        meter: &Meter,
    ) -> Result<ModelFinished, CallError> {
        let asked = wire::read(&request.body).map_err(|error| unusable(&self.name, &error))?;
        let plan = self.plan(&asked)?;
        let attempt = if plan.directives.counts() {
            // What follows the answered message are steps of one turn: they do not make it another message.
            self.attempts.next(identity.chat_id, Digest::of(asked.answered))
        } else {
            1
        };
        self.failure(&plan, attempt)?;
        // As with most providers, what it cost is said at the end.
        meter.sent();
        let directives = &plan.directives;
        let due = |order: Option<Break>| order.filter(|order| befalls(order.times, attempt));
        let limit = asked.question.max_output_tokens.and_then(|limit| usize::try_from(limit).ok());
        let manner = Manner {
            slow_ms: directives.slow_ms,
            stall_after: due(directives.stall).map(|stall| stall.after_tokens),
            cut_after: due(directives.cut).map(|cut| cut.after_tokens),
            tokens_max: limit.unwrap_or(usize::MAX),
        };
        let mut speech = Speech::new(manner, sink);
        let finish_reason = match speech.say(&plan, identity.attempt_id).await {
            Ok(finish_reason) => finish_reason,
            Err(Stopped::Unwanted) => return Err(unwanted()),
            Err(Stopped::Cut) => {
                let failure = Failure { fault: Some(Fault::EndedEarly), ..self.blank_failure() };
                return Err(classify(&failure, DateTime::UNIX_EPOCH));
            }
        };
        let tokens = |bytes: usize| bytes.div_ceil(BYTES_PER_TOKEN) as u64;
        Ok(ModelFinished {
            finish_reason,
            usage: Some(Usage {
                input_tokens: tokens(request.body.len()),
                output_tokens: tokens(speech.bytes),
                reasoning_tokens: tokens(speech.reasoning_bytes),
                ..Usage::default()
            }),
            response_id: Some(format!("demo_{}", &request.digest.to_string()[..16])),
            refusal: None,
        })
    }

    /// What is asked for: an answer to what the user said last, or a summary of all that was said before.
    fn plan(&self, asked: &wire::Asked<'_>) -> Result<Plan, ChatError> {
        let wants_summary = |line: &wire::Line| wire::text_of(&line.parts) == SUMMARY_INSTRUCTION;
        if asked.turn.first().is_none_or(|line| !wants_summary(line)) {
            return Ok(answer::plan(&asked.turn, asked.question.number));
        }
        let earlier = asked.earlier().map_err(|error| unusable(&self.name, &error))?;
        let plan = answer::plan(&[], 0);
        Ok(Plan { text: answer::summary(&earlier), ..plan })
    }

    /// The failure that is due before the answer begins.
    fn failure(&self, plan: &Plan, attempt: u32) -> Result<(), CallError> {
        if let Some(fail) = plan.directives.fail.as_ref().filter(|fail| befalls(fail.times, attempt)) {
            return Err(classify(
                &Failure {
                    status: Some(fail.status),
                    body: "The demo model was told to fail.",
                    headers: RetryHeaders { retry_after: fail.retry_after.clone(), retry_after_ms: None },
                    ..self.blank_failure()
                },
                DateTime::UNIX_EPOCH,
            ));
        }
        if plan.directives.refuse {
            let message = format!("The provider {} refused to answer. Word the message differently.", self.name);
            return Err(CallError::from(ChatError {
                detail: Some("The demo model was told to refuse.".to_owned()),
                provider: Some(self.name.to_string()),
                ..ChatError::terminal(ErrorKind::ContentFilter, message)
            }));
        }
        Ok(())
    }

    fn blank_failure(&self) -> Failure<'_> {
        Failure { provider: &self.name, ..Failure::default() }
    }
}

/// An order that counts attempts is still in force at this one.
fn befalls(times: Option<u32>, attempt: u32) -> bool {
    times.is_none_or(|times| attempt <= times)
}
