//! What changes around the conversation: settings, archive, erasure, children.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use crate::event::{ContextMark, TitleSource, WorkspaceBinding};
use crate::ids::ChatId;
use crate::message::Usage;
use crate::part::is_false;
use crate::price::Cost;
use crate::spending::SpendingShare;

/// A title with its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TitleChange {
    /// The title.
    pub title: String,
    /// Who wrote it.
    pub source: TitleSource,
}

/// What happened to the files of a chat's workspace, as far as that was found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffStatus {
    /// The branch; absent where none is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Files that differ.
    pub files_changed: u64,
    /// Added lines.
    pub insertions: u64,
    /// Removed lines.
    pub deletions: u64,
    /// Not everything could be looked at or counted: at least so much differs. Logs of older programs do not tell.
    #[serde(default, skip_serializing_if = "is_false")]
    pub partial: bool,
}

/// Settings of the chat changed; absent fields stayed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsChanged {
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<TitleChange>,
    /// All labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Pinned to the top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The effort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// Plan mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_mode: Option<bool>,
    /// The workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceBinding>,
    /// The workspace's diff; the inner `None`, written as `null`, where there is none any more.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub diff_status: Option<Option<DiffStatus>>,
    /// Whether the workspace's context files are still what prompts hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextMark>,
    /// What the last turn did, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_label: Option<String>,
}

/// A field that is there, be it `null`.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

impl SettingsChanged {
    /// Nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == SettingsChanged::default()
    }
}

/// The chat was archived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatArchived {}

/// The chat came back from the archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatUnarchived {}

/// The chat's content was erased.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatErased {
    /// Who did it.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What stays known of the chat when nothing before this event can be read any more; absent in logs of older
    /// programs, which sealed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remains: Option<Remains>,
}

/// What stays known of an erased chat: whose it was, where it stood, how much it used. None of its words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remains {
    /// Who owned it.
    pub owner: String,
    /// The chat that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ChatId>,
    /// The root of its family; itself for a root.
    pub root: ChatId,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// It was archived.
    pub archived: bool,
    /// Tokens of all turns.
    pub usage: Usage,
    /// What those tokens cost.
    pub cost: Cost,
    /// The same by day, model and purpose. Absent in logs of older programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spending: Vec<SpendingShare>,
}

/// What a child chat is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildKind {
    /// A user made it under this chat.
    User,
    /// The chat's agent spawned it.
    Agent,
}

/// The chat made a child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChildSpawned {
    /// The child.
    pub child: ChatId,
    /// What for.
    pub kind: ChildKind,
}
