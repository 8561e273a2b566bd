//! One chat's core: decide → append → evolve → perform. Knows nothing of actors' frameworks.

mod commit;
mod perform;
mod tools;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use uuid::Uuid;
use verbatim_events::chat::{Chat, pending};
use verbatim_events::command::Command;
use verbatim_events::envelope::Actor;
use verbatim_events::ids::{AttemptId, ChatId, Version};
use verbatim_events::log::{LogError, Receipt};
use verbatim_events::rejection::Rejection;
use verbatim_events::vault::Sealer;

use self::tools::Preparation;
use crate::attempt::{Metered, RunningAttempt};
use crate::capacity::Seat;
use crate::handle::{Answer, IdempotencyKey, Meta, SendError};
use crate::hub::{Channel, Opened};
use crate::hydrate::{Caught, catch_up, read_whole};
use crate::messages::ChatMessage;
use crate::metrics::Census;
use crate::node::Deps;
use crate::spans;
use crate::supervisor::Mind;
use crate::traces::Traces;

/// The first wait after the log failed something the chat owes, in ms; doubles up to the cap.
const TROUBLE_BASE_MS: u64 = 100;

/// Tells the chat's own actor something.
pub(crate) type Tell = Arc<dyn Fn(ChatMessage) + Send + Sync>;

/// One chat.
pub(crate) struct Core {
    deps: Arc<Deps>,
    chat_id: ChatId,
    mind: Arc<Mind>,
    channel: Arc<Channel>,
    tell: Tell,
    runtime: tokio::runtime::Handle,
    hydrated: bool,
    chat: Option<Arc<Chat>>,
    /// What seals the chat's events, once it was asked for; `None` within for a chat that is stored plain.
    sealer: Option<Option<Arc<dyn Sealer>>>,
    running: Option<RunningAttempt>,
    /// What the newest model call of this life spends.
    metered: Option<Metered>,
    traces: Traces,
    census: Census,
    /// What an attempt wanted done when the log would not take it.
    unsaved: Option<(AttemptId, Box<Command>)>,
    /// How far the tools are for the next model call.
    preparation: Preparation,
    /// The running turn's place among those that are at work at once.
    seat: Seat,
    /// When the alarm rings, if it is set.
    alarm: Option<(DateTime<Utc>, tokio::task::JoinHandle<()>)>,
    /// How often in a row the log failed something the chat owes.
    troubles: u32,
}

impl Core {
    pub(crate) fn new(
        deps: Arc<Deps>,
        chat_id: ChatId,
        mind: Arc<Mind>,
        runtime: tokio::runtime::Handle,
        tell: Tell,
    ) -> Core {
        let channel = deps.hub.channel(chat_id);
        let seat = deps.capacity.seat(chat_id, &tell);
        Core {
            deps,
            chat_id,
            mind,
            channel,
            tell,
            runtime,
            hydrated: false,
            chat: None,
            sealer: None,
            running: None,
            metered: None,
            traces: Traces::new(),
            census: Census::new(),
            unsaved: None,
            preparation: Preparation::Open,
            seat,
            alarm: None,
            troubles: 0,
        }
    }

    /// Deals with a message. True when the actor may go.
    pub(crate) async fn deal_with(&mut self, message: ChatMessage) -> bool {
        match message {
            ChatMessage::Command { command, meta, reply, permits, .. } => {
                let answer = self.execute(&command, &meta).await;
                spans::answered(&answer);
                self.deps.metrics.command(command.name(), &answer);
                // A caller that has gone away learns the outcome by its idempotency key.
                let _ = reply.send(answer);
                drop(permits);
            }
            ChatMessage::Open { reply, permits } => {
                let _ = reply.send(self.open().await);
                drop(permits);
            }
            ChatMessage::Rouse { reply, permits } => {
                let opened = self.open().await.map(drop);
                self.perform().await;
                let _ = reply.send(opened);
                drop(permits);
            }
            ChatMessage::AttemptEnded { attempt_id, command } => self.unsaved = Some((attempt_id, command)),
            ChatMessage::Refresh => self.hydrated = false,
            ChatMessage::Wake => {}
            ChatMessage::Prepared => self.preparation = Preparation::Done,
            ChatMessage::Retire { done } => {
                self.retire().await;
                let _ = done.send(());
                return true;
            }
        }
        self.perform().await;
        false
    }

    async fn open(&mut self) -> Result<Opened, SendError> {
        self.hydrate().await?;
        // What a crash left open is closed first: its last words may be lost, and a reader that had them would be at a
        // place that this chat does not know.
        if self.running.is_none() && self.chat.as_ref().is_some_and(|chat| chat.outline.attempt.is_some()) {
            self.perform().await;
        }
        self.channel.watch().ok_or(SendError::Rejected(Rejection::ChatNotFound))
    }

