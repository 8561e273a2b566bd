//! The writer of one node: takes what waits, has the database judge and write it in one statement, answers, publishes.
//! Other nodes write the same log; the database compares and sets. The writer outlives the database.

use std::time::Instant;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{Connection, Executor};
use tokio::sync::{oneshot, watch};
use tokio::time::{Duration, timeout};
use verbatim_events::log::{Append, AppendError};

use super::batch::{Columns, verdict};
use super::connect::{self, ANSWER_TIMEOUT};
use crate::faults::{FaultPoint, ask};
use crate::head::KnownHead;
use crate::options::LogOptions;
use crate::prune::{PRUNED_MAX, Pruning};
use crate::queue::{Answer, Inbox, Request};

/// How often a batch is judged anew when another node was faster.
const TRIES_MAX: u32 = 4;
/// The writer looks at the clock when no request came for this long.
const IDLE: Duration = Duration::from_secs(60);

/// How a batch ended badly, for all of its callers.
#[derive(Debug)]
enum BatchError {
    /// Nothing was written, and the connection is fine.
    Refused(String),
    /// Nothing was written; the connection is gone or was never made.
    Failed(String),
    /// Nobody knows; the connection is gone.
    Unknown(String),
}

impl BatchError {
    fn answer(&self) -> Answer {
        Err(match self {
            BatchError::Refused(problem) | BatchError::Failed(problem) => AppendError::Failed(problem.clone()),
            BatchError::Unknown(problem) => AppendError::Unknown(problem.clone()),
        })
    }
}

/// The writer's state.
pub(crate) struct Writer {
    pub(crate) address: PgConnectOptions,
    pub(crate) options: LogOptions,
    pub(crate) inbox: Inbox,
    /// Turns true when no more requests shall be taken.
    pub(crate) closing: watch::Receiver<bool>,
    pub(crate) known_head: KnownHead,
    /// `None` after an error, until the next batch.
    pub(crate) connection: Option<PgConnection>,
    pub(crate) pruning: Pruning,
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub(crate) async fn run(mut self) {
        while let Some(request) = self.next().await {
            // Callers that were just answered get their turn, so that what they send next is in this batch.
            tokio::task::yield_now().await;
            let batch = self.inbox.drain_distinct(request);
            let began = Instant::now();
            self.serve(batch).await;
            self.inbox.metrics().wrote(began);
            self.prune().await;
        }
        if let Some(connection) = self.connection.take() {
            // The server notices by itself that we are gone.
            let _ = connection.close().await;
        }
    }

    /// The next request, or `None` when there will be none.
    async fn next(&mut self) -> Option<Request> {
        loop {
            let closed = *self.closing.borrow_and_update();
            if closed {
                self.inbox.close();
            }
            tokio::select! {
                biased;
                request = timeout(IDLE, self.inbox.next()) => match request {
                    Ok(request) => return request,
                    Err(_) => self.prune().await,
                },
                // An error means that the log is gone and all its senders with it: the queue says so as well.
                changed = self.closing.changed(), if !closed => if changed.is_err() {
                    self.inbox.close();
                    return self.inbox.next().await;
                },
            }
        }
    }

    async fn serve(&mut self, batch: Vec<Request>) {
        let (appends, callers): (Vec<Append>, Vec<oneshot::Sender<Answer>>) =
            batch.into_iter().map(|request| (request.append, request.answer)).unzip();
        let columns = Columns::new(appends);
        let answers = match self.write(&columns).await {
            Ok(answers) => answers,
            Err(error) => {
                if !matches!(error, BatchError::Refused(_)) {
                    self.connection = None;
                }
                callers.iter().map(|_| error.answer()).collect()
            }
        };
        for (caller, answer) in callers.into_iter().zip(answers) {
            // A caller that no longer waits is no reason to stop: what it asked for is done.
            let _ = caller.send(answer);
        }
    }

