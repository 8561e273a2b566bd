//! What a chat still owes the world. A replay alone tells it; a resting chat owes nothing.

use chrono::{DateTime, Utc};

use crate::chat::{Chat, OpenAttempt, Status};

/// Something the shell must see to.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Take the turn's next action (see `next_action`), now.
    Act,
    /// Take the turn's next action at this time: a retry waits.
    ActAt(DateTime<Utc>),
    /// See this attempt through. An attempt nobody works on is abandoned (`Command::AbandonAttempt`).
    Attend(OpenAttempt),
    /// Stop the attempt, if one is open, and commit what it had (`Command::FinishInterruption`).
    FinishInterruption(Option<OpenAttempt>),
    /// Let the wait for a client expire at this time (`Command::ExpireAction`).
    ExpireAt(DateTime<Utc>),
}

/// What the chat owes.
pub fn pending(chat: &Chat) -> Vec<Effect> {
    let outline = &chat.outline;
    match outline.status {
        Status::Waiting | Status::Error => Vec::new(),
        Status::Running => vec![match (&outline.attempt, &outline.retry) {
            (Some(attempt), _) => Effect::Attend(attempt.clone()),
            (None, Some(retry)) => Effect::ActAt(retry.retry_at),
            (None, None) => Effect::Act,
        }],
        Status::Interrupting => vec![Effect::FinishInterruption(outline.attempt.clone())],
        Status::RequiresAction => outline.action.iter().map(|action| Effect::ExpireAt(action.deadline)).collect(),
    }
}
