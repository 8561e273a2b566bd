//! The core's own types as the contract describes them. The core knows no contract, so they are named again here; what
//! they hold is either taken from the core's types or compared with them by a test.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use verbatim_events::{budget, chat, command, error, event, message, notification, settings};

/// A schema written as JSON. One that is none of OpenAPI's describes nothing, which the tests of the document notice.
pub(crate) fn schema_of(value: Value) -> RefOr<Schema> {
    serde_json::from_value(value).unwrap_or_default()
}

/// The words that these values are written as.
fn words_of<T: Serialize>(values: &[T]) -> Vec<Value> {
    values.iter().filter_map(|value| serde_json::to_value(value).ok()).collect()
}

/// Enumerations of the core: a variant that is missing here does not compile.
macro_rules! words {
    ($($(#[doc = $doc:literal])+ $name:ident = $core:path: $($variant:ident),+;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub struct $name;

        impl $name {
            /// All values of the core's type.
            pub const ALL: &'static [$core] = {
                use $core as Core;
                const fn listed(value: &Core) {
                    match value { $(Core::$variant => (),)+ }
                }
                let all: &[Core] = &[$(Core::$variant),+];
                listed(&all[0]);
                all
            };
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let description = [$($doc),+].join("\n").trim().to_owned();
                schema_of(json!({"type": "string", "enum": words_of($name::ALL), "description": description}))
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )+};
}

words! {
    /// What a chat is doing: at rest, at rest after a failure, working, about to stop, or waiting for a client.
    Status = chat::Status: Waiting, Error, Running, Interrupting, RequiresAction;
    /// The kind of an error; programs look at this one.
    ErrorKind = error::ErrorKind: Generic, Overloaded, RateLimit, Timeout, StreamSilenceTimeout, Auth, Config, UsageLimit,
        MissingKey, ProviderDisabled, ContentFilter, ChainBroken, HookDenied, HookFailed;
    /// Who speaks.
    Role = message::Role: System, User, Assistant, Tool;
    /// Who may see a message: users and models, users alone, or models alone.
    Visibility = message::Visibility: Both, User, Model;
    /// Where a message came from.
    Origin = message::Origin: User, Model, Tool, Synthetic, Context, Summary;
    /// Why a model stopped.
    FinishReason = message::FinishReason: Stop, Length, ToolCalls, ContentFilter, Interrupted, Unknown;
    /// What a waiting call needs: its result from a client that runs it, or somebody's approval.
    CallNeed = event::CallNeed: Result, Approval;
    /// What a turn is for.
    TurnReason = event::TurnReason: Message, Edit, Promotion, Compaction, Fork;
    /// How a turn ended.
    TurnOutcome = event::TurnOutcome: Complete, StopAfterTool, MaxSteps, NoOutput, Interrupted, Failed;
    /// What an attempt does.
    AttemptAction = event::AttemptAction: Generate, RunTools, Compact, LoadContext;
    /// In which time a budget may be spent: a day or a calendar month, both of UTC.
    BudgetPeriod = budget::BudgetPeriod: Day, Month;
    /// What tokens were spent on.
    UsagePurpose = event::UsagePurpose: Answer, Summary, Advice, Title, Label;
    /// Which bound a turn that waits has met: its owner's turns in chats of their own, or in chats that belong to others, or
    /// the node's.
    CapacityScope = event::CapacityScope: Root, Child, Node;
    /// Why an attempt ended without a result.
    AbandonCause = event::AbandonCause: Crash, OwnershipLost;
    /// How a wait for a client ended.
    ActionResolution = event::ActionResolution: Submitted, Cancelled, Expired, Superseded;
    /// What a child chat is for: a user made it, or an agent.
    ChildKind = event::ChildKind: User, Agent;
    /// Who asked for a compaction: the context's size, or a user.
    CompactionSource = event::CompactionSource: Automatic, Manual;
    /// What becomes of a call after a crash: it runs again, it is found again, or it is never run twice.
    EffectClass = event::EffectClass: Idempotent, Resumable, AtMostOnce;
    /// Why a turn is to stop.
    InterruptCause = event::InterruptCause: User, Message, Promotion;
    /// Where a promoted message went: into the history, or to the queue's head.
    PromotedTo = event::PromotedTo: History, Head;
    /// How a title came to be.
    TitleSource = event::TitleSource: Fallback, Model, User;
    /// Whether a call runs at once, waits for an approval, or is refused.
    ToolPolicy = event::ToolPolicy: Auto, Ask, Deny;
    /// A provider's wire protocol.
    ProviderKind = settings::ProviderKind: OpenAiResponses, OpenAiChat, Anthropic, Demo;
    /// What a notification is about: a turn ended, it failed, it waits for somebody, or the owner's budget is used up.
    NotificationTemplate = notification::Template: TurnFinished, TurnFailed, ActionRequired, BudgetReached;
    /// Why messages were withdrawn.
    WithdrawalReason = event::WithdrawalReason: Edited;
}

/// The words of `busy` in a request: what becomes of a message that meets a running turn.
pub fn busy_words() -> Vec<&'static str> {
    [command::Busy::Queue, command::Busy::Steer, command::Busy::Interrupt, command::Busy::Reject]
        .map(|busy| match busy {
            command::Busy::Queue => "queue",
            command::Busy::Steer => "steer",
            command::Busy::Interrupt => "interrupt",
            command::Busy::Reject => "reject",
        })
        .to_vec()
}

