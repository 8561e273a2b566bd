//! Messages: what was said, and by whom.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::envelope::Recorded;
use crate::event::MessageCommitted;
use crate::form::FormCell;
use crate::ids::{MessageId, QueuedId, TurnId};
use crate::part::Part;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions.
    System,
    /// A person, or something that speaks in a person's place.
    User,
    /// The model.
    Assistant,
    /// Answers to tool calls.
    Tool,
}

/// Who may see a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Users and the model.
    #[default]
    Both,
    /// Users alone.
    User,
    /// The model alone.
    Model,
}

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A user wrote it.
    User,
    /// A model made it.
    Model,
    /// A tool answered.
    Tool,
    /// The server answered in a tool's place (cancelled, interrupted, timed out …).
    Synthetic,
    /// A workspace's context files.
    Context,
    /// A compaction's summary.
    Summary,
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// The output limit cut it.
    Length,
    /// It called tools.
    ToolCalls,
    /// The provider's filter stopped it.
    ContentFilter,
    /// A user interrupted it.
    Interrupted,
    /// The provider gave no reason we know.
    Unknown,
}

/// Tokens of one step, or of several added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// Prompt tokens that no cache served.
    pub input_tokens: u64,
    /// Tokens the model made, reasoning included.
    pub output_tokens: u64,
    /// Prompt tokens served by the provider's cache.
    pub cache_read_tokens: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// Output tokens spent on reasoning; part of `output_tokens`.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Tokens of the whole prompt, cached or not.
    pub fn context_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.cache_read_tokens).saturating_add(self.cache_write_tokens)
    }

    /// Adds another step's tokens.
    pub fn add(&mut self, other: &Usage) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(other.cache_read_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(other.cache_write_tokens);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(other.reasoning_tokens);
    }
}

/// A message in a chat's history. Immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its id: the version of the event that committed it.
    pub id: MessageId,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub parts: Vec<Part>,
    /// Who may see it.
    pub visibility: Visibility,
    /// Where it came from.
    pub origin: Origin,
    /// The user who wrote it.
    pub author: Option<String>,
    /// The model that made it, or that it was sent to.
    pub model: Option<String>,
    /// The effort it was sent with.
    pub effort: Option<String>,
    /// Tokens of the step that made it.
    pub usage: Option<Usage>,
    /// Why the model stopped.
    pub finish_reason: Option<FinishReason>,
    /// The provider's id of the response.
    pub response_id: Option<String>,
    /// It belongs to a compaction, not to the conversation.
    pub compressed: bool,
    /// When it was committed.
    pub created_at: DateTime<Utc>,
    /// The turn it belongs to.
    pub turn_id: Option<TurnId>,
    /// The queued message it was.
    pub queued_id: Option<QueuedId>,
    /// What it became in requests; no part of what it is.
    #[serde(skip)]
    pub form: FormCell,
}

impl Message {
    /// A message with nothing but who speaks, what, and where it came from. All may see it.
    pub fn new(id: MessageId, role: Role, parts: Vec<Part>, origin: Origin, created_at: DateTime<Utc>) -> Message {
        Message {
            id,
            role,
            parts,
            visibility: Visibility::Both,
            origin,
            author: None,
            model: None,
            effort: None,
            usage: None,
            finish_reason: None,
            response_id: None,
            compressed: false,
            created_at,
            turn_id: None,
            queued_id: None,
            form: FormCell::default(),
        }
    }

    /// The server's own words to a model, in a user's place. They are part of a prompt and of no history.
    pub fn synthetic(id: MessageId, text: impl Into<String>, created_at: DateTime<Utc>) -> Message {
        let parts = vec![Part::text(text)];
        Message { visibility: Visibility::Model, ..Message::new(id, Role::User, parts, Origin::Synthetic, created_at) }
    }

    /// The message that `recorded` brought into history in turn `turn_id`; `committed` is what it holds.
    pub fn committed(recorded: &Recorded, committed: &MessageCommitted, turn_id: Option<TurnId>) -> Message {
        let MessageCommitted {
            role,
            parts,
            visibility,
            origin,
            author,
            queued_id,
            model,
            effort,
            usage,
            cost_micros: _,
            finish_reason,
            response_id,
            attempt_id: _,
            first_part_ms: _,
            refused_calls: _,
            compressed,
            context: _,
        } = committed;
        Message {
            id: recorded.version,
            role: *role,
            parts: parts.clone(),
            visibility: *visibility,
            origin: *origin,
            author: author.clone(),
            model: model.clone(),
            effort: effort.clone(),
            usage: *usage,
            finish_reason: *finish_reason,
            response_id: response_id.clone(),
            compressed: *compressed,
            created_at: recorded.recorded_at,
            turn_id,
            queued_id: *queued_id,
            form: FormCell::default(),
        }
    }

    /// The calls in it that somebody other than the provider must answer.
    pub fn open_call_ids(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(Part::open_call_id)
    }

    /// The ids of the calls that this message answers.
    pub fn answered_call_ids(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(Part::answered_call_id)
    }

    /// A model reads it.
    pub fn for_model(&self) -> bool {
        self.visibility != Visibility::User
    }

    /// A user reads it.
    pub fn for_user(&self) -> bool {
        self.visibility != Visibility::Model
    }
}
