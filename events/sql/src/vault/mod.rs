//! The vault: chats' keys in a place of their own, apart from the log, each wrapped by the master key. A sealed event names
//! its key, so that nothing else needs to know which chat has which; a key that is gone takes what it sealed with it.
//!
//! **Invariant:** a key is durable before the first event that names it. Keys are made ahead, many in one commit, so a new
//! chat waits for no commit but its own.
//!
//! **Invariant:** a chat's events are sealed with one key from its first event on, or none of them is.

mod home;
mod log;
mod rows;
mod spares;
mod words;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events::envelope::Encoding;
use verbatim_events::ids::ChatId;
use verbatim_events::log::{BoxFuture, EventLog, LogError};
use verbatim_events::vault::{Sealer, Vault};

use crate::error::OpenError;
use crate::seal::{MasterKey, SealingKey};
use crate::task::read_on;
use spares::{ChatSealer, Spares};

pub(crate) use home::Home;
pub(crate) use log::OpeningLog;
pub use words::key_of;

/// Opened keys that are kept in memory. Those forgotten are looked up and unwrapped again.
const KEYS_MAX: usize = 16_384;

/// Chats of which it is remembered how they are stored.
const CHATS_MAX: usize = 65_536;

/// What the server's own secrets are sealed with.
const SECRETS: &str = "secrets";

/// How a log is sealed.
#[derive(Clone, Debug)]
pub struct Sealing {
    /// The key that wraps all others.
    pub master: Arc<MasterKey>,
    /// New chats are sealed. Chats stay what they were when they began.
    pub new_chats: bool,
}

/// An erasure that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// The chat.
    pub chat_id: ChatId,
    /// Who asked for it.
    pub asked_by: String,
    /// The request that began it, in the words of who noted it; `None` where none did.
    pub request: Option<String>,
    /// What is to be removed, in the words of who noted it; `None` as long as nobody has.
    pub remains: Option<String>,
}

/// What is remembered of keys and chats.
#[derive(Default)]
struct Known {
    keys: HashMap<Uuid, Arc<SealingKey>>,
    /// The key of each chat; `None` for one that is stored plain.
    chats: HashMap<ChatId, Option<Uuid>>,
}

struct Inner {
    home: Home,
    master: Arc<MasterKey>,
    new_chats: bool,
    runtime: Handle,
    log: Arc<dyn EventLog>,
    known: Mutex<Known>,
    /// Counts destructions: what was looked up before one is not remembered after it.
    destructions: AtomicU64,
    spares: Spares,
    secrets: Option<Arc<SealingKey>>,
}

/// The keys of a log's chats. Cheap to clone.
#[derive(Clone)]
pub struct ChatVault {
    inner: Arc<Inner>,
}

impl ChatVault {
    /// Opens the vault of `log`, makes it if need be, and the first keys of chats to come.
    pub(crate) async fn open(
        home: Home,
        sealing: Sealing,
        log: Arc<dyn EventLog>,
        runtime: Handle,
    ) -> Result<ChatVault, OpenError> {
        let Sealing { master, new_chats } = sealing;
        home.prepare().await?;
        // Before anything is written into a new vault: a start that is refused once must be refused again, or whoever
        // starts the server anew makes new keys where the old ones are missed.
        if home.mark().await?.is_none() && has_sealed_events(log.as_ref()).await? {
            home.close().await;
            return Err(OpenError::KeysMissing { place: home.place() });
        }
        home.take_mark(&master.mark()).await?;
        let secrets = home.server_key(SECRETS, &master).await?;
        let secrets = Some(Arc::new(SealingKey::new(&secrets)));
        Ok(ChatVault::new(home, master, new_chats, log, runtime, secrets))
    }

