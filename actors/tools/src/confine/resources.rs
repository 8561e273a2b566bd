//! How much a command may use.

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::{ConfineError, Doing as _, Layers};

/// Numbers below this are never given again once a pid namespace has been through all of them: the kernel keeps them for itself.
const RESERVED_PROCESS_NUMBERS: u64 = 300;

/// Commands go before the server when memory runs out: 1000 is the most.
const OUT_OF_MEMORY_SCORE: &str = "900";

/// How much a command may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Processes and threads at once.
    pub processes_max: u64,
    /// Open files of one process.
    pub open_files_max: u64,
    /// Bytes of one file that it writes.
    pub file_bytes_max: u64,
    /// Bytes of memory of one process, as far as it is its own and can be written.
    pub memory_bytes_max: u64,
}

impl Default for Resources {
    fn default() -> Resources {
        Resources {
            processes_max: 512,
            open_files_max: 4096,
            file_bytes_max: 4 * 1024 * 1024 * 1024,
            memory_bytes_max: 4 * 1024 * 1024 * 1024,
        }
    }
}

impl Resources {
    /// What a pid namespace's highest number has to be.
    pub(super) fn process_number_max(&self) -> u64 {
        RESERVED_PROCESS_NUMBERS + self.processes_max.max(1)
    }

    /// Puts the limits in force for this process and all that it becomes or starts.
    pub(super) fn apply(&self, layers: Layers) -> Result<(), ConfineError> {
        let mut limits = vec![
            (Resource::Core, 0),
            (Resource::Nofile, self.open_files_max),
            (Resource::Fsize, self.file_bytes_max),
            (Resource::Data, self.memory_bytes_max),
        ];
        // In a user namespace the kernel counts what runs in it; outside it would count all that the user has, the server too.
        if layers.namespaces {
            limits.push((Resource::Nproc, self.processes_max));
        }
        for (resource, most) in limits {
            // Nobody may raise what was lowered before the server started.
            let most = rustix::process::getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
            let limit = Rlimit { current: Some(most), maximum: Some(most) };
            setrlimit(resource, limit).doing(|| format!("limit of {resource:?}"))?;
        }
        // Where the kernel does not allow it, the command is as likely to go as the server.
        let _ = std::fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE);
        Ok(())
    }
}
