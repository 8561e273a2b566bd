//! Keeps the live generation at the log's head: `run_once` is one step, `run` the loop around it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Engine, Progress};
use crate::error::ReadError;
use crate::fingerprint::Stale;
use crate::handle::{Inner, ReadModels};
use crate::rebuild::{PoisonPolicy, RebuildRequest};

/// The first wait after a failure; it doubles with each further one.
const BACKOFF_BASE: Duration = Duration::from_millis(100);
/// The longest wait after a failure: a database that is back is noticed within what a reader waits for its rows.
const BACKOFF_CAP: Duration = Duration::from_secs(1);
/// How long the rows may stand behind the log while nobody waits for them: what happens meanwhile shares one transaction.
/// Whoever reads ends the wait, and what has gathered by then is applied in a few ms.
const LINGER: Duration = Duration::from_millis(50);
/// How often the checkpoint is read while another process moves it.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(50);

impl ReadModels {
    /// Applies one page of the log to the live generation. Safe to call at any time and from several places.
    pub async fn run_once(&self) -> Result<Progress, ReadError> {
        let inner = Arc::clone(&self.inner);
        self.on_runtime(async move { inner.step().await }).await
    }

    /// Applies pages until the log's head is reached, and returns the last step. Where another process applies them
    /// (see `Progress::following`) it returns at once.
    pub async fn catch_up(&self) -> Result<Progress, ReadError> {
        loop {
            let progress = self.run_once().await?;
            if progress.at_head() || progress.following {
                return Ok(progress);
            }
        }
    }

    /// Follows the log until `stop` is ready: applies what is new, rebuilds rows that cannot be carried on, and waits
    /// longer and longer while something fails. Never ends by itself.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        let mut failures = 0u32;
        loop {
            let step = async {
                match self.advance().await {
                    Ok(Some(progress)) => {
                        failures = 0;
                        if progress.following {
                            tokio::time::sleep(FOLLOW_INTERVAL).await;
                        } else if progress.at_head() {
                            // Nothing is lost between the step and this wait: it is over at once if the head has moved.
                            self.inner.log.wait_beyond(progress.applied).await;
                            // A reader that came before this asked already: the notice waits for us.
                            let _ = tokio::time::timeout(LINGER, self.inner.wanted.notified()).await;
                        }
                    }
                    Ok(None) => failures = 0,
                    Err(error) => {
                        let wait = BACKOFF_BASE.saturating_mul(1 << failures.min(10)).min(BACKOFF_CAP);
                        failures = failures.saturating_add(1);
                        tracing::warn!(%error, failures, wait_ms = wait.as_millis() as u64, "the read models stand still");
                        tokio::time::sleep(wait).await;
                    }
                }
            };
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = step => {}
            }
        }
    }

    /// One turn of the loop: a step, or a rebuild where the rows are stale.
    async fn advance(&self) -> Result<Option<Progress>, ReadError> {
        if let Some(stale) = self.stale() {
            tracing::info!(reason = %stale, "the read models are rebuilt");
            // One chat's poison must not keep every other chat from being read.
            let request = RebuildRequest { on_poison: PoisonPolicy::SetAside, ..RebuildRequest::default() };
            self.rebuild(request).await?;
            return Ok(None);
        }
        match self.run_once().await {
            Ok(progress) => Ok(Some(progress)),
            // The next turn of the loop rebuilds, or carries on from where the other process stands.
            Err(ReadError::Stale(_) | ReadError::Contended { .. }) => Ok(None),
            Err(error) if error.is_damage() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Inner {
    /// One page, and what everybody should know of it.
    pub(crate) async fn step(&self) -> Result<Progress, ReadError> {
        let mut engine = self.engine.lock().await;
        if let Some(stale) = self.stale() {
            return Err(ReadError::Stale(stale));
        }
        let stepped = engine.step(self.log.as_ref(), self.settings.page_events).await;
        match &stepped {
            Ok(progress) => self.publish(progress),
            // The rows were this program's when they were opened, so another version of it is being rolled out, and its
            // rebuild is live. Rebuilding in turn would never end.
            Err(ReadError::Stale(Stale::OtherProgram)) => return self.follow(&mut engine).await,
            Err(ReadError::Stale(stale)) => self.mark_stale(stale.clone()),
            Err(ReadError::Contended { .. }) => {
                self.follow(&mut engine).await?;
            }
            Err(error) if error.is_damage() => self.mark_stale(Stale::Damaged(error.to_string())),
            Err(_) => {}
        }
        stepped
    }

    /// Another process moved the checkpoint: stand where it stands, in the generation that is current now.
    async fn follow(&self, engine: &mut Engine) -> Result<Progress, ReadError> {
        if let Some(current) = self.home.current().await?
            && current != engine.generation.number
        {
            let (generation, _) = self.home.open_generation(current, &self.runtime).await?;
            *engine = Engine::live(Arc::clone(&generation));
            *self.live.write() = generation;
        }
        let checkpoint = engine.checkpoint().await?;
        let progress = Progress {
            applied: checkpoint.position,
            head: self.log.known_head().max(checkpoint.position),
            recorded_at: checkpoint.recorded_at,
            following: true,
            ..Progress::default()
        };
        self.publish(&progress);
        Ok(progress)
    }
}
