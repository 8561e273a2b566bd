//! What is worth telling a chat's owner who is not looking: a turn that ended, a turn that waits. One pure function says so,
//! and the inbox, the watchers and the webhooks all ask it.

use serde::{Deserialize, Serialize};

use crate::chat::Outline;
use crate::error::{ChatError, ErrorKind};
use crate::event::{Event, TurnFinished, TurnOutcome, TurnReason};
use crate::ids::TurnId;

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// A turn ended and the answer is there.
    TurnFinished,
    /// A turn failed.
    TurnFailed,
    /// A turn waits for a client's tools or for approvals.
    ActionRequired,
    /// A turn ended because the owner's budget is used up.
    BudgetReached,
}

impl Template {
    /// All templates.
    pub const ALL: [Template; 4] =
        [Template::TurnFinished, Template::TurnFailed, Template::ActionRequired, Template::BudgetReached];

    /// Its stable name, as JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Template::TurnFinished => "turn_finished",
            Template::TurnFailed => "turn_failed",
            Template::ActionRequired => "action_required",
            Template::BudgetReached => "budget_reached",
        }
    }

    /// The template of a name.
    pub fn parse(name: &str) -> Option<Template> {
        Template::ALL.into_iter().find(|template| template.name() == name)
    }
}

/// What an owner is notified of. Its address is that of the event: the chat and the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What it is about.
    pub template: Template,
    /// The turn that it is about.
    pub turn_id: TurnId,
    /// How the turn ended; absent while it waits.
    pub outcome: Option<TurnOutcome>,
    /// The kind of error that it ended with.
    pub error_kind: Option<ErrorKind>,
}

/// What an event is worth telling the owner. `reason` is what the turn under way before it was for, `after` the chat right
/// after it.
///
/// Nobody is told what they did themselves: a turn that was stopped, and one that a message or an edit put an end to, is
/// no news, nor is the history that a fork begins with. Nor are the ends of a child's turns: its parent reads them, and what comes of them is in the parent's answer.
/// A child that waits for somebody is, for nobody else can help it.
pub fn notification(reason: Option<TurnReason>, event: &Event, after: &Outline) -> Option<Notification> {
    match event {
        Event::TurnFinished(_) if reason == Some(TurnReason::Fork) || after.parent.is_some() => None,
        Event::TurnFinished(finished) => ended(finished),
        Event::ActionRequired(_) => {
            let turn_id = after.turn.as_ref()?.id;
            Some(Notification { template: Template::ActionRequired, turn_id, outcome: None, error_kind: None })
        }
        _ => None,
    }
}

fn ended(finished: &TurnFinished) -> Option<Notification> {
    let template = match finished.outcome {
        TurnOutcome::Interrupted => return None,
        TurnOutcome::Complete | TurnOutcome::StopAfterTool | TurnOutcome::MaxSteps | TurnOutcome::NoOutput => {
            Template::TurnFinished
        }
        TurnOutcome::Failed if finished.error.as_ref().is_some_and(is_budget) => Template::BudgetReached,
        TurnOutcome::Failed => Template::TurnFailed,
    };
    Some(Notification {
        template,
        turn_id: finished.turn_id,
        outcome: Some(finished.outcome),
        error_kind: finished.error.as_ref().map(|error| error.kind),
    })
}

/// Whether a turn ended for want of the owner's own budget. A quota that a provider holds against the server names the
/// provider, and is a failure like any other to the owner.
fn is_budget(error: &ChatError) -> bool {
    error.kind == ErrorKind::UsageLimit && error.provider.is_none() && error.status_code.is_none()
}

#[cfg(test)]
mod tests;