    /// Writes a batch and makes the new head known.
    async fn write(&mut self, columns: &Columns) -> Result<Vec<Answer>, BatchError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let connected = connect::writer(&self.address).await;
                none.insert(connected.map_err(|error| BatchError::Failed(error.to_string()))?)
            }
        };
        ask(self.options.faults.as_ref(), FaultPoint::BeforeWrite).await.map_err(BatchError::Refused)?;
        let mut tries = 0;
        let rows = loop {
            tries += 1;
            let sent = timeout(ANSWER_TIMEOUT, send(connection, &self.options, columns)).await;
            let silence = || BatchError::Unknown("the database did not answer in time".to_owned());
            match sent.map_err(|_| silence())? {
                Err(SendError::Faster(_)) if tries < TRIES_MAX => {}
                Err(SendError::Faster(problem)) => return Err(BatchError::Refused(problem)),
                Err(SendError::Batch(error)) => return Err(error),
                Ok(rows) => break rows,
            }
        };
        ask(self.options.faults.as_ref(), FaultPoint::AfterCommit).await.map_err(BatchError::Unknown)?;
        // The batch is committed: an answer that cannot be read leaves its callers to find out.
        let verdict = verdict(&rows).map_err(|error| BatchError::Unknown(error.to_string()))?;
        if verdict.answers.len() != columns.len() {
            return Err(BatchError::Unknown("the database answered another number of requests".to_owned()));
        }
        self.known_head.publish(verdict.head);
        Ok(verdict.answers)
    }

    /// Removes old receipts, if it is time.
    async fn prune(&mut self) {
        let now_micros = self.options.now_micros();
        let Some(connection) = &mut self.connection else { return };
        if !self.pruning.is_due(now_micros) {
            return;
        }
        let statement = "DELETE FROM receipts WHERE (owner, key) IN \
                         (SELECT owner, key FROM receipts WHERE recorded_at < $1 ORDER BY recorded_at LIMIT $2 \
                         FOR UPDATE SKIP LOCKED)";
        let query = sqlx::query(statement).bind(self.options.receipts_end_micros()).bind(PRUNED_MAX);
        match timeout(ANSWER_TIMEOUT, query.execute(connection)).await {
            Ok(Ok(done)) => self.pruning.done(now_micros, done.rows_affected()),
            failed => {
                self.pruning.done(now_micros, 0);
                self.connection = None;
                tracing::warn!(?failed, "old receipts could not be removed");
            }
        }
    }
}

/// Why one try of a batch was not committed, as far as anybody knows.
enum SendError {
    /// Another node wrote in between. Nothing of this try was written; a new try is judged anew.
    Faster(String),
    /// The batch ends.
    Batch(BatchError),
}

/// Sends a batch once. With faults to inject the commit is a step of its own; else it is part of the statement.
async fn send(connection: &mut PgConnection, options: &LogOptions, columns: &Columns) -> Result<Vec<PgRow>, SendError> {
    let now_micros = options.now_micros();
    let Some(faults) = &options.faults else {
        return columns.append(connection, now_micros).await.map_err(classify);
    };
    connection.execute("BEGIN").await.map_err(classify)?;
    let written = async {
        let rows = columns.append(connection, now_micros).await.map_err(classify)?;
        let fault = ask(Some(faults), FaultPoint::BeforeCommit).await;
        fault.map_err(|problem| SendError::Batch(BatchError::Refused(problem)))?;
        Ok(rows)
    };
    match written.await {
        Ok(rows) => {
            connection.execute("COMMIT").await.map_err(classify)?;
            Ok(rows)
        }
        Err(error) => {
            // If this fails the connection is lost, and the server rolls back by itself.
            if connection.execute("ROLLBACK").await.is_err() {
                return Err(SendError::Batch(BatchError::Failed("the connection was lost".to_owned())));
            }
            Err(error)
        }
    }
}

/// What an error says about the batch. An error report of the server means that the statement and its transaction were
/// rolled back, except where the server was being stopped: it may have reported that instead of a commit.
fn classify(error: sqlx::Error) -> SendError {
    let problem = error.to_string();
    let code = error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
    match code.as_deref() {
        // Unique violation, serialization failure, deadlock.
        Some("23505" | "40001" | "40P01") => SendError::Faster(problem),
        // Statement completion unknown; an operator stops the server or the session; the connection; internal errors.
        Some(code)
            if code == "40003" || code.starts_with("57P") || code.starts_with("08") || code.starts_with("XX") =>
        {
            SendError::Batch(BatchError::Unknown(problem))
        }
        Some(_) => SendError::Batch(BatchError::Refused(problem)),
        None => SendError::Batch(BatchError::Unknown(problem)),
    }
}
