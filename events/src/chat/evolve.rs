//! From a state and an event to the next state: the outline's fold, and the words beside it.

use std::sync::Arc;

use crate::chat::chain::Chain;
use crate::chat::fold::comes_after_erased_events;
use crate::chat::history::History;
use crate::chat::outline::Outline;
use crate::chat::state::{Boundary, CallRecord, Chat, ChatConfig, PinnedContext, QueuedMessage};
use crate::envelope::Recorded;
use crate::event::{
    ChatCreated, ContextSource, Event, MessageCommitted, MessageQueued, PromotedTo, QueuedMessagePromoted,
    ToolCallStarted,
};
use crate::ids::{ChatId, Digest, MessageId, QueuedId, Version};
use crate::message::{Message, Origin, Role};
use crate::spending::add_to_share;

/// An event that cannot have happened in the state it is applied to: the log or the program is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {version} ({event_type}) of {chat_id} is illegal: {problem}")]
pub struct IllegalEvent {
    /// The chat.
    pub chat_id: ChatId,
    /// The event.
    pub version: Version,
    /// Its type.
    pub event_type: &'static str,
    /// Why it is illegal.
    pub problem: String,
    /// Nothing is wrong: the event needs what the state let go of, and can be applied to a whole one.
    pub lacks_past: bool,
}

/// Says why `recorded` is illegal.
pub(super) fn illegal(recorded: &Recorded, problem: String) -> IllegalEvent {
    IllegalEvent {
        chat_id: recorded.chat_id,
        version: recorded.version,
        event_type: crate::wire::event_type(&recorded.event),
        problem,
        lacks_past: false,
    }
}

/// Applies an event. `state` is `None` for a chat that does not exist yet.
///
/// As with `Outline::apply`, an erasure may come after events that were passed over.
pub fn evolve(state: Option<Chat>, recorded: &Recorded) -> Result<Chat, IllegalEvent> {
    if let Some(remains) = comes_after_erased_events(state.as_ref().map(|chat| &chat.outline), recorded) {
        let chat = Chat::empty(Outline::apply(None, recorded)?, ChatConfig::default(), recorded.hash);
        return Ok(Chat { spent: Arc::new(remains.spending.clone()), ..chat });
    }
    match state {
        None => Chat::begin(recorded),
        Some(mut chat) => {
            chat.advance(recorded)?;
            Ok(chat)
        }
    }
}

impl Chat {
    /// The chat whose first event this is.
    pub(super) fn begin(recorded: &Recorded) -> Result<Chat, IllegalEvent> {
        let outline = Outline::begin(recorded)?;
        let config = match &recorded.event {
            Event::ChatCreated(created) => config_of(created),
            _ => ChatConfig::default(),
        };
        Ok(Chat::empty(outline, config, recorded.hash))
    }

    /// A chat in which nothing was said.
    fn empty(outline: Outline, config: ChatConfig, head_hash: Digest) -> Chat {
        Chat {
            outline,
            config: Arc::new(config),
            history: History::default(),
            queue: Vec::new(),
            head_hash,
            boundary: 0,
            boundary_is_compaction: false,
            earlier_boundaries: Arc::default(),
            compaction_requested: None,
            calls: Arc::default(),
            approvals: Arc::default(),
            refused_calls: Arc::default(),
            offer: Arc::default(),
            context: None,
            chain: Arc::default(),
            spent: Arc::default(),
        }
    }

    /// Applies a later event in place. After an error the chat is not to be used any more.
    pub(super) fn advance(&mut self, recorded: &Recorded) -> Result<(), IllegalEvent> {
        if matches!(recorded.event, Event::MessagesWithdrawn(_)) && !self.is_whole() {
            let illegal = illegal(recorded, "it withdraws messages of a chat that is not whole".to_owned());
            return Err(IllegalEvent { lacks_past: true, ..illegal });
        }
        self.outline.advance(recorded)?;
        self.fold_words(recorded).map_err(|problem| illegal(recorded, problem))?;
        if let Some(spending) = recorded.event.spending() {
            add_to_share(Arc::make_mut(&mut self.spent), recorded.recorded_at.date_naive(), &spending);
        }
        self.head_hash = recorded.hash;
        Ok(())
    }

