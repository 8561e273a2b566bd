//! A chat's whole state: its outline, its words, and what the running turn knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chat::chain::Chain;
use crate::chat::history::History;
use crate::chat::outline::{Outline, Status};
use crate::event::{ApprovalDecision, CompactionSource, ContextSource, EffectClass, Offer, ToolDefinition, ToolPolicy};
use crate::ids::{AttemptId, Digest, MessageId, QueuedId, Version};
use crate::part::Part;
use crate::spending::SpendingShare;

/// What was fixed when the chat began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatConfig {
    /// Instructions for the model.
    pub system_prompt: Option<String>,
    /// Tools that the client runs.
    pub tools: Vec<Arc<ToolDefinition>>,
    /// Names of the server's tools it may use; all where absent.
    pub server_tools: Option<Vec<String>>,
    /// Names of configured MCP servers.
    pub mcp_servers: Vec<String>,
    /// Policy by tool name, or `*`.
    pub tool_policy: BTreeMap<String, ToolPolicy>,
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuedMessage {
    /// Its id: the version of its `MessageQueued`.
    pub id: QueuedId,
    /// What it says.
    pub parts: Vec<Part>,
    /// Who wrote it.
    pub author: String,
    /// The model it was sent to.
    pub model: Option<String>,
    /// The effort it was sent with.
    pub effort: Option<String>,
    /// It enters at the next step boundary.
    pub steer: bool,
    /// When it was queued.
    pub created_at: DateTime<Utc>,
}

/// What is known of a tool call that was started in the running turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CallRecord {
    /// It started and has not ended as far as the log knows.
    Started {
        /// In this attempt.
        attempt_id: AttemptId,
        /// What to do after a crash.
        effect_class: EffectClass,
        /// When.
        at: DateTime<Utc>,
    },
    /// It ended.
    Finished {
        /// Its answer.
        result: Value,
        /// The answer is an error.
        is_error: bool,
        /// Files that came with it.
        attachments: Vec<Part>,
    },
}

/// Where prompts start: a compaction or a clearing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boundary {
    /// The version of its `ContextCompacted` or `ContextCleared`.
    pub version: Version,
    /// It is a compaction's, not a clearing's.
    pub is_compaction: bool,
}

/// The context message that prompts hold. Earlier ones stay in history and are in no prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedContext {
    /// The message.
    pub message_id: MessageId,
    /// Where its files were read.
    pub source: ContextSource,
}

/// A chat's whole state. Cheap to clone: what is large is shared. `snapshot` writes it down and reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chat {
    /// Everything but what was said.
    pub outline: Outline,
    /// What was fixed at the beginning.
    pub config: Arc<ChatConfig>,
    /// The live messages, unless the chat let its past go.
    pub history: History,
    /// The messages that wait, in order; same ids as `outline.queue`.
    pub queue: Vec<Arc<QueuedMessage>>,
    /// The hash of the last event.
    pub head_hash: Digest,
    /// The version of the newest `ContextCompacted` or `ContextCleared`; prompts start after it. 0 for none.
    pub boundary: Version,
    /// The newest boundary is a compaction's (not a clearing's).
    pub boundary_is_compaction: bool,
    /// The boundaries before the newest, oldest first: an edit may withdraw the newest.
    pub earlier_boundaries: Arc<Vec<Boundary>>,
    /// A compaction was asked for and not yet done.
    pub compaction_requested: Option<CompactionSource>,
    /// Tool calls started in the running turn and not yet answered in history, by call id.
    pub calls: Arc<BTreeMap<String, CallRecord>>,
    /// Calls not yet answered in history that nobody runs, with what the model is told, by call id.
    pub refused_calls: Arc<BTreeMap<String, String>>,
    /// Decisions on calls not yet answered in history, by call id.
    pub approvals: Arc<BTreeMap<String, ApprovalDecision>>,
    /// What the server offered with the newest prompt.
    pub offer: Arc<Offer>,
    /// What prompts hold of a workspace's own files, after the newest boundary.
    pub context: Option<Arc<PinnedContext>>,
    /// Whether the newest answer's provider keeps it.
    pub chain: Arc<Chain>,
    /// What was spent, by day, model and purpose; with what the open turn has spent so far.
    pub spent: Arc<Vec<SpendingShare>>,
}

/// The thirteen states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "the table in ARCHITECTURE.md names them: status letter, then 0 for an empty queue, 1 for a filled one"
)]
pub enum StateName {
    N,
    W,
    E0,
    E1,
    R0,
    R1,
    I0,
    I1,
    A0,
    A1,
    XW,
    XE0,
    XE1,
}

impl StateName {
    /// All thirteen.
    pub const ALL: [StateName; 13] = [
        StateName::N,
        StateName::W,
        StateName::E0,
        StateName::E1,
        StateName::R0,
        StateName::R1,
        StateName::I0,
        StateName::I1,
        StateName::A0,
        StateName::A1,
        StateName::XW,
        StateName::XE0,
        StateName::XE1,
    ];

    /// The state of an outline, or `None` for a combination that must not exist.
    pub fn of(outline: &Outline) -> Option<StateName> {
        let queued = !outline.queue.is_empty();
        match (outline.status, outline.archived, queued) {
            (Status::Waiting, false, false) => Some(StateName::W),
            (Status::Waiting, true, false) => Some(StateName::XW),
            (Status::Error, false, false) => Some(StateName::E0),
            (Status::Error, false, true) => Some(StateName::E1),
            (Status::Error, true, false) => Some(StateName::XE0),
            (Status::Error, true, true) => Some(StateName::XE1),
            (Status::Running, false, false) => Some(StateName::R0),
            (Status::Running, false, true) => Some(StateName::R1),
            (Status::Interrupting, false, false) => Some(StateName::I0),
            (Status::Interrupting, false, true) => Some(StateName::I1),
            (Status::RequiresAction, false, false) => Some(StateName::A0),
            (Status::RequiresAction, false, true) => Some(StateName::A1),
            (Status::Waiting, _, true) | (Status::Running | Status::Interrupting | Status::RequiresAction, true, _) => {
                None
            }
        }
    }
}
