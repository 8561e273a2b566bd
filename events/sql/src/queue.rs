//! The way to the writer: a bounded queue of requests, and how a batch is taken from it.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use verbatim_events::ids::ChatId;
use verbatim_events::log::{Append, AppendError, Appended};

use crate::metrics::LogMetrics;
use crate::options::{BATCH_BYTES_MAX, BATCH_REQUESTS_MAX};

/// What a caller gets.
pub(crate) type Answer = Result<Appended, AppendError>;

/// An append that waits for the writer, with the way back to its caller.
pub(crate) struct Request {
    pub(crate) append: Append,
    pub(crate) answer: oneshot::Sender<Answer>,
    size_bytes: usize,
}

impl Request {
    pub(crate) fn new(append: Append) -> (Request, oneshot::Receiver<Answer>) {
        let (answer, receiver) = oneshot::channel();
        let events = append.streams.iter().flat_map(|stream| &stream.events);
        let receipt = append.receipt.iter().map(|receipt| receipt.outcome.len());
        let size_bytes = events.map(|event| event.data.len()).chain(receipt).sum();
        (Request { append, answer, size_bytes }, receiver)
    }
}

/// The callers' end of the queue.
#[derive(Clone)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Request>,
    metrics: LogMetrics,
}

impl Queue {
    /// A queue for `max` waiting requests, and the writer's end of it.
    pub(crate) fn new(max: usize) -> (Queue, Inbox) {
        let (sender, receiver) = mpsc::channel(max.max(1));
        let metrics = LogMetrics::new();
        (Queue { sender, metrics: metrics.clone() }, Inbox { receiver, put_off: VecDeque::new(), metrics })
    }

    /// Hands an append to the writer and waits for its answer. Once handed over it is done even if nobody waits any
    /// more.
    pub(crate) async fn append(&self, append: Append) -> Answer {
        let began = Instant::now();
        let answer = self.hand_over(append).await;
        self.metrics.answered(began, &answer);
        answer
    }

    async fn hand_over(&self, append: Append) -> Answer {
        check(&append).map_err(AppendError::Failed)?;
        let (request, answer) = Request::new(append);
        self.sender.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AppendError::Busy,
            mpsc::error::TrySendError::Closed(_) => AppendError::Failed("the log is closed".to_owned()),
        })?;
        answer.await.unwrap_or_else(|_| Err(AppendError::Unknown("the writer stopped before it answered".to_owned())))
    }
}

/// The writer's end of the queue.
pub(crate) struct Inbox {
    receiver: mpsc::Receiver<Request>,
    /// Requests that were drained but belong into a later batch; they come before everything that still waits.
    put_off: VecDeque<Request>,
    metrics: LogMetrics,
}

impl Inbox {
    /// The next request; `None` when the queue is closed and empty.
    pub(crate) async fn next(&mut self) -> Option<Request> {
        match self.put_off.pop_front() {
            Some(request) => Some(request),
            None => self.receiver.recv().await,
        }
    }

    /// The figures that the writer adds to.
    pub(crate) fn metrics(&self) -> &LogMetrics {
        &self.metrics
    }

    /// Takes no more requests; those that wait can still be drained.
    pub(crate) fn close(&mut self) {
        self.receiver.close();
    }

    /// A batch that begins with `first` and takes what waits already, up to the bounds.
    pub(crate) fn drain(&mut self, first: Request) -> Vec<Request> {
        self.drain_where(first, |_| true)
    }

    /// As `drain`, but with at most one request per chat and per receipt's key; the others wait for the next batch.
    pub(crate) fn drain_distinct(&mut self, first: Request) -> Vec<Request> {
        let mut chats: HashSet<ChatId> = HashSet::new();
        let mut keys: HashSet<(String, String)> = HashSet::new();
        self.drain_where(first, move |request| {
            let key = request.append.receipt.as_ref().map(|receipt| (receipt.owner.clone(), receipt.key.clone()));
            let fresh = request.append.streams.iter().all(|stream| !chats.contains(&stream.chat_id))
                && key.as_ref().is_none_or(|key| !keys.contains(key));
            // A request that waits holds its chats and key as well: what comes after it must not overtake it.
            chats.extend(request.append.streams.iter().map(|stream| stream.chat_id));
            keys.extend(key);
            fresh
        })
    }

    fn drain_where(&mut self, first: Request, mut admit: impl FnMut(&Request) -> bool) -> Vec<Request> {
        let mut size_bytes = first.size_bytes;
        admit(&first);
        let mut batch = vec![first];
        let mut later = VecDeque::new();
        while batch.len() < BATCH_REQUESTS_MAX && later.len() < BATCH_REQUESTS_MAX && size_bytes < BATCH_BYTES_MAX {
            let Some(request) = self.put_off.pop_front().or_else(|| self.receiver.try_recv().ok()) else { break };
            if admit(&request) {
                size_bytes += request.size_bytes;
                batch.push(request);
            } else {
                later.push_back(request);
            }
        }
        later.append(&mut self.put_off);
        self.put_off = later;
        let streams = batch.iter().flat_map(|request| &request.append.streams);
        self.metrics.batch(batch.len(), streams.map(|stream| stream.events.len()).sum());
        batch
    }
}

/// What the writer relies on and a caller's bug could break.
fn check(append: &Append) -> Result<(), String> {
    let mut chats = HashSet::new();
    for stream in &append.streams {
        let chat_id = stream.chat_id;
        if !chats.insert(chat_id) {
            return Err(format!("{chat_id} occurs twice in one append"));
        }
        let last = stream.expected_version.checked_add(stream.events.len() as u64);
        if last.is_none_or(|last| i64::try_from(last).is_err()) {
            return Err(format!("version {} of {chat_id} is too large", stream.expected_version));
        }
        for (event, expected) in stream.events.iter().zip(stream.expected_version + 1..) {
            if event.chat_id != chat_id || event.version != expected {
                return Err(format!(
                    "event {} of {} stands where event {expected} of {chat_id} belongs",
                    event.version, event.chat_id
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
