//! What both part journals share: a bounded queue to one writer, which writes what waits in one transaction.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use verbatim_events::ids::{AttemptId, ChatId};
use verbatim_events::log::{BoxFuture, LogError};
use verbatim_events::part::NumberedPart;

use crate::metrics::JournalMetrics;

/// Writes that may wait; one more waits for its place.
const QUEUE_MAX: usize = 1024;
/// Writes done at once, at most.
const BATCH_MAX: usize = 256;

/// A part's address in the journal.
pub(crate) type PartKey = (ChatId, AttemptId, u64);

/// A part as it is kept: the version it follows, and its JSON.
pub(crate) type PartValue = (u64, Vec<u8>);

/// A change of the journal.
enum Change {
    Write(Vec<(PartKey, PartValue)>),
    Forget(ChatId, AttemptId),
}

/// A change that waits, with the way back to its caller.
struct Request {
    change: Change,
    answer: oneshot::Sender<Result<(), LogError>>,
}

/// What several changes come to. Parts of a forgotten attempt that came with the same batch are forgotten, too.
#[derive(Default)]
pub(crate) struct Batch {
    /// Parts to write. Each address occurs once: of two, the later counts.
    pub(crate) parts: BTreeMap<PartKey, PartValue>,
    /// Attempts to forget after that, up to and including each, per chat.
    pub(crate) forgotten: BTreeMap<ChatId, AttemptId>,
}

/// A database that keeps parts.
pub(crate) trait PartStore: Send + 'static {
    /// Does a batch in one transaction.
    fn apply(&mut self, batch: Batch) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Leaves the database when no more batches come.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// The callers' end of the queue. The writer ends when all of them are gone.
#[derive(Clone)]
struct PartQueue {
    sender: mpsc::Sender<Request>,
}

impl PartQueue {
    /// A queue, and the writer that must be spawned to empty it.
    fn new<S: PartStore>(store: S) -> (PartQueue, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        (PartQueue { sender }, serve(store, receiver))
    }

    /// Keeps parts. Done once handed over, even if nobody waits any more.
    async fn write(&self, chat_id: ChatId, attempt_id: AttemptId, parts: Vec<NumberedPart>) -> Result<(), LogError> {
        let mut rows = Vec::with_capacity(parts.len());
        for part in parts {
            let json = serde_json::to_vec(&part.part).map_err(|error| LogError::Unavailable(error.to_string()))?;
            rows.push(((chat_id, attempt_id, part.n), (part.after_version, json)));
        }
        match rows.is_empty() {
            true => Ok(()),
            false => self.change(Change::Write(rows)).await,
        }
    }

    /// Forgets a chat's attempts up to and including one.
    async fn forget(&self, chat_id: ChatId, up_to: AttemptId) -> Result<(), LogError> {
        self.change(Change::Forget(chat_id, up_to)).await
    }

    async fn change(&self, change: Change) -> Result<(), LogError> {
        let (answer, answered) = oneshot::channel();
        self.sender.send(Request { change, answer }).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

/// A journal's writer and the way to it, until the journal is closed.
pub(crate) struct Writing {
    queue: Mutex<Option<PartQueue>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Writing {
    /// Starts the writer to a database.
    pub(crate) fn start<S: PartStore>(store: S, runtime: &Handle) -> Writing {
        let (queue, writer) = PartQueue::new(store);
        Writing { queue: Mutex::new(Some(queue)), writer: Mutex::new(Some(runtime.spawn(writer))) }
    }

    /// Takes nothing more. Done when what waits is written and the writer has left the database.
    pub(crate) fn close(&self) -> impl Future<Output = ()> + Send + 'static {
        drop(self.queue.lock().take());
        let writer = self.writer.lock().take();
        async move {
            if let Some(writer) = writer {
                // A writer that panicked has nothing left to wait for.
                let _ = writer.await;
            }
        }
    }

    fn queue(&self) -> Result<PartQueue, LogError> {
        self.queue.lock().clone().ok_or_else(closed)
    }

    /// As `PartJournal::write`.
    pub(crate) fn write(
        &self,
        chat_id: ChatId,
        attempt_id: AttemptId,
        parts: Vec<NumberedPart>,
    ) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move { self.queue()?.write(chat_id, attempt_id, parts).await })
    }

    /// As `PartJournal::forget`.
    pub(crate) fn forget(&self, chat_id: ChatId, up_to: AttemptId) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move { self.queue()?.forget(chat_id, up_to).await })
    }
}

fn closed() -> LogError {
    LogError::Unavailable("the part journal is closed".to_owned())
}

async fn serve<S: PartStore>(mut store: S, mut receiver: mpsc::Receiver<Request>) {
    let metrics = JournalMetrics::new();
    let mut requests = Vec::new();
    while receiver.recv_many(&mut requests, BATCH_MAX).await > 0 {
        let mut batch = Batch::default();
        let mut callers = Vec::with_capacity(requests.len());
        for Request { change, answer } in requests.drain(..) {
            match change {
                Change::Write(rows) => batch.parts.extend(rows),
                Change::Forget(chat_id, up_to) => {
                    let forgotten = batch.forgotten.entry(chat_id).or_default();
                    *forgotten = up_to.max(*forgotten);
                }
            }
            callers.push(answer);
        }
        let (began, parts) = (Instant::now(), batch.parts.len());
        let result = store.apply(batch).await;
        metrics.wrote(began, parts, result.is_ok());
        for caller in callers {
            // A caller that no longer waits needs no answer.
            let _ = caller.send(match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(LogError::Unavailable(error.to_string())),
            });
        }
    }
    store.close().await;
}

/// A part from its columns. The journal is written and read by one program: what does not decode is damage.
pub(crate) fn part(n: i64, after_version: i64, json: &[u8]) -> Result<NumberedPart, LogError> {
    let damaged = |problem: String| LogError::Damaged { position: 0, problem };
    Ok(NumberedPart {
        n: u64::try_from(n).map_err(|_| damaged(format!("part number {n}")))?,
        after_version: u64::try_from(after_version).map_err(|_| damaged(format!("part after {after_version}")))?,
        part: serde_json::from_slice(json).map_err(|error| damaged(format!("part {n} cannot be read: {error}")))?,
    })
}
