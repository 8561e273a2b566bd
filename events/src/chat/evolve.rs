//! From a state and an event to the next state.

use crate::chat::Chat;
use crate::envelope::Recorded;
use crate::ids::{ChatId, Version};

/// An event that cannot have happened in the state it is applied to: the log or the program is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {version} ({event_type}) of {chat_id} is illegal: {problem}")]
pub struct IllegalEvent {
    /// The chat.
    pub chat_id: ChatId,
    /// The event.
    pub version: Version,
    /// Its type.
    pub event_type: &'static str,
    /// Why it is illegal.
    pub problem: String,
}

/// Applies an event. `state` is `None` for a chat that does not exist yet.
pub fn evolve(state: Option<Chat>, recorded: &Recorded) -> Result<Chat, IllegalEvent> {
    let _ = (state, recorded);
    unimplemented!()
}
