//! The whole log: no gaps, unbroken chains, readable events, and no event that cannot have happened, be it a chat's, the
//! settings' or an inbox's.
//!
//! Two passes, so that memory holds a line per chat and never the chats themselves: the first reads the log in order of
//! position, the second folds one chat after the other.

use std::collections::HashMap;

use verbatim_events::chat::{Chat, evolve};
use verbatim_events::envelope::{Stored, chain_hash};
use verbatim_events::ids::{ChatId, Digest, Position, Version};
use verbatim_events::inbox;
use verbatim_events::log::{EventLog, LogError};
use verbatim_events::settings::{self, Settings};
use verbatim_events::wire::decode;

use super::{Finding, PAGE, key_is_gone};

/// What an audit of the whole log found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LogAudit {
    /// The log's head when the audit began; later events were not looked at.
    pub head: Position,
    /// Events that were read.
    pub events: u64,
    /// Chats that they belong to.
    pub chats: u64,
    /// The first bad event; `None` if all is well.
    pub finding: Option<Finding>,
}

/// The end of a chat's chain as far as it was read.
struct Link {
    version: Version,
    hash: Digest,
}

/// Audits the log up to its present head. `progress` is told how many of twice the head's events are done.
pub async fn audit_log(log: &dyn EventLog, mut progress: impl FnMut(u64)) -> Result<LogAudit, LogError> {
    let head = log.head().await?;
    let mut links: HashMap<ChatId, Link> = HashMap::new();
    let mut finding = None;
    let mut position = 0;
    while position < head && finding.is_none() {
        let page = match log.read_all(position, PAGE).await {
            Ok(page) => page,
            Err(error) => {
                finding = Some(damaged(error)?);
                break;
            }
        };
        if page.events.is_empty() {
            let problem = format!("the log ends here, but its head says {head}");
            finding = Some(Finding { position, chat_id: None, version: None, problem });
        }
        for stored in page.events.iter().take_while(|stored| stored.position <= head) {
            if let Some(problem) = check(stored, position, &mut links) {
                finding = Some(found(stored, problem));
                break;
            }
            position = stored.position;
        }
        progress(position);
    }
    let chats = links.keys().filter(|chat_id| chat_id.is_chat()).count() as u64;
    let mut audit = LogAudit { head, events: position, chats, finding };
    let mut done = position;
    for (chat_id, link) in links {
        let before = audit.finding.as_ref().map_or(head + 1, |finding| finding.position);
        if let Some(earlier) = fold(log, chat_id, before).await? {
            audit.finding = Some(earlier);
        }
        done += link.version;
        progress(done);
    }
    Ok(audit)
}

/// What is wrong with an event's place, chain or bytes.
fn check(stored: &Stored, previous: Position, links: &mut HashMap<ChatId, Link>) -> Option<String> {
    if stored.position != previous + 1 {
        return Some(format!("position {} follows {previous}: events are missing", stored.position));
    }
    let event = &stored.event;
    let link = links.entry(event.chat_id).or_insert(Link { version: 0, hash: Digest::ZERO });
    if event.version != link.version + 1 {
        return Some(format!("version {} follows {} of its chat", event.version, link.version));
    }
    if chain_hash(&link.hash, event) != event.hash {
        return Some("its hash is not that of its content and the chain before it: it was changed".to_owned());
    }
    *link = Link { version: event.version, hash: event.hash };
    match Kind::of(event.chat_id) {
        // What was erased is checked like everything else, as far as it is there.
        Kind::Chat => decode(stored).err().filter(|error| !error.erased),
        Kind::Settings => settings::decode(stored).err(),
        Kind::Inbox => inbox::decode(stored).err(),
    }
    .map(|error| error.problem)
}

/// What a stream holds.
enum Kind {
    Chat,
    Settings,
    Inbox,
}

impl Kind {
    fn of(stream: ChatId) -> Kind {
        match stream {
            stream if stream.is_chat() => Kind::Chat,
            stream if inbox::is_stream(stream) => Kind::Inbox,
            _ => Kind::Settings,
        }
    }
}

/// What a stream comes to as far as it was read.
enum Folded {
    Chat(Option<Box<Chat>>),
    Settings(Settings),
    /// Marks do not build on each other.
    Inbox,
}

impl Folded {
    fn is_erased_chat(&self) -> bool {
        matches!(self, Folded::Chat(Some(chat)) if chat.outline.erased)
    }

    fn before(chat_id: ChatId) -> Folded {
        match Kind::of(chat_id) {
            Kind::Chat => Folded::Chat(None),
            Kind::Settings => Folded::Settings(Settings::default()),
            Kind::Inbox => Folded::Inbox,
        }
    }

    fn apply(self, stored: &Stored) -> Result<Folded, String> {
        match self {
            Folded::Chat(chat) => {
                let recorded = decode(stored).map_err(|error| error.problem)?;
                let chat = evolve(chat.map(|chat| *chat), &recorded).map_err(|error| error.problem)?;
                Ok(Folded::Chat(Some(Box::new(chat))))
            }
            Folded::Settings(settings) => {
                let recorded = settings::decode(stored).map_err(|error| error.problem)?;
                settings.apply(&recorded).map(Folded::Settings).map_err(|error| error.problem)
            }
            Folded::Inbox => {
                let mark = inbox::decode(stored).map_err(|error| error.problem)?;
                mark.check().map(|()| Folded::Inbox).map_err(|error| error.to_string())
            }
        }
    }
}

/// The first event of a chat before a position that cannot have happened.
async fn fold(log: &dyn EventLog, chat_id: ChatId, before: Position) -> Result<Option<Finding>, LogError> {
    let mut folded = Folded::before(chat_id);
    let mut version = 0;
    let mut erased = None;
    loop {
        let page = match log.read_chat(chat_id, version, PAGE).await {
            Ok(page) => page,
            Err(error) => return damaged(error).map(|finding| Some(finding).filter(|found| found.position < before)),
        };
        let Some(last) = page.last() else {
            return Ok(erased.filter(|_| !folded.is_erased_chat()));
        };
        version = last.event.version;
        for stored in &page {
            if stored.position >= before {
                return Ok(None);
            }
            if stored.is_erased() {
                erased = Some(key_is_gone(stored));
                continue;
            }
            match folded.apply(stored) {
                Ok(next) => folded = next,
                Err(problem) => return Ok(Some(found(stored, format!("it cannot have happened: {problem}")))),
            }
        }
    }
}

fn found(stored: &Stored, problem: String) -> Finding {
    Finding {
        position: stored.position,
        chat_id: Some(stored.event.chat_id),
        version: Some(stored.event.version),
        problem,
    }
}

/// A damaged row is what an audit looks for; a database that does not answer is not.
fn damaged(error: LogError) -> Result<Finding, LogError> {
    match error {
        LogError::Damaged { position, problem } => Ok(Finding { position, chat_id: None, version: None, problem }),
        other => Err(other),
    }
}
