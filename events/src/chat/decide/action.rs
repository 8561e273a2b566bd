//! Waiting for a client or for approvals: how a turn comes to wait, and the ways out.

use super::draft::{Decided, Draft};
use crate::chat::calls::{Unanswered, sort_open_calls, synthetic_result};
use crate::chat::{PendingAction, Status};
use crate::command::SubmittedResult;
use crate::event::{
    ActionRequired, ActionResolution, ActionResolved, ApprovalDecision, ApprovalsDecided, CallNeed, Event,
    MessageCommitted, PendingCall,
};
use crate::limits::{TOOL_RESULT_MAX_BYTES, VALUE_LEVELS_MAX};
use crate::message::{Origin, Role};
use crate::part::{Part, nests_too_deeply};
use crate::rejection::Rejection;
use crate::tool_result;

pub(super) fn require_action(draft: &mut Draft<'_>) -> Decided {
    draft.require(&[Status::Running])?;
    draft.fence_optional(None)?;
    let calls = sort_open_calls(&draft.chat);
    if !calls.server.is_empty() || calls.waiting.is_empty() {
        let problem = if calls.waiting.is_empty() { "no call waits" } else { "the server has calls of its own to run" };
        return Err(Rejection::StepMismatch { problem: problem.to_owned() });
    }
    let for_client = calls.waiting.iter().any(|call| call.needs == CallNeed::Result);
    let wait_ms = if for_client { draft.limits.action_deadline_ms } else { draft.limits.approval_deadline_ms };
    let deadline = draft.after_ms(wait_ms);
    draft.push(Event::ActionRequired(ActionRequired { calls: calls.waiting, deadline }))?;
    Ok(())
}

pub(super) fn submit_tool_results(draft: &mut Draft<'_>, results: &[SubmittedResult]) -> Decided {
    let waiting = waiting_results(draft)?;
    check_calls(&waiting, results.iter().map(|result| result.call_id.as_str()))?;
    let budget_bytes = tool_result::budget_bytes(draft.context_window);
    let mut parts = Vec::with_capacity(waiting.len());
    for call in &waiting {
        let Some(submitted) = results.iter().find(|result| result.call_id == call.call_id) else {
            return Err(Rejection::MissingCall { call_id: call.call_id.clone() });
        };
        parts.push(checked_result(call, submitted, budget_bytes)?);
    }
    let mut approvals = pending_action(draft)?.calls;
    approvals.retain(|call| call.needs == CallNeed::Approval);
    draft.push(Event::ActionResolved(ActionResolved { resolution: ActionResolution::Submitted }))?;
    draft.push(Event::MessageCommitted(MessageCommitted::new(Role::Tool, parts, Origin::Tool)))?;
    if !approvals.is_empty() {
        // They waited under the client's deadline; their own is longer and begins now.
        let deadline = draft.after_ms(draft.limits.approval_deadline_ms);
        draft.push(Event::ActionRequired(ActionRequired { calls: approvals, deadline }))?;
    }
    Ok(())
}

pub(super) fn decide_approvals(draft: &mut Draft<'_>, decisions: &[ApprovalDecision], by: &str) -> Decided {
    let mut waiting = pending_action(draft)?.calls;
    waiting.retain(|call| call.needs == CallNeed::Approval);
    check_calls(&waiting, decisions.iter().map(|decision| decision.call_id.as_str()))?;
    if decisions.is_empty() {
        return Ok(());
    }
    draft.push(Event::ApprovalsDecided(ApprovalsDecided { decisions: decisions.to_vec(), by: by.to_owned() }))?;
    if draft.chat.outline.action.as_ref().is_none_or(|action| action.calls.is_empty()) {
        draft.push(Event::ActionResolved(ActionResolved { resolution: ActionResolution::Submitted }))?;
    }
    Ok(())
}

pub(super) fn expire_action(draft: &mut Draft<'_>) -> Decided {
    let PendingAction { calls, deadline } = pending_action(draft)?;
    if draft.now < deadline {
        return Err(Rejection::DeadlineNotPassed { deadline });
    }
    draft.leave_action(ActionResolution::Expired)?;
    // Beside a client's calls approvals wait under the client's deadline; their own is longer and begins now.
    let of_client = calls.iter().filter(|call| call.needs == CallNeed::Result);
    let timed_out: Vec<Part> =
        of_client.map(|call| synthetic_result(&call.call_id, &call.name, Unanswered::TimedOut)).collect();
    let parts = if timed_out.is_empty() {
        calls.iter().map(|call| synthetic_result(&call.call_id, &call.name, Unanswered::Undecided)).collect()
    } else {
        timed_out
    };
    draft.push(Event::MessageCommitted(MessageCommitted::new(Role::Tool, parts, Origin::Synthetic)))?;
    Ok(())
}

fn pending_action(draft: &Draft<'_>) -> Decided<PendingAction> {
    draft.require(&[Status::RequiresAction])?;
    draft.chat.outline.action.clone().ok_or_else(|| draft.not_allowed())
}

/// The calls that wait for a client's results; the command is refused where there are none, because somebody else was first.
fn waiting_results(draft: &Draft<'_>) -> Decided<Vec<PendingCall>> {
    let mut calls = pending_action(draft)?.calls;
    calls.retain(|call| call.needs == CallNeed::Result);
    if calls.is_empty() { Err(draft.not_allowed()) } else { Ok(calls) }
}

/// Refuses calls that are named twice or that do not wait.
fn check_calls<'a>(waiting: &[PendingCall], named: impl Iterator<Item = &'a str>) -> Decided {
    let mut seen = std::collections::BTreeSet::new();
    let mut unknown = None;
    for call_id in named {
        if !seen.insert(call_id) {
            return Err(Rejection::DuplicateCall { call_id: call_id.to_owned() });
        }
        if unknown.is_none() && waiting.iter().all(|call| call.call_id != call_id) {
            unknown = Some(call_id);
        }
    }
    match unknown {
        Some(call_id) => Err(Rejection::UnknownCall { call_id: call_id.to_owned() }),
        None => Ok(()),
    }
}

/// The result as the model gets it: whole, or cut to `budget_bytes` as those of the server's own tools are.
fn checked_result(call: &PendingCall, submitted: &SubmittedResult, budget_bytes: usize) -> Decided<Part> {
    let invalid = |problem: String| Rejection::InvalidResult { call_id: call.call_id.clone(), problem };
    let result = submitted.result.clone().ok_or_else(|| invalid("missing".to_owned()))?;
    if nests_too_deeply(&result) {
        return Err(invalid(format!("nested too deeply; at most {VALUE_LEVELS_MAX} levels are taken")));
    }
    let size_bytes = serde_json::to_vec(&result).map_err(|error| invalid(error.to_string()))?.len();
    if size_bytes > TOOL_RESULT_MAX_BYTES {
        return Err(invalid(format!("{size_bytes} bytes long; at most {TOOL_RESULT_MAX_BYTES} are taken")));
    }
    Ok(Part::ToolResult {
        call_id: call.call_id.clone(),
        name: call.name.clone(),
        result: tool_result::shorten(result, budget_bytes),
        is_error: submitted.is_error,
        provider_executed: false,
        metadata: None,
    })
}
