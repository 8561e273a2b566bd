//! What a chat owes to its tools beyond running them: time to get ready, and word that a call is no longer wanted.

use std::sync::Arc;

use futures_util::future::join_all;
use verbatim_events::chat::{CallRecord, Chat, open_calls};
use verbatim_events::event::{ActionResolution, Event};
use verbatim_events::log::BoxFuture;
use verbatim_events::tool::CallKey;

use super::Core;
use crate::handle::{Meta, SendError};
use crate::hydrate::Witnessed;
use crate::messages::ChatMessage;

/// How long the tools may take to get ready before the model is called without what is missing, in ms.
const PREPARATION_MAX_MS: u64 = 15_000;
/// How long a turn that is being stopped waits for what its tools left running to end, in ms.
const CANCEL_MAX_MS: u64 = 2_000;

/// How far the tools are for the next model call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Preparation {
    /// They have not been asked.
    #[default]
    Open,
    /// They get ready; the model's call waits.
    Underway,
    /// They had their time.
    Done,
}

impl Core {
    /// Gives the tools their time, beside the actor: the chat can still be stopped, and listens.
    pub(super) fn prepare_tools(&mut self, work: BoxFuture<'static, ()>) {
        if self.preparation == Preparation::Underway {
            return;
        }
        self.preparation = Preparation::Underway;
        let (tell, clock) = (Arc::clone(&self.tell), Arc::clone(&self.deps.clock));
        self.runtime.spawn(async move {
            tokio::select! {
                () = work => {}
                () = clock.sleep_ms(PREPARATION_MAX_MS) => {
                    tracing::warn!("Tools were not ready in time; the model is called without them.");
                }
            }
            tell(ChatMessage::Prepared);
        });
    }

    /// Looks at what the turn that begins is to know of the world around it, beside the turn.
    pub(super) fn look_around(&self, chat: &Chat) {
        if let Some(work) = self.deps.tools.turn_began(chat) {
            self.runtime.spawn(work);
        }
    }

    /// Ends what the calls of the turn that is being stopped left running, before the log says that it has stopped: a
    /// crash in between does it again.
    pub(super) async fn cancel_calls(&self, chat: &Chat) {
        let (calls, stop) = (under_way(chat), self.deps.tools.stop(chat));
        if calls.is_empty() && stop.is_none() {
            return;
        }
        let cancelling = self.cancelling(calls);
        self.wait_for_ends(async move {
            let stopping = async {
                if let Some(stop) = stop {
                    stop.await;
                }
            };
            tokio::join!(cancelling, stopping);
        })
        .await;
    }

    /// Ends what no longer belongs to any call: the message that held it was withdrawn, or its turn ended without it.
    pub(super) fn cancel_abandoned_calls(&self, before: Option<&Chat>, after: &Chat) {
        let Some(before) = before.filter(|before| !before.calls.is_empty()) else { return };
        let mut gone = under_way(before);
        gone.retain(|(key, _)| !after.calls.contains_key(&key.call_id));
        if !gone.is_empty() {
            self.runtime.spawn(self.cancelling(gone));
        }
    }

    /// Stops what the chat set going elsewhere and no interruption will see to: what the calls in messages that are taken back
    /// began, and everything where a user stops a turn that waits for a client. Done before the log says so: a crash in
    /// between leaves a request that was not answered, and asking again does it again. What was done under the same key
    /// before stops nothing.
    pub(super) async fn stop_elsewhere(
        &self,
        before: Option<&Chat>,
        witnessed: &[Witnessed],
        meta: &Meta,
    ) -> Result<(), SendError> {
        let Some(before) = before else { return Ok(()) };
        let stops = witnessed.iter().filter_map(|one| match &one.recorded.event {
            Event::MessagesWithdrawn(withdrawn) => self.deps.tools.withdrawn(before, withdrawn.from),
            Event::ActionResolved(resolved) if resolved.resolution == ActionResolution::Cancelled => {
                self.deps.tools.stop(before)
            }
            _ => None,
        });
        let stops: Vec<_> = stops.collect();
        if stops.is_empty() {
            return Ok(());
        }
        if let Some(key) = &meta.idempotency
            && self.deps.log.receipt(&key.owner, &key.key).await?.is_some()
        {
            return Ok(());
        }
        self.wait_for_ends(async move {
            join_all(stops).await;
        })
        .await;
        Ok(())
    }

    /// Waits for what is told to end, but not for ever; it goes on beside the chat.
    async fn wait_for_ends(&self, work: impl Future<Output = ()> + Send + 'static) {
        let work = self.runtime.spawn(work);
        tokio::select! {
            _ = work => {}
            () = self.deps.clock.sleep_ms(CANCEL_MAX_MS) => {
                tracing::warn!(chat.id = %self.chat_id, "What a tool left running has not ended yet.");
            }
        }
    }

    fn cancelling(&self, calls: Vec<(CallKey, String)>) -> impl Future<Output = ()> + use<> {
        let tools = Arc::clone(&self.deps.tools);
        async move {
            join_all(calls.into_iter().map(|(key, name)| tools.cancel(key, &name))).await;
        }
    }
}

/// The calls that were started and have not ended, with their tools' names.
fn under_way(chat: &Chat) -> Vec<(CallKey, String)> {
    let started = |call_id: &str| matches!(chat.calls.get(call_id), Some(CallRecord::Started { .. }));
    let key = |message_id, call_id: &str| CallKey { chat_id: chat.outline.id, message_id, call_id: call_id.to_owned() };
    let open = open_calls(chat).into_iter().filter(|call| started(call.call_id));
    open.map(|call| (key(call.message_id, call.call_id), call.name.to_owned())).collect()
}
