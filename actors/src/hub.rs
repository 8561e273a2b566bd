//! Live frames: what happens to a chat, as it happens, for everybody who watches.
//!
//! A chat's channel holds its newest state and a bounded stretch of frames (committed events and streamed parts) in the
//! one order that every watcher sees. Watchers keep a place in that stretch and read on from it; publishing costs the
//! same for one watcher and for a thousand. What all have read is let go. A watcher that falls out of the stretch is cut
//! and resumes by id.
//!
//! **Invariant:** only what is committed is published as an event, and only the open attempt's parts are published.

mod stretch;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use verbatim_events::chat::{Chat, Status};
use verbatim_events::envelope::Recorded;
use verbatim_events::ids::{AttemptId, ChatId, TurnId, Version};
use verbatim_events::part::{LivePart, NumberedPart};

use self::stretch::{Lost, Stretch};
use crate::hydrate::Witnessed;

/// What a frame takes besides what it says, in bytes.
const FRAME_BYTES: usize = 512;

/// A committed event as watchers see it.
#[derive(Debug)]
pub struct EventFrame {
    /// The event.
    pub recorded: Recorded,
    /// The chat's status after it.
    pub status: Status,
    /// The turn that was under way after it, or that it ended.
    pub turn_id: Option<TurnId>,
    /// The bytes every ordinary reader gets; written by the first that needs them, shared by all.
    pub rendered: OnceLock<Bytes>,
}

/// A streamed part as watchers see it.
#[derive(Debug)]
pub struct PartFrame {
    /// The attempt it belongs to.
    pub attempt_id: AttemptId,
    /// The part, its number and its place.
    pub part: NumberedPart,
    /// The bytes every reader gets; written by the first that needs them, shared by all.
    pub rendered: OnceLock<Bytes>,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Frame {
    /// An event was committed.
    Event(Arc<EventFrame>),
    /// The open attempt said something.
    Part(Arc<PartFrame>),
}

/// The attempt whose parts may be published.
#[derive(Debug)]
struct Episode {
    attempt_id: AttemptId,
    parts: Vec<Arc<PartFrame>>,
    bytes: usize,
}

struct Inner {
    chat: Option<Arc<Chat>>,
    stretch: Stretch,
    episode: Option<Episode>,
    closed: bool,
}

impl Inner {
    fn push(&mut self, frame: Frame, bytes: usize) {
        let open = self.episode.as_ref();
        let (parts, parts_bytes) = open.map_or((0, 0), |episode| (episode.parts.len(), episode.bytes));
        self.stretch.push(frame, bytes + FRAME_BYTES, parts, parts_bytes.saturating_add(parts * FRAME_BYTES));
    }

    fn version(&self) -> Version {
        self.chat.as_ref().map_or(0, |chat| chat.outline.version)
    }
}

/// One chat's live frames.
pub struct Channel {
    inner: Mutex<Inner>,
    news: Notify,
}

/// What happened to a published part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Watchers see it.
    Yes,
    /// Its attempt is not the open one any more; nobody wants more of it.
    Closed,
    /// The attempt has put out more than it may.
    TooMuch,
}

impl Channel {
    fn new() -> Channel {
        Channel {
            inner: Mutex::new(Inner { chat: None, stretch: Stretch::default(), episode: None, closed: false }),
            news: Notify::new(),
        }
    }

    /// The version of the last published event; 0 for a channel that has no state yet.
    pub(crate) fn version(&self) -> Version {
        self.inner.lock().version()
    }

    /// Publishes committed events and the state after them.
    pub(crate) fn publish(&self, events: Vec<Witnessed>, chat: Arc<Chat>) {
        let mut inner = self.inner.lock();
        for Witnessed { recorded, status, turn_id, bytes } in events {
            let frame = EventFrame { recorded, status, turn_id, rendered: OnceLock::new() };
            inner.push(Frame::Event(Arc::new(frame)), bytes);
        }
        let open = chat.outline.attempt.as_ref().map(|attempt| attempt.id);
        if inner.episode.as_ref().map(|episode| episode.attempt_id) != open {
            inner.episode = open.map(|attempt_id| Episode { attempt_id, parts: Vec::new(), bytes: 0 });
        }
        inner.chat = Some(chat);
        drop(inner);
        self.news.notify_waiters();
    }

    /// Puts back what the journal kept of the open attempt, after a restart of the server.
    pub(crate) fn restore_parts(&self, attempt_id: AttemptId, parts: Vec<NumberedPart>) {
        let mut inner = self.inner.lock();
        let Some(episode) = &mut inner.episode else { return };
        if episode.attempt_id != attempt_id || !episode.parts.is_empty() {
            return;
        }
        let frames: Vec<_> =
            parts.into_iter().map(|part| Arc::new(PartFrame { attempt_id, part, rendered: OnceLock::new() })).collect();
        episode.bytes = frames.iter().map(|frame| frame.part.part.size_bytes()).sum();
        episode.parts = frames.clone();
        for frame in frames {
            let bytes = frame.part.part.size_bytes();
            inner.push(Frame::Part(frame), bytes);
        }
        drop(inner);
        self.news.notify_waiters();
    }

