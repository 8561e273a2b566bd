//! A look through a copied log: what its chats are sealed with, and which files they show.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;
use uuid::Uuid;
use verbatim_events::ids::{ChatId, Position};
use verbatim_events::log::{EventLog, LogError};
use verbatim_events_sql::key_of;

use super::Step;
use crate::files::note_files;

/// Events read at once.
const PAGE_EVENTS: usize = 500;

/// The stored type of the event that says that a chat is erased.
const ERASED: &str = "chat_erased";

/// What was found. Memory holds a line per chat, and never what was said.
pub(super) struct Survey {
    /// The position of the last event.
    pub(super) position: Position,
    /// How many chats there are.
    pub(super) chats: u64,
    /// The keys of the chats that are not erased.
    pub(super) keys: BTreeSet<Uuid>,
    /// The files that these chats show.
    pub(super) files: BTreeSet<Uuid>,
    /// A chat that nobody erased and whose key is not there.
    pub(super) without_key: Option<ChatId>,
}

/// Looks through a log that nobody writes.
pub(super) async fn survey(log: &dyn EventLog, tell: &mut impl FnMut(Step)) -> Result<Survey, LogError> {
    let head = log.head().await?;
    let mut chats: HashSet<ChatId> = HashSet::new();
    let mut keys: HashMap<ChatId, Uuid> = HashMap::new();
    let mut files: BTreeMap<ChatId, BTreeSet<Uuid>> = BTreeMap::new();
    let mut unread: BTreeSet<ChatId> = BTreeSet::new();
    let mut position = 0;
    while position < head {
        tell(Step::Events { done: position, total: head });
        let page = log.read_all(position, PAGE_EVENTS).await?;
        if page.events.is_empty() {
            let problem = format!("the log ends here, but its head says {head}");
            return Err(LogError::Damaged { position, problem });
        }
        for stored in &page.events {
            let chat_id = stored.event.chat_id;
            position = stored.position;
            if chat_id.is_chat() {
                chats.insert(chat_id);
            }
            if stored.event.event_type == ERASED {
                // The last event of its chat: nothing of it is left that a backup could keep.
                keys.remove(&chat_id);
                files.remove(&chat_id);
                unread.remove(&chat_id);
                continue;
            }
            if let Some(key_id) = key_of(&stored.event) {
                keys.insert(chat_id, key_id);
            }
            if stored.is_erased() {
                unread.insert(chat_id);
            }
            if let Some(value) = stored.json().and_then(|json| serde_json::from_slice::<Value>(json).ok()) {
                let mut shown = BTreeSet::new();
                note_files(&value, &mut shown);
                if !shown.is_empty() {
                    files.entry(chat_id).or_default().append(&mut shown);
                }
            }
        }
    }
    tell(Step::Events { done: position, total: head });
    Ok(Survey {
        position,
        chats: chats.len() as u64,
        keys: keys.into_values().collect(),
        files: files.into_values().flatten().collect(),
        without_key: unread.first().copied(),
    })
}
