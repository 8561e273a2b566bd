//! From the log to a chat's state.

use std::sync::Arc;

use verbatim_events::chat::{Chat, Status, evolve};
use verbatim_events::envelope::{Recorded, Stored};
use verbatim_events::event::Event;
use verbatim_events::ids::{ChatId, TurnId, Version};
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

/// Reads on from `chat` to the end of its stream. Returns the state and the events above `seen`.
pub(crate) async fn catch_up(
    log: &dyn EventLog,
    chat_id: ChatId,
    chat: Option<Arc<Chat>>,
    seen: Version,
) -> Result<(Option<Arc<Chat>>, Vec<Witnessed>), SendError> {
    let mut chat = chat.map(Arc::unwrap_or_clone);
    let mut news = Vec::new();
    loop {
        let after = chat.as_ref().map_or(0, |chat| chat.outline.version);
        let page: Vec<Stored> = log.read_chat(chat_id, after, PAGE_EVENTS).await?;
        let full = page.len() == PAGE_EVENTS;
        for stored in page {
            let recorded = wire::decode(&stored).map_err(|error| SendError::Damaged { problem: error.to_string() })?;
            let (next, witnessed) = witness(chat.take(), recorded)?;
            chat = Some(next);
            if witnessed.0.version > seen {
                news.push(witnessed);
            }
        }
        if !full {
            return Ok((chat.map(Arc::new), news));
        }
    }
}
