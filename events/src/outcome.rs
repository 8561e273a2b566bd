//! What a command achieved, as its sender learns it. Computed from the events alone, so that a replayed key answers the same.

use serde::{Deserialize, Serialize};

use crate::chat::{Chat, Status};
use crate::envelope::Recorded;
use crate::ids::{ChatId, MessageId, QueuedId, TurnId, Version};

/// What a command achieved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The chat.
    pub chat_id: ChatId,
    /// The version of the command's last event; the chat's version if it appended none.
    pub version: Version,
    /// The chat's status after it.
    pub status: Status,
    /// The user message it put into history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The message it queued, or promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_id: Option<QueuedId>,
    /// The turn it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
    /// The messages it withdrew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<MessageId>,
}

impl Outcome {
    /// The outcome of a command that led from `before` over `events` to `after`.
    pub fn of(before: Option<&Chat>, events: &[Recorded], after: &Chat) -> Outcome {
        let _ = (before, events, after);
        unimplemented!()
    }
}
