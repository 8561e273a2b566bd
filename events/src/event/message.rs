//! What enters history, leaves it, or waits for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::ContextSource;
use crate::ids::{AttemptId, MessageId, QueuedId};
use crate::message::{FinishReason, Origin, Role, Usage, Visibility};
use crate::part::Part;

/// A message entered history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageCommitted {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub parts: Vec<Part>,
    /// Who may see it.
    pub visibility: Visibility,
    /// Where it came from.
    pub origin: Origin,
    /// The user who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The queued message it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_id: Option<QueuedId>,
    /// The model that made it, or that it was sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The effort it was sent with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// Tokens of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What the step cost, in millionths of a US dollar, at the price of its time; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micros: Option<u64>,
    /// Why the model stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<FinishReason>,
    /// The provider's id of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// The attempt that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_id: Option<AttemptId>,
    /// Milliseconds from opening the request to its first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_part_ms: Option<u64>,
    /// Calls in it that nobody runs, with what the model is told: there is no such tool, or the arguments do not fit it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused_calls: BTreeMap<String, String>,
    /// It belongs to a compaction, not to the conversation.
    #[serde(default)]
    pub compressed: bool,
    /// Where the context files in it were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextSource>,
}

impl MessageCommitted {
    /// A message with nothing but who speaks, what, and where it came from. All may see it.
    pub fn new(role: Role, parts: Vec<Part>, origin: Origin) -> MessageCommitted {
        MessageCommitted {
            role,
            parts,
            visibility: Visibility::Both,
            origin,
            author: None,
            queued_id: None,
            model: None,
            effort: None,
            usage: None,
            cost_micros: None,
            finish_reason: None,
            response_id: None,
            attempt_id: None,
            first_part_ms: None,
            refused_calls: BTreeMap::new(),
            compressed: false,
            context: None,
        }
    }
}

/// Why messages were withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawalReason {
    /// A user edited the first of them.
    Edited,
}

/// Messages left history, from `from` on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessagesWithdrawn {
    /// The first withdrawn message; all later ones went with it.
    pub from: MessageId,
    /// Why.
    pub reason: WithdrawalReason,
}

/// A user message waits at the queue's tail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageQueued {
    /// What is said.
    pub parts: Vec<Part>,
    /// The user who wrote it.
    pub author: String,
    /// The model it was sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The effort it was sent with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// It enters at the next step boundary of the running turn.
    #[serde(default)]
    pub steer: bool,
}

/// A waiting message was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuedMessageDeleted {
    /// Which.
    pub queued_id: QueuedId,
}

/// Where a promoted message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromotedTo {
    /// Into history: the `MessageCommitted` with its `queued_id` follows in the same append.
    History,
    /// To the queue's head.
    Head,
}

/// A waiting message moved on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuedMessagePromoted {
    /// Which.
    pub queued_id: QueuedId,
    /// Where to.
    pub to: PromotedTo,
}
