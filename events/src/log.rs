//! The log's port: the only truth and the only coordination. An implementation is right when the contract suite says so.

use std::future::Future;
use std::pin::Pin;

use uuid::Uuid;

use crate::envelope::{NewEvent, Stored};
use crate::ids::{ChatId, Digest, Position, Version};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What one chat gains in an append.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamAppend {
    /// The chat.
    pub chat_id: ChatId,
    /// The version the writer believes to be the last; 0 for a chat that must not exist yet.
    pub expected_version: Version,
    /// The hash of the event at `expected_version`; `Digest::ZERO` for 0.
    pub expected_hash: Digest,
    /// The events, versions `expected_version + 1` and on. May be empty where only a receipt is to be kept.
    pub events: Vec<NewEvent>,
}

/// Remembers a command's outcome under its idempotency key.
#[derive(Clone, Debug, PartialEq)]
pub struct NewReceipt {
    /// Whose key it is.
    pub owner: String,
    /// The key.
    pub key: String,
    /// Digest over method, route, chat and body.
    pub request_hash: Digest,
    /// The outcome, as the caller wants to read it again. Opaque to the log.
    pub outcome: Vec<u8>,
}

/// One atomic append: all of it or nothing. Nearly always one stream; several for a whole family.
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// What each chat gains; chats are distinct.
    pub streams: Vec<StreamAppend>,
    /// The receipt, if the command had a key.
    pub receipt: Option<NewReceipt>,
}

/// What a successful append returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The position of the append's last event; the log's head if it had none. The events of one append have
    /// consecutive positions, in order.
    pub position: Position,
}

/// A remembered outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// Digest over method, route, chat and body.
    pub request_hash: Digest,
    /// The position of the append's last event.
    pub position: Position,
    /// The outcome as it was given. Empty where the chat that it made was erased since: the key was used, and nothing else is
    /// known.
    pub outcome: Vec<u8>,
}

/// Why an append did not happen, or may not have.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// A chat's last version or hash is not the expected one. Nothing was written.
    #[error("{chat_id} moved on")]
    Conflict {
        /// The first such chat.
        chat_id: ChatId,
    },
    /// The key is known: the command was done before. Nothing was written.
    #[error("the idempotency key was used before")]
    Duplicate(Box<Receipt>),
    /// The log has no room for more requests now. Nothing was written.
    #[error("the log is busy")]
    Busy,
    /// The log refused before anything was written: disk full, read-only, fenced …
    #[error("the log could not be written: {0}")]
    Failed(String),
    /// The commit's outcome is unknown. Whoever asked must read the chat again to find out.
    #[error("the outcome of the write is unknown: {0}")]
    Unknown(String),
}

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The database does not answer.
    #[error("the log could not be read: {0}")]
    Unavailable(String),
    /// A row is not what was written.
    #[error("the log is damaged at position {position}: {problem}")]
    Damaged {
        /// Where.
        position: Position,
        /// In what way.
        problem: String,
    },
}

/// A page of the whole log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogPage {
    /// Events in order of position.
    pub events: Vec<Stored>,
    /// Everything up to here was looked at; the next page starts after it.
    pub scanned_to: Position,
    /// The log's head when the page was read.
    pub head: Position,
}

/// An append-only log of all chats' events.
pub trait EventLog: Send + Sync {
    /// Appends atomically. After `Ok` the events are durable; after `Unknown` nobody knows yet.
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// A chat's events after `after`, at most `limit`, in version order. Empty for an unknown chat.
    fn read_chat(&self, chat_id: ChatId, after: Version, limit: usize) -> BoxFuture<'_, Result<Vec<Stored>, LogError>>;

    /// All events after `after`, at most `limit`, in position order. Never skips an event that commits late.
    fn read_all(&self, after: Position, limit: usize) -> BoxFuture<'_, Result<LogPage, LogError>>;

    /// The position of the last committed event.
    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>>;

    /// The newest head this node knows of, without asking the database.
    fn known_head(&self) -> Position;

    /// Returns when the head may be beyond `position`: a hint arrived, or it is time to poll.
    fn wait_beyond(&self, position: Position) -> BoxFuture<'_, ()>;

    /// The receipt of an owner's key.
    fn receipt(&self, owner: &str, key: &str) -> BoxFuture<'_, Result<Option<Receipt>, LogError>>;

    /// The log's identity, renewed by a restore: positions of another timeline mean nothing.
    fn timeline(&self) -> Uuid;
}
