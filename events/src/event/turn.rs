//! A turn, its attempts, and how they end.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ChatError;
use crate::event::ToolDefinition;
use crate::ids::{AttemptId, Digest, TurnId};
use crate::message::Usage;
use crate::part::{FileKind, Part, is_false};

/// What a turn is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnReason {
    /// A message.
    Message,
    /// An edited message.
    Edit,
    /// A queued message.
    Promotion,
    /// A manual compaction.
    Compaction,
    /// Messages that another chat had; it began and ended with the chat.
    Fork,
}

/// A turn began. Its user message, if it has one, follows in the same append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnStarted {
    /// What for.
    pub reason: TurnReason,
}

/// What an attempt does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptAction {
    /// Calls the model.
    Generate,
    /// Runs the server's tools.
    RunTools,
    /// Summarises the history.
    Compact,
    /// Reads a workspace's context files.
    LoadContext,
}

/// What is needed to rebuild an attempt's exact request from the log alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRecipe {
    /// The wire protocol: `openai_chat`, `openai_responses`, `anthropic` or `demo`.
    pub protocol: String,
    /// The configured provider's name.
    pub provider: String,
    /// The provider's own name of the model.
    pub provider_model: String,
    /// The output limit sent along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// The effort sent along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// The tools that the provider may run itself, in its own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provider_tools: Vec<Value>,
    /// The provider was told to keep the answer.
    #[serde(default, skip_serializing_if = "is_false")]
    pub store: bool,
    /// The kept answer that the request continues; the messages up to it were not sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_response_id: Option<String>,
    /// The kinds of files that the model is given; what `accepts` says where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<FileKind>>,
    /// The media types that the model takes, `image/*` for all pictures, where its settings say so; what the protocol takes
    /// where absent. Text is taken in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepts: Option<Vec<String>>,
    /// The ids of the files whose content was not to be had, so that they were only named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files_gone: Vec<String>,
    /// The number of the encoder that made the bytes; another number's bytes are not comparable.
    pub encoder: u32,
}

/// What the server adds to a chat's prompt: its tools, and what the model must know to use them; and what it keeps back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The server's tools, in the order in which the model sees them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Arc<ToolDefinition>>,
    /// Text that follows the chat's own instructions; absent where nothing needs saying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<String>,
    /// Tools of the client's that the chat's policy keeps from the model, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<String>,
}

/// A try at a step began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptRecorded {
    /// What it does.
    pub action: AttemptAction,
    /// Its number within the history version: 1, 2, 3 …
    pub number: u32,
    /// The model, by its configured name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The digest of the exact bytes sent to the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_digest: Option<Digest>,
    /// How those bytes can be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestRecipe>,
    /// What the server offered with the prompt; absent where that is what the chat was offered last (nothing, at first).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// The node that does it.
    pub node: String,
}

/// Which bound keeps a turn waiting for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapacityScope {
    /// The owner's turns of chats that nobody made but people.
    Root,
    /// The owner's turns of chats that belong to another chat.
    Child,
    /// The node's turns, whoever owns them.
    Node,
}

impl CapacityScope {
    /// The scope's stable name, as JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            CapacityScope::Root => "root",
            CapacityScope::Child => "child",
            CapacityScope::Node => "node",
        }
    }
}

/// The turn waits for a place: as many others are at work as may be at once. It ends with the next attempt, or with the
/// turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityAwaited {
    /// Which bound was met.
    pub scope: CapacityScope,
}

/// An attempt failed and will be tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryScheduled {
    /// Which attempt failed.
    pub attempt_id: AttemptId,
    /// Its number within the history version.
    pub attempt: u32,
    /// How long to wait, in ms.
    pub delay_ms: u64,
    /// When to try again.
    pub retry_at: DateTime<Utc>,
    /// Why it failed.
    pub error: ChatError,
    /// The output that was shown until then; void for the conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partial: Vec<Part>,
    /// The provider refused the request for the pictures or documents in it: the rest of the turn goes without them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub files_refused: bool,
}

/// Why an attempt ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbandonCause {
    /// The server stopped while it ran.
    Crash,
    /// Another node took the chat over.
    OwnershipLost,
}

/// An attempt ended without a result; the next one starts afresh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptAbandoned {
    /// Which.
    pub attempt_id: AttemptId,
    /// Why.
    pub cause: AbandonCause,
    /// The output that was shown and journaled until then; void for the conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partial: Vec<Part>,
}

/// Why a running turn is to stop. A shutdown or a lost ownership is no interrupt and never an event of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterruptCause {
    /// A user pressed stop.
    User,
    /// A message was sent that interrupts.
    Message,
    /// A queued message was promoted.
    Promotion,
}

/// The running turn is to stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterruptRequested {
    /// Why.
    pub cause: InterruptCause,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnOutcome {
    /// The model was done.
    Complete,
    /// A tool that ends the turn succeeded.
    StopAfterTool,
    /// Too many steps.
    MaxSteps,
    /// The model stopped without a word.
    NoOutput,
    /// Somebody stopped it.
    Interrupted,
    /// It failed.
    Failed,
}

/// A turn ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnFinished {
    /// Which.
    pub turn_id: TurnId,
    /// How.
    pub outcome: TurnOutcome,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ChatError>,
    /// The output that was shown by the attempt that failed; void for the conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partial: Vec<Part>,
    /// Tokens of the whole turn.
    pub usage: Usage,
    /// Cost of the whole turn, in millionths of a US dollar: the sum of its steps. Absent where one of them has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micros: Option<u64>,
    /// Committed steps.
    pub steps: u32,
    /// From `TurnStarted` to here, in ms.
    pub duration_ms: u64,
}