    /// Publishes a part of the open attempt.
    pub(crate) fn publish_part(&self, attempt_id: AttemptId, part: LivePart, bytes_max: usize) -> Published {
        let mut inner = self.inner.lock();
        let after_version = inner.version();
        let Some(episode) = &mut inner.episode else { return Published::Closed };
        if episode.attempt_id != attempt_id {
            return Published::Closed;
        }
        let bytes = part.size_bytes();
        if episode.bytes + bytes > bytes_max {
            return Published::TooMuch;
        }
        episode.bytes += bytes;
        let n = episode.parts.last().map_or(0, |last| last.part.n) + 1;
        let frame = Arc::new(PartFrame {
            attempt_id,
            part: NumberedPart { n, after_version, part },
            rendered: OnceLock::new(),
        });
        episode.parts.push(Arc::clone(&frame));
        inner.push(Frame::Part(frame), bytes);
        drop(inner);
        self.news.notify_waiters();
        Published::Yes
    }

    /// The parts of an attempt with numbers above `after`; none if it is not the open one.
    pub(crate) fn parts_after(&self, attempt_id: AttemptId, after: u64) -> Vec<Arc<PartFrame>> {
        let inner = self.inner.lock();
        match &inner.episode {
            Some(episode) if episode.attempt_id == attempt_id => {
                let start = episode.parts.partition_point(|frame| frame.part.n <= after);
                episode.parts[start..].to_vec()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// How many parts an attempt has said; 0 if it is not the open one.
    pub(crate) fn parts_count(&self, attempt_id: AttemptId) -> usize {
        let inner = self.inner.lock();
        inner.episode.as_ref().filter(|open| open.attempt_id == attempt_id).map_or(0, |open| open.parts.len())
    }

    /// Takes no more parts of this attempt and returns what it said: its answer is being cut.
    pub(crate) fn close_episode(&self, attempt_id: AttemptId) -> Vec<Arc<PartFrame>> {
        let mut inner = self.inner.lock();
        match &mut inner.episode {
            Some(episode) if episode.attempt_id == attempt_id => {
                // The bound is used up from now on, so that `publish_part` refuses; the parts stay readable.
                episode.bytes = usize::MAX / 2;
                episode.parts.clone()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// The chat as of the last published event.
    pub fn chat(&self) -> Option<Arc<Chat>> {
        self.inner.lock().chat.clone()
    }

    /// Ends all watches: the server stops.
    pub(crate) fn close(&self) {
        self.inner.lock().closed = true;
        self.news.notify_waiters();
    }

    /// Begins to watch: the state now, the open attempt's parts so far, and everything after.
    pub fn watch(self: &Arc<Self>) -> Option<Opened> {
        let mut inner = self.inner.lock();
        let chat = inner.chat.clone()?;
        let parts = inner.episode.as_ref().map(|episode| episode.parts.clone()).unwrap_or_default();
        let watch = Watch { channel: Arc::clone(self), next: inner.stretch.join() };
        Some(Opened { chat, parts, watch })
    }
}

/// The beginning of a watch, taken at one instant: nothing is missing between its members, nothing is double.
pub struct Opened {
    /// The chat as of the last published event.
    pub chat: Arc<Chat>,
    /// The open attempt's parts so far.
    pub parts: Vec<Arc<PartFrame>>,
    /// Everything after.
    pub watch: Watch,
}

/// Why a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchEnded {
    /// The reader was too slow; it resumes by id.
    #[error("the reader fell too far behind")]
    TooSlow,
    /// The server stops.
    #[error("the server stops")]
    Closed,
}

/// A place in a chat's frames.
pub struct Watch {
    channel: Arc<Channel>,
    next: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.channel.inner.lock().stretch.leave(self.next);
    }
}

impl Watch {
    /// The frames that are ready, at least one, in order. Cancel-safe.
    pub async fn next(&mut self) -> Result<Vec<Frame>, WatchEnded> {
        loop {
            let channel = Arc::clone(&self.channel);
            let news = channel.news.notified();
            tokio::pin!(news);
            // Registered before looking, so that news between the look and the wait is not missed.
            news.as_mut().enable();
            if let Some(frames) = self.ready()? {
                return Ok(frames);
            }
            news.await;
        }
    }

    /// The frames that are ready now, without waiting; `None` for none.
    pub fn ready(&mut self) -> Result<Option<Vec<Frame>>, WatchEnded> {
        let mut inner = self.channel.inner.lock();
        if let Some((frames, next)) = inner.stretch.read(self.next).map_err(|Lost| WatchEnded::TooSlow)? {
            self.next = next;
            return Ok(Some(frames));
        }
        if inner.closed { Err(WatchEnded::Closed) } else { Ok(None) }
    }
}

/// The node's channels. A channel lives as long as its chat's actor or a watcher holds it.
#[derive(Default)]
pub struct Hub {
    channels: Mutex<HashMap<ChatId, Weak<Channel>>>,
}

impl Hub {
    /// The chat's channel, made if need be.
    pub(crate) fn channel(&self, chat_id: ChatId) -> Arc<Channel> {
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.get(&chat_id).and_then(Weak::upgrade) {
            return channel;
        }
        // Dead entries are swept when the map would grow, so it stays within twice the living.
        if channels.len() == channels.capacity() {
            channels.retain(|_, channel| channel.strong_count() > 0);
        }
        let channel = Arc::new(Channel::new());
        channels.insert(chat_id, Arc::downgrade(&channel));
        channel
    }

    /// Ends all watches.
    pub(crate) fn close(&self) {
        for channel in self.channels.lock().values().filter_map(Weak::upgrade) {
            channel.close();
        }
    }

    /// Living channels.
    pub fn len(&self) -> usize {
        self.channels.lock().values().filter(|channel| channel.strong_count() > 0).count()
    }

    /// There is no living channel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
