//! The one writer of a SQLite log: takes what waits, judges it, writes it, commits once, answers, publishes. It has a
//! thread of its own, on which it also waits for the disk: an append costs its caller one hop there and one back.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Duration, timeout};
use verbatim_events::ids::Position;
use verbatim_events::log::{Append, AppendError, LogError};

use super::checkpoint::Checkpoints;
use super::connect::log_writer;
use super::heads::{HeadCache, NO_STREAM};
use super::judge::{Judgement, judge};
use super::lock::LockFile;
use super::look::look;
use super::round::{self, Rows};
use crate::error::OpenError;
use crate::faults::{FaultPoint, ask};
use crate::head::KnownHead;
use crate::keys::{KeyRequest, KeyStoreError, sqlite as keys};
use crate::options::LogOptions;
use crate::prune::{PRUNED_MAX, Pruning};
use crate::queue::{Answer, Inbox, Request};
use crate::receipts::{ForgetRequest, Forgotten, forget_in_sqlite};

/// Heads of chats that the writer remembers.
const HEADS_MAX: usize = 100_000;
/// The writer tidies up when no request came for this long.
const IDLE: Duration = Duration::from_secs(1);

/// How a batch ended badly, for all of its callers.
enum BatchError {
    /// Nothing was written.
    Failed(String),
    /// Nobody knows.
    Unknown(String),
}

impl BatchError {
    fn answer(&self) -> Answer {
        Err(match self {
            BatchError::Failed(problem) => AppendError::Failed(problem.clone()),
            BatchError::Unknown(problem) => AppendError::Unknown(problem.clone()),
        })
    }
}

fn failed(error: impl ToString) -> BatchError {
    BatchError::Failed(error.to_string())
}

/// What the opening of a log hands to its writer.
pub(crate) struct Handover {
    /// The database.
    pub(crate) path: PathBuf,
    /// The log's settings.
    pub(crate) options: LogOptions,
    /// The requests.
    pub(crate) inbox: Inbox,
    /// Changes of the keys.
    pub(crate) key_requests: mpsc::Receiver<KeyRequest>,
    /// Receipts that are to be forgotten.
    pub(crate) forget_requests: mpsc::Receiver<ForgetRequest>,
    /// Turns true when no more requests shall be taken.
    pub(crate) closing: watch::Receiver<bool>,
    /// Where heads are published.
    pub(crate) known_head: KnownHead,
    /// Which opening of the log this is.
    pub(crate) incarnation: i64,
    /// The connection.
    pub(crate) connection: Connection,
    /// Held until the writer is gone.
    pub(crate) lock: LockFile,
}

/// An open connection and the log's head as the writer knows it.
struct Open {
    connection: Connection,
    head: Position,
}

/// The writer's state.
pub(crate) struct Writer {
    path: PathBuf,
    options: LogOptions,
    inbox: Inbox,
    key_requests: mpsc::Receiver<KeyRequest>,
    forget_requests: mpsc::Receiver<ForgetRequest>,
    closing: watch::Receiver<bool>,
    known_head: KnownHead,
    incarnation: i64,
    lock: LockFile,
    /// `None` after an error, until the next batch.
    open: Option<Open>,
    heads: HeadCache,
    checkpoints: Checkpoints,
    pruning: Pruning,
}

impl Writer {
    pub(crate) fn new(handover: Handover) -> Writer {
        let Handover {
            path,
            options,
            inbox,
            key_requests,
            forget_requests,
            closing,
            known_head,
            incarnation,
            connection,
            lock,
        } = handover;
        Writer {
            open: Some(Open { connection, head: known_head.get() }),
            heads: HeadCache::new(HEADS_MAX),
            checkpoints: Checkpoints::new(&path),
            pruning: Pruning::default(),
            path,
            options,
            inbox,
            key_requests,
            forget_requests,
            closing,
            known_head,
            incarnation,
            lock,
        }
    }

