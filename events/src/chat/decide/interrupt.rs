//! `Interrupt` and `FinishInterruption`: a running turn stops in two steps, because its partial output must be committed
//! first; a turn that waits for a client stops at once.

use super::draft::{Decided, Draft};
use crate::chat::Status;
use crate::chat::calls::Unanswered;
use crate::event::{ActionResolution, AttemptAction, Event, InterruptCause, InterruptRequested, MessageCommitted};
use crate::message::{FinishReason, Origin, Role};
use crate::part::Part;

pub(super) fn interrupt(draft: &mut Draft<'_>) -> Decided {
    draft.require(&[Status::Running, Status::RequiresAction])?;
    if draft.chat.outline.status == Status::Running {
        draft.push(Event::InterruptRequested(InterruptRequested { cause: InterruptCause::User }))?;
        return Ok(());
    }
    draft.leave_action(ActionResolution::Cancelled)?;
    draft.interrupt_turn(Unanswered::Cancelled)?;
    draft.go_on_with_queue()
}

pub(super) fn finish_interruption(draft: &mut Draft<'_>, partial: &[Part]) -> Decided {
    draft.require(&[Status::Interrupting])?;
    // What a summary or a tool batch had shown is no answer; only a model call's output is kept.
    let answering = draft.chat.outline.attempt.clone().filter(|attempt| attempt.action == AttemptAction::Generate);
    if let Some(attempt) = answering
        && !partial.is_empty()
    {
        let answer = MessageCommitted {
            model: attempt.model,
            usage: draft.call.usage(),
            cost_micros: draft.call.cost_micros(),
            finish_reason: Some(FinishReason::Interrupted),
            attempt_id: Some(attempt.id),
            ..MessageCommitted::new(Role::Assistant, partial.to_vec(), Origin::Model)
        };
        draft.push(Event::MessageCommitted(answer))?;
    }
    draft.interrupt_turn(Unanswered::Interrupted)?;
    draft.go_on_with_queue()
}
