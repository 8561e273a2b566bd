//! A chat's events read again from the log, page by page, each with the status and the turn after it.

use std::sync::Arc;

use verbatim_events::chat::{Chat, IllegalEvent, Outline, Status, evolve};
use verbatim_events::envelope::{Recorded, Stored};
use verbatim_events::ids::{ChatId, Digest, TurnId, Version};
use verbatim_events::log::EventLog;
use verbatim_events::snapshot::{EVERY_EVENTS, Snapshots};
use verbatim_events::wire::decode;

use crate::error::{Code, Problem};

/// Events per page: a few hundred kilobytes as a rule, and little enough to stop between.
const PAGE_EVENTS: usize = 500;

/// An event of the story.
#[derive(Debug)]
pub struct Told {
    /// As the log holds it.
    pub stored: Stored,
    /// The hash of the event before it.
    pub previous_hash: Digest,
    /// What it means; absent where it was erased, and where it or one before it cannot be read.
    pub meaning: Option<Meaning>,
}

/// What an event means.
#[derive(Debug)]
pub struct Meaning {
    /// The event.
    pub recorded: Recorded,
    /// The chat's status after it.
    pub status: Status,
    /// The turn that was under way after it.
    pub turn_id: Option<TurnId>,
}

/// What to do with an event that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It ends the story.
    IsAnError,
    /// It and what follows is told without its meaning: auditors must see it.
    IsTold,
}

/// Where a chat is read from: its log, and the snapshots that spare reading it from its first event.
#[derive(Clone)]
pub struct Sources {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The snapshots.
    pub snapshots: Arc<dyn Snapshots>,
}

impl Sources {
    /// The chat as it was at some event up to `version`, from a snapshot that is the log's own; none where there is none.
    async fn known(&self, chat_id: ChatId, version: Version) -> Result<Option<Chat>, Problem> {
        if version < EVERY_EVENTS {
            return Ok(None);
        }
        let snapshot = self.snapshots.newest(chat_id).await;
        let Some(chat) = snapshot.filter(|chat| chat.outline.version <= version) else { return Ok(None) };
        let page = self.log.read_chat(chat_id, chat.outline.version - 1, 1).await?;
        let same = page.first().is_some_and(|stored| stored.event.hash == chat.head_hash);
        Ok(same.then_some(chat))
    }
}

/// Reads a chat's events in order.
pub struct Story {
    sources: Sources,
    chat_id: ChatId,
    /// What is told may begin after this event; 0 once it has begun.
    skip_to: Version,
    damage: Damage,
    outline: Option<Outline>,
    broken: bool,
    last: (Version, Digest),
}

impl Story {
    /// The story of a chat for who knows it up to `skip_to`: it begins there or, where more must be read to understand
    /// what follows, before.
    pub fn new(sources: Sources, chat_id: ChatId, damage: Damage, skip_to: Version) -> Story {
        Story { sources, chat_id, skip_to, damage, outline: None, broken: false, last: (0, Digest::ZERO) }
    }

    /// The next events, none at the end.
    pub async fn page(&mut self) -> Result<Vec<Told>, Problem> {
        if let Some(chat) = self.sources.known(self.chat_id, std::mem::take(&mut self.skip_to)).await? {
            self.last = (chat.outline.version, chat.head_hash);
            self.outline = Some(chat.outline);
        }
        let page = self.sources.log.read_chat(self.chat_id, self.last.0, PAGE_EVENTS).await?;
        page.into_iter().map(|stored| self.tell(stored)).collect()
    }

    /// The chat after the last event of the last page; none before the first.
    pub fn outline(&self) -> Option<&Outline> {
        self.outline.as_ref()
    }

    /// The version of the last event told.
    pub fn version(&self) -> Version {
        self.last.0
    }

    fn tell(&mut self, stored: Stored) -> Result<Told, Problem> {
        let previous_hash = self.last.1;
        self.last = (stored.event.version, stored.event.hash);
        let meaning = if self.broken { None } else { self.understand(&stored)? };
        Ok(Told { stored, previous_hash, meaning })
    }

