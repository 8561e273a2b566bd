//! The handle that everybody holds: cheap to clone, hides the databases, the runner and the generations.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::RwLock;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, watch};
use uuid::Uuid;
use verbatim_events::ids::Position;
use verbatim_events::log::EventLog;

use crate::database::Database;
use crate::engine::{Engine, Progress};
use crate::error::{Behind, ReadError};
use crate::fingerprint::{Stale, fingerprint};
use crate::generation::{Checkpoint, Generation, Home, ReadLocation, read_checkpoint};
use crate::models::projection_names;
use crate::rebuild::RebuildProgress;

/// Numbers of the read models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSettings {
    /// Events per page, and so per transaction.
    pub page_events: usize,
    /// How long a read may take on PostgreSQL; then it fails.
    pub read_max: Duration,
}

impl Default for ReadSettings {
    fn default() -> ReadSettings {
        // Large enough that a transaction's fixed cost vanishes, small enough that readers see progress.
        ReadSettings { page_events: 512, read_max: Duration::from_secs(15) }
    }
}

/// The read models of one log.
#[derive(Clone)]
pub struct ReadModels {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) home: Home,
    pub(crate) runtime: Handle,
    pub(crate) settings: ReadSettings,
    /// What queries read. Held only to copy the pointer.
    pub(crate) live: RwLock<Arc<Generation>>,
    /// Applies the log to the live generation; held during a step and a swap.
    pub(crate) engine: Mutex<Engine>,
    pub(crate) applied: watch::Sender<Applied>,
    /// Somebody waits for the rows to come up to the log.
    pub(crate) wanted: Notify,
    /// Held during a rebuild.
    pub(crate) rebuilding: Mutex<()>,
    pub(crate) rebuild_progress: watch::Sender<RebuildProgress>,
}

/// How far the live rows have come, as everybody sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) position: Position,
    pub(crate) recorded_at: Option<DateTime<Utc>>,
    /// Why they cannot be carried on.
    pub(crate) stale: Option<Stale>,
}

/// How far the rows are behind the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The position up to which the rows stand.
    pub applied: Position,
    /// The newest head of the log this process knows of.
    pub head: Position,
    /// Events that wait to be applied.
    pub events: u64,
    /// How long ago the newest applied event was decided, in ms, while others wait; 0 at the head.
    pub age_ms: u64,
}

/// What a look at the read models of another process shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The current generation's number.
    pub generation: u64,
    /// The log's timeline that its positions belong to.
    pub timeline: Uuid,
    /// The position up to which its rows stand.
    pub applied: Position,
    /// When the newest applied event was decided.
    pub recorded_at: Option<DateTime<Utc>>,
    /// This program would make the same rows.
    pub same_program: bool,
}

impl ReadModels {
    /// Opens the read models at `location`, or makes empty ones. Everything they do runs on `runtime`.
    ///
    /// Rows that another program, another log or a power cut left behind are opened all the same: see `stale`.
    pub async fn open(
        location: ReadLocation,
        log: Arc<dyn EventLog>,
        runtime: Handle,
        settings: ReadSettings,
    ) -> Result<ReadModels, ReadError> {
        let handle = runtime.clone();
        let opened = handle.spawn(async move { open(&location, log, runtime, settings).await });
        finished(opened.await)?.map(|inner| ReadModels { inner: Arc::new(inner) })
    }

    /// Looks at read models that another process may be using; `None` if there are none.
    pub async fn inspect(location: ReadLocation, runtime: &Handle) -> Result<Option<Inspection>, ReadError> {
        let inspected = runtime.spawn(async move {
            let home = Home::connect(&location, ReadSettings::default().read_max).await?;
            let Some(generation) = home.current().await? else {
                return Ok(None);
            };
            let database: Database = home.open_to_read(generation);
            let checkpoint = read_checkpoint(&database).await;
            database.close().await;
            let Checkpoint { fingerprint: made_by, timeline, position, recorded_at, .. } = checkpoint?;
            let same_program = made_by == fingerprint();
            Ok(Some(Inspection { generation, timeline, applied: position, recorded_at, same_program }))
        });
        finished(inspected.await)?
    }

    /// The position up to which the live rows stand.
    pub fn applied_position(&self) -> Position {
        self.inner.applied.borrow().position
    }

    /// Why the rows cannot be carried on, if so. `run` rebuilds them; until then reads show them as they are, and no
    /// wait for a position succeeds.
    pub fn stale(&self) -> Option<Stale> {
        self.inner.stale()
    }

    /// The number of the generation that queries read.
    pub fn generation(&self) -> u64 {
        self.inner.live.read().number
    }

