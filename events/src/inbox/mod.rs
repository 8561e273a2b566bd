//! What an owner has read of what they were notified of, as events: marks on notifications, in a stream of the owner's own.
//!
//! Not in the chats' streams, for to have read something changes nothing about a chat, neither its version nor its place in
//! a list, and nobody who follows the chat cares. And not in one stream for all, or every mark of everybody would have to wait for
//! every other.

mod wire;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{ChatId, Digest, Position, Version};
use crate::settings::SETTINGS_STREAM;

pub use wire::{INBOX_EVENT_TYPES, decode, event_type, readable_schemas, seal};

/// Notifications that one event marks at most.
pub const MARKED_MAX: usize = 200;

/// What the ids of these streams are made from, with the owner's name after it.
const NAME_SPACE: &[u8] = b"verbatim inbox\0";

/// Where a notification's event stands: its address, and so its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The chat.
    pub chat_id: ChatId,
    /// The event's version in it.
    pub version: Version,
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.chat_id, self.version)
    }
}

impl std::str::FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Address, NotAnAddress> {
        let (chat_id, version) = text.rsplit_once('-').ok_or(NotAnAddress)?;
        let chat_id: ChatId = chat_id.parse().map_err(|_| NotAnAddress)?;
        let version = version.parse().ok().filter(|version| *version > 0).ok_or(NotAnAddress)?;
        let address = Address { chat_id, version };
        // One notification has one id: other ways to write the numbers are none.
        if address.to_string() == text { Ok(address) } else { Err(NotAnAddress) }
    }
}

/// A text that is no notification's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no notification's id")]
pub struct NotAnAddress;

/// Notifications were marked as read, or as unread again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationsMarked {
    /// Whose.
    pub owner: String,
    /// Which; at most `MARKED_MAX`.
    pub notifications: Vec<Address>,
    /// Read or unread.
    pub read: bool,
}

/// All notifications up to some point were marked as read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllNotificationsRead {
    /// Whose.
    pub owner: String,
    /// The newest of them; absent for all that stand in the log before this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Address>,
}

/// A mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InboxEvent {
    /// On some.
    Marked(NotificationsMarked),
    /// On all up to some point.
    AllRead(AllNotificationsRead),
}

impl InboxEvent {
    /// Whose notifications it marks.
    pub fn owner(&self) -> &str {
        match self {
            InboxEvent::Marked(marked) => &marked.owner,
            InboxEvent::AllRead(all) => &all.owner,
        }
    }
}

/// A mark as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedMark {
    /// Its place in the whole log.
    pub position: Position,
    /// The stream.
    pub stream: ChatId,
    /// Its place in the stream.
    pub version: Version,
    /// When it was decided.
    pub recorded_at: DateTime<Utc>,
    /// The chain's hash up to and including it.
    pub hash: Digest,
    /// The mark.
    pub event: InboxEvent,
}

/// A mark that cannot stand where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IllegalMark {
    /// It stands in another owner's stream.
    #[error("it marks the notifications of {owner:?} in another owner's stream")]
    OtherOwner {
        /// Whose notifications it marks.
        owner: String,
    },
    /// It marks none, or more than one event may.
    #[error("it marks {marked} notifications; 1 to {MARKED_MAX} may be")]
    Marked {
        /// How many it marks.
        marked: usize,
    },
}

impl RecordedMark {
    /// Whether the mark can stand where it stands. Marks do not build on each other: any order of them is legal.
    pub fn check(&self) -> Result<(), IllegalMark> {
        let owner = self.event.owner();
        if stream_id(owner) != self.stream {
            return Err(IllegalMark::OtherOwner { owner: owner.to_owned() });
        }
        match &self.event {
            InboxEvent::Marked(marked) if !(1..=MARKED_MAX).contains(&marked.notifications.len()) => {
                Err(IllegalMark::Marked { marked: marked.notifications.len() })
            }
            InboxEvent::Marked(_) | InboxEvent::AllRead(_) => Ok(()),
        }
    }
}

/// Whether a stream holds an owner's marks.
pub fn is_stream(id: ChatId) -> bool {
    !id.is_chat() && id != SETTINGS_STREAM
}

/// The stream of an owner's marks. A UUID of version 8, made from the owner's name alone, so that every node finds it; chats
/// have version 7.
pub fn stream_id(owner: &str) -> ChatId {
    let digest = Digest::of(&[NAME_SPACE, owner.as_bytes()].concat());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    ChatId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests;
