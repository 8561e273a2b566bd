//! A chat's outline: everything about it but what was said. Cheap to clone, cheap to store; the read models keep it, the
//! streams show it, and `Chat` contains it, so all of them agree.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::chat::ChatFiles;
use crate::error::ChatError;
use crate::event::{
    AttemptAction, CapacityScope, ContextFreshness, DiffStatus, InterruptCause, PendingCall, TitleSource, TurnReason,
    WorkspaceBinding,
};
use crate::ids::{AttemptId, ChatId, QueuedId, TurnId, Version};
use crate::message::Usage;
use crate::price::Cost;

/// What a chat is doing, as everybody sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It rests.
    Waiting,
    /// The last turn failed; it rests.
    Error,
    /// A turn is under way.
    Running,
    /// A running turn is being stopped.
    Interrupting,
    /// The turn waits for a client or for approvals.
    RequiresAction,
}

impl Status {
    /// The status's stable name, as JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Waiting => "waiting",
            Status::Error => "error",
            Status::Running => "running",
            Status::Interrupting => "interrupting",
            Status::RequiresAction => "requires_action",
        }
    }
}

/// The attempt that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAttempt {
    /// Its id.
    pub id: AttemptId,
    /// Its number within the history version.
    pub number: u32,
    /// What it does.
    pub action: AttemptAction,
    /// The model.
    pub model: Option<String>,
    /// The history version it started from.
    pub history_version: Version,
}

/// A retry that waits for its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRetry {
    /// The attempt that failed.
    pub attempt_id: AttemptId,
    /// Its number within the history version.
    pub attempt: u32,
    /// The whole wait, in ms.
    pub delay_ms: u64,
    /// When to try again.
    pub retry_at: DateTime<Utc>,
    /// Why it failed.
    pub error: ChatError,
}

/// A turn that waits for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityWait {
    /// Which bound was met.
    pub scope: CapacityScope,
    /// Since when: turns of one owner get their places in this order, after a restart too.
    pub since: DateTime<Utc>,
}

/// What a chat waits for in `requires_action`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingAction {
    /// The calls.
    pub calls: Vec<PendingCall>,
    /// Until when.
    pub deadline: DateTime<Utc>,
}

/// The turn that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTurn {
    /// Its id.
    pub id: TurnId,
    /// What for.
    pub reason: TurnReason,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Committed steps.
    pub steps: u32,
    /// Tokens so far.
    pub usage: Usage,
    /// Cost so far.
    pub cost: Cost,
}

/// A chat without its words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    /// Its id.
    pub id: ChatId,
    /// Who owns it.
    pub owner: String,
    /// The chat that made it.
    pub parent: Option<ChatId>,
    /// The root of its family; itself for a root.
    pub root: ChatId,
    /// The chats it made, in order.
    pub children: Vec<ChatId>,
    /// Those of them that its agent spawned.
    #[serde(default)]
    pub agents: Vec<ChatId>,
    /// Its title.
    pub title: String,
    /// Who wrote the title.
    pub title_source: TitleSource,
    /// The model, by its configured name; the server's default where absent.
    pub model: Option<String>,
    /// The effort.
    pub effort: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Pinned to the top.
    pub pinned: bool,
    /// Plan mode.
    pub plan_mode: bool,
    /// The workspace.
    pub workspace: Option<WorkspaceBinding>,
    /// The workspace's diff.
    pub diff_status: Option<DiffStatus>,
    /// How what prompts hold of the workspace's context files stands to the files.
    #[serde(default)]
    pub context_freshness: ContextFreshness,
    /// What the last turn did, in a few words, if somebody has said; none while a turn is under way.
    #[serde(default)]
    pub status_label: Option<String>,
    /// The files that it shows.
    #[serde(default)]
    pub files: Arc<ChatFiles>,
    /// What it is doing.
    pub status: Status,
    /// It is archived.
    pub archived: bool,
    /// Its content was erased.
    pub erased: bool,
    /// The version of its last event.
    pub version: Version,
    /// The version of the last event that changed the message history.
    pub history_version: Version,
    /// Messages that wait, in order.
    pub queue: Vec<QueuedId>,
    /// Why the last turn failed, while the chat rests on it.
    pub last_error: Option<ChatError>,
    /// The turn under way.
    pub turn: Option<OpenTurn>,
    /// The attempt under way.
    pub attempt: Option<OpenAttempt>,
    /// Attempts recorded since the history last changed.
    pub attempts_at_history: u32,
    /// Those of them that were cut short through no fault of theirs: they count neither as tries nor for the backoff.
    pub abandoned_at_history: u32,
    /// The retry that waits.
    pub retry: Option<PendingRetry>,
    /// The wait for a place, while the running turn has none.
    #[serde(default)]
    pub capacity: Option<CapacityWait>,
    /// What it waits for.
    pub action: Option<PendingAction>,
    /// Why it is being stopped.
    pub interrupt: Option<InterruptCause>,
    /// Tokens of all turns, and of what was done for the chat between them.
    pub usage: Usage,
    /// What those tokens cost.
    pub cost: Cost,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When its last event happened.
    pub updated_at: DateTime<Utc>,
}
