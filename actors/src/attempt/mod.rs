//! Attempts: what a running turn needs from the world. Each runs as its own task on the shared runtime and ends in one
//! command to its chat, with its own id as the fence.

mod compact;
mod generate;
mod journaling;
mod load_context;
mod run_tools;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use tokio::sync::watch;
use tracing::{Instrument as _, Span};
use verbatim_events::chat::Chat;
use verbatim_events::command::Command;
use verbatim_events::episode;
use verbatim_events::error::{CallError, ChatError, ErrorKind};
use verbatim_events::ids::{AttemptId, ChatId};
use verbatim_events::limits::Limits;
use verbatim_events::model::Meter;
use verbatim_events::part::Part;
use verbatim_events::price::Price;
use verbatim_events::retry::{Backoff, backoff};
use verbatim_events::spending::CallSpent;

use crate::core::Tell;
use crate::hub::Channel;
use crate::messages::ChatMessage;
use crate::node::Deps;
use crate::plan::{Prepared, Work};
use crate::spans;

/// Why an attempt is told to stop. It is data, so that nobody has to guess it from a broken connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelCause {
    /// The chat has moved on: an interrupt, an edit. The chat itself has taken what it wanted of the output.
    Superseded,
    /// The server stops: keep what was said, change nothing.
    Shutdown,
}

/// What an attempt works with.
pub(crate) struct Scope {
    pub(crate) deps: Arc<Deps>,
    pub(crate) chat_id: ChatId,
    pub(crate) attempt_id: AttemptId,
    /// Tries at the step up to and including this one.
    pub(crate) tries: u32,
    pub(crate) channel: Arc<Channel>,
    pub(crate) tell: Tell,
    pub(crate) cancelled: watch::Receiver<Option<CancelCause>>,
    /// Something of the attempt is in the journal.
    pub(crate) journaled: Arc<AtomicBool>,
    /// The trace that the turn belongs to.
    pub(crate) trace_id: Option<String>,
    /// The chat as it was when the attempt was recorded.
    pub(crate) chat: Arc<Chat>,
}

/// Where an attempt runs.
pub(crate) struct Place<'a> {
    pub(crate) chat_id: ChatId,
    pub(crate) channel: &'a Arc<Channel>,
    pub(crate) tell: &'a Tell,
    pub(crate) runtime: &'a tokio::runtime::Handle,
    pub(crate) chat: &'a Arc<Chat>,
    pub(crate) trace_id: Option<String>,
    pub(crate) span: Span,
}

/// An attempt under way.
pub(crate) struct RunningAttempt {
    pub(crate) attempt_id: AttemptId,
    cancel: watch::Sender<Option<CancelCause>>,
    task: tokio::task::JoinHandle<()>,
    journaled: Arc<AtomicBool>,
}

impl RunningAttempt {
    /// Stops it; what it journaled is of no more use.
    pub(crate) fn cancel(self, deps: &Arc<Deps>, chat_id: ChatId) {
        // Most have ended by themselves before anything of them went into the journal.
        if self.task.is_finished() && !self.journaled.load(Ordering::Acquire) {
            return;
        }
        self.cancel.send_replace(Some(CancelCause::Superseded));
        let deps = Arc::clone(deps);
        deps.runtime.clone().spawn(async move {
            // Its last write to the journal comes before the forgetting.
            let _ = self.task.await;
            if self.journaled.load(Ordering::Acquire)
                && let Err(error) = deps.journal.forget(chat_id, self.attempt_id).await
            {
                tracing::debug!(%error, "Parts of a closed attempt stay in the journal.");
            }
        });
    }

    /// Stops it because the server stops: returns when the journal has what it said.
    pub(crate) async fn leave(self) {
        self.cancel.send_replace(Some(CancelCause::Shutdown));
        let _ = self.task.await;
    }
}

/// What an attempt's model call spends, to be read at any time: by whatever ends the attempt, in the append that does.
pub(crate) struct Metered {
    pub(crate) attempt_id: AttemptId,
    meter: Meter,
    prices: Option<Price>,
}

impl Metered {
    /// The meter of an attempt that calls a model.
    pub(crate) fn of(prepared: &Prepared) -> Option<Metered> {
        let call = prepared.work.model_call()?;
        let (meter, prices) = (call.meter.clone(), call.model.settings.prices);
        Some(Metered { attempt_id: prepared.attempt_id, meter, prices })
    }

    /// What it shows now, at the price of the call.
    pub(crate) fn read(&self) -> CallSpent {
        self.meter.read().at(self.prices)
    }
}

