//! Processes that outlive the server: each runs under a small supervisor process, its output and exit status on disk.
//!
//! ```text
//! server ──> supervise ──> confine keep ──> [confine keep --inside] ──> confine execute = the command
//!            claim, output,  enters the        first process in it:       gives up privileges
//!            outcome         namespaces        collects, ends all
//! ```
//!
//! A process is a directory `<root>/<owner>/<id>`. **Invariant:** a command runs only after its claim, which is a link that can be
//! made once; so it never runs twice, however often it is started and whatever crashes. **Invariant:** nothing of a process outlives
//! its supervisor: the keeper ends all of it when the supervisor's end of their socket closes.

mod directory;
mod family;
mod id;
mod keeper;
mod output;
mod processes;
mod spec;
mod status;
mod supervise;
mod vitals;

pub use id::{InvalidName, NAME_LETTERS_MAX, OwnerId, ProcessId};
pub use keeper::keep;
pub use output::{OutputChunk, OutputLimits};
pub use processes::{Ending, ProcessError, ProcessLimits, Processes, Start};
pub use spec::{GRACE_MS, ProcessCall, ProcessSpec, Program, Secrets, environment};
pub use status::{EndedBy, LostCause, ProcessState, ProcessStatus};
pub use supervise::supervise;

pub(crate) use directory::{ProcessDirectory, make_private};
pub(crate) use keeper::Report;
pub(crate) use spec::StoredSpec;
