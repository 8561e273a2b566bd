//! Rebuilds: a new generation grows beside the live one from the log's beginning, is compared with it on request, and
//! takes its place without a reader noticing. The old rows go when nobody reads them any more.

use std::sync::Arc;

use tokio::sync::watch;
use verbatim_events::ids::Position;

use crate::engine::{Engine, OnPoison, Progress};
use crate::error::ReadError;
use crate::fingerprint::fingerprint;
use crate::generation::{Checkpoint, Generation, Home};
use crate::handle::{Inner, ReadModels};
use crate::models::projection_names;
use crate::pipeline;
use crate::verify;

/// What to rebuild, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebuildRequest {
    /// Names of projections; all where empty. Since all share one generation, naming one rebuilds them all.
    pub projections: Vec<String>,
    /// Whether every row must be the live one's before it takes its place.
    pub verify: Verify,
    /// What to do with an event that cannot be applied.
    pub on_poison: PoisonPolicy,
}

/// Whether a rebuild compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// The new rows are taken as they are.
    #[default]
    Trust,
    /// Every row is compared with the live one at one position; the first difference fails the rebuild.
    Compare,
}

/// What a rebuild does with an event that cannot be applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoisonPolicy {
    /// It fails, and the live generation stays.
    #[default]
    Fail,
    /// It sets the event aside, as the live generation does.
    SetAside,
}

/// Where a rebuild stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebuildProgress {
    /// What it does.
    pub phase: RebuildPhase,
    /// The generation that it builds; 0 before there was one.
    pub generation: u64,
    /// Events applied so far.
    pub applied: Position,
    /// Events of the log when last looked at.
    pub head: Position,
    /// Rows compared so far.
    pub rows_compared: u64,
}

/// What a rebuild does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RebuildPhase {
    /// Nothing: none was asked for yet.
    #[default]
    Idle,
    /// It applies the log.
    Building,
    /// It compares.
    Verifying,
    /// The new generation is live.
    Done,
    /// It failed; the live generation stayed. The text says why.
    Failed(String),
}

/// What a rebuild came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuildReport {
    /// The generation that is live now.
    pub generation: u64,
    /// The position up to which its rows stand.
    pub applied: Position,
    /// Events that were applied.
    pub events: u64,
    /// Rows that were compared.
    pub rows_compared: u64,
    /// Events that were set aside.
    pub dead_letters: u64,
}

impl ReadModels {
    /// Builds all rows anew beside the live ones, then swaps. Goes on to its end if the caller goes away.
    pub async fn rebuild(&self, request: RebuildRequest) -> Result<RebuildReport, ReadError> {
        for name in &request.projections {
            if !projection_names().any(|known| known == name) {
                let known = projection_names().collect::<Vec<_>>().join(", ");
                return Err(ReadError::UnknownProjection { name: name.clone(), known });
            }
        }
        let inner = Arc::clone(&self.inner);
        self.on_runtime(async move {
            let _alone = inner.rebuilding.try_lock().map_err(|_| ReadError::RebuildRunning)?;
            let rebuilt = inner.rebuild(&request).await;
            inner.rebuild_progress.send_modify(|progress| match &rebuilt {
                Ok(_) => progress.phase = RebuildPhase::Done,
                Err(error) => progress.phase = RebuildPhase::Failed(error.to_string()),
            });
            rebuilt
        })
        .await
    }

    /// Where the running rebuild stands, or how the last one ended.
    pub fn rebuild_progress(&self) -> watch::Receiver<RebuildProgress> {
        self.inner.rebuild_progress.subscribe()
    }
}

impl Inner {
    /// Removes what a rebuild left that was cut short. Fails while one is under way.
    pub(crate) async fn remove_unfinished(&self) -> Result<(), ReadError> {
        let _alone = self.rebuilding.try_lock().map_err(|_| ReadError::RebuildRunning)?;
        let lock = self.home.lock_rebuild().await?;
        let removed = self.home.remove_unfinished().await;
        self.home.unlock_rebuild(lock).await;
        removed
    }

    async fn rebuild(&self, request: &RebuildRequest) -> Result<RebuildReport, ReadError> {
        // On PostgreSQL another node may be rebuilding; the lock is given back at the end.
        let lock = self.home.lock_rebuild().await?;
        let rebuilt = self.rebuild_alone(request).await;
        self.home.unlock_rebuild(lock).await;
        rebuilt
    }

    async fn rebuild_alone(&self, request: &RebuildRequest) -> Result<RebuildReport, ReadError> {
        self.home.remove_unfinished().await?;
        let start = Checkpoint::start(fingerprint().to_owned(), self.log.timeline());
        let generation = self.home.create(&start, &self.runtime).await?;
        self.rebuild_progress.send_replace(RebuildProgress {
            phase: RebuildPhase::Building,
            generation: generation.number,
            ..RebuildProgress::default()
        });
        let built = self.build(request, Arc::clone(&generation)).await;
        if built.is_err()
            && let Err(error) = generation.abandon().await
        {
            tracing::warn!(generation = generation.number, %error, "an unfinished generation could not be removed");
        }
        built
    }

