//! What people do with their inbox: they mark notifications as read. Each mark is an event in the owner's own stream.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;
use verbatim_actors::clock::Clock;
use verbatim_actors::handle::{IdempotencyKey, SendError};
use verbatim_events::envelope::Cause;
use verbatim_events::ids::{ChatId, Digest, Position, Version};
use verbatim_events::inbox::{InboxEvent, seal, stream_id};
use verbatim_events::log::{Append, AppendError, EventLog, LogError, NewReceipt, StreamAppend};

/// How often a mark is tried again because another one came first.
const CONFLICTS_MAX: u32 = 8;

/// Streams whose end is remembered.
const ENDS_MAX: usize = 4096;

/// Events read at once to find a stream's end.
const PAGE: usize = 500;

/// A caller is told to come back after this, in ms, when the log is busy.
const BUSY_RETRY_MS: u64 = 1000;

/// Where a mark stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marked {
    /// Its position in the log.
    pub position: Position,
    /// It was made before, under the same idempotency key; nothing happened now.
    pub replayed: bool,
}

/// The way to the inboxes' streams. Cheap to clone.
#[derive(Clone)]
pub struct Inboxes {
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    /// The last version and hash of streams. What is wrong here costs a refused append, never a wrong one.
    ends: Arc<Mutex<HashMap<ChatId, (Version, Digest)>>>,
}

impl Inboxes {
    /// The inboxes of a log.
    pub fn new(log: Arc<dyn EventLog>, clock: Arc<dyn Clock>) -> Inboxes {
        Inboxes { log, clock, ends: Arc::default() }
    }

    /// Records a mark.
    pub async fn mark(
        &self,
        event: &InboxEvent,
        cause: &Cause,
        idempotency: Option<&IdempotencyKey>,
    ) -> Result<Marked, SendError> {
        let stream = stream_id(event.owner());
        for _ in 0..CONFLICTS_MAX {
            let (version, hash) = self.end(stream).await.map_err(unavailable)?;
            let new = seal(version, &hash, event, cause, self.clock.now(), Uuid::now_v7());
            let end = (new.version, new.hash);
            let receipt = idempotency.map(|key| NewReceipt {
                owner: key.owner.clone(),
                key: key.key.clone(),
                request_hash: key.request_hash,
                outcome: Vec::new(),
            });
            let append =
                StreamAppend { chat_id: stream, expected_version: version, expected_hash: hash, events: vec![new] };
            match self.log.append(Append { streams: vec![append], receipt }).await {
                Ok(appended) => {
                    self.remember(stream, end);
                    return Ok(Marked { position: appended.position, replayed: false });
                }
                Err(AppendError::Conflict { .. }) => self.forget(stream),
                Err(AppendError::Duplicate(receipt)) => {
                    let same = idempotency.is_some_and(|key| key.request_hash == receipt.request_hash);
                    return if same {
                        Ok(Marked { position: receipt.position, replayed: true })
                    } else {
                        Err(SendError::KeyReused)
                    };
                }
                Err(AppendError::Busy) => return Err(SendError::Busy { retry_after_ms: BUSY_RETRY_MS }),
                Err(error @ (AppendError::Failed(_) | AppendError::Unknown(_))) => {
                    self.forget(stream);
                    return Err(SendError::LogUnavailable { problem: error.to_string() });
                }
            }
        }
        Err(SendError::Busy { retry_after_ms: BUSY_RETRY_MS })
    }

    /// What was answered under a key before: the position, if it was asked for the same.
    pub async fn answered(&self, key: &IdempotencyKey) -> Result<Option<Marked>, SendError> {
        match self.log.receipt(&key.owner, &key.key).await.map_err(unavailable)? {
            None => Ok(None),
            Some(receipt) if receipt.request_hash == key.request_hash => {
                Ok(Some(Marked { position: receipt.position, replayed: true }))
            }
            Some(_) => Err(SendError::KeyReused),
        }
    }

    async fn end(&self, stream: ChatId) -> Result<(Version, Digest), LogError> {
        if let Some(end) = self.ends.lock().get(&stream) {
            return Ok(*end);
        }
        let mut end = (0, Digest::ZERO);
        loop {
            let page = self.log.read_chat(stream, end.0, PAGE).await?;
            let Some(last) = page.last() else { break };
            end = (last.event.version, last.event.hash);
            if page.len() < PAGE {
                break;
            }
        }
        self.remember(stream, end);
        Ok(end)
    }

    fn remember(&self, stream: ChatId, end: (Version, Digest)) {
        let mut ends = self.ends.lock();
        // Starting over costs one look per stream and keeps the bound without bookkeeping.
        if ends.len() >= ENDS_MAX {
            ends.clear();
        }
        ends.insert(stream, end);
    }

    fn forget(&self, stream: ChatId) {
        self.ends.lock().remove(&stream);
    }
}

fn unavailable(error: LogError) -> SendError {
    SendError::from(error)
}
