//! The one follower of the log that all watchers of a node share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{broadcast, mpsc, oneshot};
use verbatim_actors::clock::Clock;
use verbatim_actors::ports::ModelCatalog;
use verbatim_events::envelope::Stored;
use verbatim_events::ids::Position;
use verbatim_events::inbox::{self, RecordedMark};
use verbatim_events::log::{EventLog, LogError};
use verbatim_projections::ReadModels;

use super::notices::{self, News, Notice};
use super::outlines::Outlines;

/// Watchers that may wait to be let in.
const WAITING_MAX: usize = 1024;

/// Events read at once.
const PAGE: usize = 500;

/// Events that a watcher of one owner's chats may be behind before it is cut.
pub(crate) const OWNER_RING: usize = 512;

/// Events that a watcher of all chats may be behind before it is cut.
const ALL_RING: usize = 4096;

/// How long the follower waits before it asks a log again that did not answer, in ms.
const RETRY_MS: u64 = 250;

/// Whose chats a watcher watches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everybody's.
    All,
    /// One owner's.
    Owner(Arc<str>),
}

/// What is told about an event, written once for all watchers.
#[derive(Debug)]
pub struct Told {
    /// The event's position.
    pub position: Position,
    /// Whose chat or inbox it is about.
    pub owner: Arc<str>,
    /// Its notices, in order; at least one.
    pub notices: Vec<Notice>,
}

/// What a watcher gets when it is let in.
pub struct Watching {
    /// Everything up to here is for the watcher to read in the log.
    pub from: Position,
    /// What happens after that. Lags when the watcher is too slow.
    pub live: broadcast::Receiver<Arc<Told>>,
    /// Everything up to here has been handed to `live`.
    pub reached: Arc<AtomicU64>,
}

struct Entry {
    scope: Scope,
    answer: oneshot::Sender<Watching>,
}

/// The way to the follower. Cheap to clone.
#[derive(Clone)]
pub struct Watchers {
    entries: mpsc::Sender<Entry>,
}

impl Watchers {
    /// Lets a watcher in; none when the follower has stopped or too many wait.
    pub async fn join(&self, scope: Scope) -> Option<Watching> {
        let (answer, answered) = oneshot::channel();
        self.entries.try_send(Entry { scope, answer }).ok()?;
        answered.await.ok()
    }
}

/// What the follower is built on.
pub struct Sources {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The read models, for chats that the follower does not know yet.
    pub reads: ReadModels,
    /// The models: a chat that names none is shown with the default one.
    pub models: Arc<dyn ModelCatalog>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// The follower, to be spawned, and the way to it. It ends when it is dropped or nobody can reach it any more.
pub fn follower(sources: Sources) -> (Watchers, impl Future<Output = ()> + Send + 'static) {
    let (entries, waiting) = mpsc::channel(WAITING_MAX);
    let outlines = Outlines::new(Arc::clone(&sources.log), sources.reads.clone());
    let follower =
        Follower { sources, outlines, rings: HashMap::new(), position: 0, reached: Arc::new(AtomicU64::new(0)) };
    (Watchers { entries }, follower.run(waiting))
}

struct Follower {
    sources: Sources,
    outlines: Outlines,
    rings: HashMap<Scope, broadcast::Sender<Arc<Told>>>,
    /// Everything up to here was told.
    position: Position,
    reached: Arc<AtomicU64>,
}

impl Follower {
    /// Follows the log while anybody watches. Without a watcher it reads nothing.
    async fn run(mut self, mut waiting: mpsc::Receiver<Entry>) {
        loop {
            self.rings.retain(|_, ring| ring.receiver_count() > 0);
            let watched = !self.rings.is_empty();
            let log = Arc::clone(&self.sources.log);
            tokio::select! {
                biased;
                entry = waiting.recv() => match entry {
                    None => return,
                    Some(entry) => self.admit(entry, watched).await,
                },
                () = log.wait_beyond(self.position), if watched => {
                    if let Err(error) = self.page().await {
                        tracing::warn!(%error, position = self.position, "The watchers wait for the log.");
                        self.sources.clock.sleep_ms(RETRY_MS).await;
                    }
                }
            }
        }
    }

