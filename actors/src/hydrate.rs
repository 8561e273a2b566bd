//! From the log to a chat's state.

use std::sync::Arc;

use verbatim_events::chat::{Chat, Status, evolve};
use verbatim_events::envelope::{Recorded, Stored};
use verbatim_events::event::Event;
use verbatim_events::ids::{ChatId, Digest, TurnId, Version};
use verbatim_events::log::{EventLog, LogError};
use verbatim_events::wire;

use crate::handle::SendError;

/// Events per page while a chat is read.
const PAGE_EVENTS: usize = 1000;

/// An event with what watchers are told beside it.
pub(crate) type Witnessed = (Recorded, Status, Option<TurnId>);

impl From<LogError> for SendError {
    fn from(error: LogError) -> SendError {
        match error {
            LogError::Unavailable(problem) => SendError::LogUnavailable { problem },
            LogError::Damaged { .. } => SendError::Damaged { problem: error.to_string() },
        }
    }
}

/// Applies an event and notes what watchers are told beside it.
pub(crate) fn witness(chat: Option<Chat>, recorded: Recorded) -> Result<(Chat, Witnessed), SendError> {
    let chat = evolve(chat, &recorded).map_err(|error| SendError::Damaged { problem: error.to_string() })?;
    let ended = match &recorded.event {
        Event::TurnFinished(finished) => Some(finished.turn_id),
        _ => None,
    };
    let turn_id = ended.or(chat.outline.turn.as_ref().map(|turn| turn.id));
    let status = chat.outline.status;
    Ok((chat, (recorded, status, turn_id)))
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

/// Reads on from `chat` to the end of its stream. What is above `seen` is news.
pub(crate) async fn catch_up(
    log: &dyn EventLog,
    chat_id: ChatId,
    chat: Option<Arc<Chat>>,
    seen: Version,
) -> Result<Caught, SendError> {
    let mut chat = chat.map(Arc::unwrap_or_clone);
    let mut news = Vec::new();
    let mut trace_id = None;
    loop {
        let after = chat.as_ref().map_or(0, |chat| chat.outline.version);
        let page: Vec<Stored> = log.read_chat(chat_id, after, PAGE_EVENTS).await?;
        let full = page.len() == PAGE_EVENTS;
        if let Some(last) = page.last() {
            trace_id.clone_from(&last.event.trace_id);
        }
        for stored in page {
            let previous = chat.as_ref().map_or(Digest::ZERO, |chat| chat.head_hash);
            if !wire::verify_link(&previous, &stored) {
                let (position, version) = (stored.position, stored.event.version);
                let problem = format!("event {version} at position {position} was changed: its hash does not fit");
                return Err(SendError::Damaged { problem });
            }
            let recorded = wire::decode(&stored).map_err(|error| SendError::Damaged { problem: error.to_string() })?;
            let (next, witnessed) = witness(chat.take(), recorded)?;
            chat = Some(next);
            if witnessed.0.version > seen {
                news.push(witnessed);
            }
        }
        if !full {
            return Ok(Caught { chat: chat.map(Arc::new), news, trace_id });
        }
    }
}
