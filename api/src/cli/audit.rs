//! `verbatim audit`: the whole log.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::output::{Style, harmless, put};
use super::progress::Progress;
use super::{Context, FAILED, log, runtime};
use crate::verify::audit_log;

const ABOUT: &str = "\
Read the whole log and check it: positions and versions without gaps, every chat's hash chain, every event readable, and
no event that cannot have happened. The first bad event is named, and the exit code is 1.

Works beside a running server; what is appended meanwhile is not looked at.";

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check the whole log
    #[command(long_about = ABOUT)]
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, command: AuditCommand) -> anyhow::Result<ExitCode> {
    let AuditCommand::Verify(args) = command;
    let settings = context.settings(None)?;
    runtime::block_on(async |shared| {
        let log = log::open(&settings, &context.environment, shared).await?;
        // Every event is read twice: in the log's order, and in its chat's.
        let mut progress = Progress::new("events checked, twice each", 2 * log.head().await?, args.json);
        let audit = audit_log(log.as_ref(), |done| progress.at(done)).await?;
        drop(progress);
        if args.json {
            put(&format!("{}\n", serde_json::to_string(&audit)?))?;
        } else {
            let style = Style::of_stdout();
            put(&match &audit.finding {
                None => format!("{}: {} events of {} chats\n", style.green("all is well"), audit.events, audit.chats),
                Some(finding) => format!("{}: {}\n", style.red("first bad event"), harmless(&finding.to_string())),
            })?;
        }
        Ok(if audit.finding.is_none() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    })
}
