//! Which streams an export holds.

use std::collections::HashMap;

use verbatim_events::envelope::Stored;
use verbatim_events::event::Event;
use verbatim_events::ids::ChatId;
use verbatim_events::inbox;
use verbatim_events::log::{EventLog, LogError};
use verbatim_events::wire::decode;

use super::line::Filters;

/// Events read at once.
const PAGE: usize = 500;

/// Whose a chat is, and which chat made it.
struct Origin {
    owner: String,
    parent: Option<ChatId>,
}

/// Decides on each stream when its first event comes.
pub(super) struct Selection {
    filters: Filters,
    known: HashMap<ChatId, bool>,
}

impl Selection {
    pub(super) fn new(filters: Filters) -> Selection {
        Selection { filters, known: HashMap::new() }
    }

    /// Whether the event's stream is exported. Asked for all events, in the order of the log.
    pub(super) async fn takes(&mut self, log: &dyn EventLog, stored: &Stored) -> Result<bool, LogError> {
        let Filters { chats, owner, .. } = &self.filters;
        if chats.is_empty() && owner.is_none() {
            return Ok(true);
        }
        let id = stored.event.chat_id;
        if let Some(known) = self.known.get(&id) {
            return Ok(*known);
        }
        let taken = if id.is_chat() {
            let origin = origin(log, stored).await?;
            let parent = origin.as_ref().and_then(|origin| origin.parent);
            let is_asked = chats.is_empty()
                || chats.contains(&id)
                || parent.is_some_and(|parent| self.known.get(&parent) == Some(&true));
            is_asked && owner.as_ref().is_none_or(|owner| origin.is_some_and(|origin| origin.owner == *owner))
        } else {
            chats.is_empty() && owner.as_ref().is_some_and(|owner| inbox::stream_id(owner) == id)
        };
        self.known.insert(id, taken);
        Ok(taken)
    }

    /// Whether the event was recorded when it should have been.
    pub(super) fn is_in_time(&self, stored: &Stored) -> bool {
        let Filters { since, until, .. } = &self.filters;
        let at = stored.event.recorded_at;
        since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until)
    }
}

/// Where a chat is from: its first event says it, and its erasure where that can no longer be read.
async fn origin(log: &dyn EventLog, first: &Stored) -> Result<Option<Origin>, LogError> {
    if let Ok(recorded) = decode(first) {
        return Ok(match recorded.event {
            Event::ChatCreated(created) => Some(Origin { owner: created.owner, parent: created.parent }),
            _ => None,
        });
    }
    let mut after = first.event.version;
    loop {
        let page = log.read_chat(first.event.chat_id, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(None) };
        after = last.event.version;
        for recorded in page.iter().filter_map(|stored| decode(stored).ok()) {
            if let Event::ChatErased(erased) = recorded.event {
                return Ok(erased.remains.map(|remains| Origin { owner: remains.owner, parent: remains.parent }));
            }
        }
    }
}
