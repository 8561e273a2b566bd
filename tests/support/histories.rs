//! Whatever a test made chats go through, every prefix of their histories is something that every provider accepts.
//!
//! The harnesses ask when they end; so each test of the whole is one of this too.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use verbatim_events::chat::{Chat, evolve};
use verbatim_events::envelope::{Recorded, Stored};
use verbatim_events::event::{Event, RequestRecipe};
use verbatim_events::ids::{ChatId, MessageId};
use verbatim_events::log::{EventLog, LogError};
use verbatim_events::message::Message;
use verbatim_events::model::Prompt;
use verbatim_events::{prompt, wire};
use verbatim_llm::strict::refusals;

/// Events read at once.
const PAGE: usize = 1_000;

/// What the checked prompts of one chat weigh together, about: a message weighs one and one more for each `PIECE_BYTES` in it.
/// What would be more is thinned out evenly.
const WEIGHT_MAX: usize = 3_000;

/// Bytes of a message that weigh as much as another message.
const PIECE_BYTES: usize = 512;

/// Problems that are told; one is enough to fail, and more seldom say more.
const PROBLEMS_MAX: usize = 10;

/// What was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Chats.
    pub chats: usize,
    /// Prefixes of their histories.
    pub prefixes: usize,
    /// Prefixes that were left out, since their chat has too many.
    pub left_out: usize,
}

/// What is wrong with a log's histories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsound {
    /// The log cannot be read.
    Unreadable(String),
    /// Providers would refuse what these prefixes make.
    Refused(Vec<String>),
}

impl fmt::Display for Unsound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsound::Unreadable(problem) => write!(formatter, "the histories cannot be read: {problem}"),
            Unsound::Refused(problems) => write!(formatter, "providers refuse histories:\n{}", problems.join("\n")),
        }
    }
}

/// Checks every chat of a log.
pub async fn check(log: &dyn EventLog) -> Result<Checked, Unsound> {
    let chats = read(log).await.map_err(|error| Unsound::Unreadable(error.to_string()))?;
    let (mut checked, mut problems) = (Checked::default(), Vec::new());
    for (chat_id, events) in chats.into_iter().filter(|(chat_id, _)| chat_id.is_chat()) {
        // What its prompts were made of is gone.
        if events.last().is_some_and(|last| last.event.event_type == "chat_erased") {
            continue;
        }
        let events: Result<Vec<Recorded>, _> = events.iter().map(wire::decode).collect();
        let events = events.map_err(|error| Unsound::Unreadable(format!("{chat_id}: {error}")))?;
        checked.chats += 1;
        check_chat(&events, &mut checked, &mut problems)?;
        if problems.len() >= PROBLEMS_MAX {
            problems.truncate(PROBLEMS_MAX);
            break;
        }
    }
    if problems.is_empty() { Ok(checked) } else { Err(Unsound::Refused(problems)) }
}

/// All chats' events. Streams of another kind are left out.
async fn read(log: &dyn EventLog) -> Result<BTreeMap<ChatId, Vec<Stored>>, LogError> {
    let mut streams: BTreeMap<ChatId, Vec<Stored>> = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = log.read_all(after, PAGE).await?;
        if page.events.is_empty() && page.scanned_to >= page.head {
            streams.retain(|_, events| events[0].event.event_type == "chat_created");
            return Ok(streams);
        }
        after = page.scanned_to;
        for stored in page.events {
            streams.entry(stored.event.chat_id).or_default().push(stored);
        }
    }
}

