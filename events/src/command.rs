//! Every request to change a chat. A command yields events or a rejection, never both.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::chat::Chat;
use crate::error::ChatError;
use crate::event::{
    AbandonCause, ApprovalDecision, AttemptAction, CapacityScope, ChildKind, CompactionSource, ContextSource,
    EffectClass, Offer, RequestRecipe, SettingsChanged, ToolDefinition, ToolPolicy, TurnOutcome, UsageRecorded,
    WorkspaceBinding,
};
use crate::ids::{AttemptId, ChatId, Digest, MessageId, QueuedId};
use crate::message::{FinishReason, Usage};
use crate::part::Part;
use crate::spending::CallSpent;

/// A request to change a chat.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Begins the chat.
    CreateChat(Box<CreateChat>),
    /// Begins the chat with what another one had said.
    ForkChat(ForkChat),
    /// A user says something.
    SendMessage(SendMessage),
    /// A user says something else than before.
    EditMessage(EditMessage),
    /// A user wants the history summarised.
    RequestCompaction,
    /// A user wants the model to forget.
    ClearContext,
    /// A user gives a waiting message up.
    DeleteQueued {
        /// Which.
        queued_id: QueuedId,
    },
    /// A user wants a waiting message now.
    PromoteQueued {
        /// Which.
        queued_id: QueuedId,
    },
    /// A user stops the turn.
    Interrupt,
    /// A client ran its tools.
    SubmitToolResults {
        /// One result per pending client call.
        results: Vec<SubmittedResult>,
    },
    /// Somebody decided on calls.
    DecideApprovals {
        /// One decision per call.
        decisions: Vec<ApprovalDecision>,
        /// Who decided.
        by: String,
    },
    /// The client's deadline passed.
    ExpireAction,
    /// Puts the chat away.
    Archive,
    /// Brings the chat back.
    Unarchive,
    /// The running turn has no place among those that may be at work at once, and waits for one.
    AwaitCapacity {
        /// Which bound was met.
        scope: CapacityScope,
    },
    /// A step is about to be tried.
    RecordAttempt(RecordAttempt),
    /// A tool of the running attempt is about to run.
    StartToolCall {
        /// The attempt.
        attempt_id: AttemptId,
        /// The call.
        call_id: String,
        /// The tool.
        name: String,
        /// What to do after a crash.
        effect_class: EffectClass,
    },
    /// A tool of the running attempt ended.
    FinishToolCall {
        /// The attempt.
        attempt_id: AttemptId,
        /// The call.
        call_id: String,
        /// The tool.
        name: String,
        /// Its answer.
        result: Value,
        /// The answer is an error.
        is_error: bool,
        /// Files that came with it.
        attachments: Vec<Part>,
        /// How long it ran, in ms.
        duration_ms: u64,
    },
    /// The running attempt failed and is worth another try.
    ScheduleRetry {
        /// The attempt that failed.
        attempt_id: AttemptId,
        /// Why.
        error: ChatError,
        /// How long to wait, in ms.
        delay_ms: u64,
        /// The output that was shown.
        partial: Vec<Part>,
        /// The provider refused it for the pictures or documents in the request.
        files_refused: bool,
    },
    /// The open attempt has nobody who works on it.
    AbandonAttempt {
        /// Which.
        attempt_id: AttemptId,
        /// Why.
        cause: AbandonCause,
        /// The output that was journaled.
        partial: Vec<Part>,
    },
    /// The running attempt succeeded.
    CommitStep {
        /// Which.
        attempt_id: AttemptId,
        /// With what.
        step: Step,
    },
    /// The turn must wait for a client or for approvals.
    RequireAction,
    /// The turn is over.
    FinishTurn {
        /// The attempt that found out, if one did.
        attempt_id: Option<AttemptId>,
        /// How.
        outcome: TurnOutcome,
    },
    /// The turn failed.
    FailTurn {
        /// The attempt that failed, if one did.
        attempt_id: Option<AttemptId>,
        /// Why.
        error: ChatError,
        /// The output that was shown.
        partial: Vec<Part>,
    },
    /// What was to be stopped has stopped.
    FinishInterruption {
        /// The usable output of the stopped attempt, already assembled (see `episode::interrupted`).
        partial: Vec<Part>,
    },
    /// Changes settings, all or nothing. Fields that are so already are left out of the event.
    ChangeSettings {
        /// What changes.
        patch: SettingsChanged,
        /// Archives or unarchives in the same append.
        archived: Option<bool>,
    },
    /// Gives the chat a title that a model wrote because a user asked for one.
    Retitle {
        /// The title.
        title: String,
    },
    /// Destroys the content, keeps the fact.
    Erase {
        /// Who wants it.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// A model call that was no attempt spent tokens. Taken in every state: the tokens are spent.
    RecordUsage(UsageRecorded),
    /// The chat made a child.
    RecordChild {
        /// The child.
        child: ChatId,
        /// What for.
        kind: ChildKind,
    },
}

