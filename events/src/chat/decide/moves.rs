//! The moves that several commands share: answering open calls, beginning and ending turns, promoting what waits.

use super::create::{EMPTY_TITLE, fallback_title};
use super::draft::{Decided, Draft};
use crate::chat::calls::{Unanswered, answers};
use crate::chat::{QueuedMessage, Status};
use crate::error::ChatError;
use crate::event::{
    ActionResolution, ActionResolved, Event, MessageCommitted, PromotedTo, QueuedMessagePromoted, SettingsChanged,
    TitleChange, TitleSource, TurnFinished, TurnOutcome, TurnReason, TurnStarted,
};
use crate::ids::QueuedId;
use crate::message::{Origin, Role};
use crate::part::Part;
use crate::rejection::Rejection;

/// Refuses content that says nothing.
pub(super) fn require_content(parts: &[Part]) -> Decided {
    let blank = |part: &Part| matches!(part, Part::Text { text } if text.trim().is_empty());
    if parts.iter().all(blank) { Err(Rejection::EmptyContent) } else { Ok(()) }
}

/// How a turn ends, beside its outcome.
#[derive(Default)]
pub(super) struct Ending {
    /// Why it failed.
    pub error: Option<ChatError>,
    /// Output that was shown and is void.
    pub partial: Vec<Part>,
}

impl Draft<'_> {
    /// Answers every open call, if any, with what the log knows or else with an error result.
    pub fn answer_open_calls(&mut self, why: Unanswered) -> Decided {
        let (parts, any_synthetic) = answers(&self.chat, why);
        if parts.is_empty() {
            return Ok(());
        }
        let origin = if any_synthetic { Origin::Synthetic } else { Origin::Tool };
        self.push(Event::MessageCommitted(MessageCommitted::new(Role::Tool, parts, origin)))?;
        Ok(())
    }

    /// Ends the wait for a client, if there is one, and answers what waited.
    pub fn leave_action(&mut self, resolution: ActionResolution) -> Decided {
        if self.chat.outline.status != Status::RequiresAction {
            return Ok(());
        }
        self.push(Event::ActionResolved(ActionResolved { resolution }))?;
        Ok(())
    }

    /// Begins a turn with a user's message. A chat that has been empty takes its title from it.
    pub fn begin_turn(&mut self, reason: TurnReason, prompt: MessageCommitted) -> Decided {
        let outline = &self.chat.outline;
        let is_untitled = outline.title_source == TitleSource::Fallback && outline.title == EMPTY_TITLE;
        let title = if is_untitled { fallback_title(&prompt.parts) } else { EMPTY_TITLE.to_owned() };
        self.push(Event::TurnStarted(TurnStarted { reason }))?;
        self.push(Event::MessageCommitted(prompt))?;
        if title != EMPTY_TITLE {
            let title = Some(TitleChange { title, source: TitleSource::Fallback });
            self.push(Event::SettingsChanged(SettingsChanged { title, ..SettingsChanged::default() }))?;
        }
        Ok(())
    }

    /// Ends the open turn. What waits is not promoted.
    pub fn finish_turn(&mut self, outcome: TurnOutcome, ending: Ending) -> Decided {
        self.settle_call()?;
        let Some(turn) = &self.chat.outline.turn else {
            return Err(self.not_allowed());
        };
        let duration_ms = u64::try_from((self.now - turn.started_at).num_milliseconds()).unwrap_or(0);
        let finished = TurnFinished {
            turn_id: turn.id,
            outcome,
            error: ending.error,
            partial: ending.partial,
            usage: turn.usage,
            cost_micros: turn.cost.total_micros(),
            steps: turn.steps,
            duration_ms,
        };
        self.push(Event::TurnFinished(finished))?;
        Ok(())
    }

    /// Ends the open turn as interrupted, its open calls answered first.
    pub fn interrupt_turn(&mut self, why: Unanswered) -> Decided {
        self.answer_open_calls(why)?;
        self.finish_turn(TurnOutcome::Interrupted, Ending::default())
    }

    /// Between turns, promotes the queue's head into a turn of its own.
    pub fn go_on_with_queue(&mut self) -> Decided {
        let head = self.chat.queue.first().map(|queued| queued.id);
        match head {
            Some(head) => self.promote_into_turn(head),
            None => Ok(()),
        }
    }

    /// Promotes a waiting message into a turn of its own. No turn is open.
    pub fn promote_into_turn(&mut self, queued_id: QueuedId) -> Decided {
        self.answer_open_calls(Unanswered::Abandoned)?;
        let prompt = self.take_from_queue(queued_id)?;
        self.begin_turn(TurnReason::Promotion, prompt)
    }

    /// Lets the steered messages into history at a step boundary, in order, unless calls are still open. A compaction's
    /// own turn ends without an answer, so nothing enters it.
    pub fn let_steered_in(&mut self) -> Decided {
        let calls_are_open = !crate::chat::open_calls(&self.chat).is_empty();
        if calls_are_open || self.turn_reason() == Some(TurnReason::Compaction) {
            return Ok(());
        }
        let steered: Vec<QueuedId> =
            self.chat.queue.iter().filter(|queued| queued.steer).map(|queued| queued.id).collect();
        for queued_id in steered {
            let prompt = self.take_from_queue(queued_id)?;
            self.push(Event::MessageCommitted(prompt))?;
        }
        Ok(())
    }

    /// The waiting message of this id.
    pub fn queued(&self, queued_id: QueuedId) -> Decided<&QueuedMessage> {
        let found = self.chat.queue.iter().find(|queued| queued.id == queued_id);
        found.map(|queued| &**queued).ok_or(Rejection::QueuedMessageNotFound { queued_id })
    }

    /// Takes a waiting message out of the queue, ready to be committed with all that it was sent with.
    fn take_from_queue(&mut self, queued_id: QueuedId) -> Decided<MessageCommitted> {
        let QueuedMessage { parts, author, model, effort, .. } = self.queued(queued_id)?.clone();
        self.push(Event::QueuedMessagePromoted(QueuedMessagePromoted { queued_id, to: PromotedTo::History }))?;
        Ok(MessageCommitted {
            author: Some(author),
            queued_id: Some(queued_id),
            model,
            effort,
            ..MessageCommitted::new(Role::User, parts, Origin::User)
        })
    }
}