fn check_chat(events: &[Recorded], checked: &mut Checked, problems: &mut Vec<String>) -> Result<(), Unsound> {
    let mut weights: BTreeMap<MessageId, usize> = BTreeMap::new();
    let total = fold(events, |chat, _, is_prefix| {
        if !is_prefix {
            return 0;
        }
        let messages = &prompt::assemble(chat, &chat.offer).messages;
        messages.iter().map(|message| *weights.entry(message.id).or_insert_with(|| weight(message))).sum()
    })?;
    let stride = total.div_ceil(WEIGHT_MAX).max(1);
    let mut recipe: Option<RequestRecipe> = None;
    let (mut prefixes, mut left_out, last) = (0, 0, events.len());
    fold(events, |chat, recorded, is_prefix| {
        if let Event::AttemptRecorded(attempt) = &recorded.event {
            recipe = attempt.request.clone().or(recipe.take());
        }
        if !is_prefix {
            return 0;
        }
        let is_last = usize::try_from(recorded.version) == Ok(last);
        if (prefixes + left_out) % stride != 0 && !is_last {
            left_out += 1;
            return 0;
        }
        prefixes += 1;
        for prompt in prompts(chat) {
            let found = refusals(&prompt, recipe.as_ref()).into_iter();
            problems.extend(found.map(|one| format!("{} at version {}: {one}", recorded.chat_id, recorded.version)));
        }
        0
    })?;
    checked.prefixes += prefixes;
    checked.left_out += left_out;
    Ok(())
}

fn weight(message: &Message) -> usize {
    1 + serde_json::to_vec(&message.parts).map_or(0, |bytes| bytes.len()) / PIECE_BYTES
}

/// Folds a chat and adds up what is said of it after each event; the flag tells whether another prompt may come of it.
fn fold(events: &[Recorded], mut visit: impl FnMut(&Chat, &Recorded, bool) -> usize) -> Result<usize, Unsound> {
    let (mut chat, mut sum) = (None, 0);
    for recorded in events {
        let before = chat.as_ref().map(place);
        let next = evolve(chat.take(), recorded)
            .map_err(|error| Unsound::Unreadable(format!("{}: {error}", recorded.chat_id)))?;
        sum += visit(&next, recorded, before != Some(place(&next)));
        chat = Some(next);
    }
    Ok(sum)
}

/// What prompts depend on, as far as it changes.
fn place(chat: &Chat) -> (u64, u64, *const verbatim_events::event::Offer) {
    (chat.outline.history_version, chat.boundary, Arc::as_ptr(&chat.offer))
}

/// What a model may be asked now: for an answer, or for a summary.
fn prompts(chat: &Chat) -> [Prompt; 2] {
    [prompt::assemble(chat, &chat.offer), prompt::summary(chat, &chat.offer)]
}

/// Checks a log in memory when it is dropped, unless the test has failed already.
pub struct HistoryGuard {
    log: Arc<dyn EventLog>,
    skips_histories: AtomicBool,
}

impl HistoryGuard {
    /// Checks this log in the end.
    pub fn of(log: Arc<dyn EventLog>) -> HistoryGuard {
        HistoryGuard { log, skips_histories: AtomicBool::new(false) }
    }

    /// The histories are not asked for in the end: the test has damaged the log.
    pub fn skip_histories(&self) {
        self.skips_histories.store(true, Ordering::Relaxed);
    }
}

impl Drop for HistoryGuard {
    fn drop(&mut self) {
        if std::thread::panicking() || self.skips_histories.load(Ordering::Relaxed) {
            return;
        }
        // A fault that a test asked for and that nobody met is met here.
        while self.log.head().now_or_never().is_some_and(|read| read.is_err()) {}
        let checked = check(&*self.log).now_or_never().expect("a log in memory answers at once");
        settle(checked);
    }
}

/// Tells what was checked where that is not all, and fails where something is wrong.
pub(crate) fn settle(checked: Result<Checked, Unsound>) {
    match checked {
        Ok(checked) if checked.left_out > 0 => println!(
            "histories: {} prefixes of {} chats are valid requests, {} of longer chats were left out",
            checked.prefixes, checked.chats, checked.left_out
        ),
        Ok(_) => {}
        Err(unsound) => panic!("{unsound}"),
    }
}
