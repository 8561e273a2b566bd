//! Every fact that can happen to a chat, in past tense. The persisted JSON of each is pinned by a golden sample; a change
//! of meaning or shape gets a new schema number and an upcaster (see `wire`).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ChatError;
use crate::ids::{AttemptId, ChatId, Digest, MessageId, QueuedId, TurnId};
use crate::message::{FinishReason, Origin, Role, Usage, Visibility};
use crate::part::Part;

/// A fact about a chat.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The chat began.
    ChatCreated(ChatCreated),
    /// A message entered history.
    MessageCommitted(MessageCommitted),
    /// Messages left history; the log keeps them.
    MessagesWithdrawn(MessagesWithdrawn),
    /// A user message waits.
    MessageQueued(MessageQueued),
    /// A waiting message was given up.
    QueuedMessageDeleted(QueuedMessageDeleted),
    /// A waiting message moved on.
    QueuedMessagePromoted(QueuedMessagePromoted),
    /// A turn began.
    TurnStarted(TurnStarted),
    /// A try at a step began; written before its side effect.
    AttemptRecorded(AttemptRecorded),
    /// A tool is about to run; written before it does.
    ToolCallStarted(ToolCallStarted),
    /// A tool ended.
    ToolCallFinished(ToolCallFinished),
    /// An attempt failed and will be tried again.
    RetryScheduled(RetryScheduled),
    /// An attempt ended without a result.
    AttemptAbandoned(AttemptAbandoned),
    /// The turn waits for a client or for approvals.
    ActionRequired(ActionRequired),
    /// That wait is over.
    ActionResolved(ActionResolved),
    /// Approvals were decided.
    ApprovalsDecided(ApprovalsDecided),
    /// The running turn is to stop.
    InterruptRequested(InterruptRequested),
    /// A turn ended.
    TurnFinished(TurnFinished),
    /// A compaction was asked for.
    CompactionRequested(CompactionRequested),
    /// The history before here is summarised; prompts start here.
    ContextCompacted(ContextCompacted),
    /// Prompts start here.
    ContextCleared(ContextCleared),
    /// Settings of the chat changed.
    SettingsChanged(SettingsChanged),
    /// The chat was archived.
    ChatArchived(ChatArchived),
    /// The chat came back from the archive.
    ChatUnarchived(ChatUnarchived),
    /// The content was erased; the fact stays.
    ChatErased(ChatErased),
    /// The chat made a child.
    ChildSpawned(ChildSpawned),
}

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

/// A tool that a client runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolDefinition {
    /// Its name, unique within the chat.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// Whether a call needs somebody's consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolPolicy {
    /// It runs.
    Auto,
    /// It waits for an approval.
    Ask,
    /// It is refused.
    Deny,
}

/// A chat's workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceBinding {
    /// The workspace's id; absent until it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The template it is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The template's parameters.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::part::given")]
    pub parameters: Option<Value>,
}

/// How a title came to be; a user's own is never overwritten by a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TitleSource {
    /// The first words of the first message.
    Fallback,
    /// A model wrote it.
    Model,
    /// A user wrote it.
    User,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "The chat began."]
pub struct ChatCreated {
    /// Who owns it.
    pub owner: String,
    /// The chat that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ChatId>,
    /// The root of its family; itself for a root.
    pub root: ChatId,
    /// Its title.
    pub title: String,
    /// Who wrote the title.
    pub title_source: TitleSource,
    /// The model it talks to; the server's default model where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The reasoning effort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// Instructions for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Tools that the client runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolDefinition>,
    /// Names of the server's tools it may use; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_tools: Option<Vec<String>>,
    /// Names of configured MCP servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<String>,
    /// Policy by tool name, or `*`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tool_policy: BTreeMap<String, ToolPolicy>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceBinding>,
    /// Plan mode is on.
    #[serde(default)]
    pub plan_mode: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "A message entered history."]
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
    /// It belongs to a compaction, not to the conversation.
    #[serde(default)]
    pub compressed: bool,
}

/// Why messages were withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawalReason {
    /// A user edited the first of them.
    Edited,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "Messages left history, from `from` on."]
pub struct MessagesWithdrawn {
    /// The first withdrawn message; all later ones went with it.
    pub from: MessageId,
    /// Why.
    pub reason: WithdrawalReason,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "A user message waits at the queue's tail."]
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "A waiting message was given up."]
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "A waiting message moved on."]
pub struct QueuedMessagePromoted {
    /// Which.
    pub queued_id: QueuedId,
    /// Where to.
    pub to: PromotedTo,
}

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
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "A turn began. Its user message, if it has one, follows in the same append."]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The number of the encoder that made the bytes; another number's bytes are not comparable.
    pub encoder: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "A try at a step began."]
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
    /// The node that does it.
    pub node: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "A tool is about to run."]
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "A tool ended."]
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
    /// How long it ran, in ms.
    pub duration_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "An attempt failed and will be tried again."]
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "An attempt ended without a result; the next one starts afresh."]
pub struct AttemptAbandoned {
    /// Which.
    pub attempt_id: AttemptId,
    /// Why.
    pub cause: AbandonCause,
    /// The output that was shown and journaled until then; void for the conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partial: Vec<Part>,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "The turn waits for a client or for approvals."]
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "The wait for a client is over."]
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "Approvals were decided."]
pub struct ApprovalsDecided {
    /// One decision per call.
    pub decisions: Vec<ApprovalDecision>,
    /// Who decided.
    pub by: String,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "The running turn is to stop."]
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "A turn ended."]
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
    /// Cost of the whole turn, in millionths of the price list's currency, where prices are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micros: Option<u64>,
    /// Committed steps.
    pub steps: u32,
    /// From `TurnStarted` to here, in ms.
    pub duration_ms: u64,
}

/// Who asked for a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompactionSource {
    /// The context's size.
    Automatic,
    /// A user.
    Manual,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "A compaction was asked for."]
pub struct CompactionRequested {
    /// By whom.
    pub source: CompactionSource,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "The history before this event is summarised. The summary and what must stay word for word follow in the same append."]
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "Prompts start after this event."]
pub struct ContextCleared {
    /// Who asked for it.
    pub source: CompactionSource,
}

/// A title with its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TitleChange {
    /// The title.
    pub title: String,
    /// Who wrote it.
    pub source: TitleSource,
}

/// What happened to the files of a chat's workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffStatus {
    /// The branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Files that differ.
    pub files_changed: u64,
    /// Added lines.
    pub insertions: u64,
    /// Removed lines.
    pub deletions: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "Settings of the chat changed; absent fields stayed."]
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
    /// The workspace's diff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_status: Option<DiffStatus>,
}

impl SettingsChanged {
    /// Nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == SettingsChanged::default()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "The chat was archived."]
pub struct ChatArchived {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "The chat came back from the archive."]
pub struct ChatUnarchived {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "The chat's content was erased."]
pub struct ChatErased {
    /// Who did it.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc = "The chat made a child."]
pub struct ChildSpawned {
    /// The child.
    pub child: ChatId,
    /// What for.
    pub kind: ChildKind,
}
