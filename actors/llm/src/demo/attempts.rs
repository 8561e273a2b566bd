//! Which attempt at an answer this is.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use verbatim_events::ids::{ChatId, Digest};

/// How many messages are remembered; the oldest is forgotten first.
const REMEMBERED_MAX: usize = 4096;

type Key = (ChatId, Digest);

#[derive(Debug, Default)]
struct Counts {
    by_key: HashMap<Key, u32>,
    order: VecDeque<Key>,
}

/// Counts attempts per chat and message, in memory alone.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<Counts>);

impl Attempts {
    /// Counts one more attempt; gives its number: 1, 2, 3 …
    pub(super) fn next(&self, chat_id: ChatId, message: Digest) -> u32 {
        let key = (chat_id, message);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.by_key.get_mut(&key) {
            *count = count.saturating_add(1);
            return *count;
        }
        if counts.order.len() == REMEMBERED_MAX
            && let Some(oldest) = counts.order.pop_front()
        {
            counts.by_key.remove(&oldest);
        }
        counts.order.push_back(key);
        counts.by_key.insert(key, 1);
        1
    }
}