/// A chat's id: a UUIDv7, so that ids sort by creation.
#[derive(Debug)]
pub struct ChatId;

impl PartialSchema for ChatId {
    fn schema() -> RefOr<Schema> {
        schema_of(json!({"type": "string", "format": "uuid", "description": "A chat's id, a UUIDv7."}))
    }
}

impl ToSchema for ChatId {}

impl PartialSchema for super::Time {
    fn schema() -> RefOr<Schema> {
        let description = "A moment: RFC 3339, UTC, microseconds.";
        schema_of(json!({"type": "string", "format": "date-time", "description": description}))
    }
}

impl ToSchema for super::Time {}

/// Tokens of one step, or of several added up.
#[derive(Debug, ToSchema)]
pub struct Usage {
    /// Input tokens, those of the cache left out.
    pub input_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Input tokens read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Input tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
}

/// What a model's tokens cost, in millionths of a US dollar per million tokens of each class.
#[derive(Debug, ToSchema)]
pub struct Price {
    /// Input tokens that no cache served.
    pub input_micros: u64,
    /// Output tokens, reasoning included.
    pub output_micros: u64,
    /// Input tokens read from the provider's cache; unknown where absent.
    pub cache_read_micros: Option<u64>,
    /// Input tokens written to the provider's cache; unknown where absent.
    pub cache_write_micros: Option<u64>,
}

/// Why a step or a turn failed.
#[derive(Debug, ToSchema)]
pub struct ChatError {
    /// Its kind.
    pub kind: ErrorKind,
    /// What happened, for a person.
    pub message: String,
    /// What the provider said, without keys, ids and addresses.
    pub detail: Option<String>,
    /// The provider.
    pub provider: Option<String>,
    /// The provider's HTTP status.
    pub status_code: Option<u16>,
    /// Trying again may help.
    pub retryable: bool,
}

/// A chat's workspace.
#[derive(Debug, ToSchema)]
pub struct WorkspaceBinding {
    /// The workspace's id; absent until it is made.
    pub id: Option<String>,
    /// The template it is made from.
    pub template_id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// The template's parameters.
    pub parameters: Option<Value>,
}

/// What happened to the files of a chat's workspace, as far as that was found out.
#[derive(Debug, ToSchema)]
pub struct DiffStatus {
    /// The branch; absent where none is checked out.
    pub branch: Option<String>,
    /// Files that differ.
    pub files_changed: u64,
    /// Added lines.
    pub insertions: u64,
    /// Removed lines.
    pub deletions: u64,
    /// Not everything could be looked at or counted: at least so much differs.
    pub partial: Option<bool>,
}

/// A diff status that changed: null where there is none any more.
#[derive(Debug)]
pub struct ChangedDiffStatus;

impl PartialSchema for ChangedDiffStatus {
    fn schema() -> RefOr<Schema> {
        schema_of(json!({
            "description": "What happened to the workspace's files; null where there is nothing to be said any more: \
                            the repository or the workspace is gone, or it is another workspace.",
            "oneOf": [{"$ref": "#/components/schemas/DiffStatus"}, {"type": "null"}],
        }))
    }
}

impl ToSchema for ChangedDiffStatus {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ChangedDiffStatus")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((DiffStatus::name().into_owned(), DiffStatus::schema()));
    }
}

/// A tool that a client runs.
#[derive(Debug, ToSchema)]
pub struct ToolDefinition {
    /// Its name, unique within the chat.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// Who caused an event.
#[derive(Debug)]
pub struct Actor;

impl PartialSchema for Actor {
    fn schema() -> RefOr<Schema> {
        schema_of(json!({
            "type": "object",
            "description": "Who caused an event: a person or program with a key, a node of the server, or the system.",
            "required": ["kind"],
            "properties": {
                "kind": {"type": "string", "enum": ["user", "node", "system"]},
                "name": {"type": "string", "description": "The owner's or the node's name."},
            },
        }))
    }
}

impl ToSchema for Actor {}