    fn understand(&mut self, stored: &Stored) -> Result<Option<Meaning>, Problem> {
        if stored.is_erased() {
            return match self.damage {
                Damage::IsTold => Ok(None),
                Damage::IsAnError => Err(Problem::erased()),
            };
        }
        let understood = decode(stored).map_err(|error| error.to_string()).and_then(|recorded| {
            Outline::apply(self.outline.take(), &recorded)
                .map(|outline| (recorded, outline))
                .map_err(|error| error.to_string())
        });
        match understood {
            Ok((recorded, outline)) => {
                let (status, turn_id) = (outline.status, outline.turn.as_ref().map(|turn| turn.id));
                self.outline = Some(outline);
                Ok(Some(Meaning { recorded, status, turn_id }))
            }
            Err(problem) => {
                tracing::error!(chat.id = %self.chat_id, %problem, "An event of a chat cannot be read.");
                self.broken = true;
                match self.damage {
                    Damage::IsTold => Ok(None),
                    Damage::IsAnError => Err(damaged()),
                }
            }
        }
    }
}

fn damaged() -> Problem {
    Problem::new(Code::ChatDamaged, "the chat's events cannot be read; the server's log says why")
}

/// An event was published that the log does not hold.
pub fn missing(chat_id: ChatId, version: Version) -> Problem {
    tracing::error!(chat.id = %chat_id, version, "An event was published, but the log does not give it.");
    damaged()
}

/// The chat as it was after the event of this version; none where it has no such version.
pub async fn outline_at(sources: &Sources, chat_id: ChatId, version: Version) -> Result<Option<Outline>, Problem> {
    let start = sources.known(chat_id, version).await?.map(|chat| chat.outline);
    Ok(fold_to(sources, chat_id, version, start, |outline| outline.version, Outline::apply).await?)
}

/// As `outline_at`, with the words; it may have let its past go.
pub async fn chat_at(sources: &Sources, chat_id: ChatId, version: Version) -> Result<Option<Chat>, Problem> {
    let start = sources.known(chat_id, version).await?;
    match fold_to(sources, chat_id, version, start, |chat| chat.outline.version, evolve).await {
        Err(Unfolded::LacksPast) => whole_chat_at(sources, chat_id, version).await,
        folded => Ok(folded?),
    }
}

/// As `chat_at`, with all live messages.
pub async fn whole_chat_at(sources: &Sources, chat_id: ChatId, version: Version) -> Result<Option<Chat>, Problem> {
    Ok(fold_to(sources, chat_id, version, None, |chat: &Chat| chat.outline.version, evolve).await?)
}

/// Why events could not be folded.
enum Unfolded {
    /// The state at the start let go of what an event takes back.
    LacksPast,
    /// What the reader is told.
    Failed(Problem),
}

impl From<Problem> for Unfolded {
    fn from(problem: Problem) -> Unfolded {
        Unfolded::Failed(problem)
    }
}

impl From<Unfolded> for Problem {
    fn from(unfolded: Unfolded) -> Problem {
        match unfolded {
            Unfolded::LacksPast => damaged(),
            Unfolded::Failed(problem) => problem,
        }
    }
}

async fn fold_to<S>(
    sources: &Sources,
    chat_id: ChatId,
    version: Version,
    start: Option<S>,
    version_of: impl Fn(&S) -> Version,
    apply: impl Fn(Option<S>, &Recorded) -> Result<S, IllegalEvent>,
) -> Result<Option<S>, Unfolded> {
    let mut state = start;
    loop {
        let after = state.as_ref().map_or(0, &version_of);
        let wanted = usize::try_from(version - after).unwrap_or(usize::MAX).min(PAGE_EVENTS);
        if wanted == 0 {
            return Ok(state);
        }
        let page = sources.log.read_chat(chat_id, after, wanted).await.map_err(Problem::from)?;
        if page.is_empty() {
            return Ok(None);
        }
        for stored in &page {
            if stored.is_erased() {
                return Err(Problem::erased().into());
            }
            let applied =
                decode(stored).map_err(|error| error.to_string()).map(|recorded| apply(state.take(), &recorded));
            let problem = match applied {
                Ok(Ok(next)) => {
                    state = Some(next);
                    continue;
                }
                Ok(Err(illegal)) if illegal.lacks_past => return Err(Unfolded::LacksPast),
                Ok(Err(illegal)) => illegal.to_string(),
                Err(problem) => problem,
            };
            tracing::error!(chat.id = %chat_id, %problem, "An event of a chat cannot be read.");
            return Err(damaged().into());
        }
    }
}

#[cfg(test)]
mod tests;