impl Command {
    /// The command's name, for logs, spans and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Command::CreateChat(_) => "CreateChat",
            Command::ForkChat(_) => "ForkChat",
            Command::SendMessage(_) => "SendMessage",
            Command::EditMessage(_) => "EditMessage",
            Command::RequestCompaction => "RequestCompaction",
            Command::ClearContext => "ClearContext",
            Command::DeleteQueued { .. } => "DeleteQueued",
            Command::PromoteQueued { .. } => "PromoteQueued",
            Command::Interrupt => "Interrupt",
            Command::SubmitToolResults { .. } => "SubmitToolResults",
            Command::DecideApprovals { .. } => "DecideApprovals",
            Command::ExpireAction => "ExpireAction",
            Command::Archive => "Archive",
            Command::Unarchive => "Unarchive",
            Command::AwaitCapacity { .. } => "AwaitCapacity",
            Command::RecordAttempt(_) => "RecordAttempt",
            Command::StartToolCall { .. } => "StartToolCall",
            Command::FinishToolCall { .. } => "FinishToolCall",
            Command::ScheduleRetry { .. } => "ScheduleRetry",
            Command::AbandonAttempt { .. } => "AbandonAttempt",
            Command::CommitStep { .. } => "CommitStep",
            Command::RequireAction => "RequireAction",
            Command::FinishTurn { .. } => "FinishTurn",
            Command::FailTurn { .. } => "FailTurn",
            Command::FinishInterruption { .. } => "FinishInterruption",
            Command::ChangeSettings { .. } => "ChangeSettings",
            Command::Retitle { .. } => "Retitle",
            Command::Erase { .. } => "Erase",
            Command::RecordUsage(_) => "RecordUsage",
            Command::RecordChild { .. } => "RecordChild",
        }
    }
}

/// Begins a chat with the history of another one.
#[derive(Clone, Debug, PartialEq)]
pub struct ForkChat {
    /// Its id, made by the caller.
    pub id: ChatId,
    /// The other chat, whole, as it was then.
    pub source: Arc<Chat>,
}

/// Begins a chat, with a first message or without.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateChat {
    /// Its id, made by the caller.
    pub id: ChatId,
    /// Who owns it.
    pub owner: String,
    /// The chat that makes it.
    pub parent: Option<ChatId>,
    /// What it is to that chat.
    pub kind: ChildKind,
    /// The root of its family; itself for a root.
    pub root: ChatId,
    /// A user's title; else one is made from the first message.
    pub title: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The effort.
    pub effort: Option<String>,
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
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The workspace.
    pub workspace: Option<WorkspaceBinding>,
    /// Plan mode.
    pub plan_mode: bool,
    /// The first message; empty for none.
    pub content: Vec<Part>,
}

impl CreateChat {
    /// A user's root chat of which nothing is chosen.
    pub fn new(id: ChatId, owner: impl Into<String>, content: Vec<Part>) -> CreateChat {
        CreateChat {
            id,
            owner: owner.into(),
            parent: None,
            kind: ChildKind::User,
            root: id,
            title: None,
            model: None,
            effort: None,
            system_prompt: None,
            tools: Vec::new(),
            server_tools: None,
            mcp_servers: Vec::new(),
            tool_policy: BTreeMap::new(),
            labels: BTreeMap::new(),
            workspace: None,
            plan_mode: false,
            content,
        }
    }
}

