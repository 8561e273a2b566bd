//! The chat: the aggregate. Its state, the commands it takes, the events it yields. Pure.

mod decide;
mod evolve;
mod history;
mod next_action;
mod outline;
mod pending;
mod state;

pub use decide::decide;
pub use evolve::{IllegalEvent, evolve};
pub use history::History;
pub use next_action::{CallToRun, ModelFacts, NextAction, next_action};
pub use outline::{OpenAttempt, OpenTurn, Outline, PendingAction, PendingRetry, Status};
pub use pending::{Effect, pending};
pub use state::{CallRecord, Chat, ChatConfig, QueuedMessage, StateName};
