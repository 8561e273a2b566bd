//! The chat as an actor: takes one message at a time and lets its `Core` deal with it.

use std::sync::Arc;

use actix::prelude::*;
use tracing::Instrument;
use verbatim_events::ids::ChatId;

use crate::core::Core;
use crate::messages::ChatMessage;
use crate::node::Deps;
use crate::supervisor::{Mind, Obituary};

impl Message for ChatMessage {
    type Result = ();
}

/// An actor that holds one chat.
pub(crate) struct ChatActor {
    chat_id: ChatId,
    /// Absent while a message is being dealt with; `AtomicResponse` keeps others out meanwhile.
    core: Option<Core>,
    obituary: Obituary,
}

impl ChatActor {
    pub(crate) fn new(
        deps: Arc<Deps>,
        chat_id: ChatId,
        mind: Arc<Mind>,
        obituary: Obituary,
        address: Addr<ChatActor>,
    ) -> ChatActor {
        let runtime = deps.runtime.clone();
        // A weak address: a task must not keep an actor alive that everybody else has let go.
        let address = address.downgrade();
        let tell = move |message| {
            if let Some(address) = address.upgrade() {
                // A fresh clone of an address always has a free slot, so this is refused only by a dead actor, whose
                // successor is rebuilt from the log and needs no news.
                if address.try_send(message).is_err() {
                    tracing::debug!(chat.id = %chat_id, "A message came too late for its actor.");
                }
            }
        };
        let core = Core::new(deps, chat_id, mind, runtime, Arc::new(tell));
        ChatActor { chat_id, core: Some(core), obituary }
    }
}

impl Actor for ChatActor {
    type Context = Context<Self>;
}

impl Handler<ChatMessage> for ChatActor {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, message: ChatMessage, _context: &mut Context<Self>) -> Self::Result {
        let span = message.span(self.chat_id);
        let core = self.core.take();
        let work = async move {
            let Some(mut core) = core else { return (None, false) };
            let retired = core.deal_with(message).await;
            (Some(core), retired)
        };
        AtomicResponse::new(Box::pin(work.instrument(span).into_actor(self).map(|(core, retired), actor, context| {
            actor.core = core;
            if retired {
                actor.obituary.cancel();
                context.stop();
            }
        })))
    }
}
