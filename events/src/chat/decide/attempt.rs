//! Attempts and the tool calls inside them: recorded before their side effect, closed by whatever ends them.

use super::draft::{Decided, Draft};
use crate::chat::calls::{open_calls, sort_open_calls};
use crate::chat::{CallRecord, Status};
use crate::command::RecordAttempt;
use crate::error::ChatError;
use crate::event::{
    AbandonCause, AttemptAbandoned, AttemptAction, AttemptRecorded, CapacityAwaited, CapacityScope, EffectClass, Event,
    RetryScheduled, ToolCallFinished, ToolCallStarted,
};
use crate::ids::AttemptId;
use crate::part::Part;
use crate::rejection::Rejection;

/// Said once: a turn that waits already has its place in the order.
pub(super) fn await_capacity(draft: &mut Draft<'_>, scope: CapacityScope) -> Decided {
    draft.require(&[Status::Running])?;
    draft.fence_optional(None)?;
    if draft.chat.outline.capacity.is_none() {
        draft.push(Event::CapacityAwaited(CapacityAwaited { scope }))?;
    }
    Ok(())
}

pub(super) fn record_attempt(draft: &mut Draft<'_>, record: &RecordAttempt) -> Decided {
    draft.require(&[Status::Running])?;
    draft.fence_optional(None)?;
    let outline = &draft.chat.outline;
    let (tries_max, abandoned_max) = (draft.limits.attempts_max, draft.limits.abandoned_max);
    if outline.tries() >= tries_max {
        return Err(Rejection::TooManyAttempts { max: tries_max });
    }
    if outline.abandoned_at_history >= abandoned_max {
        return Err(Rejection::TooManyAttempts { max: abandoned_max });
    }
    let number = outline.attempts_at_history + 1;
    check_action(draft, record.action)?;
    let recorded = AttemptRecorded {
        action: record.action,
        number,
        model: record.model.clone(),
        prompt_digest: record.prompt_digest,
        request: record.request.clone(),
        offer: record.offer.clone(),
        node: record.node.clone(),
    };
    draft.push(Event::AttemptRecorded(recorded))?;
    Ok(())
}

/// Tools run only where the server has calls to answer; nothing else is tried while any call is open.
fn check_action(draft: &Draft<'_>, action: AttemptAction) -> Decided {
    let problem = match action {
        AttemptAction::RunTools if sort_open_calls(&draft.chat).server.is_empty() => "the server has no call to run",
        AttemptAction::Generate | AttemptAction::Compact | AttemptAction::LoadContext
            if !open_calls(&draft.chat).is_empty() =>
        {
            "calls are still open"
        }
        AttemptAction::RunTools | AttemptAction::Generate | AttemptAction::Compact | AttemptAction::LoadContext => {
            return Ok(());
        }
    };
    Err(Rejection::StepMismatch { problem: problem.to_owned() })
}

/// Only what may run is started, and what may run once only is started once in a chat's life.
pub(super) fn start_tool_call(
    draft: &mut Draft<'_>,
    attempt_id: AttemptId,
    call_id: &str,
    name: &str,
    effect_class: EffectClass,
) -> Decided {
    draft.require(&[Status::Running])?;
    fence_tools(draft, attempt_id)?;
    let calls = sort_open_calls(&draft.chat).server;
    let Some(call) = calls.iter().find(|call| call.call_id == call_id && call.refused.is_none()) else {
        return Err(Rejection::StepMismatch { problem: format!("call {call_id:?} is not the server's to run") });
    };
    match call.record {
        None | Some(CallRecord::Started { effect_class: EffectClass::Idempotent | EffectClass::Resumable, .. }) => {}
        Some(CallRecord::Started { effect_class: EffectClass::AtMostOnce, .. }) => {
            return Err(Rejection::StepMismatch { problem: format!("call {call_id:?} was started before") });
        }
        Some(CallRecord::Finished { .. }) => {
            return Err(Rejection::StepMismatch { problem: format!("call {call_id:?} has ended") });
        }
    }
    let started = ToolCallStarted { attempt_id, call_id: call_id.to_owned(), name: name.to_owned(), effect_class };
    draft.push(Event::ToolCallStarted(started))?;
    Ok(())
}

/// Also while the turn is being stopped: a result that is there is better than "interrupted".
pub(super) fn finish_tool_call(draft: &mut Draft<'_>, finished: ToolCallFinished) -> Decided {
    draft.require(&[Status::Running, Status::Interrupting])?;
    fence_tools(draft, finished.attempt_id)?;
    match draft.chat.calls.get(&finished.call_id) {
        Some(CallRecord::Started { .. }) => {
            draft.push(Event::ToolCallFinished(finished))?;
            Ok(())
        }
        Some(CallRecord::Finished { .. }) | None => {
            Err(Rejection::StepMismatch { problem: format!("call {:?} is not under way", finished.call_id) })
        }
    }
}

fn fence_tools(draft: &Draft<'_>, attempt_id: AttemptId) -> Decided {
    draft.fence(attempt_id)?;
    match &draft.chat.outline.attempt {
        Some(attempt) if attempt.action == AttemptAction::RunTools => Ok(()),
        _ => Err(Rejection::StepMismatch { problem: "the attempt runs no tools".to_owned() }),
    }
}

pub(super) fn schedule_retry(
    draft: &mut Draft<'_>,
    attempt_id: AttemptId,
    error: &ChatError,
    delay_ms: u64,
    partial: &[Part],
    files_refused: bool,
) -> Decided {
    draft.require(&[Status::Running])?;
    draft.fence(attempt_id)?;
    draft.settle_call()?;
    let retry = RetryScheduled {
        attempt_id,
        attempt: draft.chat.outline.attempts_at_history,
        delay_ms,
        retry_at: draft.after_ms(delay_ms),
        error: error.clone(),
        partial: partial.to_vec(),
        files_refused,
    };
    draft.push(Event::RetryScheduled(retry))?;
    Ok(())
}

pub(super) fn abandon_attempt(
    draft: &mut Draft<'_>,
    attempt_id: AttemptId,
    cause: AbandonCause,
    partial: &[Part],
) -> Decided {
    draft.require(&[Status::Running])?;
    draft.fence(attempt_id)?;
    draft.settle_call()?;
    draft.push(Event::AttemptAbandoned(AttemptAbandoned { attempt_id, cause, partial: partial.to_vec() }))?;
    Ok(())
}
