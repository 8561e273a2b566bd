//! What a command achieved, as its sender learns it. Computed from the events alone, so that a replayed key answers the same.

use serde::{Deserialize, Serialize};

use crate::chat::{Chat, Status};
use crate::envelope::Recorded;
use crate::event::Event;
use crate::ids::{ChatId, MessageId, QueuedId, TurnId, Version};
use crate::message::{Origin, Role};

/// What a command achieved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The chat.
    pub chat_id: ChatId,
    /// The version of the command's last event; the chat's version if it appended none.
    pub version: Version,
    /// The chat's status after it.
    pub status: Status,
    /// The user's message that the command put into history. A message sent to a chat in error with a queue waits at its
    /// tail and brings the head into history: then this is the head's id, and the new message's is `queued_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The message it queued, else the queued message it promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_id: Option<QueuedId>,
    /// The turn it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
    /// The messages it withdrew, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<MessageId>,
}

impl Outcome {
    /// How the JSON of every outcome of this chat begins, and of no other's: what is remembered of a chat is found by it.
    pub fn json_prefix(chat_id: ChatId) -> String {
        format!("{{\"chat_id\":\"{chat_id}\"")
    }

    /// The outcome of a command that led from `before` over `events` to `after`.
    pub fn of(before: Option<&Chat>, events: &[Recorded], after: &Chat) -> Outcome {
        let mut outcome = Outcome {
            chat_id: after.outline.id,
            version: events.last().map_or(after.outline.version, |recorded| recorded.version),
            status: after.outline.status,
            message_id: None,
            queued_id: None,
            turn_id: None,
            withdrawn: Vec::new(),
        };
        let mut promoted_id = None;
        for recorded in events {
            match &recorded.event {
                Event::MessageCommitted(message) if message.role == Role::User && message.origin == Origin::User => {
                    outcome.message_id = Some(recorded.version);
                }
                Event::MessageQueued(_) => outcome.queued_id = Some(recorded.version),
                Event::QueuedMessagePromoted(promoted) => promoted_id = Some(promoted.queued_id),
                Event::TurnStarted(_) => outcome.turn_id = Some(recorded.version),
                Event::MessagesWithdrawn(withdrawn) => outcome.withdrawn.extend(
                    before
                        .iter()
                        .flat_map(|chat| chat.history.after(withdrawn.from.saturating_sub(1)))
                        .map(|message| message.id),
                ),
                _ => {}
            }
        }
        outcome.queued_id = outcome.queued_id.or(promoted_id);
        outcome
    }
}

#[cfg(test)]
mod tests;
