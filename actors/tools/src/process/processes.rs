//! The processes of a server: started, found again after a restart, waited for, read, signalled, removed.

mod calls;
mod removing;
mod waiting;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::directory::{ProcessDirectory, make_private, names, sweep};
use super::id::{OwnerId, ProcessId};
use super::output::{self, OutputChunk};
use super::spec::{ProcessSpec, StoredSpec};
use super::status::{Claim, ProcessState, ProcessStatus};
use super::supervise::CLAIMED;
use crate::confine::Layers;

/// A supervisor claims its process within this, or it is not waited for any longer.
const CLAIM_PATIENCE: Duration = Duration::from_secs(10);

/// How many processes there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Running at once, of one owner.
    pub running_per_owner_max: usize,
    /// Running at once, of all.
    pub running_max: usize,
    /// Kept with their output after their end, of one owner; the oldest go first.
    pub finished_per_owner_max: usize,
    /// Kept with their output for so long after their end.
    pub finished_kept: Duration,
}

impl Default for ProcessLimits {
    fn default() -> ProcessLimits {
        ProcessLimits {
            running_per_owner_max: 32,
            running_max: 512,
            finished_per_owner_max: 64,
            finished_kept: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// Whether a start found the process there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It was started now.
    Started,
    /// It had been started before, and may have ended since. Nothing was started.
    Attached,
}

/// How a process is made to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All of it is asked to end, and ended when the grace of its spec is over.
    Terminate,
    /// All of it is ended.
    Kill,
}

/// A process could not be started, found or ended.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such process.
    #[error("there is no process {id}")]
    NotFound {
        /// Its name.
        id: ProcessId,
    },
    /// The name is taken by another command of the same owner.
    #[error("{id} is another command's process")]
    Taken {
        /// The name.
        id: ProcessId,
    },
    /// Too many run.
    #[error("{running} processes run already, and no more than {most} may: end one, or wait for one")]
    TooMany {
        /// How many run.
        running: usize,
        /// How many may.
        most: usize,
    },
    /// The machine offers nothing to confine the command with.
    #[error("commands cannot be confined on this machine: {missing}")]
    Unconfinable {
        /// What is missing.
        missing: &'static str,
    },
    /// The supervisor did not take the process over. Nothing of it has run; starting it again is safe.
    #[error("the process was not started: {message}")]
    NotStarted {
        /// Why.
        message: String,
    },
    /// The process did not end though it was told to.
    #[error("{id} does not end")]
    DoesNotEnd {
        /// Its name.
        id: ProcessId,
    },
    /// The disk.
    #[error("processes: {0}")]
    Io(#[from] io::Error),
}

/// The processes of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Processes {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    program: PathBuf,
    layers: Layers,
    limits: ProcessLimits,
    /// Held while places are counted and one is taken.
    starting: Mutex<()>,
}

impl Processes {
    /// Processes below `root`, a directory for them alone, which is made if it is missing. `program` is the binary with the
    /// subcommands `supervise` and `confine`; `layers` is what [`probe`](crate::confine::probe) found.
    ///
    /// What a crash left half made is swept: only one server at a time may work on a root.
    pub fn open(
        root: impl Into<PathBuf>,
        program: impl Into<PathBuf>,
        layers: Layers,
        limits: ProcessLimits,
    ) -> io::Result<Processes> {
        let root = root.into();
        make_private(&root)?;
        let root = root.canonicalize()?;
        sweep(&root)?;
        for owner in names(&root)? {
            sweep(&root.join(owner))?;
        }
        let inner = Inner { root, program: program.into(), layers, limits, starting: Mutex::new(()) };
        Ok(Processes { inner: Arc::new(inner) })
    }

    /// What commands are confined with.
    pub fn layers(&self) -> Layers {
        self.inner.layers
    }

