//! A log whose sealed events are opened as they are read. What is written was sealed before, by who decided it.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;
use verbatim_events::envelope::{Encoding, Stored};
use verbatim_events::ids::{ChatId, Position, Version};
use verbatim_events::log::{Append, AppendError, Appended, BoxFuture, EventLog, LogError, LogPage, Receipt};

use super::{ChatVault, Inner, words};

/// A log behind its vault.
pub(crate) struct OpeningLog {
    log: Arc<dyn EventLog>,
    vault: ChatVault,
}

impl OpeningLog {
    pub(crate) fn new(log: Arc<dyn EventLog>, vault: ChatVault) -> OpeningLog {
        OpeningLog { log, vault }
    }

    /// Opens what is sealed. Takes note of how chats are stored that begin here.
    async fn open(&self, mut events: Vec<Stored>) -> Result<Vec<Stored>, LogError> {
        let wanted: BTreeSet<Uuid> = events.iter().filter_map(|stored| words::key_of(&stored.event)).collect();
        if wanted.is_empty() {
            return Ok(events);
        }
        self.vault
            .run(async move |inner| {
                let keys = inner.keys(&wanted).await?;
                for stored in &mut events {
                    if let Some(key_id) = words::key_of(&stored.event) {
                        stored.words = words::open(&stored.event, keys.get(&key_id).map(AsRef::as_ref));
                    }
                }
                inner.note_first(&events);
                Ok(events)
            })
            .await
    }
}

impl Inner {
    fn note_first(&self, events: &[Stored]) {
        let first = |stored: &&Stored| stored.event.version == 1 && stored.event.encoding == Encoding::Sealed;
        let mut known = self.known.lock();
        for stored in events.iter().filter(first) {
            known.remember_chat(stored.event.chat_id, words::key_of(&stored.event));
        }
    }
}

impl EventLog for OpeningLog {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        self.log.append(append)
    }

    fn read_chat(&self, chat_id: ChatId, after: Version, limit: usize) -> BoxFuture<'_, Result<Vec<Stored>, LogError>> {
        Box::pin(async move { self.open(self.log.read_chat(chat_id, after, limit).await?).await })
    }

    fn read_all(&self, after: Position, limit: usize) -> BoxFuture<'_, Result<LogPage, LogError>> {
        Box::pin(async move {
            let page = self.log.read_all(after, limit).await?;
            Ok(LogPage { events: self.open(page.events).await?, ..page })
        })
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        self.log.head()
    }

    fn known_head(&self) -> Position {
        self.log.known_head()
    }

    fn wait_beyond(&self, position: Position) -> BoxFuture<'_, ()> {
        self.log.wait_beyond(position)
    }

    fn receipt(&self, owner: &str, key: &str) -> BoxFuture<'_, Result<Option<Receipt>, LogError>> {
        self.log.receipt(owner, key)
    }

    fn timeline(&self) -> Uuid {
        self.log.timeline()
    }
}
