//! `DeleteQueued` and `PromoteQueued`: what a user does with a message that waits.

use super::draft::{Decided, Draft};
use crate::chat::Status;
use crate::chat::calls::Unanswered;
use crate::event::{
    ActionResolution, Event, InterruptCause, InterruptRequested, PromotedTo, QueuedMessageDeleted,
    QueuedMessagePromoted,
};
use crate::ids::QueuedId;

pub(super) fn delete_queued(draft: &mut Draft<'_>, queued_id: QueuedId) -> Decided {
    draft.queued(queued_id)?;
    draft.push(Event::QueuedMessageDeleted(QueuedMessageDeleted { queued_id }))?;
    Ok(())
}

pub(super) fn promote_queued(draft: &mut Draft<'_>, queued_id: QueuedId) -> Decided {
    draft.queued(queued_id)?;
    match draft.chat.outline.status {
        // A waiting chat has no queue, so the message was not found.
        Status::Waiting => Ok(()),
        Status::Error => draft.promote_into_turn(queued_id),
        Status::RequiresAction => {
            draft.leave_action(ActionResolution::Superseded)?;
            draft.interrupt_turn(Unanswered::Cancelled)?;
            draft.promote_into_turn(queued_id)
        }
        Status::Running => {
            move_to_head(draft, queued_id)?;
            draft.push(Event::InterruptRequested(InterruptRequested { cause: InterruptCause::Promotion }))?;
            Ok(())
        }
        Status::Interrupting => move_to_head(draft, queued_id),
    }
}

fn move_to_head(draft: &mut Draft<'_>, queued_id: QueuedId) -> Decided {
    if draft.chat.outline.queue.first() != Some(&queued_id) {
        draft.push(Event::QueuedMessagePromoted(QueuedMessagePromoted { queued_id, to: PromotedTo::Head }))?;
    }
    Ok(())
}
