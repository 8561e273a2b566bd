//! From a state and a command to events, or to a rejection.

use crate::chat::Chat;
use crate::command::{Command, Context};
use crate::event::Event;
use crate::rejection::Rejection;

/// Decides a command. `state` is `None` for a chat that does not exist. An empty list means: it is so already.
pub fn decide(state: Option<&Chat>, command: &Command, context: Context<'_>) -> Result<Vec<Event>, Rejection> {
    let _ = (state, command, context);
    unimplemented!()
}
