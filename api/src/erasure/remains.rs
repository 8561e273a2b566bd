//! What there is of a chat outside its events, read from them while they can still be read.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use verbatim_events::envelope::Stored;
use verbatim_events::event::Event;
use verbatim_events::ids::ChatId;
use verbatim_events::log::{EventLog, LogError};
use verbatim_events::outcome::Outcome;
use verbatim_events::wire;
use verbatim_events_sql::{Forgotten, key_of};
use verbatim_tools::workspace::MadeWorkspace;

use crate::files::note_files;

/// Events read at once.
const PAGE_EVENTS: usize = 500;

/// What is to be removed of a chat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Remains {
    /// The keys that its events were sealed with: one, or none.
    pub(super) keys: BTreeSet<Uuid>,
    /// The files that it ever showed.
    pub(super) files: BTreeSet<Uuid>,
    /// The workspaces that were made for it.
    #[serde(default)]
    pub(super) workspaces: BTreeSet<MadeWorkspace>,
    /// All but the workspaces is gone, from all files.
    #[serde(default)]
    pub(super) swept: bool,
}

impl Remains {
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What `to_text` wrote.
    pub(super) fn read(text: &str) -> Option<Remains> {
        serde_json::from_str(text).ok()
    }
}

/// What there is of a chat. Of events that cannot be read any more only the key is known.
pub(super) async fn of(log: &dyn EventLog, chat_id: ChatId) -> Result<Remains, LogError> {
    let (mut remains, mut version) = (Remains::default(), 0);
    loop {
        let page = log.read_chat(chat_id, version, PAGE_EVENTS).await?;
        let Some(last) = page.last() else { return Ok(remains) };
        version = last.event.version;
        for stored in &page {
            remains.keys.extend(key_of(&stored.event));
            if let Some(value) = stored.json().and_then(|json| serde_json::from_slice::<Value>(json).ok()) {
                note_files(&value, &mut remains.files);
            }
            remains.workspaces.extend(made_workspace(stored));
        }
    }
}

/// The receipts of a chat that is erased: what was answered to whom under which key. No more come once the log says that it is.
pub(super) async fn receipts_of(log: &dyn EventLog, chat_id: ChatId) -> Result<Forgotten, LogError> {
    let (mut maker, mut made_at, mut erased_at, mut version) = (None, 0, 0, 0);
    loop {
        let page = log.read_chat(chat_id, version, PAGE_EVENTS).await?;
        let Some(last) = page.last() else {
            return Ok(Forgotten { outcome_prefix: Outcome::json_prefix(chat_id).into_bytes(), made_at, erased_at });
        };
        (version, erased_at) = (last.event.version, last.position);
        for stored in &page {
            // All that one append holds came of one command.
            if *maker.get_or_insert(stored.event.command_id) == stored.event.command_id {
                made_at = stored.position;
            }
        }
    }
}

/// The workspace that an event binds the chat to, made for it. What a chat began with was there before.
fn made_workspace(stored: &Stored) -> Option<MadeWorkspace> {
    match wire::decode(stored).ok()?.event {
        Event::SettingsChanged(changed) => MadeWorkspace::of(&changed.workspace?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chats_receipts_are_found_by_how_their_outcomes_begin() {
        let chat_id = ChatId(Uuid::now_v7());
        let outcome = Outcome {
            chat_id,
            version: 1,
            status: verbatim_events::chat::Status::Waiting,
            message_id: None,
            queued_id: None,
            turn_id: None,
            withdrawn: Vec::new(),
        };
        let stored = serde_json::to_string(&outcome).expect("JSON");
        let prefix = Outcome::json_prefix(chat_id);
        assert!(stored.starts_with(&prefix) && prefix.len() == verbatim_events_sql::OUTCOME_PREFIX_BYTES, "{stored}");
    }

    #[test]
    fn what_was_noted_is_read_again() {
        let made = MadeWorkspace { id: None, template_id: "machine".to_owned(), name: "amber".to_owned() };
        let noted = Remains {
            keys: BTreeSet::from([Uuid::from_u128(1)]),
            files: BTreeSet::from([Uuid::from_u128(2)]),
            workspaces: BTreeSet::from([made]),
            swept: true,
        };
        assert_eq!(Remains::read(&noted.to_text()), Some(noted));
        let older = r#"{"keys":[],"files":[]}"#;
        assert_eq!(Remains::read(older), Some(Remains::default()), "noted before workspaces were");
        assert_eq!(Remains::read("{"), None);
    }
}
