//! Removing processes: those that run are ended first, so that nothing is left behind.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::spec::StoredSpec;
use super::super::status::Claim;
use super::{Ending, OwnerId, ProcessDirectory, ProcessError, ProcessId, ProcessState, Processes, read};

/// A process that is to go has this long to end.
const END_PATIENCE: Duration = Duration::from_secs(5);

impl Processes {
    /// Ends a process and removes all that is known of it. One that does not exist is no error.
    pub async fn remove(&self, owner: &OwnerId, id: &ProcessId) -> Result<(), ProcessError> {
        match self.signal(owner, id, Ending::Kill).await {
            Ok(()) => {}
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
        match self.wait(owner, id, END_PATIENCE).await {
            Ok(status) if status.state.ended() => {}
            Ok(_) => return Err(ProcessError::DoesNotEnd { id: id.clone() }),
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
        read(&self.directory(owner, id), ProcessDirectory::remove).await?;
        Ok(())
    }

    /// Ends and removes all processes of an owner: its chat is erased. All are tried, whatever becomes of one.
    pub async fn remove_all(&self, owner: &OwnerId) -> Result<(), ProcessError> {
        let all = self.list(owner).await?.into_iter().map(|(id, _)| (owner.clone(), id)).collect();
        self.remove_each(all).await?;
        // Goes only if it is empty: somebody may have started something meanwhile.
        let _starting = self.inner.starting.lock().await;
        let _ = tokio::fs::remove_dir(self.inner.root.join(owner.as_str())).await;
        Ok(())
    }

    /// Ends and removes all processes, of whomever, that run in a workspace: it is deleted.
    pub async fn remove_in(&self, workspace: &Path) -> Result<(), ProcessError> {
        let mut all = Vec::new();
        for owner in self.owners().await? {
            for (id, _) in self.list(&owner).await? {
                let stored = read(&self.directory(&owner, &id), ProcessDirectory::spec).await?;
                let runs_there = stored.is_some_and(|StoredSpec { spec, .. }| match &spec.confinement {
                    Some(confinement) => confinement.workspace == workspace,
                    // Nothing confines it, but there it began.
                    None => spec.workdir.starts_with(workspace),
                });
                if runs_there {
                    all.push((owner.clone(), id));
                }
            }
        }
        self.remove_each(all).await
    }

    async fn remove_each(&self, all: Vec<(OwnerId, ProcessId)>) -> Result<(), ProcessError> {
        // First all are told, then each is waited for: many take no longer than one.
        for (owner, id) in &all {
            let _ = self.signal(owner, id, Ending::Kill).await;
        }
        let mut done = Ok(());
        for (owner, id) in &all {
            done = done.and(self.remove(owner, id).await);
        }
        done
    }

    /// Removes what ended too long before `now`, and owners that have nothing. How many processes went.
    pub async fn prune(&self, now: DateTime<Utc>) -> Result<usize, ProcessError> {
        let kept = self.inner.limits.finished_kept;
        let mut removed = 0;
        for owner in self.owners().await? {
            for (id, status) in self.list(&owner).await? {
                let since = status.ended_at.or(status.started_at).map(|at| (now - at).to_std().unwrap_or_default());
                if status.state.ended() && since.is_some_and(|since| since >= kept) {
                    read(&self.directory(&owner, &id), ProcessDirectory::remove).await?;
                    removed += 1;
                }
            }
            let _starting = self.inner.starting.lock().await;
            let _ = tokio::fs::remove_dir(self.inner.root.join(owner.as_str())).await;
        }
        Ok(removed)
    }

    /// Sees to it that a process that has not run never does.
    pub(super) async fn withdraw(&self, owner: &OwnerId, id: &ProcessId) -> Result<(), ProcessError> {
        let directory = self.directory(owner, id);
        if read(&directory, ProcessDirectory::spec).await?.is_none() {
            return Err(ProcessError::NotFound { id: id.clone() });
        }
        let claim = Claim::Withdrawn { at: Utc::now() };
        if read(&directory, move |directory| directory.make_claim(&claim)).await? {
            return Ok(());
        }
        // A supervisor was faster. Its process is one like any other.
        let claim = read(&directory, ProcessDirectory::claim).await?;
        if let Some(Claim::Supervisor { vitals, .. }) = claim {
            vitals.signal(rustix::process::Signal::INT)?;
        }
        Ok(())
    }
}

/// Whether a process is not there, or was taken away by somebody else while it was looked at.
fn is_gone(error: &ProcessError) -> bool {
    match error {
        ProcessError::NotFound { .. } => true,
        ProcessError::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

impl ProcessState {
    /// Whether it is known that nothing of the process ever ran.
    pub fn never_ran(&self) -> bool {
        matches!(self, ProcessState::Claimed | ProcessState::Withdrawn | ProcessState::Failed { .. })
    }
}
