//! `verbatim audit`: the whole log, checked, written out and read in.

mod export;
mod import;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use super::Context;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check the whole log
    #[command(long_about = verify::ABOUT)]
    Verify(verify::VerifyArgs),
    /// Write events as NDJSON, by chat, owner or time, beside a running server
    #[command(long_about = export::ABOUT)]
    Export(export::ExportArgs),
    /// Read an export into an empty log
    #[command(long_about = import::ABOUT)]
    Import(import::ImportArgs),
}

pub(super) fn run(context: &Context, command: AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::Verify(args) => verify::run(context, args),
        AuditCommand::Export(args) => export::run(context, args),
        AuditCommand::Import(args) => import::run(context, args),
    }
}
