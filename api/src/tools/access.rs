//! How tools reach chats: over the same handle as everybody else, as the node.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use verbatim_actors::handle::{Handle, IdempotencyKey, Meta, SendError};
use verbatim_actors::hub::Frame;
use verbatim_events::chat::Chat;
use verbatim_events::command::Command;
use verbatim_events::envelope::Actor;
use verbatim_events::ids::{ChatId, Digest, TurnId};
use verbatim_events::log::BoxFuture;
use verbatim_events::outcome::Outcome;
use verbatim_events::rejection::Rejection;
use verbatim_events::tool::{AccessError, ChatAccess};

/// Whose idempotency keys the tools' are: no key of a person has this owner.
const KEYS_OWNER: &str = "tools:";

/// The way to the chats. The tools are made before the node that runs them, so it is connected afterwards.
pub struct Access {
    node_name: String,
    handle: OnceLock<Handle>,
}

impl Access {
    /// Not connected yet.
    pub fn new(node_name: String) -> Arc<Access> {
        Arc::new(Access { node_name, handle: OnceLock::new() })
    }

    /// Connects it; the first time counts.
    pub fn connect(&self, handle: Handle) {
        // A second connection would be to the same node.
        let _ = self.handle.set(handle);
    }

    fn handle(&self) -> Result<Handle, AccessError> {
        self.handle.get().cloned().ok_or_else(|| AccessError::Unavailable("the server is starting".to_owned()))
    }
}

fn refused(error: SendError) -> AccessError {
    match error {
        SendError::Rejected(rejection) => AccessError::Rejected(rejection),
        other => AccessError::Unavailable(other.to_string()),
    }
}

impl ChatAccess for Access {
    fn look(&self, chat_id: ChatId) -> BoxFuture<'static, Result<Option<Arc<Chat>>, AccessError>> {
        let handle = self.handle();
        Box::pin(async move {
            match handle?.open(chat_id).await {
                Ok(opened) => Ok(Some(opened.chat)),
                Err(SendError::Rejected(Rejection::ChatNotFound)) => Ok(None),
                Err(error) => Err(refused(error)),
            }
        })
    }

    fn send(&self, chat_id: ChatId, command: Command, key: String) -> BoxFuture<'static, Result<Outcome, AccessError>> {
        let handle = self.handle();
        // A call's address stands for what it sends: its arguments are in the log and do not change.
        let request_hash = Digest::of(key.as_bytes());
        let idempotency = Some(IdempotencyKey { owner: KEYS_OWNER.to_owned(), key, request_hash });
        let meta = Meta {
            actor: Actor::Node(self.node_name.clone()),
            command_id: uuid::Uuid::now_v7(),
            idempotency,
            trace_id: None,
        };
        Box::pin(async move {
            let answer = handle?.send_family(chat_id, command, meta).await.map_err(refused)?;
            Ok(answer.outcome)
        })
    }

    fn give_up_place(&self, chat_id: ChatId, turn_id: TurnId) {
        if let Ok(handle) = self.handle() {
            handle.give_up_place(chat_id, turn_id);
        }
    }

    fn changed(&self, chat_id: ChatId, version: u64, wait_ms: u64) -> BoxFuture<'static, Result<(), AccessError>> {
        let handle = self.handle();
        Box::pin(async move {
            let mut opened = handle?.open(chat_id).await.map_err(refused)?;
            if opened.chat.outline.version > version {
                return Ok(());
            }
            let waiting = async {
                // The end of the watch is a reason to look, too.
                while let Ok(frames) = opened.watch.next().await {
                    if frames.iter().any(|frame| matches!(frame, Frame::Event(_))) {
                        return;
                    }
                }
            };
            // Waiting in vain is no failure: the caller looks at what there is.
            let _ = tokio::time::timeout(Duration::from_millis(wait_ms), waiting).await;
            Ok(())
        })
    }
}
