//! Chats as they were before an event, so that what the event changed can be told.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;
use verbatim_events::chat::Outline;
use verbatim_events::envelope::{Recorded, Stored};
use verbatim_events::event::{Event, Remains};
use verbatim_events::ids::{ChatId, Version};
use verbatim_events::log::{EventLog, LogError};
use verbatim_events::wire::decode;
use verbatim_projections::ReadModels;

/// Chats that are remembered. Those forgotten are read again.
const CHATS_MAX: usize = 4096;

/// Events of one chat read at once.
const PAGE: usize = 200;

enum Known {
    Chat(Arc<Outline>),
    /// An event of it cannot be applied; nothing after it can be told.
    Damaged,
}

/// An event with the chat before and after it.
pub struct Step {
    /// The event's id.
    pub event_id: Uuid,
    /// The event.
    pub recorded: Recorded,
    /// The chat before; absent if it begins.
    pub before: Option<Arc<Outline>>,
    /// The chat after.
    pub after: Arc<Outline>,
}

/// The outlines of chats, folded along the log.
pub struct Outlines {
    log: Arc<dyn EventLog>,
    reads: ReadModels,
    known: HashMap<ChatId, Known>,
}

impl Outlines {
    /// No chat yet.
    pub fn new(log: Arc<dyn EventLog>, reads: ReadModels) -> Outlines {
        Outlines { log, reads, known: HashMap::new() }
    }

    /// Forgets every chat.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// Forgets a chat whose events are not followed.
    pub fn forget(&mut self, chat_id: ChatId) {
        self.known.remove(&chat_id);
    }

    /// The owner of an event's chat; none where the chat cannot be read.
    pub async fn owner(&mut self, stored: &Stored) -> Result<Option<Arc<str>>, LogError> {
        let event = &stored.event;
        if !event.chat_id.is_chat() {
            return Ok(None);
        }
        match self.known.get(&event.chat_id) {
            Some(Known::Chat(outline)) => return Ok(Some(Arc::from(outline.owner.as_str()))),
            Some(Known::Damaged) => return Ok(None),
            None => {}
        }
        if let Some(remains) = remains(stored) {
            return Ok(Some(Arc::from(remains.owner.as_str())));
        }
        if event.version > 1
            && let Ok(Some(outline)) = self.reads.chat(event.chat_id).await
        {
            return Ok(Some(Arc::from(outline.owner.as_str())));
        }
        let first = match event.version {
            1 => Some(stored.clone()),
            _ => self.log.read_chat(event.chat_id, 0, 1).await?.pop(),
        };
        let begun = first.and_then(|first| Outline::apply(None, &decode(&first).ok()?).ok());
        Ok(begun.map(|outline| Arc::from(outline.owner.as_str())))
    }

    /// What an event did. None where it cannot be told: it is damaged, or one before it is.
    pub async fn step(&mut self, stored: &Stored) -> Result<Option<Step>, LogError> {
        let event = &stored.event;
        if stored.is_erased() {
            self.known.remove(&event.chat_id);
            return Ok(None);
        }
        let before = match self.known.remove(&event.chat_id) {
            Some(Known::Damaged) if remains(stored).is_some() => Ok(None),
            Some(Known::Damaged) => {
                self.known.insert(event.chat_id, Known::Damaged);
                return Ok(None);
            }
            Some(Known::Chat(outline)) if outline.version + 1 == event.version => Ok(Some(outline)),
            Some(Known::Chat(_)) | None => self.load(event.chat_id, event.version - 1).await?,
        };
        let stepped = before.and_then(|before| apply(before, stored));
        // Starting over costs one look per chat and keeps the bound without bookkeeping.
        if self.known.len() >= CHATS_MAX {
            self.known.clear();
        }
        match stepped {
            Ok(step) => {
                self.known.insert(event.chat_id, Known::Chat(Arc::clone(&step.after)));
                Ok(Some(step))
            }
            Err(problem) => {
                tracing::warn!(chat.id = %event.chat_id, version = event.version, problem, "A chat cannot be watched.");
                self.known.insert(event.chat_id, Known::Damaged);
                Ok(None)
            }
        }
    }

    /// A chat as of a version: from the read models if they are not further yet, the rest from the log.
    async fn load(&self, chat_id: ChatId, version: Version) -> Result<Result<Option<Arc<Outline>>, String>, LogError> {
        if version == 0 {
            return Ok(Ok(None));
        }
        let read = self.reads.chat(chat_id).await.ok().flatten().filter(|outline| outline.version <= version);
        let mut outline = read.map(Arc::new);
        let mut at = outline.as_ref().map_or(0, |outline| outline.version);
        loop {
            if at == version {
                return Ok(Ok(outline));
            }
            let limit = usize::try_from(version - at).unwrap_or(PAGE).min(PAGE);
            let page = self.log.read_chat(chat_id, at, limit).await?;
            if page.is_empty() {
                return Ok(Err(format!("the log has no version {}", at + 1)));
            }
            for stored in &page {
                at = stored.event.version;
                if stored.is_erased() {
                    continue;
                }
                match apply(outline, stored) {
                    Ok(step) => outline = Some(step.after),
                    Err(problem) => return Ok(Err(problem)),
                }
            }
        }
    }
}

/// What remains of a chat, if this event is its erasure.
fn remains(stored: &Stored) -> Option<Remains> {
    if stored.event.event_type != "chat_erased" {
        return None;
    }
    match decode(stored).ok()?.event {
        Event::ChatErased(erased) => erased.remains,
        _ => None,
    }
}

fn apply(before: Option<Arc<Outline>>, stored: &Stored) -> Result<Step, String> {
    let recorded = decode(stored).map_err(|error| error.to_string())?;
    let after = Outline::apply(before.as_deref().cloned(), &recorded).map_err(|error| error.to_string())?;
    Ok(Step { event_id: stored.event.event_id, recorded, before, after: Arc::new(after) })
}
