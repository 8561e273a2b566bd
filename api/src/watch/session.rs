//! One watcher: what it missed, then what happens, until it goes, falls behind or the server stops.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix_web::web::Data;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use verbatim_events::ids::Position;
use verbatim_events::log::{BoxFuture, LogError};

use super::cursor::Place;
use super::follower::{Scope, Sources, Told, Watching, told};
use super::outlines::Outlines;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::stream::frames;
use crate::telemetry::metrics::Watching as Counted;
use crate::wire::Time;

/// Events read at once from the log.
const PAGE: usize = 500;

/// Told events that go out together, at most.
const TOGETHER_MAX: usize = 64;

/// When to come back if the follower lets nobody in, in ms.
const RETRY_MS: u64 = 1000;

/// Where a watcher begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Now.
    Head,
    /// Now, with word that its place is not known.
    Reset,
    /// After its place.
    After(Place),
}

#[derive(Serialize)]
struct ResetView {
    reason: &'static str,
}

#[derive(Serialize)]
struct HeartbeatView {
    at: Time,
}

/// What a watcher missed.
struct Past {
    outlines: Outlines,
    sources: Sources,
    /// Read up to here.
    position: Position,
}

/// One watcher's stream.
pub struct WatchSession {
    state: Data<AppState>,
    scope: Scope,
    watching: Watching,
    /// Comes before everything else.
    first: Option<Bytes>,
    past: Option<Box<Past>>,
    /// What the watcher has.
    sent: Place,
    heartbeat: BoxFuture<'static, ()>,
    _counted: Counted,
}

impl WatchSession {
    /// Begins to watch. `after` is where the watcher stopped, as it holds it.
    pub async fn open(state: Data<AppState>, scope: Scope, after: Option<String>) -> Result<WatchSession, Problem> {
        let turned_away =
            || Problem::new(Code::Busy, "the chats cannot be watched now; try again later").retry_after_ms(RETRY_MS);
        let watching = state.watchers.join(scope.clone()).await.ok_or_else(turned_away)?;
        let start = match after {
            None => Start::Head,
            Some(text) => match Place::decode(state.log.timeline(), &text) {
                // A place that this node has not come to yet may be one of another's.
                Some(place) if place.position <= watching.from || place.position <= state.log.head().await? => {
                    Start::After(place)
                }
                Some(_) | None => Start::Reset,
            },
        };
        Ok(WatchSession::new(state, scope, watching, start))
    }

    fn new(state: Data<AppState>, scope: Scope, watching: Watching, start: Start) -> WatchSession {
        let heartbeat = state.clock.sleep_ms(state.limits.heartbeat_ms.max(1));
        let here = Place::after(watching.from);
        let id = here.encode(state.log.timeline());
        let mut past = None;
        let (first, sent) = match start {
            // So that a watcher has a place to come back to before anything happens.
            Start::Head => (Some(beat(&state, here)), here),
            Start::Reset => {
                let reason = "the server does not know this place; list the chats, this is where watching goes on";
                (Some(frames::sse("reset", Some(&id), &ResetView { reason })), here)
            }
            Start::After(place) => {
                let sources = Sources {
                    log: Arc::clone(&state.log),
                    reads: state.reads.clone(),
                    models: Arc::clone(&state.models),
                    clock: Arc::clone(&state.clock),
                };
                let outlines = Outlines::new(Arc::clone(&state.log), state.reads.clone());
                past = Some(Box::new(Past { outlines, sources, position: place.complete_to() }));
                (None, place)
            }
        };
        let counted = Counted::begin("chats");
        WatchSession { state, scope, watching, first, past, sent, heartbeat, _counted: counted }
    }

    /// The next bytes, at least one frame; none when the stream ends.
    pub async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        while let Some(past) = self.past.take() {
            if self.state.stopping.is_cancelled() {
                return None;
            }
            match self.missed(past).await {
                Ok(frames) if frames.is_empty() => {}
                Ok(frames) => return Some(frames::join(&frames)),
                Err(error) => {
                    // The watcher comes back with its last id; the status line is long gone.
                    tracing::warn!(%error, "A watcher's stream ended early.");
                    return None;
                }
            }
        }
        self.live().await
    }

    /// One page of what the watcher missed.
    async fn missed(&mut self, mut past: Box<Past>) -> Result<Vec<Bytes>, LogError> {
        let from = self.watching.from;
        let mut frames = Vec::new();
        if past.position < from {
            let page = past.sources.log.read_all(past.position, PAGE).await?;
            for stored in page.events.iter().filter(|stored| stored.position <= from) {
                let Past { outlines, sources, .. } = &mut *past;
                let owner = outlines.owner(stored).await?;
                let mine = match &self.scope {
                    Scope::All => owner.is_some(),
                    Scope::Owner(watched) => owner.as_ref() == Some(watched),
                };
                if mine && let Some(told) = told(outlines, sources, stored).await? {
                    frames.extend(self.take(&told));
                }
            }
            // A page without events says that there are none up to the head.
            past.position = if page.events.is_empty() { from } else { page.scanned_to };
        }
        if past.position < from {
            self.past = Some(past);
        } else if self.sent.position < from {
            self.sent = Place::after(from);
        }
        Ok(frames)
    }

    /// What happens now, or a heartbeat; none when the stream ends.
    async fn live(&mut self) -> Option<Bytes> {
        loop {
            let told = tokio::select! {
                biased;
                () = self.state.stopping.cancelled() => return None,
                () = &mut self.heartbeat => {
                    self.heartbeat = self.state.clock.sleep_ms(self.state.limits.heartbeat_ms.max(1));
                    self.catch_place();
                    return Some(beat(&self.state, self.sent));
                }
                told = self.watching.live.recv() => told,
            };
            let mut told = match told {
                Ok(told) => told,
                Err(RecvError::Closed) => return None,
                Err(RecvError::Lagged(events)) => {
                    tracing::debug!(events, "A watcher was too slow and is cut.");
                    return None;
                }
            };
            let mut frames = self.take(&told);
            for _ in 1..TOGETHER_MAX {
                told = match self.watching.live.try_recv() {
                    Ok(told) => told,
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                    // The next look says so again, after what is here has gone out.
                    Err(TryRecvError::Lagged(_)) => return None,
                };
                frames.extend(self.take(&told));
            }
            if !frames.is_empty() {
                return Some(frames::join(&frames));
            }
        }
    }

    /// Moves the watcher's place over what was none of its business, so that it need not be read when it comes back.
    fn catch_place(&mut self) {
        // In this order: what was handed over before `reached` was read is in the ring by then.
        let reached = self.watching.reached.load(Ordering::Acquire);
        if self.watching.live.is_empty() && reached > self.sent.position {
            self.sent = Place::after(reached);
        }
    }

    /// The frames of an event that the watcher does not have yet.
    fn take(&mut self, told: &Told) -> Vec<Bytes> {
        let has = match self.sent {
            Place { position, .. } if told.position > position => 0,
            Place { position, notices: Some(notices) } if told.position == position => notices,
            Place { .. } => return Vec::new(),
        };
        self.sent = Place::after(told.position);
        told.frames.iter().skip(has).cloned().collect()
    }
}

fn beat(state: &AppState, place: Place) -> Bytes {
    let id = place.encode(state.log.timeline());
    frames::sse("heartbeat", Some(&id), &HeartbeatView { at: Time(state.clock.now()) })
}
