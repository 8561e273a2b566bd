//! The settings' stream as this node keeps it: folded at the start, changed by appending, kept fresh by following the log.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::runtime::Handle as Runtime;
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;
use verbatim_actors::budgets::{BudgetLimits, Budgets};
use verbatim_actors::clock::Clock;
use verbatim_actors::handle::{IdempotencyKey, Meta, SendError};
use verbatim_events::budget::Budget;
use verbatim_events::envelope::{Cause, Stored, microseconds};
use verbatim_events::ids::Position;
use verbatim_events::log::{Append, AppendError, EventLog, LogError, NewReceipt, Receipt, StreamAppend};
use verbatim_events::settings::{
    self, Base, Effective, SETTINGS_STREAM, Settings, SettingsCommand, SettingsEvent, SettingsRejection,
};
use verbatim_events::wire::verify_link;

use super::catalog::Catalog;
use super::keys::ProviderKeys;
use crate::compose::WorkspaceHome;
use crate::wire::settings::written;

/// Events read at once.
const PAGE: usize = 500;

/// How often a change is decided again after another writer was faster.
const CONFLICTS_MAX: u32 = 8;

/// How soon a caller should come back if the settings would not stand still, in ms.
const BUSY_RETRY_AFTER_MS: u64 = 500;

/// The pause between two looks for other writers' changes while the log grows, in ms.
const FOLLOW_MS: u64 = 250;

/// The pause after a look that failed, in ms.
const RETRY_MS: u64 = 1000;

/// What a store is made with.
pub struct StoreOptions {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What this node's own settings say.
    pub base: Base,
    /// The keys of providers.
    pub keys: ProviderKeys,
    /// Who is told of every change before anybody else.
    pub catalog: Arc<Catalog>,
    /// What owners may spend; told of every change like the catalogue.
    pub budgets: Arc<Budgets>,
    /// What owners may spend who have no budget of their own.
    pub default_budget: Option<Budget>,
    /// Where chats work; told of every change like the catalogue.
    pub workspaces: WorkspaceHome,
    /// Where changes are made, so that a caller who goes away cancels none.
    pub runtime: Runtime,
}

/// The settings of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// What was set.
    pub settings: Settings,
    /// What is in force on this node.
    pub effective: Effective,
    /// Every change up to this position is in it.
    pub applied: Position,
}

/// A change that was made, or that was made before under the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The position of the append; the log's known head if there was nothing to append.
    pub position: Position,
    /// The answer's body; empty where there is nothing to tell.
    pub body: Vec<u8>,
    /// The key was used before: this is the answer of then, and nothing happened now.
    pub replayed: bool,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The settings refuse it.
    #[error(transparent)]
    Rejected(#[from] SettingsRejection),
    /// The log, or the key.
    #[error(transparent)]
    Log(#[from] SendError),
}

impl From<LogError> for ChangeError {
    fn from(error: LogError) -> ChangeError {
        ChangeError::Log(error.into())
    }
}

/// Why the settings cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenSettingsError {
    /// The log does not answer.
    #[error("the settings cannot be read from the log: {0}")]
    Log(#[from] LogError),
    /// An event cannot be read, or cannot have happened.
    #[error("event {version} of the settings, at position {position} of the log: {problem}")]
    Damaged {
        /// Its version.
        version: u64,
        /// Its position.
        position: Position,
        /// What is wrong.
        problem: String,
    },
}

impl From<OpenSettingsError> for SendError {
    fn from(error: OpenSettingsError) -> SendError {
        match error {
            OpenSettingsError::Log(error) => error.into(),
            OpenSettingsError::Damaged { .. } => SendError::Damaged { problem: error.to_string() },
        }
    }
}

/// The settings. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct SettingsStore {
    inner: Arc<Inner>,
}

struct Inner {
    options: StoreOptions,
    held: RwLock<Arc<Held>>,
    /// Held by whoever reads on or appends, so that this node's own changes meet no conflict.
    turn: Mutex<()>,
}

impl SettingsStore {
    /// Folds the stream, and puts what it says in force.
    pub async fn open(options: StoreOptions) -> Result<SettingsStore, OpenSettingsError> {
        let effective = Effective::of(&options.base, &Settings::default());
        let held = RwLock::new(Arc::new(Held { effective, ..Held::default() }));
        let inner = Inner { options, held, turn: Mutex::new(()) };
        let turn = inner.turn.lock().await;
        inner.read_on(&turn).await?;
        drop(turn);
        Ok(SettingsStore { inner: Arc::new(inner) })
    }

