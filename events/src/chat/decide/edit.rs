//! `EditMessage`: takes a user's message and everything after it back, and begins again from what it says now.

use super::draft::{Decided, Draft};
use super::moves::{Ending, require_content};
use crate::chat::calls::Unanswered;
use crate::command::EditMessage;
use crate::event::{
    ActionResolution, Event, MessageCommitted, MessagesWithdrawn, QueuedMessageDeleted, TurnOutcome, TurnReason,
    WithdrawalReason,
};
use crate::message::{Origin, Role};
use crate::rejection::Rejection;

pub(super) fn edit_message(draft: &mut Draft<'_>, edit: &EditMessage) -> Decided {
    let message_id = edit.message_id;
    let target = draft.chat.history.get(message_id).ok_or(Rejection::MessageNotFound { message_id })?;
    // A summary, a workspace's files and a compaction's verbatim copies speak in a user's role too.
    if target.role != Role::User || target.origin != Origin::User || !target.for_user() {
        return Err(Rejection::NotAUserMessage { message_id });
    }
    require_content(&edit.parts)?;
    let replacement = MessageCommitted {
        author: Some(edit.author.clone()),
        model: edit.model.clone().or_else(|| target.model.clone()),
        effort: edit.effort.clone().or_else(|| target.effort.clone()),
        ..MessageCommitted::new(Role::User, edit.parts.clone(), Origin::User)
    };
    draft.leave_action(ActionResolution::Superseded)?;
    for queued_id in draft.chat.outline.queue.clone() {
        draft.push(Event::QueuedMessageDeleted(QueuedMessageDeleted { queued_id }))?;
    }
    if draft.chat.outline.turn.is_some() {
        draft.finish_turn(TurnOutcome::Interrupted, Ending::default())?;
    }
    draft.push(Event::MessagesWithdrawn(MessagesWithdrawn { from: message_id, reason: WithdrawalReason::Edited }))?;
    draft.answer_open_calls(Unanswered::Abandoned)?;
    draft.begin_turn(TurnReason::Edit, replacement)
}
