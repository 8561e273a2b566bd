//! What a chat still owes the world. A replay alone tells it; a resting chat owes nothing.

use chrono::{DateTime, Utc};

use crate::chat::{Chat, OpenAttempt};

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
    let _ = chat;
    unimplemented!()
}