    /// The settings now, from memory.
    pub fn held(&self) -> Arc<Held> {
        self.inner.held()
    }

    /// The keys of providers.
    pub fn keys(&self) -> &ProviderKeys {
        &self.inner.options.keys
    }

    /// What this node's own settings say.
    pub fn base(&self) -> &Base {
        &self.inner.options.base
    }

    /// The settings as of a position at least. `None` where the log is not that far.
    pub async fn held_at(&self, position: Position) -> Result<Option<Arc<Held>>, SendError> {
        if self.held().applied < position {
            let turn = self.inner.turn.lock().await;
            self.inner.read_on(&turn).await?;
        }
        Ok(Some(self.held()).filter(|held| held.applied >= position))
    }

    /// Makes a change, all of it or nothing; once it returns, this node's chats use it for their next step. Goes on if
    /// the caller goes away.
    pub async fn change(&self, command: SettingsCommand, meta: Meta) -> Result<Changed, ChangeError> {
        let inner = Arc::clone(&self.inner);
        let work = async move { inner.change(&command, &meta).await };
        // It ends early only if the server does.
        self.inner.options.runtime.spawn(work).await.unwrap_or(Err(ChangeError::Log(SendError::Stopping)))
    }

    /// Takes over what other writers append. Never ends by itself.
    pub async fn follow(self) {
        let Inner { options, turn, .. } = self.inner.as_ref();
        let mut seen = self.held().applied;
        loop {
            options.log.wait_beyond(seen).await;
            let head = options.log.known_head();
            let turn = turn.lock().await;
            let read = self.inner.read_on(&turn).await;
            drop(turn);
            let pause_ms = match read {
                Ok(()) => {
                    seen = seen.max(head);
                    FOLLOW_MS
                }
                Err(error) => {
                    tracing::error!(%error, "The settings stay as they were: what was changed since cannot be read.");
                    RETRY_MS
                }
            };
            options.clock.sleep_ms(pause_ms).await;
        }
    }
}