    /// Waits until everything up to `position` can be read, at most `patience`.
    pub async fn wait_until(&self, position: Position, patience: Duration) -> Result<(), Behind> {
        let mut applied = self.inner.applied.subscribe();
        if applied.borrow().position < position {
            self.inner.wanted.notify_one();
        }
        let reached = applied.wait_for(|applied| applied.position >= position);
        match tokio::time::timeout(patience, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Behind { applied: self.applied_position(), wanted: position }),
        }
    }

    /// How far the rows are behind the log at `now`.
    pub fn lag(&self, now: DateTime<Utc>) -> Lag {
        let Applied { position, recorded_at, .. } = self.inner.applied.borrow().clone();
        let head = self.inner.log.known_head().max(position);
        let events = head - position;
        let age = recorded_at.map_or(0, |at| (now - at).num_milliseconds().max(0).unsigned_abs());
        Lag { applied: position, head, events, age_ms: if events == 0 { 0 } else { age } }
    }

    /// The names of all projections. They share one database and one checkpoint, so they stand at one position and are
    /// rebuilt together.
    pub fn projection_names(&self) -> Vec<&'static str> {
        projection_names().collect()
    }

    /// Writes what was deleted out of the database's files: an erased chat's words lie beside the database until then.
    /// Rows of a rebuild that was cut short go, too. Fails where readers are in the way for long, and while a rebuild grows
    /// rows that nobody has swept; then it can be asked again.
    pub async fn sweep(&self) -> Result<(), ReadError> {
        let inner = Arc::clone(&self.inner);
        self.on_runtime(async move {
            inner.remove_unfinished().await?;
            let live = Arc::clone(&inner.live.read());
            live.database.sweep().await
        })
        .await
    }

    /// Closes the database in order. To be called last: reads fail from here on.
    pub async fn close(&self) -> Result<(), ReadError> {
        let inner = Arc::clone(&self.inner);
        self.on_runtime(async move {
            let engine = inner.engine.lock().await;
            engine.generation.close().await
        })
        .await
    }

    /// Runs `work` on the read models' runtime, to its end even if the caller goes away: a future that is dropped while
    /// it begins a transaction could spoil a pooled connection.
    pub(crate) async fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ReadError>> + Send + 'static,
    ) -> Result<T, ReadError> {
        finished(self.inner.runtime.spawn(work).await)?
    }

    /// What queries read now. The rows stay as long as somebody holds this.
    pub(crate) fn live(&self) -> Arc<Generation> {
        Arc::clone(&self.inner.live.read())
    }
}

impl Inner {
    pub(crate) fn stale(&self) -> Option<Stale> {
        self.applied.borrow().stale.clone()
    }

    pub(crate) fn mark_stale(&self, stale: Stale) {
        tracing::warn!(reason = %stale, "the read models must be rebuilt");
        self.applied.send_replace(Applied { stale: Some(stale), ..Applied::default() });
    }

    /// Says how far the rows are, and what had to be set aside.
    pub(crate) fn publish(&self, progress: &Progress) {
        for letter in &progress.dead_letters {
            tracing::error!(
                chat.id = %letter.chat_id,
                position = letter.position,
                event.kind = %letter.event_type,
                problem = %letter.problem,
                "an event cannot be applied; this chat's read models stop before it"
            );
        }
        self.applied.send_if_modified(|applied| {
            let moved = applied.position != progress.applied || applied.stale.is_some();
            *applied = Applied { position: progress.applied, recorded_at: progress.recorded_at, stale: None };
            moved
        });
    }
}

async fn open(
    location: &ReadLocation,
    log: Arc<dyn EventLog>,
    runtime: Handle,
    settings: ReadSettings,
) -> Result<Inner, ReadError> {
    let home = Home::connect(location, settings.read_max).await?;
    home.prepare().await?;
    let start = Checkpoint::start(fingerprint().to_owned(), log.timeline());
    let opened = match home.current().await? {
        Some(number) => match home.open_generation(number, &runtime).await {
            Ok(opened) => Some(opened),
            Err(error) if error.is_unreadable() => {
                tracing::warn!(generation = number, %error, "the read models cannot be opened and are made anew");
                None
            }
            Err(error) => return Err(error),
        },
        None => None,
    };
    let (generation, intact) = match opened {
        Some(opened) => opened,
        None => {
            let fresh = home.create(&start, &runtime).await?;
            let first = home.set_first(fresh.number).await?;
            if first == fresh.number {
                (fresh, true)
            } else {
                fresh.abandon().await?;
                home.open_generation(first, &runtime).await?
            }
        }
    };
    home.remove_leftovers(generation.number).await?;
    let mut engine = Engine::live(Arc::clone(&generation));
    let applied = match engine.checkpoint().await {
        Ok(checkpoint) => {
            let stale = if !intact {
                Some(Stale::PowerCut)
            } else if checkpoint.fingerprint != start.fingerprint {
                Some(Stale::OtherProgram)
            } else if checkpoint.timeline != start.timeline {
                Some(Stale::OtherTimeline)
            } else {
                None
            };
            match stale {
                None => Applied { position: checkpoint.position, recorded_at: checkpoint.recorded_at, stale: None },
                stale => Applied { stale, ..Applied::default() },
            }
        }
        Err(error) if error.is_unreadable() => {
            Applied { stale: Some(Stale::Damaged(error.to_string())), ..Applied::default() }
        }
        Err(error) => return Err(error),
    };
    Ok(Inner {
        log,
        home,
        runtime,
        settings,
        live: RwLock::new(generation),
        engine: Mutex::new(engine),
        applied: watch::Sender::new(applied),
        wanted: Notify::new(),
        rebuilding: Mutex::new(()),
        rebuild_progress: watch::Sender::new(RebuildProgress::default()),
    })
}

/// The result of a task, whose panic is an error like any other.
pub(crate) fn finished<T>(joined: Result<T, tokio::task::JoinError>) -> Result<T, ReadError> {
    joined.map_err(|error| if error.is_panic() { ReadError::Panicked(error.to_string()) } else { ReadError::Stopped })
}
