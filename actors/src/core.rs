//! One chat's core: decide → append → evolve → perform. Knows nothing of actors' frameworks.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use tracing::Instrument as _;
use uuid::Uuid;
use verbatim_events::chat::{Chat, Effect, pending};
use verbatim_events::command::Command;
use verbatim_events::envelope::{Actor, microseconds};
use verbatim_events::episode;
use verbatim_events::event::AbandonCause;
use verbatim_events::ids::{AttemptId, ChatId, Position};
use verbatim_events::log::{Append, AppendError, Appended, LogError, NewReceipt, Receipt, StreamAppend};
use verbatim_events::outcome::Outcome;
use verbatim_events::rejection::Rejection;

use crate::attempt::{self, RunningAttempt};
use crate::clock::retry_is_due;
use crate::handle::{Answer, IdempotencyKey, Meta, SendError};
use crate::hub::{Channel, Opened};
use crate::hydrate::{Caught, catch_up};
use crate::messages::ChatMessage;
use crate::metrics::{Census, Stage};
use crate::node::Deps;
use crate::plan::{Plan, plan};
use crate::spans;
use crate::supervisor::Mind;
use crate::traces::Traces;

/// How often a command is decided again after another writer was faster.
const CONFLICTS_MAX: u32 = 8;
/// How often a commit that failed is tried in all.
const FAILED_COMMITS_MAX: u32 = 2;
/// How often the log is asked what became of a commit before the chat is put aside.
const FIND_OUT_TRIES: u32 = 3;
/// The first wait before the log is asked again, in ms; doubles.
const FIND_OUT_BASE_MS: u64 = 50;
/// The first wait after the log failed something the chat owes, in ms; doubles up to the cap.
const TROUBLE_BASE_MS: u64 = 100;
/// The longest such wait, in ms.
const TROUBLE_CAP_MS: u64 = 5_000;
/// What one message may set off before the mailbox gets its turn; the rest follows with a `Wake`.
const EFFECTS_PER_MESSAGE: u32 = 64;

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
    running: Option<RunningAttempt>,
    traces: Traces,
    census: Census,
    /// What an attempt wanted done when the log would not take it.
    unsaved: Option<(AttemptId, Box<Command>)>,
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
        Core {
            deps,
            chat_id,
            mind,
            channel,
            tell,
            runtime,
            hydrated: false,
            chat: None,
            running: None,
            traces: Traces::new(),
            census: Census::new(),
            unsaved: None,
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
            ChatMessage::AttemptEnded { attempt_id, command } => self.unsaved = Some((attempt_id, command)),
            ChatMessage::Refresh => self.hydrated = false,
            ChatMessage::Wake => {}
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
        let caught = catch_up(self.deps.log.as_ref(), self.chat_id, self.chat.take(), seen).await?;
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
        self.hydrate().await?;
        if let Some(key) = &meta.idempotency
            && let Some(receipt) = self.deps.log.receipt(&key.owner, &key.key).await?
        {
            return replayed(key, &receipt);
        }
        self.commit(Some(command), meta).await
    }

    /// Decides, appends, evolves. Without a command: what the chat owes by itself.
    async fn commit(&mut self, command: Option<&Command>, meta: &Meta) -> Result<Answer, SendError> {
        let began = Instant::now();
        let committed = self.decide_and_append(command, meta).await;
        if committed.as_ref().is_ok_and(|answer| !answer.replayed) {
            self.deps.metrics.stage(Stage::Commit, began);
        }
        committed
    }

    async fn decide_and_append(&mut self, command: Option<&Command>, meta: &Meta) -> Result<Answer, SendError> {
        let mut failed_commits = 0;
        for _ in 0..CONFLICTS_MAX {
            self.hydrate().await?;
            let before = self.chat.clone();
            let now = microseconds(self.deps.clock.now());
            let planned = plan(&self.deps, self.chat_id, before.as_ref(), command, meta, now)?;
            let outcome = match &planned.outcome {
                Some(outcome) => outcome.clone(),
                None => match planned.after.as_deref() {
                    Some(chat) => Outcome::of(before.as_deref(), &[], chat),
                    None => return Err(Rejection::ChatNotFound.into()),
                },
            };
            if planned.events.is_empty() && meta.idempotency.is_none() {
                return Ok(Answer { outcome, position: self.deps.log.known_head(), replayed: false });
            }
            let append = self.append_of(&planned, before.as_deref(), meta, &outcome);
            let began = Instant::now();
            let appended = self.deps.log.append(append).await;
            self.deps.metrics.stage(Stage::Append, began);
            match appended {
                Ok(Appended { position }) => {
                    self.adopt(planned, position, command, meta);
                    return Ok(Answer { outcome, position, replayed: false });
                }
                Err(AppendError::Conflict { .. }) => self.hydrated = false,
                Err(AppendError::Duplicate(receipt)) => {
                    return match &meta.idempotency {
                        Some(key) => replayed(key, &receipt),
                        None => Err(SendError::LogUnavailable { problem: "a receipt without a key".to_owned() }),
                    };
                }
                Err(AppendError::Busy) => return Err(SendError::Busy { retry_after_ms: TROUBLE_BASE_MS }),
                Err(AppendError::Failed(problem)) => return Err(SendError::LogUnavailable { problem }),
                Err(AppendError::Unknown(problem)) => {
                    match self.find_out(&planned, before.as_deref(), meta).await {
                        Some(Some(position)) => {
                            self.adopt(planned, position, command, meta);
                            return Ok(Answer { outcome, position, replayed: false });
                        }
                        // It did not happen; whether somebody else was faster, the next round sees. A log that goes on like
                        // that (a full disk does) is not there for now.
                        Some(None) => {
                            self.hydrated = false;
                            failed_commits += 1;
                            if failed_commits >= FAILED_COMMITS_MAX {
                                return Err(SendError::LogUnavailable { problem });
                            }
                        }
                        None => {
                            self.hydrated = false;
                            return Err(SendError::LogUnavailable { problem });
                        }
                    }
                }
            }
        }
        Err(SendError::Busy { retry_after_ms: TROUBLE_BASE_MS })
    }

    fn append_of(&self, planned: &Plan, before: Option<&Chat>, meta: &Meta, outcome: &Outcome) -> Append {
        let stream = StreamAppend {
            chat_id: self.chat_id,
            expected_version: before.map_or(0, |chat| chat.outline.version),
            expected_hash: before.map_or(verbatim_events::ids::Digest::ZERO, |chat| chat.head_hash),
            events: planned.events.clone(),
        };
        let receipt = meta.idempotency.as_ref().map(|key| NewReceipt {
            owner: key.owner.clone(),
            key: key.key.clone(),
            request_hash: key.request_hash,
            outcome: serde_json::to_vec(outcome).unwrap_or_default(),
        });
        Append { streams: vec![stream], receipt }
    }

    /// After a commit whose outcome is unknown: `Some(Some(position))` if it happened, `Some(None)` if it did not, `None`
    /// if the log does not tell.
    async fn find_out(&self, planned: &Plan, before: Option<&Chat>, meta: &Meta) -> Option<Option<Position>> {
        let after = before.map_or(0, |chat| chat.outline.version);
        for attempt in 0..FIND_OUT_TRIES {
            let found = match (planned.events.first(), &meta.idempotency) {
                (Some(first), _) => {
                    self.deps.log.read_chat(self.chat_id, after, planned.events.len()).await.map(|page| {
                        page.first()
                            .is_some_and(|stored| stored.event.event_id == first.event_id)
                            .then(|| page.last().map_or(0, |stored| stored.position))
                    })
                }
                (None, Some(key)) => {
                    let receipt = self.deps.log.receipt(&key.owner, &key.key).await;
                    receipt.map(|receipt| receipt.map(|receipt| receipt.position))
                }
                (None, None) => return Some(None),
            };
            match found {
                Ok(answer) => return Some(answer),
                Err(error) => tracing::warn!(%error, "The log does not say what became of a commit."),
            }
            self.deps.clock.sleep_ms(FIND_OUT_BASE_MS << attempt).await;
        }
        None
    }

    /// The append is durable: this is the state now, and everybody may know.
    fn adopt(&mut self, planned: Plan, position: Position, command: Option<&Command>, meta: &Meta) {
        let Some(after) = planned.after else { return };
        let count = planned.witnessed.len() as u64;
        let mut witnessed = planned.witnessed;
        for (index, (recorded, _, _)) in witnessed.iter_mut().enumerate() {
            recorded.position = (position + 1 + index as u64).saturating_sub(count);
        }
        self.deps.metrics.committed(command, witnessed.iter().map(|(recorded, _, _)| &recorded.event));
        self.census.moved(&self.deps.metrics, Some(&after.outline));
        let turn_before = self.chat.as_ref().and_then(|chat| chat.outline.turn.as_ref()).map(|turn| turn.id);
        self.traces.committed(&witnessed, meta, turn_before, &after.outline);
        // Said before the message's permits go back: a chat that owes something must never look idle in between.
        self.mind.set_owing(!pending(&after).is_empty());
        self.chat = Some(Arc::clone(&after));
        self.channel.publish(witnessed, Arc::clone(&after));
        let open = after.outline.attempt.as_ref().map(|attempt| attempt.id);
        if self.running.as_ref().is_some_and(|running| Some(running.attempt_id) != open)
            && let Some(stale) = self.running.take()
        {
            stale.cancel(&self.deps, self.chat_id);
        }
        if let Some(prepared) = planned.attempt {
            let trace = self.traces.turn();
            let turn_id = after.outline.turn.as_ref().map(|turn| turn.id);
            let span = spans::attempt(&trace.span, self.chat_id, turn_id, &prepared);
            let place = attempt::Place {
                chat_id: self.chat_id,
                channel: &self.channel,
                tell: &self.tell,
                runtime: &self.runtime,
                trace_id: trace.trace_id.clone(),
                span,
            };
            self.running = Some(attempt::start(&self.deps, prepared, place));
        }
    }

    /// Does what the chat owes, until it owes nothing that can be done now. Level-triggered: looks at the state alone.
    async fn perform(&mut self) {
        for _ in 0..EFFECTS_PER_MESSAGE {
            match self.perform_one().await {
                Ok(true) => self.troubles = 0,
                Ok(false) => {
                    self.troubles = 0;
                    self.settle();
                    return;
                }
                Err(SendError::Damaged { problem }) => {
                    tracing::error!(chat.id = %self.chat_id, problem, "The chat's log cannot be read; the chat is left alone.");
                    self.settle();
                    return;
                }
                Err(error) => {
                    self.troubles = self.troubles.saturating_add(1);
                    let wait_ms = (TROUBLE_BASE_MS << self.troubles.min(10)).min(TROUBLE_CAP_MS);
                    tracing::warn!(chat.id = %self.chat_id, %error, wait_ms, "What the chat owes must wait.");
                    let moment = self.deps.clock.now() + chrono::TimeDelta::milliseconds(wait_ms.cast_signed());
                    self.mind.set_owing(true);
                    self.set_alarm(Some(moment));
                    return;
                }
            }
        }
        (self.tell)(ChatMessage::Wake);
    }

    /// Does one thing; false when there is nothing to do now.
    async fn perform_one(&mut self) -> Result<bool, SendError> {
        self.hydrate().await?;
        let Some(chat) = self.chat.clone() else { return Ok(false) };
        let now = self.deps.clock.now();
        for effect in pending(&chat) {
            let command = match effect {
                Effect::Act => None,
                Effect::ActAt(moment) if retry_is_due(&chat, moment, now) => None,
                Effect::ExpireAt(moment) if moment <= now => Some(Command::ExpireAction),
                Effect::ActAt(_) | Effect::ExpireAt(_) => continue,
                Effect::Attend(open) => match self.unsaved.take() {
                    Some((attempt_id, command)) if attempt_id == open.id => {
                        let result = self.commit_own(Some(&command)).await;
                        if result.as_ref().is_err_and(|error| !matches!(error, SendError::Rejected(_))) {
                            self.unsaved = Some((attempt_id, command));
                        }
                        // A fenced result is dropped: the state has moved on, and the next look sees to it.
                        return match result {
                            Err(SendError::Rejected(rejection)) => {
                                tracing::debug!(chat.id = %self.chat_id, %rejection, "An attempt's result was dropped.");
                                self.running = None;
                                Ok(true)
                            }
                            other => other.map(|_| true),
                        };
                    }
                    Some(_) | None if self.running.as_ref().is_some_and(|running| running.attempt_id == open.id) => {
                        continue;
                    }
                    Some(_) | None => Some(Command::AbandonAttempt {
                        attempt_id: open.id,
                        cause: AbandonCause::Crash,
                        partial: self.partial(open.id),
                    }),
                },
                Effect::FinishInterruption(open) => {
                    if let Some(running) = self.running.take() {
                        running.cancel(&self.deps, self.chat_id);
                    }
                    let partial = open.map(|open| self.partial(open.id)).unwrap_or_default();
                    Some(Command::FinishInterruption { partial })
                }
            };
            self.commit_own(command.as_ref()).await?;
            return Ok(true);
        }
        self.unsaved = None;
        Ok(false)
    }

    /// What an attempt has said that can stand in a message. It says no more.
    fn partial(&self, attempt_id: AttemptId) -> Vec<verbatim_events::part::Part> {
        let frames = self.channel.close_episode(attempt_id);
        episode::interrupted(frames.iter().map(|frame| &frame.part.part))
    }

    async fn commit_own(&mut self, command: Option<&Command>) -> Result<Answer, SendError> {
        let trace = self.traces.turn();
        let meta = own_meta(&self.deps.node_name, trace.trace_id.clone());
        let Some(command) = command else { return self.commit(None, &meta).await };
        let span = trace.span.in_scope(|| spans::command(self.chat_id, command, &meta));
        let work = async {
            let answer = self.commit(Some(command), &meta).await;
            spans::answered(&answer);
            self.deps.metrics.command(command.name(), &answer);
            answer
        };
        work.instrument(span).await
    }

    /// Nothing can be done now: tells the supervisor whether the chat may rest, and sets the alarm for what comes later.
    fn settle(&mut self) {
        let effects = self.chat.as_deref().map(pending).unwrap_or_default();
        let moment = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::ActAt(moment) | Effect::ExpireAt(moment) => Some(*moment),
                Effect::Act | Effect::Attend(_) | Effect::FinishInterruption(_) => None,
            })
            .min();
        self.mind.set_owing(!effects.is_empty());
        self.set_alarm(moment);
    }

    fn set_alarm(&mut self, moment: Option<DateTime<Utc>>) {
        if self.alarm.as_ref().map(|(set, _)| *set) == moment
            && self.alarm.as_ref().is_some_and(|(_, task)| !task.is_finished())
        {
            return;
        }
        if let Some((_, task)) = self.alarm.take() {
            task.abort();
        }
        self.alarm = moment.map(|moment| {
            // The moment is the wall clock's; the wait ends in time, too, if that is set back meanwhile.
            let wait_ms = (moment - self.deps.clock.now()).num_milliseconds().max(0).cast_unsigned();
            let (until, wait) = (self.deps.clock.sleep_until(moment), self.deps.clock.sleep_ms(wait_ms + 1));
            let tell = Arc::clone(&self.tell);
            let task = self.runtime.spawn(async move {
                tokio::select! {
                    () = until => {}
                    () = wait => {}
                }
                tell(ChatMessage::Wake);
            });
            (moment, task)
        });
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
fn own_meta(node_name: &str, trace_id: Option<String>) -> Meta {
    let actor = Actor::Node(node_name.to_owned());
    Meta { actor, command_id: Uuid::now_v7(), idempotency: None, trace_id }
}