/// What to do with a message for a chat that is busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Busy {
    /// It waits.
    #[default]
    Queue,
    /// It waits for the next step boundary.
    Steer,
    /// It waits, and the turn is stopped.
    Interrupt,
    /// It is refused.
    Reject,
}

/// A user says something.
#[derive(Clone, Debug, PartialEq)]
pub struct SendMessage {
    /// What.
    pub parts: Vec<Part>,
    /// Who.
    pub author: String,
    /// What to do if the chat is busy.
    pub busy: Busy,
    /// For this model; else the chat's.
    pub model: Option<String>,
    /// With this effort; else the chat's.
    pub effort: Option<String>,
}

/// A user says something else than before.
#[derive(Clone, Debug, PartialEq)]
pub struct EditMessage {
    /// The message to replace.
    pub message_id: MessageId,
    /// What it says now.
    pub parts: Vec<Part>,
    /// Who edits.
    pub author: String,
    /// For this model; else the replaced message's.
    pub model: Option<String>,
    /// With this effort; else the replaced message's.
    pub effort: Option<String>,
}

/// A client's result of one call.
#[derive(Clone, Debug, PartialEq)]
pub struct SubmittedResult {
    /// The call.
    pub call_id: String,
    /// The result; absent is a violation.
    pub result: Option<Value>,
    /// The result is an error.
    pub is_error: bool,
}

/// A step is about to be tried.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordAttempt {
    /// What it does.
    pub action: AttemptAction,
    /// The model, by its configured name.
    pub model: Option<String>,
    /// The digest of the exact bytes to be sent.
    pub prompt_digest: Option<Digest>,
    /// How those bytes can be made again.
    pub request: Option<RequestRecipe>,
    /// What the server offers with the prompt, where it is not what the chat was offered last.
    pub offer: Option<Offer>,
    /// The node.
    pub node: String,
}

/// What an attempt achieved.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The model answered.
    Generated(Generated),
    /// The tools answered, one part per call, in call order.
    ToolResults {
        /// `Part::ToolResult` each.
        results: Vec<Part>,
    },
    /// The history was summarised.
    Compacted(Compacted),
    /// The workspace's context files were read; none makes an empty marker.
    ContextLoaded {
        /// `Part::ContextFile` each.
        files: Vec<Part>,
        /// Where they were read.
        source: ContextSource,
    },
}

/// A model's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// What it said; never empty.
    pub parts: Vec<Part>,
    /// The model, by its configured name.
    pub model: String,
    /// Tokens.
    pub usage: Option<Usage>,
    /// What they cost, in millionths of a US dollar; `None` where no price is known.
    pub cost_micros: Option<u64>,
    /// Why it stopped.
    pub finish_reason: FinishReason,
    /// The provider's id of the response.
    pub response_id: Option<String>,
    /// Milliseconds to the first part.
    pub first_part_ms: Option<u64>,
    /// Calls in it that nobody runs, with what the model is told.
    pub refused_calls: BTreeMap<String, String>,
}

/// A summary of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Compacted {
    /// The summary.
    pub summary: String,
    /// Who asked for it.
    pub source: CompactionSource,
    /// The model that wrote it.
    pub model: String,
    /// Tokens of the summary call.
    pub usage: Option<Usage>,
    /// What they cost, in millionths of a US dollar; `None` where no price is known.
    pub cost_micros: Option<u64>,
    /// Tokens of the context before.
    pub context_tokens: u64,
    /// The window that counted.
    pub window_tokens: Option<u64>,
    /// The threshold that counted.
    pub threshold_percent: u8,
}

/// What `decide` needs to know besides the state: the time, the bounds, and what the call under way has spent.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time of the decision.
    pub now: DateTime<Utc>,
    /// The bounds in force.
    pub limits: &'a crate::limits::Limits,
    /// The window of the model that reads what is said next, in tokens; none if nobody knows it.
    pub context_window: Option<u64>,
    /// What the model call of the open attempt has spent, if there is such an attempt.
    pub call: CallSpent,
}

impl<'a> Context<'a> {
    /// A decision at this time and within these bounds, for a model whose window nobody knows, with nothing spent.
    pub fn new(now: DateTime<Utc>, limits: &'a crate::limits::Limits) -> Context<'a> {
        Context { now, limits, context_window: None, call: CallSpent::Nothing }
    }
}
