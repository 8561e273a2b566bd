//! One watcher: what it missed, then what happens, until it goes, falls behind or the server stops.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::web::Data;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use utoipa::ToSchema;
use verbatim_events::ids::Position;
use verbatim_events::log::{BoxFuture, LogError};
use verbatim_projections::Unread;

use super::cursor::Place;
use super::follower::{Scope, Sources, Told, Watching, owner, told};
use super::notices::{Audience, Notice};
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

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Chats.
    Chats,
    /// The inbox.
    Inbox,
}

/// Who watches what.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Whose key it is.
    pub owner: Arc<str>,
    /// Whose chats the key may read.
    pub scope: Scope,
    /// What it asked for.
    pub view: View,
}

impl Viewer {
    /// Whoever watches an inbox watches its own, whatever else its key may read.
    fn scope(&self) -> Scope {
        match self.view {
            View::Chats => self.scope.clone(),
            View::Inbox => Scope::Owner(Arc::clone(&self.owner)),
        }
    }

    /// Whether a notice about `owner` is for this viewer.
    fn sees(&self, owner: &Arc<str>, notice: &Notice) -> bool {
        match (notice.audience, self.view) {
            (Audience::Chats, View::Chats) => true,
            (Audience::Owner, View::Chats | View::Inbox) | (Audience::Inbox, View::Inbox) => *owner == self.owner,
            (Audience::Chats, View::Inbox) | (Audience::Inbox, View::Chats) => false,
        }
    }
}

#[derive(Serialize)]
struct ResetView {
    reason: &'static str,
}

#[derive(Serialize)]
struct HeartbeatView {
    at: Time,
}

/// How an inbox stands when one begins to watch it: `{unread, position}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InboxSnapshot)]
pub(crate) struct InboxSnapshotView {
    /// How many notifications are unread.
    unread: u64,
    position: String,
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
    viewer: Viewer,
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
    pub async fn open(state: Data<AppState>, viewer: Viewer, after: Option<String>) -> Result<WatchSession, Problem> {
        let turned_away =
            || Problem::new(Code::Busy, "the chats cannot be watched now; try again later").retry_after_ms(RETRY_MS);
        let watching = state.watchers.join(viewer.scope()).await.ok_or_else(turned_away)?;
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
        let snapshot = match (viewer.view, start) {
            (View::Inbox, Start::Head | Start::Reset) => {
                // What has happened already belongs into the count. Where that takes too long it is told instead.
                let patience = Duration::from_millis(state.limits.read_wait_ms);
                let _ = state.reads.wait_until(watching.from, patience).await;
                Some(state.reads.inbox_unread(viewer.owner.as_ref().to_owned()).await?)
            }
            (View::Inbox, Start::After(_)) | (View::Chats, _) => None,
        };
        Ok(WatchSession::new(state, viewer, watching, start, snapshot))
    }

    fn new(
        state: Data<AppState>,
        viewer: Viewer,
        watching: Watching,
        start: Start,
        snapshot: Option<Unread>,
    ) -> WatchSession {
        let heartbeat = state.clock.sleep_ms(state.limits.heartbeat_ms.max(1));
        // A snapshot is of the moment that its rows show: what came after it is still to be told.
        let here = Place::after(snapshot.map_or(watching.from, |unread| unread.position));
        let id = here.encode(state.log.timeline());
        let reset = match viewer.view {
            View::Chats => "the server does not know this place; list the chats, this is where watching goes on",
            View::Inbox => "the server does not know this place; list the inbox, this is where watching goes on",
        };
        let reset = frames::sse("reset", Some(&id), &ResetView { reason: reset });
        let snapshot = snapshot.map(|unread| {
            frames::sse("snapshot", Some(&id), &InboxSnapshotView { unread: unread.count, position: id.to_string() })
        });
        let (first, sent) = match start {
            // So that a watcher has a place to come back to before anything happens.
            Start::Head => (vec![snapshot.unwrap_or_else(|| beat(&state, here))], here),
            Start::Reset => (std::iter::once(reset).chain(snapshot).collect(), here),
            Start::After(place) => (Vec::new(), place),
        };
        let past = (sent.complete_to() < watching.from).then(|| {
            let sources = Sources {
                log: Arc::clone(&state.log),
                reads: state.reads.clone(),
                models: Arc::clone(&state.models),
                clock: Arc::clone(&state.clock),
            };
            let outlines = Outlines::new(Arc::clone(&state.log), state.reads.clone());
            Box::new(Past { outlines, sources, position: sent.complete_to() })
        });
        let first = (!first.is_empty()).then(|| frames::join(&first));
        let counted = Counted::begin(match viewer.view {
            View::Chats => "chats",
            View::Inbox => "inbox",
        });
        WatchSession { state, viewer, watching, first, past, sent, heartbeat, _counted: counted }
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
                let Some(owner) = owner(outlines, stored).await? else { continue };
                let mine = match self.viewer.scope() {
                    Scope::All => stored.event.chat_id.is_chat(),
                    Scope::Owner(watched) => owner == watched,
                };
                if mine && let Some(told) = told(outlines, sources, owner, stored).await? {
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
        let missed = told.notices.iter().skip(has).filter(|notice| self.viewer.sees(&told.owner, notice));
        missed.map(|notice| notice.frame.clone()).collect()
    }
}

fn beat(state: &AppState, place: Place) -> Bytes {
    let id = place.encode(state.log.timeline());
    frames::sse("heartbeat", Some(&id), &HeartbeatView { at: Time(state.clock.now()) })
}
