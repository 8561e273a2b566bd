//! `verbatim supervise`: a process of its own per command that the tools run. The server starts it; nobody else needs to.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::FAILED;

/// What a supervisor is told.
#[derive(Debug, Args)]
pub(super) struct SuperviseArgs {
    /// The process's directory
    directory: PathBuf,
}

/// Supervises to the end. Nobody reads what it would say: its result is in the directory.
pub(super) fn run(args: &SuperviseArgs) -> ExitCode {
    verbatim_tools::process::supervise(&args.directory).map_or(ExitCode::from(FAILED), |()| ExitCode::SUCCESS)
}