/// Starts an attempt whose record is durable.
pub(crate) fn start(deps: &Arc<Deps>, prepared: Prepared, place: Place<'_>) -> RunningAttempt {
    let Place { chat_id, channel, tell, runtime, chat, trace_id, span } = place;
    let (cancel, cancelled) = watch::channel(None);
    let journaled = Arc::new(AtomicBool::new(false));
    let attempt_id = prepared.attempt_id;
    let scope = Scope {
        deps: Arc::clone(deps),
        chat_id,
        attempt_id,
        tries: prepared.tries,
        channel: Arc::clone(channel),
        tell: Arc::clone(tell),
        cancelled,
        journaled: Arc::clone(&journaled),
        trace_id,
        chat: Arc::clone(chat),
    };
    let (tell, action) = (Arc::clone(tell), prepared.work.action());
    let work = async move {
        // A bug in a provider or a tool fails its own turn and nothing else.
        let command = match std::panic::AssertUnwindSafe(run(&scope, prepared.work)).catch_unwind().await {
            Ok(command) => command,
            Err(_) => Some(scope.failed(ChatError::retryable(ErrorKind::Generic, "The attempt crashed."))),
        };
        spans::attempted(command.as_ref());
        scope.deps.metrics.attempt(action, command.as_ref());
        if let Some(command) = command {
            log_failure(&scope, &command);
            tell(ChatMessage::AttemptEnded { attempt_id, command: Box::new(command) });
        }
    };
    let task = runtime.spawn(work.instrument(span));
    RunningAttempt { attempt_id, cancel, task, journaled }
}

/// A line for whoever runs the server. The provider's own words are in the events; they may quote the conversation.
fn log_failure(scope: &Scope, command: &Command) {
    let (chat_id, attempt_id) = (scope.chat_id, scope.attempt_id);
    match command {
        Command::ScheduleRetry { error, delay_ms, .. } => tracing::warn!(
            chat.id = %chat_id,
            attempt.id = attempt_id,
            attempt.tries = scope.tries,
            provider = error.provider,
            kind = error.kind.name(),
            status = error.status_code,
            delay_ms,
            "An attempt failed and is made again."
        ),
        Command::FailTurn { error, .. } => tracing::warn!(
            chat.id = %chat_id,
            attempt.id = attempt_id,
            attempt.tries = scope.tries,
            provider = error.provider,
            kind = error.kind.name(),
            status = error.status_code,
            "An attempt failed, and with it its turn."
        ),
        _ => {}
    }
}

/// Does the work. `None` where it was cancelled: then there is nothing to say.
async fn run(scope: &Scope, work: Work) -> Option<Command> {
    match work {
        Work::Generate(call) => generate::run(scope, *call).await,
        Work::Compact(work) => compact::run(scope, *work).await,
        Work::RunTools(calls) => run_tools::run(scope, calls).await,
        Work::LoadContext => load_context::run(scope).await,
    }
}

impl Scope {
    /// What the attempt has said that can stand in a message.
    pub(crate) fn shown(&self) -> Vec<Part> {
        let frames = self.channel.parts_after(self.attempt_id, 0);
        episode::interrupted(frames.iter().map(|frame| &frame.part.part))
    }

    /// The command after a failure: another try, if it is worth one.
    pub(crate) fn failed(&self, failed: impl Into<CallError>) -> Command {
        self.failed_after(self.tries, &self.deps.limits, failed.into())
    }

    /// The command after the failure of so many tries within these bounds.
    fn failed_after(&self, tries: u32, limits: &Limits, failed: CallError) -> Command {
        let CallError { error, retry_after_ms, refuses_files: files_refused } = failed;
        let partial = self.shown();
        let attempt_id = self.attempt_id;
        if !error.retryable {
            return Command::FailTurn { attempt_id: Some(attempt_id), error, partial };
        }
        let final_word = |addition: String| ChatError {
            message: format!("{} {addition}", error.message),
            retryable: false,
            ..error.clone()
        };
        match backoff(tries, retry_after_ms, self.seed(), limits) {
            Backoff::Wait { delay_ms } => {
                Command::ScheduleRetry { attempt_id, error, delay_ms, partial, files_refused }
            }
            Backoff::GiveUp => Command::FailTurn {
                attempt_id: Some(attempt_id),
                error: final_word(format!("It was tried {tries} times.")),
                partial,
            },
            Backoff::TooLong { retry_after_ms } => {
                let moment = self.deps.clock.now()
                    + chrono::TimeDelta::milliseconds(i64::try_from(retry_after_ms).unwrap_or(i64::MAX / 2_000_000));
                Command::FailTurn {
                    attempt_id: Some(attempt_id),
                    error: final_word(format!(
                        "The provider asks to come back after {}.",
                        moment.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
                    )),
                    partial,
                }
            }
        }
    }

    /// A number that spreads the retries of many chats and is the same in a replay.
    fn seed(&self) -> u64 {
        let (high, low) = self.chat_id.0.as_u64_pair();
        (high ^ low.rotate_left(32) ^ self.attempt_id).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}
