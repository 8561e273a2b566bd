//! What every request handler shares.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use verbatim_actors::budgets::Budgets;
use verbatim_actors::clock::Clock;
use verbatim_actors::handle::Handle;
use verbatim_actors::ports::ModelCatalog;
use verbatim_events::ids::ChatId;
use verbatim_events::limits::Limits;
use verbatim_events::log::EventLog;
use verbatim_projections::ReadModels;

use crate::auth::{Keys, Rates};
use crate::compose::WorkspaceHome;
use crate::config::HttpSettings;
use crate::erasure::Eraser;
use crate::error::Problem;
use crate::files::FileHome;
use crate::inbox::Inboxes;
use crate::models::SettingsStore;
use crate::stream::story::Sources;
use crate::tools::Tools;
use crate::watch::follower::Watchers;
use crate::webhooks::Webhooks;

/// Audits of the whole log that a server does at once.
pub const AUDITS_MAX: usize = 2;

/// What the HTTP face is built on. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct AppState {
    /// The way to the chats.
    pub handle: Handle,
    /// The log, for streams, audits and chats as they were.
    pub log: Arc<dyn EventLog>,
    /// The read models.
    pub reads: ReadModels,
    /// The models that are configured now.
    pub models: Arc<dyn ModelCatalog>,
    /// What was set of models and providers.
    pub settings: SettingsStore,
    /// What owners may spend, and have spent.
    pub budgets: Arc<Budgets>,
    /// What the server's tools are made of.
    pub tools: Arc<Tools>,
    /// The keys.
    pub keys: Keys,
    /// How often each key asks.
    pub rates: Rates,
    /// Who may ask from where.
    pub http: Arc<HttpSettings>,
    /// The way to what owners have read.
    pub inboxes: Inboxes,
    /// Who is told what happens.
    pub webhooks: Webhooks,
    /// The way to what happens in all chats.
    pub watchers: Watchers,
    /// The bounds.
    pub limits: Arc<Limits>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where chats work.
    pub workspaces: WorkspaceHome,
    /// The files of chats.
    pub files: FileHome,
    /// What erases chats.
    pub eraser: Eraser,
    /// Who owns which chat.
    pub owners: Owners,
    /// Where work goes on that is too heavy for the threads that answer requests.
    pub runtime: tokio::runtime::Handle,
    /// How many audits of the whole log may run at once.
    pub audits: Arc<Semaphore>,
    /// `/metrics` needs no key.
    pub metrics_open: bool,
    /// Cancelled when the server stops: open streams end, so that the server can.
    pub stopping: CancellationToken,
}

impl AppState {
    /// The name of the model that chats talk to which name none; none where no model is configured at all.
    pub fn default_model(&self) -> Option<String> {
        self.models.default_name()
    }

    /// Refuses a model that is not configured. `pointer` is where the request names it.
    pub fn check_model(&self, pointer: &str, name: Option<&str>) -> Result<(), Problem> {
        let Some(name) = name else { return Ok(()) };
        match self.models.is_known(name) {
            true => Ok(()),
            false => Err(Problem::field(pointer, format!("no model named {name:?} is configured"))),
        }
    }

    /// Where a chat's past is read from.
    pub fn sources(&self) -> Sources {
        Sources { log: Arc::clone(&self.log), snapshots: Arc::new(self.reads.clone()) }
    }

    /// Who owns a chat.
    pub async fn owner_of(&self, chat_id: ChatId) -> Result<Arc<str>, Problem> {
        if let Some(owner) = self.owners.get(chat_id) {
            return Ok(owner);
        }
        let opened = self.handle.open(chat_id).await?;
        Ok(self.owners.put(chat_id, &opened.chat.outline.owner))
    }
}

/// Chats whose owner is remembered. An owner never changes, so forgetting is the only care needed.
const OWNERS_MAX: usize = 65_536;

/// Who owns which chat, as far as this process has asked.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    known: Arc<RwLock<HashMap<ChatId, Arc<str>>>>,
}

impl Owners {
    /// The owner, if known.
    pub fn get(&self, chat_id: ChatId) -> Option<Arc<str>> {
        self.known.read().get(&chat_id).cloned()
    }

    /// Remembers an owner.
    pub fn put(&self, chat_id: ChatId, owner: &str) -> Arc<str> {
        let owner: Arc<str> = Arc::from(owner);
        let mut known = self.known.write();
        // Starting over costs one look per chat and keeps the bound without bookkeeping on every read.
        if known.len() >= OWNERS_MAX {
            known.clear();
        }
        known.insert(chat_id, Arc::clone(&owner));
        owner
    }
}
