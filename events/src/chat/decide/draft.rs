//! A decision in the making: the events so far and the state they lead to, so that each next event is decided on the state
//! it will meet, and nothing is ever decided that the state machine refuses.

use chrono::{DateTime, TimeDelta, Utc};

use crate::chat::{Chat, Status};
use crate::command::{Command, Context};
use crate::envelope::{Recorded, microseconds};
use crate::event::{AttemptAction, Event, TurnReason, UsagePurpose};
use crate::ids::{AttemptId, ChatId, Version};
use crate::limits::Limits;
use crate::rejection::Rejection;
use crate::spending::CallSpent;

/// What a step of a decision yields.
pub(super) type Decided<T = ()> = Result<T, Rejection>;

/// Events decided so far, and the chat as they leave it.
pub(super) struct Draft<'a> {
    /// The chat after the events so far.
    pub chat: Chat,
    /// The time of the decision, as the log keeps it.
    pub now: DateTime<Utc>,
    /// The bounds in force.
    pub limits: &'a Limits,
    /// The window of the model that reads what is said next, in tokens.
    pub context_window: Option<u64>,
    /// What the model call of the attempt that was open at first has spent.
    pub call: CallSpent,
    command: &'static str,
    events: Vec<Event>,
}

impl<'a> Draft<'a> {
    /// A decision on an existing chat.
    pub fn new(chat: &Chat, command: &Command, context: Context<'a>) -> Draft<'a> {
        Draft {
            chat: chat.clone(),
            now: microseconds(context.now),
            limits: context.limits,
            context_window: context.context_window,
            call: context.call,
            command: command.name(),
            events: Vec::new(),
        }
    }

    /// A decision that begins a chat.
    pub fn begin(chat_id: ChatId, created: Event, command: &'static str, context: Context<'a>) -> Decided<Draft<'a>> {
        let now = microseconds(context.now);
        let first = Recorded::decided(chat_id, 1, now, created);
        let chat = Chat::begin(&first).map_err(inconsistent)?;
        let Context { limits, context_window, call, .. } = context;
        Ok(Draft { chat, now, limits, context_window, call, command, events: vec![first.event] })
    }

    /// Adds an event. Returns its version.
    pub fn push(&mut self, event: Event) -> Decided<Version> {
        let version = self.chat.outline.version + 1;
        let next = Recorded::decided(self.chat.outline.id, version, self.now, event);
        self.chat.advance(&next).map_err(inconsistent)?;
        self.events.push(next.event);
        Ok(version)
    }

    /// The decision.
    pub fn finish(self) -> Vec<Event> {
        self.events
    }

    /// The command does not fit the chat's state.
    pub fn not_allowed(&self) -> Rejection {
        let outline = &self.chat.outline;
        let state = if outline.archived { "archived" } else { outline.status.name() };
        Rejection::NotAllowed { command: self.command, state }
    }

    /// Refuses the command unless the chat has one of these statuses.
    pub fn require(&self, statuses: &[Status]) -> Decided {
        if statuses.contains(&self.chat.outline.status) { Ok(()) } else { Err(self.not_allowed()) }
    }

    /// Refuses the result of an attempt that is not the current one, or whose history has moved on.
    pub fn fence(&self, attempt_id: AttemptId) -> Decided {
        let outline = &self.chat.outline;
        match &outline.attempt {
            Some(open) if open.id == attempt_id && open.history_version == outline.history_version => Ok(()),
            _ => Err(Rejection::Fenced),
        }
    }

    /// As `fence`; without an attempt none may be open.
    pub fn fence_optional(&self, attempt_id: Option<AttemptId>) -> Decided {
        match attempt_id {
            Some(attempt_id) => self.fence(attempt_id),
            None if self.chat.outline.attempt.is_some() => Err(Rejection::Fenced),
            None => Ok(()),
        }
    }

    /// Says what the open attempt's model call has spent. For whatever closes an attempt without a message of it, just
    /// before: so each call is counted once, in the append that ends it, and no crash comes between.
    pub fn settle_call(&mut self) -> Decided {
        let Some(open) = &self.chat.outline.attempt else { return Ok(()) };
        let purpose = match open.action {
            AttemptAction::Generate => UsagePurpose::Answer,
            AttemptAction::Compact => UsagePurpose::Summary,
            AttemptAction::RunTools | AttemptAction::LoadContext => return Ok(()),
        };
        if let Some(recorded) = self.call.recorded(purpose, open.model.clone(), Some(open.id)) {
            self.push(Event::UsageRecorded(recorded))?;
        }
        Ok(())
    }

    /// The time so many milliseconds from now.
    pub fn after_ms(&self, delay_ms: u64) -> DateTime<Utc> {
        let delay = i64::try_from(delay_ms).ok().and_then(TimeDelta::try_milliseconds);
        delay.and_then(|delay| self.now.checked_add_signed(delay)).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// What the running turn is for.
    pub fn turn_reason(&self) -> Option<TurnReason> {
        self.chat.outline.turn.as_ref().map(|turn| turn.reason)
    }
}

fn inconsistent(illegal: crate::chat::IllegalEvent) -> Rejection {
    Rejection::Inconsistent { problem: illegal.to_string() }
}