impl Inner {
    fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.read())
    }

    /// Reads what was appended since, and puts it in force.
    async fn read_on(&self, _turn: &MutexGuard<'_, ()>) -> Result<(), OpenSettingsError> {
        let log = &self.options.log;
        // Whatever was appended before this is seen by the reads after it.
        let head = log.head().await?;
        let before = self.held();
        let mut settings = before.settings.clone();
        loop {
            let page = log.read_chat(SETTINGS_STREAM, settings.version, PAGE).await?;
            let last = page.len() < PAGE;
            for stored in &page {
                settings = applied(settings, stored)?;
            }
            if last {
                break;
            }
        }
        self.adopt(settings, head.max(before.applied)).await;
        Ok(())
    }

    /// These settings are in force from now on.
    async fn adopt(&self, settings: Settings, applied: Position) {
        let before = self.held();
        if settings.version == before.settings.version && before.applied > 0 {
            *self.held.write() = Arc::new(Held { applied, ..before.as_ref().clone() });
            return;
        }
        let effective = Effective::of(&self.options.base, &settings);
        for (name, entry) in &effective.models {
            if !effective.providers.contains_key(&entry.value.provider) {
                let provider = &entry.value.provider;
                tracing::warn!(model = %name, %provider, "A model cannot be used: its provider is gone from the file.");
            }
        }
        let templates = effective.templates.iter().map(|(name, entry)| (name.clone(), entry.value.clone()));
        self.options.workspaces.put(templates.collect()).await;
        self.options.catalog.replace(&effective);
        let (by_owner, default) = (settings.budgets.clone(), self.options.default_budget);
        self.options.budgets.set(BudgetLimits { by_owner, default });
        *self.held.write() = Arc::new(Held { settings, effective, applied });
    }

    async fn change(&self, command: &SettingsCommand, meta: &Meta) -> Result<Changed, ChangeError> {
        let turn = self.turn.lock().await;
        let log = &self.options.log;
        if let Some(key) = &meta.idempotency
            && let Some(receipt) = log.receipt(&key.owner, &key.key).await?
        {
            return replayed(key, receipt);
        }
        for _ in 0..CONFLICTS_MAX {
            let before = self.held().settings.clone();
            let events = settings::decide(&before, &self.options.base, command)?;
            if events.is_empty() && meta.idempotency.is_none() {
                let body = written(command, &self.held().effective, &self.options.keys);
                return Ok(Changed { position: log.known_head(), body, replayed: false });
            }
            let (append, after) = self.append_of(&before, &events, command, meta)?;
            let body = append.receipt.as_ref().map(|receipt| receipt.outcome.clone());
            let body = body.unwrap_or_else(|| self.body_after(command, &after));
            let first = append.streams.iter().flat_map(|stream| &stream.events).map(|event| event.event_id).next();
            let position = match log.append(append).await {
                Ok(appended) => appended.position,
                Err(AppendError::Conflict { .. }) => {
                    self.read_on(&turn).await.map_err(SendError::from)?;
                    continue;
                }
                Err(AppendError::Duplicate(receipt)) => {
                    let key = meta.idempotency.as_ref();
                    let key = key.ok_or_else(|| unavailable("a receipt without a key".to_owned()))?;
                    return replayed(key, *receipt);
                }
                Err(AppendError::Busy) => return Err(busy()),
                Err(AppendError::Failed(problem)) => return Err(unavailable(problem)),
                // The stream itself says what became of it; a receipt alone tells itself when it is asked for again.
                Err(AppendError::Unknown(problem)) => match self.found(before.version, first).await? {
                    Some(position) => position,
                    None => return Err(unavailable(problem)),
                },
            };
            self.adopt(after, position).await;
            return Ok(Changed { position, body, replayed: false });
        }
        Err(busy())
    }

    /// The append of decided events, and the settings after it.
    fn append_of(
        &self,
        before: &Settings,
        events: &[SettingsEvent],
        command: &SettingsCommand,
        meta: &Meta,
    ) -> Result<(Append, Settings), ChangeError> {
        let cause = Cause {
            actor: meta.actor.clone(),
            command_id: meta.command_id,
            causation_id: None,
            trace_id: meta.trace_id.clone(),
        };
        let now = microseconds(self.options.clock.now());
        let sealed = settings::seal(before.version, before.head_hash, events, &cause, now, &mut Uuid::now_v7);
        let after = sealed.iter().try_fold(before.clone(), |settings, event| {
            let stored = Stored::new(0, event.clone());
            applied(settings, &stored).map_err(SendError::from)
        })?;
        let receipt = meta.idempotency.as_ref().map(|key| NewReceipt {
            owner: key.owner.clone(),
            key: key.key.clone(),
            request_hash: key.request_hash,
            outcome: self.body_after(command, &after),
        });
        let stream = StreamAppend {
            chat_id: SETTINGS_STREAM,
            expected_version: before.version,
            expected_hash: before.head_hash,
            events: sealed,
        };
        Ok((Append { streams: vec![stream], receipt }, after))
    }

    fn body_after(&self, command: &SettingsCommand, after: &Settings) -> Vec<u8> {
        written(command, &Effective::of(&self.options.base, after), &self.options.keys)
    }

    /// Where the event of this id stands, if it is the one after `version`.
    async fn found(&self, version: u64, event_id: Option<Uuid>) -> Result<Option<Position>, LogError> {
        let page = self.options.log.read_chat(SETTINGS_STREAM, version, PAGE).await?;
        let same = page.first().is_some_and(|stored| Some(stored.event.event_id) == event_id);
        Ok(page.last().filter(|_| same).map(|stored| stored.position))
    }
}

/// The settings after a stored event.
fn applied(settings: Settings, stored: &Stored) -> Result<Settings, OpenSettingsError> {
    let damaged = |problem: String| OpenSettingsError::Damaged {
        version: stored.event.version,
        position: stored.position,
        problem,
    };
    if !verify_link(&settings.head_hash, stored) {
        return Err(damaged("it was changed: its hash does not fit".to_owned()));
    }
    let recorded = settings::decode(stored).map_err(|error| damaged(error.problem))?;
    settings.apply(&recorded).map_err(|error| damaged(error.problem))
}

fn replayed(key: &IdempotencyKey, receipt: Receipt) -> Result<Changed, ChangeError> {
    if receipt.request_hash != key.request_hash {
        return Err(ChangeError::Log(SendError::KeyReused));
    }
    Ok(Changed { position: receipt.position, body: receipt.outcome, replayed: true })
}

fn busy() -> ChangeError {
    ChangeError::Log(SendError::Busy { retry_after_ms: BUSY_RETRY_AFTER_MS })
}

fn unavailable(problem: String) -> ChangeError {
    ChangeError::Log(SendError::LogUnavailable { problem })
}
