//! The chats' heads that the SQLite writer remembers: it is the only writer, so what it wrote or read last is true.

use std::collections::HashMap;

use verbatim_events::ids::{ChatId, Digest, Version};

/// A chat's last version and its hash; 0 and `Digest::ZERO` for a chat that does not exist.
pub(crate) type StreamHead = (Version, Digest);

/// The head of a chat without events.
pub(crate) const NO_STREAM: StreamHead = (0, Digest::ZERO);

/// A bounded memory of heads in two generations: what was not used for a whole generation is forgotten.
pub(crate) struct HeadCache {
    young: HashMap<ChatId, StreamHead>,
    old: HashMap<ChatId, StreamHead>,
    generation_max: usize,
}

impl HeadCache {
    /// A memory of at most `max` heads.
    pub(crate) fn new(max: usize) -> HeadCache {
        HeadCache { young: HashMap::new(), old: HashMap::new(), generation_max: (max / 2).max(1) }
    }

    /// The remembered head of a chat.
    pub(crate) fn get(&mut self, chat_id: ChatId) -> Option<StreamHead> {
        if let Some(head) = self.young.get(&chat_id) {
            return Some(*head);
        }
        let head = self.old.remove(&chat_id)?;
        self.set(chat_id, head);
        Some(head)
    }

    /// Remembers a chat's head.
    pub(crate) fn set(&mut self, chat_id: ChatId, head: StreamHead) {
        if self.young.len() >= self.generation_max && !self.young.contains_key(&chat_id) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(chat_id, head);
    }

    /// Forgets everything: the next look goes to the database.
    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests;
