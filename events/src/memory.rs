//! The reference implementations of the log and the part journal: in memory, exact, gone with the process. They say what
//! the databases must do, and they carry tests of everything above the log.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use uuid::Uuid;

use crate::envelope::{Encoding, NewEvent, Stored, Words};
use crate::ids::{AttemptId, ChatId, Digest, Position, Version};
use crate::journal::PartJournal;
use crate::log::{Append, AppendError, Appended, BoxFuture, EventLog, LogError, LogPage, Receipt, StreamAppend};
use crate::part::NumberedPart;

/// What is to go wrong with an append, for tests of those who append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not applied, and the caller is told `Busy`.
    Busy,
    /// It is not applied, and the caller is told `Failed`.
    Refused,
    /// It is not applied, and the caller is told `Unknown`.
    LostBefore,
    /// It is applied, and the caller is told `Unknown` all the same.
    LostAfter,
}

/// A log in memory.
#[derive(Debug)]
pub struct MemoryLog {
    timeline: Uuid,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The event at position `p` stands at index `p - 1`.
    events: Vec<Stored>,
    /// The positions of each chat's events; the one of version `v` stands at index `v - 1`.
    chats: BTreeMap<ChatId, Vec<Position>>,
    receipts: BTreeMap<(String, String), Receipt>,
    waiting: BTreeMap<u64, Waker>,
    next_waiting: u64,
    faults: VecDeque<Fault>,
    failing_reads: usize,
}

impl Default for MemoryLog {
    /// An empty log of timeline 1. Tests that need two timelines name them.
    fn default() -> MemoryLog {
        MemoryLog::new(Uuid::from_u128(1))
    }
}

impl MemoryLog {
    /// An empty log of this timeline.
    pub fn new(timeline: Uuid) -> MemoryLog {
        MemoryLog { timeline, state: Mutex::default() }
    }

    /// Lets the next append go wrong; called again, the one after it, and so on.
    pub fn fail_next_append(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// Lets the next `count` reads (of events, the head or a receipt) find the log unavailable.
    pub fn fail_next_reads(&self, count: usize) {
        self.state().failing_reads += count;
    }

    /// Destroys a chat's key: of what was sealed nothing is read any more.
    pub fn destroy_key(&self, chat_id: ChatId) {
        let mut state = self.state();
        for stored in state.events.iter_mut().filter(|stored| stored.event.chat_id == chat_id) {
            if stored.event.encoding == Encoding::Sealed {
                stored.words = Words::Erased;
            }
        }
    }

    /// The state. A panic elsewhere cannot leave it half-changed: every change is judged whole before it is made.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn head(&self) -> Position {
        self.events.len() as Position
    }

    /// A read's turn to fail, if it is to.
    fn readable(&mut self) -> Result<(), LogError> {
        if self.failing_reads == 0 {
            return Ok(());
        }
        self.failing_reads -= 1;
        Err(LogError::Unavailable("a fault was asked for".to_owned()))
    }

    /// A chat's last version and its hash.
    fn last(&self, chat_id: ChatId) -> (Version, Digest) {
        let Some(&position) = self.chats.get(&chat_id).and_then(|positions| positions.last()) else {
            return (0, Digest::ZERO);
        };
        let event = &self.events[position as usize - 1].event;
        (event.version, event.hash)
    }

    /// Receipts are judged first: a command that was done before finds its chat moved on, and that is no conflict.
    fn append(&mut self, append: Append) -> Result<Appended, AppendError> {
        let key = append.receipt.as_ref().map(|receipt| (receipt.owner.clone(), receipt.key.clone()));
        if let Some(known) = key.and_then(|key| self.receipts.get(&key)) {
            return Err(AppendError::Duplicate(Box::new(known.clone())));
        }
        well_formed(&append.streams).map_err(AppendError::Failed)?;
        for stream in &append.streams {
            if self.last(stream.chat_id) != (stream.expected_version, stream.expected_hash) {
                return Err(AppendError::Conflict { chat_id: stream.chat_id });
            }
        }
        for stream in append.streams {
            for event in stream.events {
                let position = self.head() + 1;
                self.chats.entry(event.chat_id).or_default().push(position);
                self.events.push(Stored::new(position, event));
            }
        }
        let position = self.head();
        if let Some(new) = append.receipt {
            let receipt = Receipt { request_hash: new.request_hash, position, outcome: new.outcome };
            self.receipts.insert((new.owner, new.key), receipt);
        }
        Ok(Appended { position })
    }
}

/// What no writer may ask for, whatever the log holds: it is a bug of the writer's, and nothing is written.
fn well_formed(streams: &[StreamAppend]) -> Result<(), String> {
    for (index, stream) in streams.iter().enumerate() {
        if streams[..index].iter().any(|other| other.chat_id == stream.chat_id) {
            return Err(format!("{} appears twice in one append", stream.chat_id));
        }
        let fits = |(version, event): (Version, &NewEvent)| event.version == version && event.chat_id == stream.chat_id;
        if !(stream.expected_version + 1..).zip(&stream.events).all(fits) {
            return Err(format!("the events of {} do not follow version {}", stream.chat_id, stream.expected_version));
        }
    }
    Ok(())
}

