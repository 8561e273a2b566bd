//! `RequestCompaction` and `ClearContext`: where prompts start.

use super::draft::{Decided, Draft};
use crate::chat::Status;
use crate::chat::calls::Unanswered;
use crate::chat::compaction::answers_since_boundary;
use crate::event::{CompactionRequested, CompactionSource, ContextCleared, Event, TurnReason, TurnStarted};
use crate::rejection::Rejection;

/// Begins a turn that summarises and does nothing else.
pub(super) fn request_compaction(draft: &mut Draft<'_>) -> Decided {
    draft.require(&[Status::Waiting, Status::Error])?;
    if answers_since_boundary(&draft.chat) == 0 {
        return Err(Rejection::NothingToCompact);
    }
    draft.answer_open_calls(Unanswered::Abandoned)?;
    draft.push(Event::TurnStarted(TurnStarted { reason: TurnReason::Compaction }))?;
    draft.push(Event::CompactionRequested(CompactionRequested { source: CompactionSource::Manual }))?;
    Ok(())
}

/// Sets a boundary without a model call.
pub(super) fn clear_context(draft: &mut Draft<'_>) -> Decided {
    draft.require(&[Status::Waiting, Status::Error])?;
    if !draft.chat.outline.queue.is_empty() {
        return Err(draft.not_allowed());
    }
    if !draft.chat.history.after(draft.chat.boundary).any(|message| message.for_model()) {
        return Err(Rejection::NothingToClear);
    }
    draft.answer_open_calls(Unanswered::Abandoned)?;
    draft.push(Event::ContextCleared(ContextCleared { source: CompactionSource::Manual }))?;
    Ok(())
}
