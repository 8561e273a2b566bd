//! Addresses. A chat has a UUID; everything inside a chat is named by the version of the event that made it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A chat's identity: a UUIDv7, so that ids sort by creation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChatId(pub Uuid);

impl ChatId {
    /// Whether this is a chat's id, and not that of a stream beside the chats: those have UUIDs of version 8.
    pub fn is_chat(self) -> bool {
        self.0.get_version_num() != 8
    }
}

impl fmt::Display for ChatId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for ChatId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "chat {}", self.0)
    }
}

impl FromStr for ChatId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(ChatId)
    }
}

/// An event's place in its chat's stream: 1, 2, 3 … without gaps. 0 means "before the first event".
pub type Version = u64;

/// An event's place in the whole log: 1, 2, 3 … without gaps within a lane. 0 means "before the first event".
pub type Position = u64;

/// A message's id: the version of the `MessageCommitted` event that put it into history.
pub type MessageId = Version;

/// A queued message's id: the version of its `MessageQueued` event.
pub type QueuedId = Version;

/// A turn's id: the version of its `TurnStarted` event.
pub type TurnId = Version;

/// An attempt's id: the version of its `AttemptRecorded` event. It is also the fence: an attempt's result counts only
/// while the attempt of this id is the chat's current one.
pub type AttemptId = Version;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The chain's beginning: the previous hash of a chat's first event.
    pub const ZERO: Digest = Digest([0; 32]);

    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        use sha2::Digest as _;
        Digest(sha2::Sha256::digest(bytes).into())
    }

    /// Reads a digest from exactly 32 bytes, as databases return them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Digest> {
        bytes.try_into().ok().map(Digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || format!("a digest is 64 hexadecimal digits, not {text:?}");
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).map_err(|_| bad())?;
        }
        Ok(Digest(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