    /// Starts the writer on its thread. What it returns is closed when the writer has ended.
    pub(crate) fn start(self, path: &Path) -> Result<oneshot::Receiver<()>, OpenError> {
        let (ends, ended) = oneshot::channel();
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(io)?;
        let work = move || {
            runtime.block_on(self.run());
            drop(ends);
        };
        std::thread::Builder::new().name("verbatim-log".to_owned()).spawn(work).map_err(io)?;
        Ok(ended)
    }

    /// Works until the queue is closed and empty. Then leaves a database with an empty WAL and gives the lock back.
    async fn run(mut self) {
        while let Some(request) = self.next().await {
            let batch = self.inbox.drain(request);
            let began = Instant::now();
            self.serve(batch).await;
            self.inbox.metrics().wrote(began);
            self.housekeeping(false);
        }
        if let Some(Open { connection, .. }) = self.open.take() {
            self.checkpoints.last(&connection);
            if let Err((_, error)) = connection.close() {
                tracing::warn!(path = %self.path.display(), %error, "the log's last connection did not close well");
            }
        }
        drop(self.lock);
    }

    /// The next request, or `None` when there will be none. Tidies up while it waits.
    async fn next(&mut self) -> Option<Request> {
        loop {
            let closed = *self.closing.borrow_and_update();
            if closed {
                self.inbox.close();
            }
            let idle = if self.checkpoints.is_due_when_idle() { IDLE } else { Duration::MAX };
            tokio::select! {
                biased;
                request = timeout(idle, self.inbox.next()) => match request {
                    Ok(request) => return request,
                    Err(_) => self.housekeeping(true),
                },
                // Rare, and behind every append that waits.
                Some(request) = self.key_requests.recv(), if !closed => self.change_keys(request),
                Some(ForgetRequest { forgotten, answer }) = self.forget_requests.recv(), if !closed => {
                    // Whoever no longer waits asks again.
                    let _ = answer.send(self.forget_receipts(&forgotten));
                }
                // An error means that the log is gone and all its senders with it: the queue says so as well.
                changed = self.closing.changed(), if !closed => if changed.is_err() {
                    self.inbox.close();
                    return self.inbox.next().await;
                },
            }
        }
    }

    /// Changes a key in a transaction of its own.
    fn change_keys(&mut self, request: KeyRequest) {
        let open = match self.open.take() {
            Some(open) => open,
            None => match self.reopen() {
                Ok(open) => open,
                Err(BatchError::Failed(problem) | BatchError::Unknown(problem)) => {
                    return request.answer(Err(KeyStoreError::Unavailable(problem)));
                }
            },
        };
        let done = keys::change(&open.connection, request.change());
        self.open = Some(open);
        if done.is_err() {
            self.forget();
        }
        request.answer(done.map_err(KeyStoreError::from));
    }