    /// Where the processes lie.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    fn directory(&self, owner: &OwnerId, id: &ProcessId) -> ProcessDirectory {
        ProcessDirectory::at(self.inner.root.join(owner.as_str()).join(id.as_str()))
    }

    /// Starts a process, or finds the one with this name. It is never started twice: not by starting it twice, not across crashes
    /// of the server or of the supervisor. One of which surely nothing has run is started.
    pub async fn start(&self, mut spec: ProcessSpec) -> Result<Start, ProcessError> {
        self.check_confinement(&spec)?;
        if let Some(confinement) = &mut spec.confinement {
            // Wherever a readable directory holds these, it holds the server's other data too.
            confinement.hidden.push(self.inner.root.clone());
        }
        let secrets = spec.secrets.line()?;
        let directory = self.directory(&spec.owner, &spec.id);
        let (owner, id, program) = (spec.owner.clone(), spec.id.clone(), spec.program.clone());
        {
            let _starting = self.inner.starting.lock().await;
            let existing = read(&directory, ProcessDirectory::spec).await?;
            if let Some(existing) = existing {
                if existing.spec.program != program {
                    return Err(ProcessError::Taken { id });
                }
            } else {
                self.make_place(&owner).await?;
                let stored = StoredSpec { spec, layers: self.inner.layers };
                read(&directory, move |directory| directory.make(&stored)).await?;
            }
        }
        if read(&directory, ProcessDirectory::claim).await?.is_some() {
            return Ok(Start::Attached);
        }
        self.supervise(&directory, &secrets).await
    }

    fn check_confinement(&self, spec: &ProcessSpec) -> Result<(), ProcessError> {
        let Some(confinement) = &spec.confinement else { return Ok(()) };
        let missing = if !self.inner.layers.confine_files() {
            "neither namespaces nor Landlock"
        } else if !confinement.network && !self.inner.layers.cut_network() {
            "no way to take the network away"
        } else {
            return Ok(());
        };
        Err(ProcessError::Unconfinable { missing })
    }

    /// Starts a supervisor and hears whether the process is its own.
    async fn supervise(&self, directory: &ProcessDirectory, secrets: &[u8]) -> Result<Start, ProcessError> {
        let not_started = |message: String| ProcessError::NotStarted { message };
        let mut supervisor = Command::new(&self.inner.program)
            .arg("supervise")
            .arg(directory.path())
            .current_dir("/")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| not_started(error.to_string()))?;
        let (Some(mut told), Some(said)) = (supervisor.stdin.take(), supervisor.stdout.take()) else {
            return Err(not_started("it has no ears".to_owned()));
        };
        // One that ends at once hears nothing; what it says, or does not, tells more.
        let _ = timeout(CLAIM_PATIENCE, told.write_all(secrets)).await;
        drop(told);
        let mut lines = BufReader::new(said).lines();
        // From here on the supervisor is on its own; the runtime collects it when it ends.
        match timeout(CLAIM_PATIENCE, lines.next_line()).await {
            Ok(Ok(Some(line))) if line == CLAIMED => Ok(Start::Started),
            // Another one was faster: started by an earlier server, or by somebody at the same time.
            Ok(Ok(_)) if read(directory, ProcessDirectory::claim).await?.is_some() => Ok(Start::Attached),
            Ok(Ok(_)) => Err(not_started("the supervisor ended at once".to_owned())),
            Ok(Err(error)) => Err(not_started(error.to_string())),
            Err(_) => Err(not_started("the supervisor does not answer".to_owned())),
        }
    }

    /// What is known of a process.
    pub async fn status(&self, owner: &OwnerId, id: &ProcessId) -> Result<ProcessStatus, ProcessError> {
        let status = read(&self.directory(owner, id), ProcessDirectory::status).await?;
        status.ok_or_else(|| ProcessError::NotFound { id: id.clone() })
    }

    /// All processes of an owner that are known, those that have ended included, in the order of their starts.
    pub async fn list(&self, owner: &OwnerId) -> Result<Vec<(ProcessId, ProcessStatus)>, ProcessError> {
        let home = ProcessDirectory::at(self.inner.root.join(owner.as_str()));
        let listed = read(&home, |owner| {
            let mut all = Vec::new();
            for name in names(owner.path())? {
                if let Ok(id) = ProcessId::new(&name)
                    && let Some(status) = ProcessDirectory::at(owner.path().join(&name)).status()?
                {
                    all.push((id, status));
                }
            }
            Ok(all)
        });
        let mut all = listed.await?;
        all.sort_by(|(one, first), (other, second)| (first.started_at, one).cmp(&(second.started_at, other)));
        Ok(all)
    }

    /// A piece of a process's output, both its streams in the order in which they came: at most `bytes_max`, from `from_byte` or the
    /// next byte that is still kept.
    pub async fn read_output(
        &self,
        owner: &OwnerId,
        id: &ProcessId,
        from_byte: u64,
        bytes_max: usize,
    ) -> Result<OutputChunk, ProcessError> {
        let directory = self.directory(owner, id);
        let chunk = read(&directory, move |directory| {
            let Some(stored) = directory.spec()? else { return Ok(None) };
            output::read(directory.path(), stored.spec.output, from_byte, bytes_max).map(Some)
        });
        chunk.await?.ok_or_else(|| ProcessError::NotFound { id: id.clone() })
    }

    /// Makes a process end, all that it started included. Does not wait for it; see [`wait`](Processes::wait). One that has
    /// ended is no error.
    pub async fn signal(&self, owner: &OwnerId, id: &ProcessId, ending: Ending) -> Result<(), ProcessError> {
        let directory = self.directory(owner, id);
        let claim = read(&directory, ProcessDirectory::claim).await?;
        match claim {
            Some(Claim::Supervisor { vitals, .. }) => {
                let signal = match ending {
                    Ending::Terminate => Signal::TERM,
                    Ending::Kill => Signal::INT,
                };
                vitals.signal(signal)?;
                Ok(())
            }
            Some(Claim::Withdrawn { .. }) => Ok(()),
            None => self.withdraw(owner, id).await,
        }
    }

    /// Frees places for one more process, or says that there is none.
    async fn make_place(&self, owner: &OwnerId) -> Result<(), ProcessError> {
        let limits = self.inner.limits;
        let own = self.list(owner).await?;
        let running = own.iter().filter(|(_, status)| !status.state.ended()).count();
        if running >= limits.running_per_owner_max {
            return Err(ProcessError::TooMany { running, most: limits.running_per_owner_max });
        }
        let running = self.running().await?;
        if running >= limits.running_max {
            return Err(ProcessError::TooMany { running, most: limits.running_max });
        }
        let mut finished: Vec<_> = own.into_iter().filter(|(_, status)| status.state.ended()).collect();
        finished.sort_by_key(|(_, status)| status.ended_at.or(status.started_at));
        let too_many = (finished.len() + 1).saturating_sub(limits.finished_per_owner_max);
        for (id, _) in finished.into_iter().take(too_many) {
            read(&self.directory(owner, &id), ProcessDirectory::remove).await?;
        }
        Ok(())
    }

    /// How many processes run, of all owners.
    pub async fn running(&self) -> Result<usize, ProcessError> {
        let mut running = 0;
        for owner in self.owners().await? {
            running += self.list(&owner).await?.iter().filter(|(_, status)| !status.state.ended()).count();
        }
        Ok(running)
    }

    /// All that have processes.
    async fn owners(&self) -> Result<Vec<OwnerId>, ProcessError> {
        let all = read(&ProcessDirectory::at(&self.inner.root), |root| names(root.path())).await?;
        Ok(all.iter().filter_map(|name| OwnerId::new(name).ok()).collect())
    }
}

/// Does something with a directory where waiting for the disk holds nobody up.
async fn read<T: Send + 'static>(
    directory: &ProcessDirectory,
    work: impl FnOnce(&ProcessDirectory) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let directory = directory.clone();
    tokio::task::spawn_blocking(move || work(&directory)).await.map_err(io::Error::other)?
}