    async fn admit(&mut self, entry: Entry, watched: bool) {
        if !watched {
            // Nobody missed what happened meanwhile.
            match self.sources.log.head().await {
                Ok(head) => self.begin_at(head),
                Err(error) => {
                    tracing::warn!(%error, "A watcher was turned away: the log does not answer.");
                    return;
                }
            }
        }
        let size = if entry.scope == Scope::All { ALL_RING } else { OWNER_RING };
        let ring = self.rings.entry(entry.scope).or_insert_with(|| broadcast::Sender::new(size));
        let watching = Watching { from: self.position, live: ring.subscribe(), reached: Arc::clone(&self.reached) };
        // A watcher that is gone already is no longer counted at the next turn.
        let _ = entry.answer.send(watching);
    }

    fn begin_at(&mut self, head: Position) {
        self.outlines.clear();
        self.position = head;
        self.reached.store(head, Ordering::Release);
    }

    async fn page(&mut self) -> Result<(), LogError> {
        let page = self.sources.log.read_all(self.position, PAGE).await?;
        for stored in &page.events {
            self.tell(stored).await?;
            self.moved_to(stored.position);
        }
        self.moved_to(page.scanned_to);
        Ok(())
    }

    /// Only after everything up to there was handed to the rings.
    fn moved_to(&mut self, position: Position) {
        self.position = self.position.max(position);
        self.reached.store(self.position, Ordering::Release);
    }

    /// Tells an event to those who watch its chat, or its inbox.
    async fn tell(&mut self, stored: &Stored) -> Result<(), LogError> {
        let chat_id = stored.event.chat_id;
        let Some(owner) = owner(&mut self.outlines, stored).await? else { return Ok(()) };
        let own = self.rings.get(&Scope::Owner(Arc::clone(&owner)));
        // An inbox is its owner's alone.
        let all = self.rings.get(&Scope::All).filter(|_| chat_id.is_chat());
        let rings: Vec<_> = own.into_iter().chain(all).cloned().collect();
        if rings.is_empty() {
            self.outlines.forget(chat_id);
            return Ok(());
        }
        if let Some(told) = told(&mut self.outlines, &self.sources, owner, stored).await? {
            let told = Arc::new(told);
            for ring in rings {
                // Without a receiver there is nobody to tell.
                let _ = ring.send(Arc::clone(&told));
            }
        }
        Ok(())
    }
}

/// Whose chat, or whose inbox, an event is about; nobody's where that cannot be told.
pub(super) async fn owner(outlines: &mut Outlines, stored: &Stored) -> Result<Option<Arc<str>>, LogError> {
    match mark(stored) {
        Some(mark) => Ok(Some(Arc::from(mark.event.owner()))),
        None => outlines.owner(stored).await,
    }
}

/// The mark that an event is, if it is one.
fn mark(stored: &Stored) -> Option<RecordedMark> {
    let is_mark = inbox::is_stream(stored.event.chat_id);
    is_mark.then(|| inbox::decode(stored).ok()).flatten().filter(|mark| mark.check().is_ok())
}

/// What is to be told about an event, if anything.
pub(super) async fn told(
    outlines: &mut Outlines,
    sources: &Sources,
    owner: Arc<str>,
    stored: &Stored,
) -> Result<Option<Told>, LogError> {
    let (timeline, position) = (sources.log.timeline(), stored.position);
    if let Some(mark) = mark(stored) {
        return Ok(Some(Told { position, owner, notices: vec![notices::marked(timeline, &mark)] }));
    }
    let Some(step) = outlines.step(stored).await? else { return Ok(None) };
    let news = News::of(&step);
    if news.names.is_empty() && news.notification.is_none() {
        return Ok(None);
    }
    let default_model = sources.models.default_name();
    let model = default_model.as_deref();
    let notices = notices::notices(timeline, model, position, &news, &step.recorded, &step.after);
    Ok(Some(Told { position, owner, notices }))
}
