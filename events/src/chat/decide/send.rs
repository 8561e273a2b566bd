//! `SendMessage`: straight into history where the chat rests, to the queue's tail where it does not.

use super::draft::{Decided, Draft};
use super::moves::require_content;
use crate::chat::Status;
use crate::chat::calls::Unanswered;
use crate::command::{Busy, SendMessage};
use crate::event::{
    ActionResolution, Event, InterruptCause, InterruptRequested, MessageCommitted, MessageQueued, TurnReason,
};
use crate::message::{Origin, Role};
use crate::rejection::Rejection;

pub(super) fn send_message(draft: &mut Draft<'_>, send: &SendMessage) -> Decided {
    let rests = matches!(draft.chat.outline.status, Status::Waiting | Status::Error);
    let goes_in = rests && draft.chat.outline.queue.is_empty();
    if send.busy == Busy::Reject && !goes_in {
        return Err(draft.not_allowed());
    }
    require_content(&send.parts)?;
    if goes_in {
        return enter_history(draft, send);
    }
    enter_queue(draft, send)?;
    match draft.chat.outline.status {
        Status::Waiting => Ok(()),
        // The error is over: what waited longest goes first.
        Status::Error => draft.go_on_with_queue(),
        Status::Running if send.busy == Busy::Interrupt => {
            draft.push(Event::InterruptRequested(InterruptRequested { cause: InterruptCause::Message }))?;
            Ok(())
        }
        Status::RequiresAction if send.busy == Busy::Interrupt => {
            draft.leave_action(ActionResolution::Cancelled)?;
            draft.interrupt_turn(Unanswered::Cancelled)?;
            draft.go_on_with_queue()
        }
        Status::Running | Status::Interrupting | Status::RequiresAction => Ok(()),
    }
}

fn enter_history(draft: &mut Draft<'_>, send: &SendMessage) -> Decided {
    draft.answer_open_calls(Unanswered::Abandoned)?;
    let outline = &draft.chat.outline;
    let prompt = MessageCommitted {
        author: Some(send.author.clone()),
        model: send.model.clone().or_else(|| outline.model.clone()),
        effort: send.effort.clone().or_else(|| outline.effort.clone()),
        ..MessageCommitted::new(Role::User, send.parts.clone(), Origin::User)
    };
    draft.begin_turn(TurnReason::Message, prompt)
}

fn enter_queue(draft: &mut Draft<'_>, send: &SendMessage) -> Decided {
    let outline = &draft.chat.outline;
    let max = draft.limits.queue_max;
    if outline.queue.len() >= max {
        return Err(Rejection::QueueFull { max });
    }
    let queued = MessageQueued {
        parts: send.parts.clone(),
        author: send.author.clone(),
        model: send.model.clone().or_else(|| outline.model.clone()),
        effort: send.effort.clone().or_else(|| outline.effort.clone()),
        steer: send.busy == Busy::Steer,
    };
    draft.push(Event::MessageQueued(queued))?;
    Ok(())
}
