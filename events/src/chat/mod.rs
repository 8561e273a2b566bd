//! The chat: the aggregate. Its state, the commands it takes, the events it yields. Pure.

mod calls;
mod chain;
mod compaction;
mod decide;
mod evolve;
mod files;
mod fold;
mod history;
mod next_action;
mod outline;
mod past;
mod pending;
mod state;
#[cfg(test)]
mod tests;
mod tool_rules;

pub use calls::{DENIED_BY_POLICY, OpenCall, SortedCalls, open_calls, sort_open_calls};
pub use chain::{Chain, KeptResponse};
pub use compaction::{COMPACTION_TRIES_MAX, context_tokens, stricter_window, threshold_percent};
pub use decide::decide;
pub use evolve::{IllegalEvent, evolve};
pub use files::ChatFiles;
pub use history::History;
pub use next_action::{CallToRun, ModelFacts, NextAction, next_action};
pub use outline::{CapacityWait, OpenAttempt, OpenTurn, Outline, PendingAction, PendingRetry, Status};
pub use past::RECENT_MESSAGES;
pub use pending::{Effect, pending};
pub use state::{Boundary, CallRecord, Chat, ChatConfig, PinnedContext, QueuedMessage, StateName};
pub use tool_rules::{admits_provider_tool, is_exclusive, policy_of, stops_turn};
