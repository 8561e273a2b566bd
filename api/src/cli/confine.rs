//! `verbatim confine`: the steps between a supervisor and its command. Only supervisors start it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::FAILED;
use verbatim_tools::{confine, process};

/// The steps.
#[derive(Debug, Subcommand)]
pub(super) enum ConfineCommand {
    /// Keep a process: enter its confinement, start it, end all that it started
    Keep {
        /// The process's directory
        directory: PathBuf,
        /// The namespaces have been entered
        #[arg(long)]
        inside: bool,
    },
    /// Become the command that standard input tells of
    Execute,
    /// Print the version of Landlock that is in force here
    Version,
}

/// Does a step. Must be the first thing that this process does: namespaces are entered by processes with one thread.
pub(super) fn run(command: &ConfineCommand) -> ExitCode {
    let done = match command {
        ConfineCommand::Keep { directory, inside } => process::keep(directory, *inside),
        ConfineCommand::Execute => confine::execute().and_then(|()| Err(std::io::ErrorKind::Other.into())),
        ConfineCommand::Version => super::output::put(&format!("{}\n", confine::own_landlock_version())),
    };
    done.map_or(ExitCode::from(FAILED), |()| ExitCode::SUCCESS)
}
