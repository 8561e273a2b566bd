//! Tool calls: run here, at a client, or only after an approval.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::AttemptId;
use crate::part::Part;

/// Who runs a tool of this name, and what to do after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectClass {
    /// Running it twice does no harm.
    Idempotent,
    /// What runs outlives the server and can be found again.
    Resumable,
    /// It must never run twice.
    AtMostOnce,
}

/// A tool is about to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCallStarted {
    /// The attempt it runs in.
    pub attempt_id: AttemptId,
    /// The call.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// What to do after a crash.
    pub effect_class: EffectClass,
}

/// A tool ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCallFinished {
    /// The attempt it ran in.
    pub attempt_id: AttemptId,
    /// The call.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// Its answer.
    pub result: Value,
    /// The answer is an error.
    pub is_error: bool,
    /// Files that came with the answer: `Part::File` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Part>,
    /// How long it ran, in ms.
    pub duration_ms: u64,
}

/// What a pending call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallNeed {
    /// A client must run it and submit the result.
    Result,
    /// Somebody must approve or deny it.
    Approval,
}

/// A call that waits outside the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingCall {
    /// The call.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub args: Value,
    /// What it waits for.
    pub needs: CallNeed,
}

/// The turn waits for a client or for approvals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRequired {
    /// The calls that wait.
    pub calls: Vec<PendingCall>,
    /// Until when.
    pub deadline: DateTime<Utc>,
}

/// How a wait for a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionResolution {
    /// Results or decisions for every call came in.
    Submitted,
    /// A user interrupted the turn.
    Cancelled,
    /// The deadline passed.
    Expired,
    /// An edit or a promotion made it void.
    Superseded,
}

/// The wait for a client is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionResolved {
    /// How.
    pub resolution: ActionResolution,
}

/// A decision on one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDecision {
    /// The call.
    pub call_id: String,
    /// It may run.
    pub approved: bool,
    /// Why, in the decider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Approvals were decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsDecided {
    /// One decision per call.
    pub decisions: Vec<ApprovalDecision>,
    /// Who decided.
    pub by: String,
}
