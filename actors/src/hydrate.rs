//! From the log to a chat's state: a long chat's from its snapshot and the events since, any other's from its first event.
//! So is one whose past is asked for.

use std::sync::Arc;

use verbatim_events::chat::{Chat, IllegalEvent, Status, evolve};
use verbatim_events::envelope::{Recorded, Stored};
use verbatim_events::event::Event;
use verbatim_events::ids::{ChatId, Digest, TurnId, Version};
use verbatim_events::log::LogError;
use verbatim_events::snapshot::EVERY_EVENTS;
use verbatim_events::wire;

use crate::handle::SendError;
use crate::node::Deps;

/// Events per page while a chat is read.
const PAGE_EVENTS: usize = 1000;

/// An event with what watchers are told beside it.
pub(crate) struct Witnessed {
    /// The event.
    pub(crate) recorded: Recorded,
    /// The chat's status after it.
    pub(crate) status: Status,
    /// The turn that was under way after it, or that it ended.
    pub(crate) turn_id: Option<TurnId>,
    /// What it takes in the log.
    pub(crate) bytes: usize,
}

impl From<LogError> for SendError {
    fn from(error: LogError) -> SendError {
        match error {
            LogError::Unavailable(problem) => SendError::LogUnavailable { problem },
            LogError::Damaged { .. } => SendError::Damaged { problem: error.to_string() },
        }
    }
}

impl From<IllegalEvent> for SendError {
    fn from(error: IllegalEvent) -> SendError {
        SendError::Damaged { problem: error.to_string() }
    }
}

/// Applies an event that takes `bytes` in the log, and notes what watchers are told beside it.
pub(crate) fn witness(chat: Option<Chat>, recorded: Recorded, bytes: usize) -> Result<(Chat, Witnessed), IllegalEvent> {
    let chat = evolve(chat, &recorded)?;
    let ended = match &recorded.event {
        Event::TurnFinished(finished) => Some(finished.turn_id),
        _ => None,
    };
    let turn_id = ended.or(chat.outline.turn.as_ref().map(|turn| turn.id));
    let status = chat.outline.status;
    Ok((chat, Witnessed { recorded, status, turn_id, bytes }))
}

/// What reading on came to.
pub(crate) struct Caught {
    /// The state at the end of the stream.
    pub(crate) chat: Option<Arc<Chat>>,
    /// The events above what was seen.
    pub(crate) news: Vec<Witnessed>,
    /// The trace that the last event read belongs to.
    pub(crate) trace_id: Option<String>,
}

/// Where reading begins.
struct Start {
    chat: Option<Chat>,
    /// The events after it that were read already.
    page: Vec<Stored>,
    /// There may be more.
    full: bool,
    /// The trace that the event at the start belongs to.
    trace_id: Option<String>,
}

impl Start {
    /// At a chat's first event.
    fn of(page: Vec<Stored>, page_events: usize) -> Start {
        Start { chat: None, full: page.len() == page_events, page, trace_id: None }
    }
}

/// How much of a chat is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// What the next step needs.
    Lean,
    /// All live messages: it is read from its first event.
    Whole,
}

/// The start of a chat of which nothing is known. A snapshot past `seen` would leave a gap in the news; without news
/// (0) any will do.
async fn start(deps: &Deps, chat_id: ChatId, seen: Version) -> Result<Start, LogError> {
    // No chat has a snapshot before this many events, and most chats are not that long.
    let first = usize::try_from(EVERY_EVENTS).unwrap_or(usize::MAX);
    let page = deps.log.read_chat(chat_id, 0, first).await?;
    let from_first = Start::of(page, first);
    if !from_first.full {
        return Ok(from_first);
    }
    let snapshot = deps.snapshots.newest(chat_id).await;
    let Some(chat) = snapshot.filter(|chat| seen == 0 || chat.outline.version <= seen) else { return Ok(from_first) };
    // The log has the last word: its own hash at that version, which covers everything before.
    let mut page = deps.log.read_chat(chat_id, chat.outline.version - 1, PAGE_EVENTS).await?;
    let full = page.len() == PAGE_EVENTS;
    let same = page
        .first()
        .is_some_and(|stored| (stored.event.version, stored.event.hash) == (chat.outline.version, chat.head_hash));
    if !same || chat.outline.id != chat_id {
        tracing::warn!(chat.id = %chat_id, version = chat.outline.version, "A snapshot is not this log's; it is passed over.");
        return Ok(from_first);
    }
    let trace_id = page.remove(0).event.trace_id;
    Ok(Start { chat: Some(chat), page, full, trace_id })
}