    /// Forgets receipts in a transaction of its own, and empties the WAL that they stand in.
    fn forget_receipts(&mut self, forgotten: &Forgotten) -> Result<(), LogError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.reopen().map_err(|error| match error {
                BatchError::Failed(problem) | BatchError::Unknown(problem) => LogError::Unavailable(problem),
            })?,
        };
        let done = forget_in_sqlite(&open.connection, forgotten);
        self.open = Some(open);
        if let Err(error) = done {
            self.forget();
            return Err(LogError::Unavailable(error.to_string()));
        }
        let connection = self.open.as_ref().map(|open| &open.connection);
        match connection.map_or(Ok(true), |connection| self.checkpoints.cut_now(connection)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(LogError::Unavailable("the log is being read".to_owned())),
            Err(error) => Err(LogError::Unavailable(error.to_string())),
        }
    }

    async fn serve(&mut self, batch: Vec<Request>) {
        let (appends, callers): (Vec<Append>, Vec<oneshot::Sender<Answer>>) =
            batch.into_iter().map(|request| (request.append, request.answer)).unzip();
        let answers = match self.write(appends).await {
            Ok(answers) => answers,
            Err(error) => {
                self.forget();
                callers.iter().map(|_| error.answer()).collect()
            }
        };
        for (caller, answer) in callers.into_iter().zip(answers) {
            // A caller that no longer waits is no reason to stop: what it asked for is done.
            let _ = caller.send(answer);
        }
    }

    /// Judges, writes and commits a batch, then makes the new head known.
    async fn write(&mut self, appends: Vec<Append>) -> Result<Vec<Answer>, BatchError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.reopen()?,
        };
        let outcome = self.write_to(&mut open, appends).await;
        self.open = Some(open);
        outcome
    }

    async fn write_to(&mut self, open: &mut Open, appends: Vec<Append>) -> Result<Vec<Answer>, BatchError> {
        let Open { connection, head } = open;
        let known = look(connection, &mut self.heads, *head, &appends).map_err(failed)?;
        let judgement = judge(&known, appends);
        if judgement.is_empty() {
            return Ok(judgement.answers);
        }
        let Judgement { events, streams, receipts, answers } = judgement;
        let faults = self.options.faults.as_ref();
        ask(faults, FaultPoint::BeforeWrite).await.map_err(BatchError::Failed)?;

        let new_head = *head + events.len() as u64;
        let (events_count, data_bytes) = (events.len(), events.iter().map(|event| event.data.len()).sum());
        let moves: Vec<_> = streams.into_iter().collect();
        let (created, moved) = moves.iter().copied().partition(|(_, moved)| moved.before == NO_STREAM);
        let (incarnation, now_micros) = (self.incarnation, self.options.now_micros());
        let rows = Rows { created, moved, events, receipts, head: *head, incarnation, now_micros };
        round::write(connection, rows).map_err(failed)?;
        ask(faults, FaultPoint::BeforeCommit).await.map_err(BatchError::Failed)?;

        let unknown = |problem: String| BatchError::Unknown(problem);
        round::commit(connection).map_err(|error| unknown(error.to_string()))?;
        ask(faults, FaultPoint::AfterCommit).await.map_err(unknown)?;

        *head = new_head;
        for (chat_id, moved) in moves {
            self.heads.set(chat_id, moved.after);
        }
        self.checkpoints.wrote(events_count, data_bytes);
        self.known_head.publish(new_head);
        Ok(answers)
    }

    /// After an error the connection and everything remembered are in doubt: the next batch begins anew. Closing the
    /// connection rolls back what was not committed.
    fn forget(&mut self) {
        self.heads.clear();
        if let Some(Open { connection, .. }) = self.open.take()
            && let Err((_, error)) = connection.close()
        {
            tracing::warn!(path = %self.path.display(), %error, "the log's connection did not close well");
        }
    }

    /// Opens the log again after an error, and finds out how it stands.
    fn reopen(&mut self) -> Result<Open, BatchError> {
        let connection = log_writer(&self.path, self.options.file_max_bytes).map_err(failed)?;
        let head = super::open::read_head(&connection).map_err(failed)?;
        // A commit whose outcome was unknown may have happened after all.
        self.known_head.publish(head);
        Ok(Open { connection, head })
    }

    fn housekeeping(&mut self, idle: bool) {
        let Some(Open { connection, .. }) = &mut self.open else { return };
        let now_micros = self.options.now_micros();
        if self.pruning.is_due(now_micros) {
            match prune(connection, self.options.receipts_end_micros()) {
                Ok(removed) => self.pruning.done(now_micros, removed),
                Err(error) => {
                    self.pruning.done(now_micros, 0);
                    tracing::warn!(path = %self.path.display(), %error, "old receipts could not be removed");
                }
            }
        }
        self.checkpoints.run_if_due(connection, idle);
    }
}

/// Removes some receipts from before `end_micros`; returns how many.
fn prune(connection: &Connection, end_micros: i64) -> Result<u64, rusqlite::Error> {
    let statement = "DELETE FROM receipts WHERE (owner, key) IN \
                     (SELECT owner, key FROM receipts WHERE recorded_at < ? ORDER BY recorded_at LIMIT ?)";
    Ok(connection.prepare_cached(statement)?.execute(params![end_micros, PRUNED_MAX])? as u64)
}