    fn fold_words(&mut self, recorded: &Recorded) -> Result<(), String> {
        let version = recorded.version;
        match &recorded.event {
            Event::MessageCommitted(committed) => self.message_committed(recorded, committed),
            Event::MessagesWithdrawn(withdrawn) => self.messages_withdrawn(withdrawn.from)?,
            Event::MessageQueued(queued) => self.queue.push(Arc::new(queued_message(recorded, queued))),
            Event::QueuedMessageDeleted(deleted) => {
                self.take_queued(deleted.queued_id);
            }
            Event::QueuedMessagePromoted(QueuedMessagePromoted { queued_id, to }) => {
                let message = self.take_queued(*queued_id);
                if let (PromotedTo::Head, Some(message)) = (to, message) {
                    self.queue.insert(0, message);
                }
            }
            Event::TurnStarted(_) => {
                self.compaction_requested = None;
                self.calls = Arc::default();
                self.approvals = Arc::default();
                self.refused_calls = Arc::default();
            }
            Event::AttemptRecorded(recorded) => {
                if let Some(offer) = &recorded.offer {
                    self.offer = Arc::new(offer.clone());
                }
                self.chain_mut().ask(recorded);
            }
            Event::ToolCallStarted(started) => {
                let ToolCallStarted { attempt_id, effect_class, .. } = *started;
                let record = CallRecord::Started { attempt_id, effect_class, at: recorded.recorded_at };
                Arc::make_mut(&mut self.calls).insert(started.call_id.clone(), record);
            }
            Event::ToolCallFinished(finished) => {
                let record = CallRecord::Finished {
                    result: finished.result.clone(),
                    is_error: finished.is_error,
                    attachments: finished.attachments.clone(),
                };
                Arc::make_mut(&mut self.calls).insert(finished.call_id.clone(), record);
            }
            Event::ApprovalsDecided(decided) => {
                let approvals = Arc::make_mut(&mut self.approvals);
                for decision in &decided.decisions {
                    approvals.insert(decision.call_id.clone(), decision.clone());
                }
            }
            Event::RetryScheduled(retry) => self.chain_mut().fail(Some(&retry.error)),
            Event::TurnFinished(finished) => {
                self.compaction_requested = None;
                self.chain_mut().fail(finished.error.as_ref());
            }
            Event::CompactionRequested(requested) => self.compaction_requested = Some(requested.source),
            Event::ContextCompacted(_) => {
                self.compaction_requested = None;
                self.set_boundary(Boundary { version, is_compaction: true });
            }
            Event::ContextCleared(_) => self.set_boundary(Boundary { version, is_compaction: false }),
            Event::ChatErased(erased) => {
                self.forget_words();
                // Who could read what was before and who could not see the same.
                if let Some(remains) = &erased.remains {
                    self.spent = Arc::new(remains.spending.clone());
                }
            }
            Event::ChatCreated(_)
            | Event::CapacityAwaited(_)
            | Event::AttemptAbandoned(_)
            | Event::ActionRequired(_)
            | Event::ActionResolved(_)
            | Event::InterruptRequested(_)
            | Event::SettingsChanged(_)
            | Event::ChatArchived(_)
            | Event::ChatUnarchived(_)
            | Event::ChildSpawned(_)
            | Event::UsageRecorded(_) => {}
        }
        Ok(())
    }

    fn message_committed(&mut self, recorded: &Recorded, committed: &MessageCommitted) {
        let turn_id = self.outline.turn.as_ref().map(|turn| turn.id);
        let message = Message::committed(recorded, committed, turn_id);
        if message.role == Role::Tool {
            self.forget_answered(&message);
        }
        if !committed.refused_calls.is_empty() {
            self.refused_calls = Arc::new(committed.refused_calls.clone());
        }
        if message.origin == Origin::Context {
            self.pin_context(message.id, committed);
        }
        self.history.push(Arc::new(message));
        self.chain_mut().answer(recorded.version, committed);
    }

    fn chain_mut(&mut self) -> &mut Chain {
        Arc::make_mut(&mut self.chain)
    }