    /// Opens the vault of `log` for reading alone; `None` where there is none, and so nothing sealed.
    pub(crate) async fn open_read_only(
        home: Home,
        master: Option<Arc<MasterKey>>,
        log: Arc<dyn EventLog>,
        runtime: Handle,
    ) -> Result<Option<ChatVault>, OpenError> {
        let Some(mark) = home.mark().await? else {
            home.close().await;
            return Ok(None);
        };
        let master = master.ok_or_else(|| OpenError::NoMasterKey { expected: mark.clone() })?;
        if mark != master.mark() {
            return Err(OpenError::WrongMasterKey { expected: mark, given: master.mark() });
        }
        Ok(Some(ChatVault::new(home, master, false, log, runtime, None)))
    }

    fn new(
        home: Home,
        master: Arc<MasterKey>,
        new_chats: bool,
        log: Arc<dyn EventLog>,
        runtime: Handle,
        secrets: Option<Arc<SealingKey>>,
    ) -> ChatVault {
        let inner = Inner {
            home,
            master,
            new_chats,
            runtime,
            log,
            known: Mutex::default(),
            destructions: AtomicU64::new(0),
            spares: Spares::default(),
            secrets,
        };
        ChatVault { inner: Arc::new(inner) }
    }

    /// The key that the server's own secrets are sealed with; `None` for a vault that was opened for reading.
    pub fn secrets(&self) -> Option<Arc<SealingKey>> {
        self.inner.secrets.clone()
    }

    /// Notes that a chat is about to be erased. Done before the log says so, so that no crash leaves an erasure that
    /// nobody finishes. With the request that began it, in words of the caller's own; what is noted already stays.
    pub async fn begin_erasure(
        &self,
        chat_id: ChatId,
        asked_by: &str,
        request: Option<String>,
    ) -> Result<(), LogError> {
        let asked_by = asked_by.to_owned();
        self.run(async move |inner| inner.home.begin_erasure(chat_id, &asked_by, request.as_deref()).await).await
    }

    /// Notes what is to be removed of a chat whose key is about to be destroyed.
    pub async fn note_remains(&self, chat_id: ChatId, remains: String) -> Result<(), LogError> {
        self.run(async move |inner| inner.home.note_remains(chat_id, &remains).await).await
    }

    /// Forgets an erasure: nothing is left of the chat, or it was never erased.
    pub async fn end_erasure(&self, chat_id: ChatId) -> Result<(), LogError> {
        self.run(async move |inner| inner.home.end_erasure(chat_id).await).await
    }

    /// The erasures that are not finished.
    pub async fn erasures(&self) -> Result<Vec<Erasure>, LogError> {
        self.run(async |inner| inner.home.erasures().await).await
    }

    /// Destroys keys for good: when this returns they are in no file of the vault, and what they sealed says nothing any
    /// more. Keys that are gone already are no error.
    pub async fn destroy(&self, key_ids: Vec<Uuid>) -> Result<(), LogError> {
        self.run(async move |inner| {
            let destroyed = inner.home.destroy(&key_ids).await;
            inner.destructions.fetch_add(1, Ordering::AcqRel);
            let mut known = inner.known.lock();
            for key_id in &key_ids {
                known.keys.remove(key_id);
            }
            destroyed
        })
        .await
    }

    /// Those of these keys that are there.
    pub async fn held(&self, key_ids: Vec<Uuid>) -> Result<Vec<Uuid>, LogError> {
        let found = self.run(async move |inner| inner.home.chat_keys(&key_ids).await).await?;
        Ok(found.into_iter().map(|(key_id, _)| key_id).collect())
    }

    /// Gives unused keys up and leaves the database.
    pub(crate) async fn close(&self) {
        let closed = self.run(async |inner| {
            let unused = inner.spares.take_all();
            let given_up = inner.home.give_up(&unused).await;
            inner.home.close().await;
            given_up
        });
        if let Err(error) = closed.await {
            tracing::warn!(%error, "unused keys were left in the vault");
        }
    }

    /// Runs work on the vault's own runtime, to its end.
    async fn run<T: Send + 'static, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T, LogError>
    where
        F: Future<Output = Result<T, LogError>> + Send + 'static,
    {
        read_on(&self.inner.runtime, work(Arc::clone(&self.inner))).await
    }
}

