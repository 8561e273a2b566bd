//! What is known of a process, and the two records on disk that it is known from.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::vitals::Vitals;

/// How a process ended, or that it has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ProcessState {
    /// It is claimed, and surely nothing of it has run: starting it again is safe.
    Claimed,
    /// It runs.
    Running,
    /// It ended by itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// It could not be started: the program is missing, the confinement cannot be had. Nothing of it has run.
    Failed {
        /// Why.
        message: String,
    },
    /// What became of it is unknown: its supervisor is gone and left no word. Nothing of it runs any more.
    Lost {
        /// Why.
        cause: LostCause,
    },
    /// It was taken away before it ran.
    Withdrawn,
}

impl ProcessState {
    /// Whether nothing more will come.
    pub fn ended(&self) -> bool {
        !matches!(self, ProcessState::Claimed | ProcessState::Running)
    }
}

/// Why nobody knows how a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostCause {
    /// Its supervisor was killed.
    SupervisorDied,
    /// The machine was started anew.
    Reboot,
    /// What stands between the supervisor and the process was ended by force, by the kernel for instance, when memory ran out.
    KeeperDied,
}

/// Who ended a process that did not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// Somebody asked it to end.
    Terminate,
    /// Somebody ended it.
    Kill,
    /// It had no more time.
    TimeMax,
    /// There were more processes of it than it may have.
    ProcessesMax,
}

/// What is known of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessStatus {
    /// How it ended, or that it has not.
    #[serde(flatten)]
    pub state: ProcessState,
    /// Its command, as a person would write it.
    pub command: String,
    /// When its supervisor took it over.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Who ended it, if it did not end by itself.
    pub ended_by: Option<EndedBy>,
    /// Its output so far, in bytes.
    pub output_bytes: u64,
    /// What of its output could not be written, in bytes: the disk was full.
    pub output_lost_bytes: u64,
    /// Processes that it left running in the background, which ended with it.
    pub left_running: u32,
}

/// Who runs a process. Made once, by a link that cannot be made twice: whoever makes it may run the process, nobody else ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub(crate) enum Claim {
    /// A supervisor.
    Supervisor { vitals: Vitals, at: DateTime<Utc> },
    /// Nobody: it was withdrawn before it ran.
    Withdrawn { at: DateTime<Utc> },
}

/// The supervisor's last word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    #[serde(flatten)]
    pub state: ProcessState,
    pub ended_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
    pub output_bytes: u64,
    #[serde(default)]
    pub output_lost_bytes: u64,
    #[serde(default)]
    pub left_running: u32,
}
