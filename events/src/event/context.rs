//! Where prompts begin: compaction and clearing.

use serde::{Deserialize, Serialize};

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
