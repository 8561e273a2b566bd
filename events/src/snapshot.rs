//! Snapshots: a chat's state without its past, written down so that it need not be folded from its first event again. They
//! are kept beside the log and may be thrown away at any time; whoever uses one checks it against the log, and whoever needs
//! a whole chat does without.
//!
//! **Invariant:** what was written is read back as the very same state, or not at all. There is no half of a state and
//! no empty one: a snapshot that does not decode does not exist.

use crate::chat::{Chat, StateName};
use crate::ids::{ChatId, Digest, Version};
use crate::log::BoxFuture;
use crate::wire::{NESTING_MAX, read_json};

/// The number of the form that `encode` writes. Another number's snapshots are not read.
pub const STATE_SCHEMA: u32 = 2;

/// The least number of events from one snapshot to the next, and so the version of a chat's first.
pub const EVERY_EVENTS: u64 = 200;

/// How many times a snapshot's state may be as old as what lies after it: the longer a chat, the rarer its snapshots, so
/// that all of them together cost no more than a bounded multiple of reading it once.
const TAIL_SHARE: u64 = 8;

/// A state that takes more bytes than this is not kept.
pub const BYTES_MAX: usize = 64 << 20;

/// How much deeper a state nests than the events it was made of.
const NESTING_ADDED: usize = 16;

/// Where snapshots are kept.
pub trait Snapshots: Send + Sync {
    /// A chat's newest snapshot that this program made and can read. Never fails: without one the log has everything.
    fn newest(&self, chat_id: ChatId) -> BoxFuture<'_, Option<Chat>>;
}

/// No snapshots at all: every state is folded from the first event.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSnapshots;

impl Snapshots for NoSnapshots {
    fn newest(&self, _chat_id: ChatId) -> BoxFuture<'_, Option<Chat>> {
        Box::pin(std::future::ready(None))
    }
}

/// The version of the snapshot that a chat has when its last event is `version`; 0 for none yet. Depends on nothing
/// else, so whoever keeps snapshots keeps the same ones.
pub fn due(version: Version) -> Version {
    let mut gap = EVERY_EVENTS;
    while gap.saturating_mul(2 * TAIL_SHARE) <= version {
        gap *= 2;
    }
    version - version % gap
}

/// A state as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// JSON.
    pub state: String,
    /// SHA-256 of the JSON.
    pub digest: Digest,
}

/// Writes down a state that let its past go; `None` for one that is too large to be kept.
pub fn encode(chat: &Chat) -> Option<Encoded> {
    let state = serde_json::to_string(chat).ok().filter(|state| state.len() <= BYTES_MAX)?;
    let digest = Digest::of(state.as_bytes());
    Some(Encoded { state, digest })
}

/// Reads a state that `encode` wrote; `None` for anything else.
pub fn decode(state: &str, digest: Digest) -> Option<Chat> {
    if Digest::of(state.as_bytes()) != digest {
        return None;
    }
    let chat: Chat = read_json(state.as_bytes(), NESTING_MAX + NESTING_ADDED).ok()?;
    let outline = &chat.outline;
    let same_queue = chat.queue.iter().map(|queued| queued.id).eq(outline.queue.iter().copied());
    let whole = outline.version > 0 && chat.head_hash != Digest::ZERO && StateName::of(outline).is_some();
    (whole && same_queue).then_some(chat)
}

#[cfg(test)]
mod tests;
