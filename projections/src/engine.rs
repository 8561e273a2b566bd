//! Brings one generation's rows forward, page by page of the log.
//!
//! **Invariant:** a page's rows and its checkpoint are one transaction, and the checkpoint moves only from where this
//! engine believes it to be. Whatever fails, the rows are those of some position of the log.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use verbatim_events::chat::Outline;
use verbatim_events::envelope::Stored;
use verbatim_events::ids::{ChatId, Position};
use verbatim_events::inbox;
use verbatim_events::log::EventLog;

use crate::batch::{Batch, DeadLetter, Known};
use crate::database::{Statement, in_list};
use crate::error::ReadError;
use crate::fingerprint::{Stale, fingerprint};
use crate::generation::{Checkpoint, Generation};
use crate::metrics::Metrics;
use crate::models;
use crate::outlines::Outlines;
use crate::snapshots::Folded;

/// Outlines kept in memory, about 3 kB each: the chats of the last seconds.
const OUTLINES_MAX: usize = 2048;

/// Outlines kept in memory while all rows are made anew, when many chats' whole lives pass in a second.
const OUTLINES_MAX_REBUILDING: usize = 8192;

/// What one step came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Events that were looked at.
    pub events: usize,
    /// The position up to which the rows stand.
    pub applied: Position,
    /// The log's head when the page was read.
    pub head: Position,
    /// When the newest applied event was decided.
    pub recorded_at: Option<DateTime<Utc>>,
    /// Events that stopped their chat's projection in this step.
    pub dead_letters: Vec<DeadLetter>,
    /// Events that were passed over because their chat's projection had stopped before.
    pub skipped: usize,
    /// Nothing was applied here: another process runs another version of the program, and it is its rows that are live.
    pub following: bool,
}

impl Progress {
    /// There is nothing left to apply.
    pub fn at_head(&self) -> bool {
        self.applied >= self.head
    }
}

/// What to do with an event that cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnPoison {
    /// Set it aside and go on with the other chats.
    SetAside,
    /// Fail.
    Fail,
}

/// A page that is ready to be written.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Moves the checkpoint.
    pub(crate) guard: Statement,
    /// Write the rows.
    pub(crate) statements: Vec<Statement>,
    /// What is so once both are done.
    pub(crate) page: Written,
}

/// What is so once a page is written.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) checkpoint: Checkpoint,
    /// The chats that it changed, as they are after it.
    pub(crate) outlines: HashMap<ChatId, Arc<Outline>>,
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// The chats that stopped, whatever the reason.
    pub(crate) stopped: Vec<ChatId>,
    pub(crate) skipped: usize,
}

/// Applies the log to one generation.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) generation: Arc<Generation>,
    /// Where the rows stand; absent until it was read, and after a failure.
    checkpoint: Option<Checkpoint>,
    outlines: Outlines,
    outlines_max: usize,
    folded: Folded,
    on_poison: OnPoison,
    metrics: Metrics,
}

impl Engine {
    /// The engine of a live generation: it sets poison aside.
    pub(crate) fn live(generation: Arc<Generation>) -> Engine {
        Engine::new(generation, OnPoison::SetAside, OUTLINES_MAX)
    }

    /// The engine of a generation that is being built.
    pub(crate) fn building(generation: Arc<Generation>, on_poison: OnPoison) -> Engine {
        Engine::new(generation, on_poison, OUTLINES_MAX_REBUILDING)
    }

    fn new(generation: Arc<Generation>, on_poison: OnPoison, outlines_max: usize) -> Engine {
        let (outlines, metrics) = (Outlines::new(outlines_max), Metrics::new());
        Engine { generation, checkpoint: None, outlines, outlines_max, folded: Folded::default(), on_poison, metrics }
    }

    /// From now on it is the engine of a live generation.
    pub(crate) fn go_live(&mut self) {
        self.on_poison = OnPoison::SetAside;
        self.outlines_max = OUTLINES_MAX;
        self.outlines = Outlines::new(OUTLINES_MAX);
    }

    /// Where the rows stand.
    pub(crate) async fn checkpoint(&mut self) -> Result<&Checkpoint, ReadError> {
        let checkpoint = match self.checkpoint.take() {
            Some(checkpoint) => checkpoint,
            None => self.generation.checkpoint().await?,
        };
        Ok(self.checkpoint.insert(checkpoint))
    }