/// Reads on from `chat` to the end of its stream. What is above `seen` is news. The chat has let its past go.
pub(crate) async fn catch_up(
    deps: &Deps,
    chat_id: ChatId,
    chat: Option<Arc<Chat>>,
    seen: Version,
) -> Result<Caught, SendError> {
    if !chat_id.is_chat() {
        return Ok(Caught { chat: None, news: Vec::new(), trace_id: None });
    }
    match read_on(deps, chat_id, chat, seen, Extent::Lean).await {
        // Somebody else's edit, or one since the snapshot.
        Err(ReadError::LacksPast) => match read_on(deps, chat_id, None, seen, Extent::Whole).await {
            Ok(mut caught) => {
                if let Some(chat) = &mut caught.chat {
                    Arc::make_mut(chat).let_past_go();
                }
                Ok(caught)
            }
            Err(error) => Err(error.into()),
        },
        caught => Ok(caught?),
    }
}

/// The chat at the end of its stream with all its live messages, and the news above `seen`.
pub(crate) async fn read_whole(deps: &Deps, chat_id: ChatId, seen: Version) -> Result<Caught, SendError> {
    Ok(read_on(deps, chat_id, None, seen, Extent::Whole).await?)
}

/// Why reading came to nothing.
enum ReadError {
    /// The state that was read on from is not whole, and an event takes back what it let go of.
    LacksPast,
    /// What its sender is told.
    Failed(SendError),
}

impl From<ReadError> for SendError {
    fn from(error: ReadError) -> SendError {
        match error {
            ReadError::LacksPast => {
                SendError::Damaged { problem: "a chat that was read from its first event lacks its past".to_owned() }
            }
            ReadError::Failed(error) => error,
        }
    }
}

impl From<LogError> for ReadError {
    fn from(error: LogError) -> ReadError {
        ReadError::Failed(error.into())
    }
}

impl From<IllegalEvent> for ReadError {
    fn from(error: IllegalEvent) -> ReadError {
        if error.lacks_past { ReadError::LacksPast } else { ReadError::Failed(error.into()) }
    }
}

fn damaged(problem: String) -> ReadError {
    ReadError::Failed(SendError::Damaged { problem })
}

async fn read_on(
    deps: &Deps,
    chat_id: ChatId,
    chat: Option<Arc<Chat>>,
    seen: Version,
    extent: Extent,
) -> Result<Caught, ReadError> {
    let mut news = Vec::new();
    let Start { mut chat, mut page, mut full, mut trace_id } = match chat {
        Some(chat) => {
            let page = deps.log.read_chat(chat_id, chat.outline.version, PAGE_EVENTS).await?;
            let full = page.len() == PAGE_EVENTS;
            Start { chat: Some(Arc::unwrap_or_clone(chat)), page, full, trace_id: None }
        }
        None if extent == Extent::Whole => Start::of(deps.log.read_chat(chat_id, 0, PAGE_EVENTS).await?, PAGE_EVENTS),
        None => start(deps, chat_id, seen).await?,
    };
    // Erased events are read past: they count and are checked, but they change nothing.
    let mut read = chat.as_ref().map_or((0, Digest::ZERO), |chat| (chat.outline.version, chat.head_hash));
    loop {
        if let Some(last) = page.last() {
            trace_id.clone_from(&last.event.trace_id);
        }
        for stored in page {
            if !wire::verify_link(&read.1, &stored) {
                let (position, version) = (stored.position, stored.event.version);
                let problem = format!("event {version} at position {position} was changed: its hash does not fit");
                return Err(damaged(problem));
            }
            read = (stored.event.version, stored.event.hash);
            if stored.is_erased() {
                continue;
            }
            let recorded = wire::decode(&stored).map_err(|error| damaged(error.to_string()))?;
            let (next, witnessed) = witness(chat.take(), recorded, stored.event.data.len())?;
            chat = Some(next);
            if witnessed.recorded.version > seen {
                news.push(witnessed);
            }
        }
        if !full {
            if chat.as_ref().map_or(0, |chat| chat.outline.version) != read.0 {
                let problem = format!("the key to event {} is gone, but nobody erased the chat", read.0);
                return Err(damaged(problem));
            }
            if let Some(chat) = chat.as_mut().filter(|_| extent == Extent::Lean) {
                chat.let_past_go();
            }
            return Ok(Caught { chat: chat.map(Arc::new), news, trace_id });
        }
        page = deps.log.read_chat(chat_id, read.0, PAGE_EVENTS).await?;
        full = page.len() == PAGE_EVENTS;
    }
}