    async fn build(&self, request: &RebuildRequest, generation: Arc<Generation>) -> Result<RebuildReport, ReadError> {
        let on_poison = match request.on_poison {
            PoisonPolicy::Fail => OnPoison::Fail,
            PoisonPolicy::SetAside => OnPoison::SetAside,
        };
        let mut building = Building {
            engine: Engine::building(Arc::clone(&generation), on_poison),
            report: RebuildReport {
                generation: generation.number,
                applied: 0,
                events: 0,
                rows_compared: 0,
                dead_letters: 0,
            },
        };
        building.reach_head(self).await?;
        if request.verify == Verify::Compare {
            self.compare(&mut building).await?;
        }
        self.go_live(building).await
    }

    /// Compares all rows of the live and the new generation at one position. The live one goes on meanwhile.
    async fn compare(&self, building: &mut Building) -> Result<(), ReadError> {
        let mut snapshot = {
            let mut live = self.engine.lock().await;
            if let Some(stale) = self.stale() {
                return Err(ReadError::Stale(stale));
            }
            // The new rows must not be ahead of the live ones.
            loop {
                let progress = live.step(self.log.as_ref(), self.settings.page_events).await?;
                self.publish(&progress);
                if progress.applied >= building.report.applied {
                    break;
                }
            }
            live.generation.database.snapshot().await?
        };
        let position = snapshot.position().await?;
        while building.report.applied < position {
            let missing = usize::try_from(position - building.report.applied).unwrap_or(usize::MAX);
            building.step(self, missing.min(self.settings.page_events)).await?;
        }
        self.rebuild_progress.send_modify(|progress| progress.phase = RebuildPhase::Verifying);
        let rebuilt = &building.engine.generation.database;
        building.report.rows_compared = verify::compare(&mut snapshot, rebuilt, |rows| {
            self.rebuild_progress.send_modify(|progress| progress.rows_compared = rows);
        })
        .await?;
        self.rebuild_progress.send_modify(|progress| progress.phase = RebuildPhase::Building);
        Ok(())
    }

    /// Puts the new generation in the live one's place once it is no longer behind it.
    async fn go_live(&self, mut building: Building) -> Result<RebuildReport, ReadError> {
        // Nearly all that came in meanwhile, before the live runner must wait.
        while !building.step(self, self.settings.page_events).await?.at_head() {}
        let mut live = self.engine.lock().await;
        let shown = self.applied.borrow().position;
        let mut progress = building.step(self, self.settings.page_events).await?;
        while progress.applied < shown {
            progress = building.step(self, self.settings.page_events).await?;
        }
        let Building { mut engine, report } = building;
        self.home.set_current(report.generation).await?;
        engine.go_live();
        let fresh = Arc::clone(&engine.generation);
        let retired = std::mem::replace(&mut *live, engine).generation;
        *self.live.write() = fresh;
        self.publish(&Progress { dead_letters: Vec::new(), ..progress });
        drop(live);
        retired.discard();
        // From here on nothing can undo the swap, so nothing may fail it either.
        if let Err(error) = retired.retire().await {
            tracing::warn!(generation = retired.number, %error, "the old generation could not be marked as retired");
        }
        drop(retired);
        if let Home::Postgres(_) = &self.home
            && let Err(error) = self.home.remove_leftovers(report.generation).await
        {
            tracing::warn!(%error, "old generations could not be removed");
        }
        Ok(report)
    }
}

/// A generation while it is built.
struct Building {
    engine: Engine,
    report: RebuildReport,
}

impl Building {
    /// Applies the log up to its head, as fast as it goes.
    async fn reach_head(&mut self, inner: &Inner) -> Result<(), ReadError> {
        let Building { engine, report } = self;
        pipeline::to_head(engine, &inner.log, inner.settings.page_events, |progress| note(report, inner, progress))
            .await
    }

    async fn step(&mut self, inner: &Inner, page_events: usize) -> Result<Progress, ReadError> {
        let progress = self.engine.step(inner.log.as_ref(), page_events).await?;
        note(&mut self.report, inner, &progress);
        Ok(progress)
    }
}

/// Takes note of a page, and lets everybody know.
fn note(report: &mut RebuildReport, inner: &Inner, progress: &Progress) {
    report.applied = progress.applied;
    report.events += progress.events as u64;
    report.dead_letters += progress.dead_letters.len() as u64;
    for letter in &progress.dead_letters {
        tracing::error!(
            chat.id = %letter.chat_id,
            position = letter.position,
            event.kind = %letter.event_type,
            problem = %letter.problem,
            "an event cannot be applied; this chat's read models stop before it"
        );
    }
    inner.rebuild_progress.send_modify(|shown| {
        shown.applied = progress.applied;
        shown.head = progress.head;
    });
}
