//! Every fact that can happen to a chat, in past tense. The persisted JSON of each is pinned by a golden sample; a change
//! of meaning or shape gets a new schema number and an upcaster (see `wire`).

mod context;
mod created;
mod message;
mod settings;
mod tool;
mod turn;
mod usage;

pub use context::{
    CompactionRequested, CompactionSource, ContextCleared, ContextCompacted, ContextFreshness, ContextMark,
    ContextSource, ContextStamp,
};
pub use created::{ChatCreated, ForkOrigin, TitleSource, ToolDefinition, ToolPolicy, WorkspaceBinding};
pub use message::{
    MessageCommitted, MessageQueued, MessagesWithdrawn, PromotedTo, QueuedMessageDeleted, QueuedMessagePromoted,
    WithdrawalReason,
};
pub use settings::{
    ChatArchived, ChatErased, ChatUnarchived, ChildKind, ChildSpawned, DiffStatus, Remains, SettingsChanged,
    TitleChange,
};
pub use tool::{
    ActionRequired, ActionResolution, ActionResolved, ApprovalDecision, ApprovalsDecided, CallNeed, EffectClass,
    PendingCall, ToolCallFinished, ToolCallStarted,
};
pub use turn::{
    AbandonCause, AttemptAbandoned, AttemptAction, AttemptRecorded, CapacityAwaited, CapacityScope, InterruptCause,
    InterruptRequested, Offer, RequestRecipe, RetryScheduled, TurnFinished, TurnOutcome, TurnReason, TurnStarted,
};
pub use usage::{UsagePurpose, UsageRecorded};

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
    /// The turn waits until fewer others are at work.
    CapacityAwaited(CapacityAwaited),
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
    /// Tokens were spent on something that is no message.
    UsageRecorded(UsageRecorded),
}
