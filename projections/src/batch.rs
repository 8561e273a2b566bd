//! From a page of the log to what the projections need: decoded events, and each touched chat's outline before and
//! after. An event that cannot be applied poisons its chat from there on, and only its chat.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use verbatim_events::chat::Outline;
use verbatim_events::envelope::{Recorded, Stored};
use verbatim_events::ids::{ChatId, Position, TurnId, Version};
use verbatim_events::inbox::{self, InboxEvent};
use verbatim_events::notification::{Notification, notification};
use verbatim_events::snapshot::Encoded;
use verbatim_events::wire;

/// The stored type of the event that ends a chat for good.
const ERASURE: &str = "chat_erased";

/// What is known of a chat before a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Its outline; absent for a chat that has no event yet.
    pub(crate) outline: Option<Arc<Outline>>,
    /// Its projection stopped at an earlier event.
    pub(crate) poisoned: bool,
}

/// One event that was applied.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) recorded: Recorded,
    /// The turn it belongs to: the one under way before or after it.
    pub(crate) turn_id: Option<TurnId>,
    /// What of it is worth telling the chat's owner.
    pub(crate) notification: Option<Notification>,
}

/// What an owner marked in their inbox.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) position: Position,
    pub(crate) event: InboxEvent,
}

/// A chat that a page changed.
#[derive(Debug)]
pub(crate) struct Touched {
    pub(crate) before: Option<Arc<Outline>>,
    pub(crate) after: Arc<Outline>,
    /// The position of its last applied event.
    pub(crate) position: Position,
}

/// An event that could not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its chat, whose rows stay as they were before it.
    pub chat_id: ChatId,
    /// Its place in the log.
    pub position: Position,
    /// Its place in the chat.
    pub version: Version,
    /// Its stored type.
    pub event_type: String,
    /// When it was decided.
    pub recorded_at: DateTime<Utc>,
    /// Why it could not be applied.
    pub problem: String,
}

impl DeadLetter {
    fn new(stored: &Stored, problem: String) -> DeadLetter {
        DeadLetter {
            chat_id: stored.event.chat_id,
            position: stored.position,
            version: stored.event.version,
            event_type: stored.event.event_type.clone(),
            recorded_at: stored.event.recorded_at,
            problem,
        }
    }
}

/// What a page comes to.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The applied events in order.
    pub(crate) steps: Vec<Step>,
    /// The changed chats.
    pub(crate) chats: BTreeMap<ChatId, Touched>,
    /// The events that stopped a chat's projection, at most one per chat.
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// Events of chats whose projection had stopped before.
    pub(crate) skipped: usize,
    /// The snapshots that came due: what there is to keep of each such chat, if anything.
    pub(crate) snapshots: Vec<(ChatId, Option<Kept>)>,
    /// What owners marked in their inboxes, in order.
    pub(crate) marks: Vec<Mark>,
}

/// A snapshot as it is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The version of the last event in it.
    pub(crate) version: Version,
    /// What stands in its row.
    pub(crate) encoded: Encoded,
}

/// A chat while a page is folded.
struct Folding {
    before: Option<Arc<Outline>>,
    current: Option<Outline>,
    poisoned: bool,
    /// The indexes of its steps.
    steps: Vec<usize>,
    position: Position,
}

impl Batch {
    /// An event that is set aside unapplied.
    pub(crate) fn poison(stored: &Stored, problem: String) -> Batch {
        Batch { dead_letters: vec![DeadLetter::new(stored, problem)], ..Batch::default() }
    }

    /// Folds a page. `known` holds every chat of the page that has rows. Events that say nothing any more because their
    /// chat was erased are passed over; the erasure itself follows them.
    pub(crate) fn fold(events: &[Stored], known: &HashMap<ChatId, Known>) -> Batch {
        let mut batch = Batch::default();
        let mut chats: BTreeMap<ChatId, Folding> = BTreeMap::new();
        // The settings' stream is no chat and has no rows.
        let has_rows = |chat_id: ChatId| chat_id.is_chat() || inbox::is_stream(chat_id);
        for stored in events.iter().filter(|stored| has_rows(stored.event.chat_id)) {
            let chat = chats.entry(stored.event.chat_id).or_insert_with(|| {
                let known = known.get(&stored.event.chat_id).cloned().unwrap_or_default();
                Folding {
                    current: known.outline.as_deref().cloned(),
                    before: known.outline,
                    poisoned: known.poisoned,
                    steps: Vec::new(),
                    position: 0,
                }
            });
            // Whatever stopped a chat, its erasure is done.
            let ends = stored.event.event_type == ERASURE;
            if stored.is_erased() || chat.poisoned && !ends {
                batch.skipped += usize::from(chat.poisoned);
                continue;
            }
            if !stored.event.chat_id.is_chat() {
                match mark(stored) {
                    Ok(mark) => batch.marks.push(mark),
                    Err(problem) => {
                        chat.poisoned = true;
                        batch.dead_letters.push(DeadLetter::new(stored, problem));
                    }
                }
                continue;
            }
            match apply(chat.current.take(), stored) {
                Err(_) if chat.poisoned => {
                    chat.current = refold(chat.before.as_deref(), &chat.steps, &batch.steps);
                    batch.skipped += 1;
                }
                Ok((step, outline)) => {
                    chat.poisoned = false;
                    chat.current = Some(outline);
                    chat.position = stored.position;
                    chat.steps.push(batch.steps.len());
                    batch.steps.push(step);
                }
                Err(problem) => {
                    chat.poisoned = true;
                    chat.current = refold(chat.before.as_deref(), &chat.steps, &batch.steps);
                    batch.dead_letters.push(DeadLetter::new(stored, problem));
                }
            }
        }
        for (chat_id, Folding { before, current, steps, position, .. }) in chats {
            if let (Some(outline), false) = (current, steps.is_empty()) {
                batch.chats.insert(chat_id, Touched { before, after: Arc::new(outline), position });
            }
        }
        batch
    }
}

/// Decodes and applies one event. A panic in there is a fault of the program, but one chat's, not the runner's.
fn apply(outline: Option<Outline>, stored: &Stored) -> Result<(Step, Outline), String> {
    let turn_before = outline.as_ref().and_then(|outline| outline.turn.as_ref()).map(|turn| (turn.id, turn.reason));
    let folded = catch_unwind(AssertUnwindSafe(|| {
        let recorded = wire::decode(stored).map_err(|error| error.to_string())?;
        let outline = Outline::apply(outline, &recorded).map_err(|error| error.to_string())?;
        Ok::<_, String>((recorded, outline))
    }));
    let (recorded, outline) = folded.unwrap_or_else(|_| Err("applying it panicked".to_owned()))?;
    let turn_id = outline.turn.as_ref().map(|turn| turn.id).or(turn_before.map(|(id, _)| id));
    let notification = notification(turn_before.map(|(_, reason)| reason), &recorded.event, &outline);
    Ok((Step { recorded, turn_id, notification }, outline))
}

/// What an owner marked.
fn mark(stored: &Stored) -> Result<Mark, String> {
    let recorded = inbox::decode(stored).map_err(|error| error.to_string())?;
    recorded.check().map_err(|error| error.to_string())?;
    Ok(Mark { position: recorded.position, event: recorded.event })
}

/// A chat's outline after its own steps, which were applied once already.
fn refold(before: Option<&Outline>, own: &[usize], steps: &[Step]) -> Option<Outline> {
    own.iter().fold(before.cloned(), |outline, index| Outline::apply(outline, &steps[*index].recorded).ok())
}