    /// Brings the state up to the log. Does nothing where it is known to be.
    async fn hydrate(&mut self) -> Result<(), SendError> {
        if self.hydrated {
            return Ok(());
        }
        let seen = self.channel.version();
        let caught = catch_up(self.deps.as_ref(), self.chat_id, self.chat.take(), seen).await?;
        self.take_over(caught, seen).await
    }

    /// Brings the chat's past back from the log, for a command that goes back to it.
    async fn recall_past(&mut self) -> Result<(), SendError> {
        let seen = self.channel.version();
        let caught = read_whole(self.deps.as_ref(), self.chat_id, seen).await?;
        if caught.news.is_empty() {
            self.chat = caught.chat;
            return Ok(());
        }
        self.take_over(caught, seen).await
    }

    /// Goes on from what was read. Watchers have been told what is not above `seen`.
    async fn take_over(&mut self, caught: Caught, seen: Version) -> Result<(), SendError> {
        let Caught { chat, news, trace_id } = caught;
        self.chat = chat;
        let Some(chat) = &self.chat else {
            self.hydrated = true;
            return Ok(());
        };
        self.census.moved(&self.deps.metrics, Some(&chat.outline));
        self.traces.read(trace_id, &chat.outline);
        self.mind.set_owing(!pending(chat).is_empty());
        // A channel without a state has no watchers yet: they get the state whole.
        let news = if seen == 0 { Vec::new() } else { news };
        self.channel.publish(news, Arc::clone(chat));
        if let Some(open) = &chat.outline.attempt
            && self.running.is_none()
        {
            let parts = match self.deps.journal.read(self.chat_id, open.id).await {
                Ok(parts) => parts,
                // It will not get better by asking again, and the chat can do without.
                Err(error @ LogError::Damaged { .. }) => {
                    tracing::warn!(chat.id = %self.chat_id, %error, "The parts of an attempt cannot be read.");
                    Vec::new()
                }
                Err(error) => return Err(error.into()),
            };
            self.channel.restore_parts(open.id, parts);
        }
        self.hydrated = true;
        Ok(())
    }

    async fn execute(&mut self, command: &Command, meta: &Meta) -> Result<Answer, SendError> {
        let answer = self.commit(Some(command), meta).await;
        // Whatever was answered before its end, an erased chat says nothing any more but that it was erased.
        if answer == Err(SendError::Rejected(Rejection::Erased)) && !matches!(command, Command::Erase { .. }) {
            return answer;
        }
        // The log knows a key that was used, and says so when it is given the append. A command that is refused never
        // gets there, though it may have been done before.
        if let (Err(SendError::Rejected(_)), Some(key)) = (&answer, &meta.idempotency)
            && let Some(receipt) = self.deps.log.receipt(&key.owner, &key.key).await?
        {
            return replayed(key, &receipt);
        }
        answer
    }

    /// Rests. What runs is left to the next incarnation, which finds what it said in the journal.
    async fn retire(&mut self) {
        self.set_alarm(None);
        if let Some(running) = self.running.take() {
            running.leave().await;
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if let Some((_, task)) = self.alarm.take() {
            task.abort();
        }
        self.census.moved(&self.deps.metrics, None);
    }
}

/// The first outcome of a key, or the refusal to use it for something else.
pub(crate) fn replayed(key: &IdempotencyKey, receipt: &Receipt) -> Result<Answer, SendError> {
    // All that is left of what made a chat that was erased since.
    if receipt.outcome.is_empty() {
        return Err(Rejection::Erased.into());
    }
    if receipt.request_hash != key.request_hash {
        return Err(SendError::KeyReused);
    }
    let outcome = serde_json::from_slice(&receipt.outcome)
        .map_err(|error| SendError::Damaged { problem: format!("a receipt cannot be read: {error}") })?;
    Ok(Answer { outcome, position: receipt.position, replayed: true })
}

/// Sends a command to the chat's own actor and waits; how an attempt records its tool calls.
pub(crate) async fn ask(
    tell: &Tell,
    chat_id: ChatId,
    command: Command,
    node_name: &str,
    trace_id: Option<String>,
) -> Result<Answer, SendError> {
    let (reply, answer) = oneshot::channel();
    let meta = own_meta(node_name, trace_id);
    let span = spans::command(chat_id, &command, &meta);
    tell(ChatMessage::Command { command: Box::new(command), meta: Box::new(meta), reply, span, permits: None });
    answer.await.unwrap_or(Err(SendError::Died))
}

/// What accompanies a command that the node gives itself.
pub(crate) fn own_meta(node_name: &str, trace_id: Option<String>) -> Meta {
    let actor = Actor::Node(node_name.to_owned());
    Meta { actor, command_id: Uuid::now_v7(), idempotency: None, trace_id }
}
