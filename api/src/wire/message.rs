//! Messages and queued messages.

use serde::Serialize;
use utoipa::ToSchema;
use verbatim_events::chat::{ChatFiles, QueuedMessage};
use verbatim_events::envelope::Recorded;
use verbatim_events::event::{MessageCommitted, MessageQueued};
use verbatim_events::ids::{MessageId, QueuedId, TurnId};
use verbatim_events::message::{FinishReason, Message, Origin, Role, Usage, Visibility};

use super::part::{PartView, mark_expired, parts};
use super::{Time, is_false, words};

/// A message: `{id, role, content, visibility, origin, author?, model?, effort?, usage?, finish_reason?, created_at,
/// turn_id?, queued_id?, withheld?, withdrawn?}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageView<'a> {
    /// Its id: the version of the event that committed it.
    #[schema(value_type = u64)]
    pub id: MessageId,
    /// Who speaks.
    #[schema(value_type = words::Role)]
    pub role: Role,
    /// What is said; empty where `withheld`.
    pub content: Vec<PartView<'a>>,
    /// Who may see it.
    #[schema(value_type = words::Visibility)]
    pub visibility: Visibility,
    /// Where it came from.
    #[schema(value_type = words::Origin)]
    pub origin: Origin,
    /// The user who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<&'a str>,
    /// The model that made it, or that it was sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    /// The effort it was sent with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<&'a str>,
    /// Tokens of the step that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Usage>)]
    pub usage: Option<Usage>,
    /// Why the model stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::FinishReason>)]
    pub finish_reason: Option<FinishReason>,
    /// When it was committed.
    pub created_at: Time,
    /// The turn it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub turn_id: Option<TurnId>,
    /// The queued message it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub queued_id: Option<QueuedId>,
    /// The reader may not see what it says.
    #[serde(skip_serializing_if = "is_false")]
    pub withheld: bool,
    /// An edit took it out of history.
    #[serde(skip_serializing_if = "is_false")]
    pub withdrawn: bool,
}

impl<'a> MessageView<'a> {
    /// A message of the history or of a read model. One for the model alone keeps its place and loses its words.
    pub fn of(message: &'a Message) -> MessageView<'a> {
        let withheld = !message.for_user();
        MessageView {
            id: message.id,
            role: message.role,
            content: if withheld { Vec::new() } else { parts(&message.parts) },
            visibility: message.visibility,
            origin: message.origin,
            author: message.author.as_deref(),
            model: message.model.as_deref(),
            effort: message.effort.as_deref(),
            usage: message.usage,
            finish_reason: message.finish_reason,
            created_at: Time(message.created_at),
            turn_id: message.turn_id,
            queued_id: message.queued_id,
            withheld,
            withdrawn: false,
        }
    }

    /// The message as it is shown by a chat that shows these files.
    pub fn shown_with(mut self, files: &ChatFiles) -> MessageView<'a> {
        mark_expired(&mut self.content, files);
        self
    }

    /// The message that an event committed.
    pub fn committed(recorded: &Recorded, message: &'a MessageCommitted, turn_id: Option<TurnId>) -> MessageView<'a> {
        let withheld = message.visibility == Visibility::Model;
        MessageView {
            id: recorded.version,
            role: message.role,
            content: if withheld { Vec::new() } else { parts(&message.parts) },
            visibility: message.visibility,
            origin: message.origin,
            author: message.author.as_deref(),
            model: message.model.as_deref(),
            effort: message.effort.as_deref(),
            usage: message.usage,
            finish_reason: message.finish_reason,
            created_at: Time(recorded.recorded_at),
            turn_id,
            queued_id: message.queued_id,
            withheld,
            withdrawn: false,
        }
    }
}

/// A message that waits: `{id, queued_id, content, author, model?, effort?, steer?, created_at}`. `id` and `queued_id`
/// are the same number: the one as everything in a list has it, the other as events and outcomes call it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueuedMessage)]
pub struct QueuedView<'a> {
    /// Its id.
    #[schema(value_type = u64)]
    pub id: QueuedId,
    /// Its id.
    #[schema(value_type = u64)]
    pub queued_id: QueuedId,
    /// What it says.
    pub content: Vec<PartView<'a>>,
    /// Who wrote it.
    pub author: &'a str,
    /// The model it was sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    /// The effort it was sent with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<&'a str>,
    /// It enters at the next step boundary.
    #[serde(skip_serializing_if = "is_false")]
    pub steer: bool,
    /// When it was queued.
    pub created_at: Time,
}

impl<'a> QueuedView<'a> {
    /// A message of the queue.
    pub fn of(queued: &'a QueuedMessage) -> QueuedView<'a> {
        QueuedView {
            id: queued.id,
            queued_id: queued.id,
            content: parts(&queued.parts),
            author: &queued.author,
            model: queued.model.as_deref(),
            effort: queued.effort.as_deref(),
            steer: queued.steer,
            created_at: Time(queued.created_at),
        }
    }

    /// The message that an event queued.
    pub fn queued(recorded: &Recorded, queued: &'a MessageQueued) -> QueuedView<'a> {
        QueuedView {
            id: recorded.version,
            queued_id: recorded.version,
            content: parts(&queued.parts),
            author: &queued.author,
            model: queued.model.as_deref(),
            effort: queued.effort.as_deref(),
            steer: queued.steer,
            created_at: Time(recorded.recorded_at),
        }
    }
}

#[cfg(test)]
mod tests;
