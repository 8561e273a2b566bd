//! Calls the model: for an answer, and (`call`) for whatever else is to be heard as it comes.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use verbatim_events::command::{Command, Generated, Step};
use verbatim_events::episode;
use verbatim_events::error::{CallError, ChatError, ErrorKind};
use verbatim_events::event::TurnOutcome;
use verbatim_events::limits::VALUE_LEVELS_MAX;
use verbatim_events::message::FinishReason;
use verbatim_events::model::{CallIdentity, ModelFinished, PartSink};
use verbatim_events::part::{LivePart, Part};

use crate::attempt::journaling::Journaling;
use crate::attempt::{CancelCause, Scope};
use crate::hub::Published;
use crate::metrics::Stage;
use crate::plan::ModelCall;
use crate::ports::ResolvedModel;

/// When the model last said something.
struct Activity {
    last_ms: AtomicI64,
    /// 0 until the first part.
    first_ms: AtomicI64,
    /// The attempt put out more than it may.
    too_much: AtomicBool,
    /// It put out a value that nests deeper than readers read.
    too_deep: AtomicBool,
}

/// A call that is over.
pub(super) struct Called {
    pub(super) model: ResolvedModel,
    pub(super) ended: Result<ModelFinished, CallError>,
    /// Milliseconds to the first part, if one came.
    first_part_ms: Option<u64>,
}

pub(super) async fn run(scope: &Scope, work: ModelCall) -> Option<Command> {
    let Called { model, ended, first_part_ms } = call(scope, work).await?;
    Some(match ended {
        Ok(finished) => conclude(scope, &model, finished, first_part_ms),
        Err(failed) => scope.failed(failed),
    })
}

/// Makes the call and sees it through; its parts go to whoever watches and to the journal. `None` where it was cancelled.
pub(super) async fn call(scope: &Scope, ModelCall { model, request, meter }: ModelCall) -> Option<Called> {
    let clock = Arc::clone(&scope.deps.clock);
    let (started, began) = (clock.now(), Instant::now());
    let activity = Arc::new(Activity {
        last_ms: AtomicI64::new(started.timestamp_millis()),
        first_ms: AtomicI64::new(0),
        too_much: AtomicBool::new(false),
        too_deep: AtomicBool::new(false),
    });
    let identity = CallIdentity { chat_id: scope.chat_id, attempt_id: scope.attempt_id, request_id: Uuid::now_v7() };
    let call = model.provider.call(request, identity, sink(scope, &activity), meter.clone());
    let mut ended = attend(scope, call, &activity).await?;
    let metrics = &scope.deps.metrics;
    metrics.stage(Stage::Generate, began);
    if let Ok(finished) = &ended {
        meter.answered(finished);
    }
    metrics.model_call(&model.settings.provider, scope.channel.parts_count(scope.attempt_id));
    let first_ms = activity.first_ms.load(Ordering::Acquire);
    let first_part_ms = (first_ms != 0).then(|| u64::try_from(first_ms - started.timestamp_millis()).unwrap_or(0));
    if let Some(first_part_ms) = first_part_ms {
        metrics.first_part(&model.settings.provider, Duration::from_millis(first_part_ms));
    }
    if activity.too_much.load(Ordering::Acquire) {
        let max = scope.deps.limits.attempt_bytes_max;
        let message = format!("The model's answer grew beyond {max} bytes and was stopped.");
        ended = Err(ChatError::terminal(ErrorKind::Generic, message).into());
    } else if activity.too_deep.load(Ordering::Acquire) {
        let message = format!("The model's answer nests deeper than {VALUE_LEVELS_MAX} levels and was stopped.");
        ended = Err(ChatError::retryable(ErrorKind::Generic, message).into());
    }
    Some(Called { model, ended, first_part_ms })
}

fn sink(scope: &Scope, activity: &Arc<Activity>) -> PartSink {
    let (channel, attempt_id) = (Arc::clone(&scope.channel), scope.attempt_id);
    let (clock, activity) = (Arc::clone(&scope.deps.clock), Arc::clone(activity));
    let bytes_max = scope.deps.limits.attempt_bytes_max;
    Box::new(move |part| {
        let now_ms = clock.now().timestamp_millis();
        activity.last_ms.store(now_ms, Ordering::Release);
        let _ = activity.first_ms.compare_exchange(0, now_ms, Ordering::AcqRel, Ordering::Relaxed);
        if matches!(&part, LivePart::Whole(part) if part.nests_too_deeply()) {
            // Neither shown nor journaled: nobody could read what holds it.
            activity.too_deep.store(true, Ordering::Release);
            return false;
        }
        match channel.publish_part(attempt_id, part, bytes_max) {
            Published::Yes => true,
            Published::Closed => false,
            Published::TooMuch => {
                activity.too_much.store(true, Ordering::Release);
                false
            }
        }
    })
}

