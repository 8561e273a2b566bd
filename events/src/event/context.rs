//! Where prompts begin, compaction and clearing; and what they hold of a workspace's own files.

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, MessageId};
use crate::part::is_false;

/// Who asked for a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompactionSource {
    /// The context's size.
    Automatic,
    /// A user.
    Manual,
}

/// A compaction was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompactionRequested {
    /// By whom.
    pub source: CompactionSource,
}

/// The history before this event is summarised. The summary and what must stay word for word follow in the same append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextCompacted {
    /// Who asked for it.
    pub source: CompactionSource,
    /// Tokens of the context before.
    pub context_tokens: u64,
    /// The window that counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_tokens: Option<u64>,
    /// The share of the window from which compaction was due.
    pub threshold_percent: u8,
}

/// Prompts start after this event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextCleared {
    /// Who asked for it.
    pub source: CompactionSource,
}

/// A file of a workspace as it was when it was read for prompts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextStamp {
    /// Its path within the workspace.
    pub path: String,
    /// Of all that stood in it, however much of that prompts hold.
    pub digest: Digest,
    /// Its size.
    pub size_bytes: u64,
}

/// Where the files of a context message were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextSource {
    /// The workspace.
    pub workspace_id: String,
    /// The files that were found, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ContextStamp>,
    /// The workspace could not be looked at: what stands in it is not known.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unreachable: bool,
}

/// How what prompts hold of a workspace's files stands to what is in them now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContextFreshness {
    /// As far as anybody knows they are the same.
    #[default]
    Current,
    /// The files have changed since; prompts keep what was read.
    Changed,
    /// They are read anew before the next answer.
    Reload,
}

/// What is known of a context message's files now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextMark {
    /// The message that holds them.
    pub message_id: MessageId,
    /// How they stand.
    pub freshness: ContextFreshness,
}
