//! Brings a generation that nobody reads yet to the log's head: while one page is written the next one is folded and
//! the one after it is read.
//!
//! **Invariant:** pages are written one after the other, each in a transaction with its checkpoint, as the engine's own
//! steps are. What is folded ahead knows what is on its way to the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use verbatim_events::chat::Outline;
use verbatim_events::ids::{ChatId, Position};
use verbatim_events::log::{EventLog, LogPage};

use crate::batch::Batch;
use crate::engine::{Engine, Prepared, Progress, Written, recorded_at};
use crate::error::ReadError;
use crate::fingerprint::Stale;
use crate::handle::finished;
use crate::models;

/// How many of the engine's pages make one here: the fixed cost of a transaction, and of the search index's own
/// merging, vanishes, and nobody waits for these rows.
const PAGES_AT_ONCE: usize = 8;

/// Pages that were read and wait to be folded.
const PAGES_AHEAD: usize = 1;

/// Applies the log up to its head. `told` hears of every page.
pub(crate) async fn to_head(
    engine: &mut Engine,
    log: &Arc<dyn EventLog>,
    page_events: usize,
    mut told: impl FnMut(&Progress),
) -> Result<(), ReadError> {
    loop {
        let flowed = flow(engine, log, page_events.saturating_mul(PAGES_AT_ONCE), &mut told).await;
        let Err(problem) = flowed else { return Ok(()) };
        engine.look_again();
        if !problem.is_refusal() {
            return Err(problem);
        }
        // The engine's own step finds the event whose rows the database does not take.
        let progress = engine.step(log.as_ref(), page_events).await?;
        told(&progress);
    }
}

async fn flow(
    engine: &mut Engine,
    log: &Arc<dyn EventLog>,
    page_events: usize,
    told: &mut impl FnMut(&Progress),
) -> Result<(), ReadError> {
    let mut checkpoint = engine.checkpoint().await?.clone();
    let mut pages = read_ahead(Arc::clone(log), checkpoint.position, page_events);
    let mut writing: Option<Writing> = None;
    let flowed = async {
        while let Some(page) = pages.recv().await {
            let began = Instant::now();
            let page = page?;
            if page.head < checkpoint.position {
                return Err(ReadError::Stale(Stale::AheadOfLog { applied: checkpoint.position, head: page.head }));
            }
            let none = HashMap::new();
            let on_the_way: &HashMap<ChatId, Arc<Outline>> =
                writing.as_ref().map_or(&none, |writing| &writing.page.outlines);
            let known = engine.known(&page.events, on_the_way).await?;
            let dialect = engine.generation.database.dialect();
            let LogPage { events, head, scanned_to } = page;
            let progress = Progress { events: events.len(), head, ..Progress::default() };
            let at = recorded_at(&checkpoint, &events);
            // Off the runtime's own threads: they have a server's work to do.
            let mut batch = finished(spawn_blocking(move || Batch::fold(&events, &known)).await)?;
            engine.take_snapshots(log.as_ref(), &mut batch).await?;
            let stating = spawn_blocking(move || {
                let statements = models::statements(&batch, dialect);
                (batch, statements)
            });
            let (batch, statements) = finished(stating.await)?;
            let prepared = engine.prepare(&checkpoint, batch, statements, at, scanned_to)?;
            if let Some(before) = writing.take() {
                told(&before.finish(engine).await?);
            }
            checkpoint = prepared.page.checkpoint.clone();
            let next = Writing::begin(engine, prepared, progress, began);
            if next.page.stopped.is_empty() {
                writing = Some(next);
            } else {
                // Who is stopped is looked up in the database, so it has to be there.
                told(&next.finish(engine).await?);
            }
        }
        Ok(())
    }
    .await;
    // What is being written is waited for, whatever came of the rest.
    if let Some(last) = writing {
        told(&last.finish(engine).await?);
    }
    flowed
}

/// A page that is being written.
struct Writing {
    page: Written,
    progress: Progress,
    began: Instant,
    task: JoinHandle<Result<bool, ReadError>>,
}

impl Writing {
    fn begin(engine: &Engine, prepared: Prepared, progress: Progress, began: Instant) -> Writing {
        let Prepared { guard, statements, page } = prepared;
        let database = engine.generation.database.clone();
        let task = tokio::spawn(async move { database.commit(guard, statements).await });
        Writing { page, progress, began, task }
    }

    async fn finish(self, engine: &mut Engine) -> Result<Progress, ReadError> {
        let Writing { page, mut progress, began, task } = self;
        if !finished(task.await)?? {
            return Err(ReadError::Contended { expected: page.checkpoint.position });
        }
        engine.committed(page, &mut progress);
        let counted = Ok(progress);
        engine.count(began, &counted);
        counted
    }
}

/// Reads the log page by page until its head is reached or nobody wants more.
fn read_ahead(
    log: Arc<dyn EventLog>,
    mut after: Position,
    page_events: usize,
) -> mpsc::Receiver<Result<LogPage, ReadError>> {
    let (send, pages) = mpsc::channel(PAGES_AHEAD);
    tokio::spawn(async move {
        loop {
            let page = log.read_all(after, page_events).await.map_err(ReadError::from);
            let last = match &page {
                Ok(page) if page.scanned_to <= after => return,
                Ok(page) => {
                    after = page.scanned_to;
                    page.scanned_to >= page.head
                }
                Err(_) => true,
            };
            if send.send(page).await.is_err() || last {
                return;
            }
        }
    });
    pages
}