/// Sees the call through: writes the journal while parts flow, guards against silence, obeys a cancel (`None`).
async fn attend(
    scope: &Scope,
    mut call: verbatim_events::log::BoxFuture<'static, Result<ModelFinished, CallError>>,
    activity: &Activity,
) -> Option<Result<ModelFinished, CallError>> {
    let limits = &scope.deps.limits;
    let clock = &scope.deps.clock;
    let mut cancelled = scope.cancelled.clone();
    let mut journaling = Journaling::new(scope);
    let mut writing: Option<verbatim_events::log::BoxFuture<'static, _>> = None;
    let mut flush = clock.sleep_ms(limits.journal_flush_ms);
    let mut silence = silence_guard(scope, activity.last_ms.load(Ordering::Acquire));
    loop {
        tokio::select! {
            biased;
            cause = async { cancelled.wait_for(Option::is_some).await.ok().and_then(|cause| *cause) } => {
                if let Some(write) = writing.take() {
                    noted(write.await);
                }
                if cause == Some(CancelCause::Shutdown) && let Some(write) = journaling.write() {
                    noted(write.await);
                }
                return None;
            }
            ended = &mut call => {
                if let Some(write) = writing.take() {
                    noted(write.await);
                }
                return Some(ended);
            }
            result = async { match &mut writing { Some(write) => write.await, None => pending().await } } => {
                noted(result);
                writing = None;
            }
            () = &mut flush => {
                if writing.is_none() {
                    writing = journaling.write();
                }
                flush = clock.sleep_ms(limits.journal_flush_ms);
            }
            () = &mut silence => {
                let last_ms = activity.last_ms.load(Ordering::Acquire);
                let silent_ms = clock.now().timestamp_millis() - last_ms;
                if silent_ms >= limits.silence_ms.cast_signed() {
                    let message = format!("The model said nothing for {} s.", silent_ms / 1000);
                    return Some(Err(ChatError::retryable(ErrorKind::StreamSilenceTimeout, message).into()));
                }
                silence = silence_guard(scope, last_ms);
            }
        }
    }
}

/// Rings when the model has been silent for too long since `last_ms`, if nothing came meanwhile.
fn silence_guard(scope: &Scope, last_ms: i64) -> verbatim_events::log::BoxFuture<'static, ()> {
    let silence_ms = scope.deps.limits.silence_ms;
    let last = DateTime::<Utc>::from_timestamp_millis(last_ms);
    match last.and_then(|last| last.checked_add_signed(TimeDelta::try_milliseconds(silence_ms.cast_signed())?)) {
        Some(moment) if silence_ms > 0 => scope.deps.clock.sleep_until(moment),
        Some(_) | None => Box::pin(pending()),
    }
}

fn noted(result: Result<(), verbatim_events::log::LogError>) {
    if let Err(error) = result {
        // The journal serves resumption; without it the answer itself is still committed whole.
        tracing::warn!(%error, "Parts could not be journaled.");
    }
}

/// The command after a call that ended well.
fn conclude(scope: &Scope, model: &ResolvedModel, finished: ModelFinished, first_part_ms: Option<u64>) -> Command {
    let attempt_id = scope.attempt_id;
    let frames = scope.channel.parts_after(attempt_id, 0);
    let pieces = || frames.iter().map(|frame| &frame.part.part);
    let parts = match (episode::complete(pieces()), finished.finish_reason) {
        (Ok(parts), _) => parts,
        // Cut in the middle of a call, by the output limit or by a filter: what stands before it is the answer.
        (Err(_), FinishReason::Length | FinishReason::ContentFilter) => episode::interrupted(pieces()),
        (Err(problem), _) => {
            let message = format!("The model's tool call could not be read: {problem}.");
            return scope.failed(ChatError::retryable(ErrorKind::Generic, message));
        }
    };
    if episode::usable(&parts) {
        let refused_calls = refused_calls(scope, &parts);
        return Command::CommitStep {
            attempt_id,
            step: Step::Generated(Generated {
                parts,
                model: model.settings.name.clone(),
                usage: finished.usage,
                cost_micros: model.settings.cost_micros(finished.usage.as_ref()),
                finish_reason: finished.finish_reason,
                response_id: finished.response_id,
                first_part_ms,
                refused_calls,
            }),
        };
    }
    match finished.finish_reason {
        FinishReason::Stop | FinishReason::Length => {
            Command::FinishTurn { attempt_id: Some(attempt_id), outcome: TurnOutcome::NoOutput }
        }
        FinishReason::ContentFilter => {
            let message = finished.refusal.unwrap_or_else(|| "The provider's filter refused to answer.".to_owned());
            scope.failed(ChatError::terminal(ErrorKind::ContentFilter, message))
        }
        FinishReason::ToolCalls | FinishReason::Interrupted | FinishReason::Unknown => {
            scope.failed(ChatError::retryable(ErrorKind::Generic, "The model ended without saying anything."))
        }
    }
}

/// The calls that nobody will run, with what the model is told.
fn refused_calls(scope: &Scope, parts: &[Part]) -> BTreeMap<String, String> {
    let calls = parts.iter().filter_map(|part| match part {
        Part::ToolCall { call_id, name, args, provider_executed: false, .. } => Some((call_id, name, args)),
        _ => None,
    });
    let refused = calls.filter_map(|(call_id, name, args)| {
        let reason = scope.deps.tools.violation(&scope.chat, name, args)?;
        Some((call_id.clone(), reason))
    });
    refused.collect()
}
