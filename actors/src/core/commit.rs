//! Deciding, appending, and taking over what was appended.

use std::sync::Arc;
use std::time::Instant;

use verbatim_events::chat::{Chat, pending};
use verbatim_events::command::Command;
use verbatim_events::envelope::microseconds;
use verbatim_events::ids::Position;
use verbatim_events::log::{Append, AppendError, Appended, NewReceipt, StreamAppend};
use verbatim_events::outcome::Outcome;
use verbatim_events::rejection::Rejection;
use verbatim_events::spending::CallSpent;
use verbatim_events::vault::Sealer;

use super::tools::Preparation;
use super::{Core, TROUBLE_BASE_MS, replayed};
use crate::attempt::{self, Metered};
use crate::background::{Background, Wanted};
use crate::handle::{Answer, Meta, SendError};
use crate::hydrate::Witnessed;
use crate::metrics::Stage;
use crate::plan::{Means, Plan, plan};
use crate::spans;

/// How often a command is decided again after another writer was faster.
const CONFLICTS_MAX: u32 = 8;
/// How often a commit that failed is tried in all.
const FAILED_COMMITS_MAX: u32 = 2;
/// How often the log is asked what became of a commit before the chat is put aside.
const FIND_OUT_TRIES: u32 = 3;
/// The first wait before the log is asked again, in ms; doubles.
const FIND_OUT_BASE_MS: u64 = 50;

impl Core {
    /// Decides, appends, evolves. Without a command: what the chat owes by itself.
    pub(super) async fn commit(&mut self, command: Option<&Command>, meta: &Meta) -> Result<Answer, SendError> {
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
            if command.is_some_and(Command::needs_past) && self.chat.as_ref().is_some_and(|chat| !chat.is_whole()) {
                self.recall_past().await?;
            }
            let before = self.chat.clone();
            let now = microseconds(self.deps.clock.now());
            let sealer = self.sealer(command).await?;
            let means = Means {
                sealer: sealer.as_deref(),
                is_prepared: self.preparation == Preparation::Done,
                seat: &self.seat,
                call: self.call_spent(),
            };
            let mut planned = plan(&self.deps, self.chat_id, before.as_ref(), command, meta, now, means)?;
            if let Some(work) = planned.preparation.take() {
                self.prepare_tools(work);
            }
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
            self.stop_elsewhere(before.as_deref(), &planned.witnessed, meta).await?;
            let append = self.append_of(&planned, before.as_deref(), meta, &outcome);
            let began = Instant::now();
            let appended = self.deps.log.append(append).await;
            self.deps.metrics.stage(Stage::Append, began);
            match appended {
                Ok(Appended { position }) => {
                    self.adopt(planned, position, command, meta);
                    return Ok(Answer { outcome, position, replayed: false });
                }
                Err(AppendError::Conflict { .. }) => {
                    self.hydrated = false;
                    // Somebody else may have begun the chat, with another key.
                    self.sealer = None;
                }
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
                            self.sealer = None;
                            failed_commits += 1;
                            if failed_commits >= FAILED_COMMITS_MAX {
                                return Err(SendError::LogUnavailable { problem });
                            }
                        }
                        None => {
                            self.hydrated = false;
                            self.sealer = None;
                            return Err(SendError::LogUnavailable { problem });
                        }
                    }
                }
            }
        }
        Err(SendError::Busy { retry_after_ms: TROUBLE_BASE_MS })
    }

    /// What the open attempt's model call has spent. Of an attempt that another life of the chat began, nobody knows.
    fn call_spent(&self) -> CallSpent {
        let open = self.chat.as_ref().and_then(|chat| chat.outline.attempt.as_ref());
        match (open, &self.metered) {
            (Some(open), Some(metered)) if metered.attempt_id == open.id => metered.read(),
            _ => CallSpent::Unknown,
        }
    }

    /// What seals the chat's events. Asked for once, and for a chat that is not there only when it is about to begin.
    async fn sealer(&mut self, command: Option<&Command>) -> Result<Option<Arc<dyn Sealer>>, SendError> {
        let begins = matches!(command, Some(Command::CreateChat(_) | Command::ForkChat(_)));
        let wanted = self.chat.as_ref().map_or(begins, |chat| !chat.outline.erased);
        if !wanted {
            self.sealer = None;
            return Ok(None);
        }
        if let Some(sealer) = &self.sealer {
            return Ok(sealer.clone());
        }
        let sealer = self.deps.vault.sealer(self.chat_id, self.chat.is_none()).await?;
        self.sealer = Some(sealer.clone());
        Ok(sealer)
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
        for (index, Witnessed { recorded, .. }) in witnessed.iter_mut().enumerate() {
            recorded.position = (position + 1 + index as u64).saturating_sub(count);
        }
        for Witnessed { recorded, .. } in &witnessed {
            self.deps.budgets.committed(&after.outline, recorded);
        }
        self.deps.metrics.committed(command, witnessed.iter().map(|one| &one.recorded.event));
        self.census.moved(&self.deps.metrics, Some(&after.outline));
        let turn_before = self.chat.as_ref().and_then(|chat| chat.outline.turn.as_ref()).map(|turn| turn.id);
        self.traces.committed(&witnessed, meta, turn_before, &after.outline);
        // Said before the message's permits go back: a chat that owes something must never look idle in between.
        self.mind.set_owing(!pending(&after).is_empty());
        self.cancel_abandoned_calls(self.chat.as_deref(), &after);
        self.chat = Some(Arc::clone(&after));
        let wanted = Wanted::after(&witnessed, &after);
        self.channel.publish(witnessed, Arc::clone(&after));
        Background::begin(&self.deps, wanted, &after, &self.tell);
        let open = after.outline.attempt.as_ref().map(|attempt| attempt.id);
        if self.running.as_ref().is_some_and(|running| Some(running.attempt_id) != open)
            && let Some(stale) = self.running.take()
        {
            stale.cancel(&self.deps, self.chat_id);
        }
        if after.outline.turn.as_ref().is_some_and(|turn| Some(turn.id) != turn_before) {
            self.look_around(&after);
        }
        if let Some(prepared) = planned.attempt {
            self.preparation = Preparation::Open;
            self.metered = Metered::of(&prepared);
            let trace = self.traces.turn();
            let turn_id = after.outline.turn.as_ref().map(|turn| turn.id);
            let span = spans::attempt(&trace.span, self.chat_id, turn_id, &prepared);
            let place = attempt::Place {
                chat_id: self.chat_id,
                channel: &self.channel,
                tell: &self.tell,
                runtime: &self.runtime,
                chat: &after,
                trace_id: trace.trace_id.clone(),
                span,
            };
            self.running = Some(attempt::start(&self.deps, prepared, place));
        }
    }
}
