//! What a chat keeps of its past. Once a compaction or a clearing has set a boundary, no prompt holds what was said before
//! it, and a long chat need not carry it about: it stands in the log.
//!
//! **Invariant:** a chat that let its past go decides, acts and prompts exactly as a whole one. What it cannot do it says:
//! `Command::needs_past` names the commands, `IllegalEvent::lacks_past` the events, that want a whole chat, which is
//! folded from the chat's first event.

use crate::chat::Chat;
use crate::command::Command;
use crate::message::{Message, Origin, Role};

/// How many of the messages that users see stay however old they are, so that who begins to watch sees them.
pub const RECENT_MESSAGES: usize = 200;

/// A user's own words that a turn answers.
pub(super) fn is_prompt(message: &Message) -> bool {
    message.role == Role::User && message.origin == Origin::User && message.for_user()
}

impl Chat {
    /// Whether all live messages are in `history`.
    pub fn is_whole(&self) -> bool {
        self.history.is_whole()
    }

    /// Lets go of the messages before the boundary that nothing but an edit or a fork will ask for. What stays: all
    /// instructions, what the user said first, and everything from the newest prompt, the open turn's beginning and the
    /// `RECENT_MESSAGES`th newest message on, whichever is the oldest.
    ///
    /// It does not matter when this is done, or how often: of the same events the same remains.
    pub fn let_past_go(&mut self) {
        self.let_past_go_but(RECENT_MESSAGES);
    }

    pub(super) fn let_past_go_but(&mut self, recent: usize) {
        if self.boundary == 0 {
            return;
        }
        let needed = self.newest_needed(recent);
        let first = self.history.iter().find(|message| message.origin == Origin::User).map(|message| message.id);
        let count = self.history.len() - needed;
        self.history.let_go(count, |message| message.role == Role::System || Some(message.id) == first);
    }

    /// How many of the newest messages stay.
    fn newest_needed(&self, recent: usize) -> usize {
        let turn_id = self.outline.turn.as_ref().map(|turn| turn.id);
        let (mut needed, mut seen, mut prompt_seen, mut words_seen) = (0, 0, false, false);
        for message in self.history.iter().rev() {
            let in_turn = turn_id.is_some() && message.turn_id == turn_id;
            let is_done = seen >= recent && prompt_seen && words_seen && !in_turn && message.id <= self.boundary;
            if is_done {
                break;
            }
            needed += 1;
            seen += usize::from(message.for_user());
            prompt_seen |= is_prompt(message);
            words_seen |= message.origin == Origin::User;
        }
        needed
    }
}

impl Command {
    /// Whether it can be decided for a whole chat alone.
    pub fn needs_past(&self) -> bool {
        matches!(self, Command::EditMessage(_))
    }
}
