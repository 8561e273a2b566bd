//! `verbatim audit verify`: does the log hold together?

use std::process::ExitCode;

use clap::Args;

use crate::cli::output::{Style, harmless, put};
use crate::cli::progress::Progress;
use crate::cli::{Context, FAILED, log, runtime};
use crate::verify::audit_log;

pub(super) const ABOUT: &str = "\
Read the whole log and check it: positions and versions without gaps, every chat's hash chain, every event readable, and
no event that cannot have happened. The first bad event is named, and the exit code is 1.

Works beside a running server; what is appended meanwhile is not looked at.";

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: VerifyArgs) -> anyhow::Result<ExitCode> {
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
