//! Doing what a chat owes, and waiting for what it will owe.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tracing::Instrument as _;
use verbatim_events::chat::{Chat, Effect, pending};
use verbatim_events::command::Command;
use verbatim_events::episode;
use verbatim_events::event::AbandonCause;
use verbatim_events::ids::AttemptId;

use super::tools::Preparation;
use super::{Core, TROUBLE_BASE_MS, own_meta};
use crate::clock::retry_is_due;
use crate::handle::{Answer, SendError};
use crate::messages::ChatMessage;
use crate::spans;

/// The longest wait after the log failed something the chat owes, in ms.
const TROUBLE_CAP_MS: u64 = 5_000;
/// What one message may set off before the mailbox gets its turn; the rest follows with a `Wake`.
const EFFECTS_PER_MESSAGE: u32 = 64;

impl Core {
    /// Does what the chat owes, until it owes nothing that can be done now. Level-triggered: looks at the state alone.
    pub(super) async fn perform(&mut self) {
        self.perform_all().await;
        self.seat.follow(self.chat.as_deref().map(|chat| &chat.outline));
    }

    async fn perform_all(&mut self) {
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
                Effect::Act | Effect::ActAt(_) if self.must_wait(&chat) => continue,
                Effect::Act => None,
                Effect::ActAt(moment) if retry_is_due(&chat, moment, now) => None,
                Effect::ExpireAt(moment) if moment <= now => Some(Command::ExpireAction),
                Effect::ActAt(_) | Effect::ExpireAt(_) => continue,
                Effect::Attend(open) => match self.unsaved.take() {
                    Some((attempt_id, command)) if attempt_id == open.id => {
                        return match self.commit_own(Some(&command)).await {
                            Ok(_) => Ok(true),
                            // A fenced result is dropped: the state has moved on, and the next look sees to it.
                            Err(SendError::Rejected(rejection)) => {
                                tracing::debug!(chat.id = %self.chat_id, %rejection, "An attempt's result was dropped.");
                                self.running = None;
                                Ok(true)
                            }
                            Err(error) => {
                                self.unsaved = Some((attempt_id, command));
                                Err(error)
                            }
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
                    self.cancel_calls(&chat).await;
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

    /// The next step waits for the tools, or for its place; both say when they are there.
    fn must_wait(&self, chat: &Chat) -> bool {
        self.preparation == Preparation::Underway || self.seat.is_blocked(&chat.outline)
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
    pub(super) fn settle(&mut self) {
        let effects = self.chat.as_deref().map(pending).unwrap_or_default();
        let is_blocked = self.chat.as_deref().is_some_and(|chat| self.seat.is_blocked(&chat.outline));
        let moment = effects
            .iter()
            .filter_map(|effect| match effect {
                // Who is waited for says when; a moment that has passed would ring again and again until then.
                Effect::ActAt(_) if self.preparation == Preparation::Underway => None,
                Effect::ActAt(moment) if *moment <= self.deps.clock.now() && is_blocked => None,
                Effect::ActAt(moment) | Effect::ExpireAt(moment) => Some(*moment),
                Effect::Act | Effect::Attend(_) | Effect::FinishInterruption(_) => None,
            })
            .min();
        self.mind.set_owing(!effects.is_empty());
        self.set_alarm(moment);
    }

    pub(super) fn set_alarm(&mut self, moment: Option<DateTime<Utc>>) {
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
}
