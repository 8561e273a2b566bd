//! Lets files go that no chat shows: sent and never named, or expired. What stood in them is removed, unless another file
//! holds the same.
//!
//! A sweep goes over all files, some at each pass, and begins anew after a while. Which files are shown the read models
//! say, once they are as far as the log was; what is on its way into the log was named a moment ago, and stays for that.
//! An expired file is still known afterwards, so that it is told as such; one that was never shown is forgotten.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;
use uuid::Uuid;
use verbatim_actors::clock::Clock;
use verbatim_events::ids::Digest;
use verbatim_events::log::{EventLog, LogError};
use verbatim_projections::{FileStanding, ReadError, ReadModels};

use super::{FileError, FileHome, Lying};

/// Files that a pass looks at; the folder that it is in is looked at to its end.
const FILES_MAX: usize = 500;
/// Contents that one sweep releases; more are left to the next.
const CONTENTS_MAX: usize = 10_000;
/// Folders that files lie in.
const FOLDERS: u16 = 256;
/// From the end of a sweep to the next.
const PAUSE: TimeDelta = TimeDelta::hours(1);
/// How long rows may take to follow the log before the files are left to a later pass.
const ROWS_PATIENCE: Duration = Duration::from_secs(10);

/// Why a pass ended early. The next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The files.
    #[error(transparent)]
    Files(#[from] FileError),
    /// The read models.
    #[error(transparent)]
    Reads(#[from] ReadError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// What the rows do not show may be shown all the same.
    #[error("the read models are not whole, so nobody can say which files are shown")]
    NotWhole,
}

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files that were let go.
    pub files: usize,
    /// It stopped at its bound.
    pub has_more: bool,
}

/// Where a sweep is.
#[derive(Debug, Default)]
struct Sweep {
    /// The folder that comes next.
    folder: u16,
    /// What stood in files that were let go.
    contents: HashSet<Digest>,
    /// Files that were let go and that no chat ever showed.
    unshown: Vec<Uuid>,
    /// When the next one begins.
    not_before: Option<DateTime<Utc>>,
}

/// Sweeps the files.
pub struct FileSweep {
    files: FileHome,
    reads: ReadModels,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    /// How long a file is kept after it was named last; none for ever.
    patience: Option<TimeDelta>,
    sweep: Mutex<Sweep>,
}

impl FileSweep {
    /// Lets files go that no chat shows and that were not named for so many hours; 0 for never.
    pub fn new(
        files: FileHome,
        reads: ReadModels,
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        unshown_hours: u32,
    ) -> FileSweep {
        let patience = (unshown_hours > 0).then(|| TimeDelta::hours(unshown_hours.into()));
        FileSweep { files, reads, log, clock, patience, sweep: Mutex::default() }
    }

    /// One pass.
    pub async fn pass(&self) -> Result<Swept, SweepError> {
        let (Some(patience), now) = (self.patience, self.clock.now()) else { return Ok(Swept::default()) };
        let mut sweep = self.sweep.lock().await;
        if sweep.not_before.is_some_and(|moment| now < moment) {
            return Ok(Swept::default());
        }
        if self.reads.stale().is_some() || self.reads.has_dead_letters().await? {
            return Err(SweepError::NotWhole);
        }
        // What was named so long ago and is in the log at all is in it by now.
        let head = self.log.head().await?;
        self.reads.wait_until(head, ROWS_PATIENCE).await.map_err(|_| SweepError::NotWhole)?;
        let (mut looked, mut swept) = (0, Swept::default());
        while sweep.folder < FOLDERS && looked < FILES_MAX && sweep.contents.len() < CONTENTS_MAX {
            let number = u8::try_from(sweep.folder).unwrap_or(u8::MAX);
            for lying in self.files.folder_of(number).await? {
                looked += 1;
                swept.files += usize::from(self.look(&mut sweep, lying, now - patience, now).await?);
            }
            sweep.folder += 1;
        }
        swept.has_more = sweep.folder < FOLDERS;
        if !swept.has_more || sweep.contents.len() >= CONTENTS_MAX {
            let (contents, unshown) = (std::mem::take(&mut sweep.contents), std::mem::take(&mut sweep.unshown));
            if !contents.is_empty() {
                self.files.release(contents).await?;
            }
            self.files.forget(unshown).await?;
        }
        if !swept.has_more {
            *sweep = Sweep { not_before: Some(now + PAUSE), ..Sweep::default() };
        }
        Ok(swept)
    }

    /// Looks at a file; whether it was let go now. One that was let go before may have been left with its content.
    async fn look(
        &self,
        sweep: &mut Sweep,
        Lying { file, named_at }: Lying,
        unnamed_since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, SweepError> {
        let was_let_go = file.let_go_at.is_some();
        if !was_let_go && named_at > unnamed_since {
            return Ok(false);
        }
        let standing = self.reads.file_standing(&file.id.to_string()).await?;
        if !was_let_go && (standing == FileStanding::Shown || !self.files.let_go(file.id, unnamed_since, now).await?) {
            return Ok(false);
        }
        sweep.contents.insert(file.digest);
        if standing == FileStanding::Unshown {
            sweep.unshown.push(file.id);
        }
        Ok(!was_let_go)
    }
}
