//! `verbatim audit import`: an export in place of an empty log.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tokio::runtime::Handle;

use crate::cli::output::{Style, harmless, note, put};
use crate::cli::progress::Progress;
use crate::cli::{Context, runtime};
use crate::compose::master_key;
use crate::locate::DataDir;
use crate::transfer::{Imported, Step, Target, import};

pub(super) const ABOUT: &str = "\
Read an export of `verbatim audit export` into a log without events, on SQLite or PostgreSQL, which no server may serve meanwhile. Ids, versions, times and \
the order of all events are kept; the read models are made at the next start.

Everything is checked first: order, versions, hashes, that every event can be read and can have happened, and that nothing is missing. Until all of it \
is good the log stays empty: an import that was cut short is begun anew by the next one, and no server starts before. What is wrong is named by its line.

Chats of an opened export that were sealed are sealed anew with keys of this log, so their hashes are others than before. A sealed export keeps its \
hashes and needs the keys of the log that it is from: put its keys.db (on PostgreSQL the schema chat_vault) in place first, and give its master key. \
What was erased stays erased. Keys of providers that were set over HTTP were sealed by the other server: set them again.

Turns that were under way go on at the next start: never let the old log serve as well. Files that chats show are no part of an export: copy `files` of \
the old data directory. API keys, idempotency keys, settings files and workspaces are not in it either.";

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// How often it is said how many events were read.
const READ_SAID: u64 = 50_000;

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArgs {
    /// The export, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: ImportArgs) -> anyhow::Result<ExitCode> {
    let settings = context.settings(None)?;
    let from_stdin = args.file == Path::new("-");
    // Before anything is made: a wrong name is the most common mistake.
    let file = match from_stdin {
        true => None,
        false => Some(File::open(&args.file).with_context(|| args.file.display().to_string())?),
    };
    let data_dir = DataDir::at(&settings.data_dir);
    data_dir.prepare()?;
    let _serving = data_dir.serve()?;
    runtime::block_on(async |shared: Handle| {
        let master = master_key(&data_dir, &settings, &context.environment, shared.clone()).await?;
        let target = Target { address: settings.database.url(), master: master.key, runtime: shared };
        let mut steps = Steps { quiet: args.json, read_said: 0, checking: None };
        let tell = |step| steps.at(step);
        let imported = match file {
            Some(file) => import(BufReader::with_capacity(BUFFER_BYTES, file), &target, tell).await,
            None => import(BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock()), &target, tell).await,
        };
        drop(steps);
        let imported =
            imported.with_context(|| if from_stdin { "-".to_owned() } else { args.file.display().to_string() })?;
        if args.json {
            put(&format!("{}\n", json!({ "import": imported })))?;
        } else {
            put(&told(&imported, Style::of_stdout()))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn told(imported: &Imported, style: Style) -> String {
    let Imported { events, chats, sealed_anew, provider_keys, .. } = imported;
    let mut text = format!("{}: {events} events of {chats} chats\n", style.green("imported"));
    if *sealed_anew > 0 {
        text += &format!(
            "{sealed_anew} chats were sealed anew: their hashes are others than in the log that they are from\n"
        );
    }
    if !provider_keys.is_empty() {
        let names = harmless(&provider_keys.join(", "));
        text += &format!("the keys of these providers were sealed by another server; set them again: {names}\n");
    }
    text
}

/// Tells how far it is.
struct Steps {
    quiet: bool,
    /// Events that were read when it was last said.
    read_said: u64,
    checking: Option<Progress>,
}

impl Steps {
    fn at(&mut self, step: Step) {
        match step {
            Step::Events { done } => {
                if !self.quiet && done >= self.read_said + READ_SAID {
                    self.read_said = done;
                    note(&format!("events read: {done}"));
                }
            }
            Step::Check { done, total } => {
                let quiet = self.quiet;
                self.checking.get_or_insert_with(|| Progress::new("events checked, twice each", total, quiet)).at(done);
            }
        }
    }
}
