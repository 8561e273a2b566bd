//! A bounded cache of outlines, so that a hot chat costs no read per event. It may forget anything at any time.

use std::collections::HashMap;
use std::sync::Arc;

use verbatim_events::chat::Outline;
use verbatim_events::ids::ChatId;

/// Outlines of the chats that were touched last, in two halves: when the young half is full it becomes the old one, and
/// what was old is forgotten unless it was used since.
#[derive(Debug)]
pub(crate) struct Outlines {
    young: HashMap<ChatId, Arc<Outline>>,
    old: HashMap<ChatId, Arc<Outline>>,
    half: usize,
}

impl Outlines {
    /// A cache of at most `capacity` outlines.
    pub(crate) fn new(capacity: usize) -> Outlines {
        Outlines { young: HashMap::new(), old: HashMap::new(), half: (capacity / 2).max(1) }
    }

    /// The outline of a chat, if it is still there.
    pub(crate) fn get(&mut self, chat_id: ChatId) -> Option<Arc<Outline>> {
        if let Some(outline) = self.young.get(&chat_id) {
            return Some(Arc::clone(outline));
        }
        let outline = self.old.remove(&chat_id)?;
        self.put(Arc::clone(&outline));
        Some(outline)
    }

    /// Remembers a chat's newest outline.
    pub(crate) fn put(&mut self, outline: Arc<Outline>) {
        if self.young.len() >= self.half && !self.young.contains_key(&outline.id) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&outline.id);
        self.young.insert(outline.id, outline);
    }

    /// Forgets a chat.
    pub(crate) fn forget(&mut self, chat_id: ChatId) {
        self.young.remove(&chat_id);
        self.old.remove(&chat_id);
    }
}

#[cfg(test)]
mod tests;