    /// Applies one page of at most `page_events` events.
    pub(crate) async fn step(&mut self, log: &dyn EventLog, page_events: usize) -> Result<Progress, ReadError> {
        let began = Instant::now();
        let progress = self.try_step(log, page_events).await;
        self.count(began, &progress);
        if progress.is_err() {
            self.look_again();
        }
        progress
    }

    async fn try_step(&mut self, log: &dyn EventLog, page_events: usize) -> Result<Progress, ReadError> {
        let checkpoint = self.checkpoint().await?.clone();
        if checkpoint.fingerprint != fingerprint() {
            return Err(ReadError::Stale(Stale::OtherProgram));
        }
        if checkpoint.timeline != log.timeline() {
            return Err(ReadError::Stale(Stale::OtherTimeline));
        }
        if checkpoint.retired {
            return Err(ReadError::Contended { expected: checkpoint.position });
        }
        let page = log.read_all(checkpoint.position, page_events).await?;
        if page.head < checkpoint.position {
            return Err(ReadError::Stale(Stale::AheadOfLog { applied: checkpoint.position, head: page.head }));
        }
        let mut progress = Progress {
            events: page.events.len(),
            applied: checkpoint.position,
            head: page.head,
            recorded_at: checkpoint.recorded_at,
            ..Progress::default()
        };
        if page.scanned_to <= checkpoint.position {
            return Ok(progress);
        }
        let events = page.events;
        match self.apply(log, &checkpoint, &events, page.scanned_to, &mut progress).await {
            // Some row is one that the database does not take. Event by event, only that one's chat has to stop.
            Err(refusal) if refusal.is_refusal() => {
                tracing::warn!(error = %refusal, "the database refuses a page of rows; its events are applied one by one");
                self.apply_singly(log, checkpoint, &events, page.scanned_to, &mut progress).await?;
            }
            applied => applied?,
        }
        Ok(progress)
    }

    /// Applies `events` and moves the checkpoint from `checkpoint` to `scanned_to`, in one transaction.
    async fn apply(
        &mut self,
        log: &dyn EventLog,
        checkpoint: &Checkpoint,
        events: &[Stored],
        scanned_to: Position,
        progress: &mut Progress,
    ) -> Result<(), ReadError> {
        let known = self.known(events, &HashMap::new()).await?;
        let mut batch = Batch::fold(events, &known);
        self.take_snapshots(log, &mut batch).await?;
        self.write(checkpoint, batch, recorded_at(checkpoint, events), scanned_to, progress).await
    }

    /// As `apply`, a transaction per event. An event whose rows the database does not take is poison.
    async fn apply_singly(
        &mut self,
        log: &dyn EventLog,
        mut checkpoint: Checkpoint,
        events: &[Stored],
        scanned_to: Position,
        progress: &mut Progress,
    ) -> Result<(), ReadError> {
        for (index, stored) in events.iter().enumerate() {
            let event = std::slice::from_ref(stored);
            let position = if index + 1 == events.len() { scanned_to } else { stored.position };
            match self.apply(log, &checkpoint, event, position, progress).await {
                Err(refusal) if refusal.is_refusal() => {
                    let batch = Batch::poison(stored, refusal.to_string());
                    self.write(&checkpoint, batch, recorded_at(&checkpoint, event), position, progress).await?;
                }
                applied => applied?,
            }
            checkpoint = self.checkpoint().await?.clone();
        }
        Ok(())
    }

    async fn write(
        &mut self,
        checkpoint: &Checkpoint,
        batch: Batch,
        recorded_at: Option<DateTime<Utc>>,
        scanned_to: Position,
        progress: &mut Progress,
    ) -> Result<(), ReadError> {
        let statements = models::statements(&batch, self.generation.database.dialect());
        let prepared = self.prepare(checkpoint, batch, statements, recorded_at, scanned_to)?;
        let Prepared { guard, statements, page } = prepared;
        if !self.generation.database.commit(guard, statements).await? {
            return Err(ReadError::Contended { expected: checkpoint.position });
        }
        self.committed(page, progress);
        Ok(())
    }