    /// A later answer of the model may use the same call ids again, so an answered call's records must not outlive it.
    fn forget_answered(&mut self, message: &Message) {
        for call_id in message.answered_call_ids() {
            if self.calls.contains_key(call_id) {
                Arc::make_mut(&mut self.calls).remove(call_id);
            }
            if self.approvals.contains_key(call_id) {
                Arc::make_mut(&mut self.approvals).remove(call_id);
            }
            if self.refused_calls.contains_key(call_id) {
                Arc::make_mut(&mut self.refused_calls).remove(call_id);
            }
        }
    }

    fn messages_withdrawn(&mut self, from: MessageId) -> Result<(), String> {
        if self.history.get(from).is_none() {
            return Err(format!("message {from} is not in history"));
        }
        self.history.withdraw_from(from);
        self.chain_mut().withdraw_from(from);
        while self.boundary >= from {
            let earlier = Arc::make_mut(&mut self.earlier_boundaries).pop().unwrap_or_default();
            self.boundary = earlier.version;
            self.boundary_is_compaction = earlier.is_compaction;
        }
        if self.context.as_ref().is_some_and(|pinned| pinned.message_id >= from) {
            self.context = None;
        }
        self.calls = Arc::default();
        self.approvals = Arc::default();
        self.refused_calls = Arc::default();
        Ok(())
    }

    fn take_queued(&mut self, queued_id: QueuedId) -> Option<Arc<QueuedMessage>> {
        let index = self.queue.iter().position(|queued| queued.id == queued_id)?;
        Some(self.queue.remove(index))
    }

    fn set_boundary(&mut self, boundary: Boundary) {
        // No prompt holds what stands before it any more, so what that became in requests need not be kept.
        let past = self.history.after(self.boundary).take_while(|message| message.id <= boundary.version);
        past.for_each(|message| message.form.forget());
        if self.boundary > 0 {
            let earlier = Boundary { version: self.boundary, is_compaction: self.boundary_is_compaction };
            Arc::make_mut(&mut self.earlier_boundaries).push(earlier);
        }
        self.boundary = boundary.version;
        self.boundary_is_compaction = boundary.is_compaction;
        self.chain = Arc::default();
        // Prompts start after the boundary: what stood before it must be read again.
        self.context = None;
    }

    fn pin_context(&mut self, message_id: MessageId, committed: &MessageCommitted) {
        // Older events do not say where the files were read: it was the workspace that the chat had.
        let attached = || ContextSource {
            workspace_id: self.outline.workspace.as_ref().and_then(|bound| bound.id.clone()).unwrap_or_default(),
            ..ContextSource::default()
        };
        let source = committed.context.clone().unwrap_or_else(attached);
        if source.unreachable
            && self.context.as_ref().is_some_and(|pinned| pinned.source.workspace_id == source.workspace_id)
        {
            // What was read there before is better than nothing.
            return;
        }
        if self.context.is_some() {
            // What a provider keeps of the conversation holds the files that are in no prompt any more.
            self.chain = Arc::default();
        }
        self.context = Some(Arc::new(PinnedContext { message_id, source }));
    }

    fn forget_words(&mut self) {
        self.config = Arc::default();
        self.history = History::default();
        self.chain = Arc::default();
        self.queue.clear();
        self.boundary = 0;
        self.boundary_is_compaction = false;
        self.earlier_boundaries = Arc::default();
        self.compaction_requested = None;
        self.calls = Arc::default();
        self.approvals = Arc::default();
        self.refused_calls = Arc::default();
        self.offer = Arc::default();
        self.context = None;
    }
}

fn config_of(created: &ChatCreated) -> ChatConfig {
    ChatConfig {
        system_prompt: created.system_prompt.clone(),
        tools: created.tools.clone(),
        server_tools: created.server_tools.clone(),
        mcp_servers: created.mcp_servers.clone(),
        tool_policy: created.tool_policy.clone(),
    }
}

fn queued_message(recorded: &Recorded, queued: &MessageQueued) -> QueuedMessage {
    QueuedMessage {
        id: recorded.version,
        parts: queued.parts.clone(),
        author: queued.author.clone(),
        model: queued.model.clone(),
        effort: queued.effort.clone(),
        steer: queued.steer,
        created_at: recorded.recorded_at,
    }
}
