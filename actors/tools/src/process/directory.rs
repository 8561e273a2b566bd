//! A process's directory. What it holds: `spec.json` (before anything runs), `claim.json` (who runs it), `outcome.json` (how it
//! ended), the segments of the output. Each record appears whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::output;
use super::spec::StoredSpec;
use super::status::{Claim, LostCause, Outcome, ProcessState, ProcessStatus};

const SPEC: &str = "spec.json";
const CLAIM: &str = "claim.json";
const OUTCOME: &str = "outcome.json";

/// An empty directory, the place where a confined command's own root is put together.
const ROOT: &str = "root";

/// Beginnings of names that are no processes: directories being made, and being removed.
const MAKING: &str = ".making-";
const REMOVING: &str = ".removing-";

/// A process's directory.
#[derive(Clone, Debug)]
pub(crate) struct ProcessDirectory {
    path: PathBuf,
}

impl ProcessDirectory {
    pub fn at(path: impl Into<PathBuf>) -> ProcessDirectory {
        ProcessDirectory { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn root(&self) -> PathBuf {
        self.path.join(ROOT)
    }

    /// Makes the directory with its spec, whole. `false` if it is there already: then nothing has changed.
    pub fn make(&self, spec: &StoredSpec) -> io::Result<bool> {
        let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        make_private(parent)?;
        let making = parent.join(format!("{MAKING}{}-{}", name.to_string_lossy(), Uuid::new_v4().simple()));
        make_private(&making)?;
        let made = (|| {
            make_private(&making.join(ROOT))?;
            write_new(&making.join(SPEC), &json(spec)?)?;
            sync_directory(&making)?;
            // Onto a directory that holds something this fails.
            match fs::rename(&making, &self.path) {
                Ok(()) => sync_directory(parent).map(|()| true),
                Err(error) if is_taken(&error) => Ok(false),
                Err(error) => Err(error),
            }
        })();
        if !matches!(made, Ok(true)) {
            let _ = fs::remove_dir_all(&making);
        }
        made
    }

    /// The spec; `None` if there is no such process.
    pub fn spec(&self) -> io::Result<Option<StoredSpec>> {
        read_json(&self.path.join(SPEC))
    }

    pub fn claim(&self) -> io::Result<Option<Claim>> {
        read_json(&self.path.join(CLAIM))
    }

    pub fn outcome(&self) -> io::Result<Option<Outcome>> {
        read_json(&self.path.join(OUTCOME))
    }

    /// Makes the claim. `false` if there is one already.
    pub fn make_claim(&self, claim: &Claim) -> io::Result<bool> {
        let making = self.path.join(format!("{MAKING}{}", Uuid::new_v4().simple()));
        write_new(&making, &json(claim)?)?;
        let linked = fs::hard_link(&making, self.path.join(CLAIM));
        let _ = fs::remove_file(&making);
        match linked {
            Ok(()) => sync_directory(&self.path).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes the last word.
    pub fn write_outcome(&self, outcome: &Outcome) -> io::Result<()> {
        let making = self.path.join(format!("{MAKING}{OUTCOME}"));
        let _ = fs::remove_file(&making);
        write_new(&making, &json(outcome)?)?;
        fs::rename(&making, self.path.join(OUTCOME))?;
        sync_directory(&self.path)
    }

    /// What is known of the process, by whatever is left of it; `None` if there is no such process.
    pub fn status(&self) -> io::Result<Option<ProcessStatus>> {
        let Some(StoredSpec { spec, .. }) = self.spec()? else { return Ok(None) };
        let mut status = ProcessStatus {
            state: ProcessState::Claimed,
            command: spec.program.line(),
            started_at: None,
            ended_at: None,
            ended_by: None,
            output_bytes: 0,
            output_lost_bytes: 0,
            left_running: 0,
        };
        match self.claim()? {
            None => return Ok(Some(status)),
            Some(Claim::Withdrawn { at }) => {
                status.state = ProcessState::Withdrawn;
                status.ended_at = Some(at);
                return Ok(Some(status));
            }
            Some(Claim::Supervisor { vitals, at }) => {
                status.started_at = Some(at);
                // First whether it lives, then what it wrote: the other way round one that ends in between is taken for lost.
                let alive = vitals.alive();
                if let Some(outcome) = self.outcome()? {
                    status.state = outcome.state;
                    status.ended_at = Some(outcome.ended_at);
                    status.ended_by = outcome.ended_by;
                    status.output_bytes = outcome.output_bytes;
                    status.output_lost_bytes = outcome.output_lost_bytes;
                    status.left_running = outcome.left_running;
                    return Ok(Some(status));
                }
                status.state = if alive {
                    ProcessState::Running
                } else if vitals.same_boot() {
                    ProcessState::Lost { cause: LostCause::SupervisorDied }
                } else {
                    ProcessState::Lost { cause: LostCause::Reboot }
                };
            }
        }
        status.output_bytes = output::total_bytes(&self.path, spec.output)?;
        Ok(Some(status))
    }

    /// Removes the directory. The name is free at once, whatever happens to the rest.
    pub fn remove(&self) -> io::Result<()> {
        let Some(parent) = self.path.parent() else { return Ok(()) };
        let removing = parent.join(format!("{REMOVING}{}", Uuid::new_v4().simple()));
        match fs::rename(&self.path, &removing) {
            Ok(()) => fs::remove_dir_all(&removing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The names of the processes or owners in a directory; none if it is not there.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes what a crash left half made or half removed. Only where nobody makes or removes anything at the same time.
pub(crate) fn sweep(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(MAKING) || name.starts_with(REMOVING)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Makes a directory, and those above it, for nobody but the server.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
}

fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests;
