//! `FinishTurn` and `FailTurn`: how a turn ends by itself.

use super::draft::{Decided, Draft};
use super::moves::Ending;
use crate::chat::Status;
use crate::chat::calls::Unanswered;
use crate::error::ChatError;
use crate::event::TurnOutcome;
use crate::ids::AttemptId;
use crate::part::Part;
use crate::rejection::Rejection;

pub(super) fn finish_turn(draft: &mut Draft<'_>, attempt_id: Option<AttemptId>, outcome: TurnOutcome) -> Decided {
    draft.require(&[Status::Running])?;
    draft.fence_optional(attempt_id)?;
    match outcome {
        TurnOutcome::Complete | TurnOutcome::StopAfterTool | TurnOutcome::MaxSteps | TurnOutcome::NoOutput => {}
        TurnOutcome::Interrupted | TurnOutcome::Failed => {
            return Err(Rejection::StepMismatch { problem: format!("a turn does not end by itself as {outcome:?}") });
        }
    }
    draft.answer_open_calls(Unanswered::Abandoned)?;
    draft.finish_turn(outcome, Ending::default())?;
    draft.go_on_with_queue()
}

pub(super) fn fail_turn(
    draft: &mut Draft<'_>,
    attempt_id: Option<AttemptId>,
    error: &ChatError,
    partial: &[Part],
) -> Decided {
    draft.require(&[Status::Running])?;
    draft.fence_optional(attempt_id)?;
    let ending = Ending { error: Some(error.clone()), partial: partial.to_vec() };
    draft.finish_turn(TurnOutcome::Failed, ending)
}