impl Inner {
    /// The keys of these ids, as far as they are still there.
    async fn keys(&self, wanted: &BTreeSet<Uuid>) -> Result<HashMap<Uuid, Arc<SealingKey>>, LogError> {
        let mut found = HashMap::with_capacity(wanted.len());
        let mut missing = Vec::new();
        {
            let known = self.known.lock();
            for key_id in wanted {
                match known.keys.get(key_id) {
                    Some(key) => {
                        found.insert(*key_id, Arc::clone(key));
                    }
                    None => missing.push(*key_id),
                }
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let destructions = self.destructions.load(Ordering::Acquire);
        let mut looked_up = Vec::with_capacity(missing.len());
        for (key_id, wrapped) in self.home.chat_keys(&missing).await? {
            let bytes = self.master.unwrap(&words::chat_key_place(key_id), &wrapped);
            let bytes = bytes.map_err(|error| LogError::Unavailable(format!("the key {key_id}: {error}")))?;
            looked_up.push((key_id, Arc::new(SealingKey::new(&bytes))));
        }
        let mut known = self.known.lock();
        let is_current = self.destructions.load(Ordering::Acquire) == destructions;
        for (key_id, key) in looked_up {
            if is_current {
                known.remember_key(key_id, Arc::clone(&key));
            }
            found.insert(key_id, key);
        }
        Ok(found)
    }

    /// What seals the events of a chat that exists.
    async fn sealer_of(self: Arc<Self>, chat_id: ChatId) -> Result<Option<Arc<dyn Sealer>>, LogError> {
        let known = self.known.lock().chats.get(&chat_id).copied();
        let key_id = match known {
            Some(key_id) => key_id,
            None => {
                let first = self.log.read_chat(chat_id, 0, 1).await?;
                let Some(first) = first.first() else {
                    return Err(LogError::Unavailable(format!("{chat_id} has no first event")));
                };
                let key_id = match first.event.encoding {
                    Encoding::Plain => None,
                    Encoding::Sealed => words::key_of(&first.event),
                };
                self.known.lock().remember_chat(chat_id, key_id);
                key_id
            }
        };
        let Some(key_id) = key_id else { return Ok(None) };
        let key = self.keys(&BTreeSet::from([key_id])).await?.remove(&key_id);
        let key = key.ok_or_else(|| LogError::Unavailable(format!("the key of {chat_id} was destroyed")))?;
        Ok(Some(Arc::new(ChatSealer::of(key_id, key))))
    }
}

impl Known {
    // Starting over costs one look per key and keeps the bounds without bookkeeping on every read.

    fn remember_key(&mut self, key_id: Uuid, key: Arc<SealingKey>) {
        if self.keys.len() >= KEYS_MAX {
            self.keys.clear();
        }
        self.keys.insert(key_id, key);
    }

    fn remember_chat(&mut self, chat_id: ChatId, key_id: Option<Uuid>) {
        if self.chats.len() >= CHATS_MAX {
            self.chats.clear();
        }
        self.chats.insert(chat_id, key_id);
    }
}

impl Vault for ChatVault {
    fn sealer(&self, chat_id: ChatId, is_new: bool) -> BoxFuture<'_, Result<Option<Arc<dyn Sealer>>, LogError>> {
        Box::pin(async move {
            if !is_new {
                return self.run(async move |inner| inner.sealer_of(chat_id).await).await;
            }
            if !self.inner.new_chats {
                return Ok(None);
            }
            let sealer: Arc<dyn Sealer> = Arc::new(spares::take(&self.inner).await?);
            Ok(Some(sealer))
        })
    }
}

/// Whether any of a log's oldest or newest events is sealed.
async fn has_sealed_events(log: &dyn EventLog) -> Result<bool, OpenError> {
    const LOOKED_AT: usize = 200;
    let damaged = |error: LogError| OpenError::Damaged(error.to_string());
    let head = log.head().await.map_err(damaged)?;
    for after in [0, head.saturating_sub(LOOKED_AT as u64)] {
        let page = log.read_all(after, LOOKED_AT).await.map_err(damaged)?;
        if page.events.iter().any(|stored| stored.event.encoding == Encoding::Sealed) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