    /// What has to be written to bring the rows from `checkpoint` over a batch.
    pub(crate) fn prepare(
        &self,
        checkpoint: &Checkpoint,
        batch: Batch,
        statements: Vec<Statement>,
        recorded_at: Option<DateTime<Utc>>,
        scanned_to: Position,
    ) -> Result<Prepared, ReadError> {
        if let (OnPoison::Fail, Some(letter)) = (self.on_poison, batch.dead_letters.first()) {
            return Err(ReadError::Poison {
                chat_id: letter.chat_id,
                position: letter.position,
                problem: letter.problem.clone(),
            });
        }
        let page = Written {
            checkpoint: Checkpoint { position: scanned_to, recorded_at, ..checkpoint.clone() },
            outlines: batch.chats.into_iter().map(|(chat_id, touched)| (chat_id, touched.after)).collect(),
            stopped: batch.dead_letters.iter().map(|letter| letter.chat_id).collect(),
            dead_letters: batch.dead_letters,
            skipped: batch.skipped,
        };
        Ok(Prepared { guard: checkpoint.advance(scanned_to, recorded_at), statements, page })
    }

    /// Takes note of rows that the database holds now.
    pub(crate) fn committed(&mut self, page: Written, progress: &mut Progress) {
        for outline in page.outlines.into_values() {
            self.outlines.put(outline);
        }
        for chat_id in page.stopped {
            // The cache holds sound chats only, so a stopped one is looked up in the database.
            self.outlines.forget(chat_id);
        }
        progress.applied = page.checkpoint.position;
        progress.recorded_at = page.checkpoint.recorded_at;
        progress.skipped += page.skipped;
        progress.dead_letters.extend(page.dead_letters);
        self.checkpoint = Some(page.checkpoint);
    }

    /// Forgets everything it believes: nobody knows what the database holds now.
    pub(crate) fn look_again(&mut self) {
        self.checkpoint = None;
        self.outlines = Outlines::new(self.outlines_max);
        self.folded.forget();
    }

    /// Adds the snapshots that come due within a batch. Of rows that are still on their way to the database an older
    /// state is found, or none: more is folded then, and the same comes out.
    pub(crate) async fn take_snapshots(&mut self, log: &dyn EventLog, batch: &mut Batch) -> Result<(), ReadError> {
        batch.snapshots = self.folded.take(&self.generation.database, log, batch).await?;
        Ok(())
    }

    /// Counts a page that took since `began`.
    pub(crate) fn count(&self, began: Instant, progress: &Result<Progress, ReadError>) {
        self.metrics.step(began, progress);
    }

    /// What the rows say of a page's chats before the page. `on_the_way` are those that are being written just now: of
    /// them the database still tells what was before.
    pub(crate) async fn known(
        &mut self,
        events: &[Stored],
        on_the_way: &HashMap<ChatId, Arc<Outline>>,
    ) -> Result<HashMap<ChatId, Known>, ReadError> {
        let mut known = HashMap::new();
        let mut unknown = BTreeSet::new();
        for stored in events {
            let chat_id = stored.event.chat_id;
            let has_rows = chat_id.is_chat() || inbox::is_stream(chat_id);
            if !has_rows || known.contains_key(&chat_id) || unknown.contains(&chat_id.0) {
                continue;
            }
            match on_the_way.get(&chat_id).cloned().or_else(|| self.outlines.get(chat_id)) {
                Some(outline) => {
                    known.insert(chat_id, Known { outline: Some(outline), poisoned: false });
                }
                // A chat's first event cannot have rows before it.
                None if stored.event.version == 1 => {
                    known.insert(chat_id, Known::default());
                }
                None => {
                    unknown.insert(chat_id.0);
                }
            }
        }
        let unknown: Vec<_> = unknown.into_iter().collect();
        for statement in in_list("SELECT chat_id, outline FROM chats WHERE chat_id IN ", "", &unknown) {
            for row in self.generation.database.fetch(statement).await? {
                let outline: Outline = row.json(1)?;
                known.insert(ChatId(row.id(0)?), Known { outline: Some(Arc::new(outline)), poisoned: false });
            }
        }
        for statement in in_list("SELECT chat_id FROM dead_letters WHERE chat_id IN ", "", &unknown) {
            for row in self.generation.database.fetch(statement).await? {
                known.entry(ChatId(row.id(0)?)).or_default().poisoned = true;
            }
        }
        Ok(known)
    }
}

/// When the newest of `events` was decided, or of those before.
pub(crate) fn recorded_at(checkpoint: &Checkpoint, events: &[Stored]) -> Option<DateTime<Utc>> {
    events.last().map(|stored| stored.event.recorded_at).or(checkpoint.recorded_at)
}