impl EventLog for MemoryLog {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let (result, woken) = {
                let mut state = self.state();
                let before = state.head();
                let lost = || "a fault was asked for".to_owned();
                let result = match state.faults.pop_front() {
                    None => state.append(append),
                    Some(Fault::Busy) => Err(AppendError::Busy),
                    Some(Fault::Refused) => Err(AppendError::Failed(lost())),
                    Some(Fault::LostBefore) => Err(AppendError::Unknown(lost())),
                    Some(Fault::LostAfter) => state.append(append).and_then(|_| Err(AppendError::Unknown(lost()))),
                };
                let moved = state.head() > before;
                (result, if moved { std::mem::take(&mut state.waiting) } else { BTreeMap::new() })
            };
            woken.into_values().for_each(Waker::wake);
            result
        })
    }

    fn read_chat(&self, chat_id: ChatId, after: Version, limit: usize) -> BoxFuture<'_, Result<Vec<Stored>, LogError>> {
        Box::pin(async move {
            let mut state = self.state();
            state.readable()?;
            let positions = state.chats.get(&chat_id).map_or(&[][..], Vec::as_slice);
            let skipped = usize::try_from(after).unwrap_or(usize::MAX).min(positions.len());
            let page = positions[skipped..].iter().take(limit);
            Ok(page.map(|&position| state.events[position as usize - 1].clone()).collect())
        })
    }

    fn read_all(&self, after: Position, limit: usize) -> BoxFuture<'_, Result<LogPage, LogError>> {
        Box::pin(async move {
            let mut state = self.state();
            state.readable()?;
            let skipped = usize::try_from(after).unwrap_or(usize::MAX).min(state.events.len());
            let events: Vec<Stored> = state.events[skipped..].iter().take(limit).cloned().collect();
            let scanned_to = events.last().map_or(after, |last| last.position);
            Ok(LogPage { events, scanned_to, head: state.head() })
        })
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        Box::pin(async move {
            let mut state = self.state();
            state.readable()?;
            Ok(state.head())
        })
    }

    fn known_head(&self) -> Position {
        self.state().head()
    }

    fn wait_beyond(&self, position: Position) -> BoxFuture<'_, ()> {
        Box::pin(Beyond { log: self, position, ticket: None })
    }

    fn receipt(&self, owner: &str, key: &str) -> BoxFuture<'_, Result<Option<Receipt>, LogError>> {
        let key = (owner.to_owned(), key.to_owned());
        Box::pin(async move {
            let mut state = self.state();
            state.readable()?;
            Ok(state.receipts.get(&key).cloned())
        })
    }

    fn timeline(&self) -> Uuid {
        self.timeline
    }
}

/// Waits for the head to pass a position. Dropped, it leaves no waker behind.
struct Beyond<'a> {
    log: &'a MemoryLog,
    position: Position,
    ticket: Option<u64>,
}

impl Future for Beyond<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let log = self.log;
        let mut state = log.state();
        if state.head() > self.position {
            return Poll::Ready(());
        }
        let ticket = *self.ticket.get_or_insert_with(|| {
            state.next_waiting += 1;
            state.next_waiting
        });
        state.waiting.insert(ticket, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Beyond<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.log.state().waiting.remove(&ticket);
        }
    }
}

/// The parts of one attempt by their number.
type Parts = BTreeMap<u64, NumberedPart>;

/// A part journal in memory. A part written twice is kept once.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    attempts: Mutex<BTreeMap<(ChatId, AttemptId), Parts>>,
}

impl MemoryJournal {
    fn attempts(&self) -> MutexGuard<'_, BTreeMap<(ChatId, AttemptId), Parts>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartJournal for MemoryJournal {
    fn write(
        &self,
        chat_id: ChatId,
        attempt_id: AttemptId,
        parts: Vec<NumberedPart>,
    ) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            let mut attempts = self.attempts();
            attempts.entry((chat_id, attempt_id)).or_default().extend(parts.into_iter().map(|part| (part.n, part)));
            Ok(())
        })
    }

    fn read(&self, chat_id: ChatId, attempt_id: AttemptId) -> BoxFuture<'_, Result<Vec<NumberedPart>, LogError>> {
        Box::pin(async move {
            Ok(self
                .attempts()
                .get(&(chat_id, attempt_id))
                .map(|parts| parts.values().cloned().collect())
                .unwrap_or_default())
        })
    }

    fn forget(&self, chat_id: ChatId, up_to: AttemptId) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            self.attempts().retain(|&(chat, attempt), _| chat != chat_id || attempt > up_to);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
