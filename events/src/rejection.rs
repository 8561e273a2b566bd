//! Why a command was refused. Nothing changed, and a retry is judged anew.

use chrono::{DateTime, Utc};

use crate::ids::{MessageId, QueuedId};

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such chat.
    #[error("there is no such chat")]
    ChatNotFound,
    /// There is one already; ids are made by the server, so this is a bug or a replayed creation.
    #[error("the chat exists already")]
    ChatExists,
    /// The content is gone.
    #[error("the chat's content was erased")]
    Erased,
    /// The chat is archived.
    #[error("the chat is archived; unarchive it first")]
    Archived,
    /// The chat's root is archived.
    #[error("the chat's family is archived; unarchive its root first")]
    FamilyArchived,
    /// The command does not fit the chat's state.
    #[error("{command} is not allowed while the chat is {state}")]
    NotAllowed {
        /// The command's name.
        command: &'static str,
        /// The status's name (`waiting`, `running` …), or `archived`.
        state: &'static str,
    },
    /// A message says nothing.
    #[error("the message is empty")]
    EmptyContent,
    /// The queue is full.
    #[error("the queue holds {max} messages already; wait, or delete one")]
    QueueFull {
        /// The bound.
        max: usize,
    },
    /// No such message waits.
    #[error("no message {queued_id} waits in this chat")]
    QueuedMessageNotFound {
        /// What was asked for.
        queued_id: QueuedId,
    },
    /// No such message is in history.
    #[error("no message {message_id} is in this chat's history")]
    MessageNotFound {
        /// What was asked for.
        message_id: MessageId,
    },
    /// Only user messages can be edited.
    #[error("message {message_id} is not a user's; only a user's message can be edited")]
    NotAUserMessage {
        /// What was asked for.
        message_id: MessageId,
    },
    /// A call was answered twice.
    #[error("call {call_id:?} appears twice")]
    DuplicateCall {
        /// The call.
        call_id: String,
    },
    /// A call was answered that does not wait.
    #[error("call {call_id:?} does not wait for an answer of this kind")]
    UnknownCall {
        /// The call.
        call_id: String,
    },
    /// A waiting call was not answered.
    #[error("call {call_id:?} waits too; answer all of them at once")]
    MissingCall {
        /// The call.
        call_id: String,
    },
    /// A result is absent or too large.
    #[error("the result of call {call_id:?} is {problem}")]
    InvalidResult {
        /// The call.
        call_id: String,
        /// "missing", or how large it is and may be.
        problem: String,
    },
    /// There is nothing to summarise.
    #[error("there is nothing to compact since the last boundary")]
    NothingToCompact,
    /// There is nothing to forget.
    #[error("there is nothing to clear since the last boundary")]
    NothingToClear,
    /// The deadline has not passed.
    #[error("the deadline {deadline} has not passed")]
    DeadlineNotPassed {
        /// The deadline.
        deadline: DateTime<Utc>,
    },
    /// An attempt reported that is not the current one, or whose history has moved on. Its result is dropped.
    #[error("the attempt is no longer the chat's current one")]
    Fenced,
    /// An attempt's number would exceed the bound.
    #[error("the step was tried {max} times")]
    TooManyAttempts {
        /// The bound.
        max: u32,
    },
    /// A step does not fit what the attempt was for.
    #[error("the step does not fit the attempt: {problem}")]
    StepMismatch {
        /// In what way.
        problem: String,
    },
    /// The decision contradicts the state machine: a defect of this program, never of the request. Nothing was written.
    #[error("the decision contradicts the chat's state: {problem}")]
    Inconsistent {
        /// In what way.
        problem: String,
    },
}
