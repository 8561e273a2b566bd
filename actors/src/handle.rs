//! The only way in: a handle that is cheap to clone and hides how chats are kept.

use std::sync::Arc;

use tracing::Instrument as _;
use uuid::Uuid;
use verbatim_events::command::Command;
use verbatim_events::envelope::Actor;
use verbatim_events::ids::{ChatId, Digest, Position, TurnId};
use verbatim_events::outcome::Outcome;
use verbatim_events::rejection::Rejection;
use verbatim_events::vault::NotSealed;

use crate::background::{self, WordsError};
use crate::core::own_meta;
use crate::family;
use crate::hub::Opened;
use crate::leftovers;
use crate::supervisor::Supervisor;

/// An idempotency key with what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose key it is.
    pub owner: String,
    /// The key.
    pub key: String,
    /// Digest over method, route, chat and body.
    pub request_hash: Digest,
}

/// What accompanies a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Who sends it.
    pub actor: Actor,
    /// Its id.
    pub command_id: Uuid,
    /// Its idempotency key.
    pub idempotency: Option<IdempotencyKey>,
    /// The trace it belongs to.
    pub trace_id: Option<String>,
}

impl Meta {
    /// A user's command without a key.
    pub fn user(name: impl Into<String>) -> Meta {
        Meta { actor: Actor::User(name.into()), command_id: Uuid::now_v7(), idempotency: None, trace_id: None }
    }
}

/// What a command achieved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The outcome.
    pub outcome: Outcome,
    /// The position of the append; the log's known head if it appended nothing.
    pub position: Position,
    /// The key was used before: this is what it achieved then, and nothing happened now.
    pub replayed: bool,
}

/// Why a command was not done. Unless a variant says otherwise nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The chat refused.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The key was used for something else.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The chat's family is larger than one append covers; its branches can be archived one by one.
    #[error("the chat's family has more than {max} chats; archive or unarchive its branches one by one")]
    FamilyTooLarge {
        /// The bound.
        max: usize,
    },
    /// Too much waits already.
    #[error("the server is busy; try again in {retry_after_ms} ms")]
    Busy {
        /// When to try again, in ms.
        retry_after_ms: u64,
    },
    /// The log does not answer or cannot be written. What was asked may have been done if the error came at the very
    /// end; the same idempotency key tells.
    #[error("the log is not available: {problem}")]
    LogUnavailable {
        /// What the log said.
        problem: String,
    },
    /// The chat's events cannot be read. Other chats are not touched.
    #[error("the chat's log is damaged: {problem}")]
    Damaged {
        /// What is wrong, and where.
        problem: String,
    },
    /// The chat's actor died while the command was under way. It is rebuilt from the log; whether the command was done
    /// first, the same idempotency key tells.
    #[error("the chat failed while the command was under way; send it again with the same idempotency key")]
    Died,
    /// The chat's actor died too often and is left alone for now.
    #[error("the chat fails again and again; it is left alone for a minute")]
    GivenUp,
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
}

impl From<NotSealed> for SendError {
    fn from(error: NotSealed) -> SendError {
        SendError::LogUnavailable { problem: error.to_string() }
    }
}

/// The way to the chats of this node.
#[derive(Clone)]
pub struct Handle {
    pub(crate) supervisor: Arc<Supervisor>,
}

impl Handle {
    /// Sends a command to a chat and waits for its outcome. A caller that goes away cancels nothing.
    pub async fn send(&self, chat_id: ChatId, command: Command, meta: Meta) -> Result<Answer, SendError> {
        self.supervisor.send(chat_id, command, meta).await
    }

    /// Sends a command that concerns a chat's whole family, in one append over all its members, all or nothing:
    /// `Archive`, `Unarchive` and `ChangeSettings` reach all descendants with what they say of the archive; `CreateChat`
    /// with a parent records the child there. Anything else goes to the chat alone.
    pub async fn send_family(&self, chat_id: ChatId, command: Command, meta: Meta) -> Result<Answer, SendError> {
        if !family::concerns(&command) {
            return self.send(chat_id, command, meta).await;
        }
        let supervisor = Arc::clone(&self.supervisor);
        let runtime = supervisor.deps().runtime.clone();
        // A task of its own: a caller that goes away must not leave members without the news of a finished append.
        runtime
            .spawn(async move { family::send(&supervisor, chat_id, command, meta).await }.in_current_span())
            .await
            .unwrap_or(Err(SendError::Died))
    }

    /// The chat as it is now, and everything that happens to it from now on. `ChatNotFound` for one that does not exist.
    pub async fn open(&self, chat_id: ChatId) -> Result<Opened, SendError> {
        self.supervisor.open(chat_id).await
    }

    /// Wakes a chat so that it does what it owes, and returns when that is done as far as it can be now; how recovery works
    /// through its list.
    pub async fn wake(&self, chat_id: ChatId) -> Result<(), SendError> {
        self.supervisor.rouse(chat_id).await
    }

    /// Tells everything to end that calls left running and that no call wants any more: its message was withdrawn, or its turn
    /// stopped, and word of that was lost in a crash. What a call's answer left running goes on. How many were told.
    pub async fn end_leftovers(&self) -> usize {
        leftovers::end(self.supervisor.deps()).await
    }

    /// Until `recovered` no turn begins a step that has no place yet: those that were at work before the start come first,
    /// then those that waited, in their order; all of them must have been woken before anybody else may go on.
    pub fn await_recovery(&self) {
        self.supervisor.deps().capacity.close();
    }

    /// Everybody who was at work or waited has been woken.
    pub fn recovered(&self) {
        self.supervisor.deps().capacity.open();
    }

    /// The chat's turn does nothing but wait for another chat: it gives up its place among those that are at work at once,
    /// and takes one again before its next step. Does nothing if another turn is under way.
    pub fn give_up_place(&self, chat_id: ChatId, turn_id: TurnId) {
        self.supervisor.deps().capacity.give_up(chat_id, turn_id);
    }

    /// A title for a chat as it is now, written by a model because somebody asks for it. The chat keeps the one it has;
    /// what the model spent is recorded. A caller that goes away cancels nothing.
    pub async fn propose_title(&self, chat_id: ChatId) -> Result<Result<String, WordsError>, SendError> {
        let opened = self.open(chat_id).await?;
        if opened.chat.outline.erased {
            return Err(Rejection::Erased.into());
        }
        let (handle, runtime) = (self.clone(), self.supervisor.deps().runtime.clone());
        let work = async move {
            let (title, spent) = background::propose(handle.supervisor.deps(), &opened.chat).await;
            if let Some(spent) = spent {
                let meta = own_meta(&handle.supervisor.deps().node_name, None);
                handle.send(chat_id, Command::RecordUsage(spent), meta).await?;
            }
            Ok(title)
        };
        runtime.spawn(work.in_current_span()).await.unwrap_or(Err(SendError::Died))
    }

    /// Figures for health checks and metrics.
    pub fn stats(&self) -> Stats {
        self.supervisor.stats()
    }

    /// Stops: no more commands, attempts are left to the next start, watches end. Returns when every chat rests or
    /// `Limits::shutdown_ms` has passed.
    pub async fn shutdown(&self) {
        self.supervisor.shutdown().await;
    }
}

/// Figures of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Chats held in memory.
    pub chats_in_memory: usize,
    /// Commands under way.
    pub commands_under_way: usize,
    /// Actors rebuilt after a panic since the start.
    pub restarts: u64,
}
