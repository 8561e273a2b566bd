//! Everything a chat's actor can be told: one closed list.

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::Span;
use verbatim_events::command::Command;
use verbatim_events::ids::{AttemptId, ChatId};

use crate::handle::{Answer, Meta, SendError};
use crate::hub::Opened;

/// A place in the mailbox of a chat and one on the node; given back when the message has been dealt with.
pub(crate) type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// A message to a chat's actor.
pub(crate) enum ChatMessage {
    /// Do this.
    Command {
        command: Box<Command>,
        meta: Box<Meta>,
        reply: oneshot::Sender<Result<Answer, SendError>>,
        /// From its sending to its answer.
        span: Span,
        /// Absent for what the chat's own attempts send: they are bounded by the attempt.
        permits: Option<Permits>,
    },
    /// Show yourself.
    Open { reply: oneshot::Sender<Result<Opened, SendError>>, permits: Permits },
    /// Do what you owe, and say when that is done as far as it can be now.
    Rouse { reply: oneshot::Sender<Result<(), SendError>>, permits: Permits },
    /// The attempt is over, and this is what it wants done.
    AttemptEnded { attempt_id: AttemptId, command: Box<Command> },
    /// Somebody else wrote to your log: read on.
    Refresh,
    /// Time has passed, or somebody thinks you owe something: look.
    Wake,
    /// What the next model call needs of the tools is there, as far as it can be had.
    Prepared,
    /// Rest: no more messages come. A running attempt is left to the next incarnation.
    Retire { done: oneshot::Sender<()> },
}

impl ChatMessage {
    /// The span in which the message is dealt with: a command brings its own.
    pub(crate) fn span(&self, chat_id: ChatId) -> Span {
        match self {
            ChatMessage::Command { span, .. } => span.clone(),
            _ => tracing::trace_span!("message", chat.id = %chat_id, message.name = self.name()),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            ChatMessage::Command { command, .. } => command.name(),
            ChatMessage::Open { .. } => "Open",
            ChatMessage::Rouse { .. } => "Rouse",
            ChatMessage::AttemptEnded { .. } => "AttemptEnded",
            ChatMessage::Refresh => "Refresh",
            ChatMessage::Wake => "Wake",
            ChatMessage::Prepared => "Prepared",
            ChatMessage::Retire { .. } => "Retire",
        }
    }
}
