//! `verbatim backup`: a copy of all that counts, beside a running server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use chrono::Utc;
use clap::Args;
use serde_json::json;

use super::output::{Style, note, put};
use super::progress::Progress;
use super::{Context, runtime};
use crate::backup::{Source, Step, take};
use crate::config::{Database, Settings};
use crate::locate::{DataDir, MASTER_VARIABLE};

pub(super) const ABOUT: &str = "\
Copy the log, the keys of its chats and the files that they show into DIR, which must be new or empty. The copy is of one moment, and is
made beside a running server, which is not held up. What was erased before is not in it; chats go on from where they were.

The master key is no part of it: without it the copy can be neither read nor restored, so keep a copy of it somewhere else. Neither are the
admin key, the settings file, the read models, which are made anew, and workspaces, whose files need a backup of their own.

What is erased later stays in the backup, with its key: remove old backups when you erase. For a log on PostgreSQL use pg_dump.";

/// What a log on PostgreSQL is backed up with.
const POSTGRES: &str = "\
this copies a log on SQLite; for one on PostgreSQL make one dump of the log's schema and of the keys', `pg_dump --schema=public \
--schema=chat_vault`, and after it a copy of the files in";

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Where to: a directory that is new or empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: BackupArgs) -> anyhow::Result<ExitCode> {
    let settings = context.settings(None)?;
    let log = sqlite_file(&settings, POSTGRES)?;
    if !log.exists() {
        bail!("there is no log at {}; --data-dir or --database names another place", log.display());
    }
    let file = settings.sealing.master_key_file.as_deref();
    let master = DataDir::at(&settings.data_dir).stored_master_key(context.environment.get(MASTER_VARIABLE), file)?;
    runtime::block_on(async |shared| {
        let source = Source {
            log,
            data_dir: settings.data_dir.clone(),
            master: master.map(|home| home.key),
            now: Utc::now(),
            runtime: shared,
        };
        let mut steps = Steps::new(args.json);
        let manifest = take(&source, &args.folder, |step| steps.at(step)).await?;
        drop(steps);
        for id in &manifest.files_missing {
            note(&format!("file {id} is gone or damaged, and not in the backup"));
        }
        if args.json {
            put(&format!("{}\n", json!({ "directory": args.folder, "backup": manifest })))?;
            return Ok(ExitCode::SUCCESS);
        }
        let sealed = manifest.master_key.as_ref().map_or_else(String::new, |mark| {
            format!("\nit is sealed with the master key {mark}, which is not in it: keep a copy of that elsewhere")
        });
        put(&format!(
            "{}: {} events of {} chats and {} files in {}{sealed}\n",
            Style::of_stdout().green("backed up"),
            manifest.position,
            manifest.chats,
            manifest.files,
            args.folder.display(),
        ))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The log's file; for a log on PostgreSQL what to do instead.
pub(super) fn sqlite_file(settings: &Settings, instead: &str) -> anyhow::Result<PathBuf> {
    match &settings.database {
        Database::Sqlite(path) => Ok(path.clone()),
        Database::Postgres(_) => bail!("{instead} {}", settings.data_dir.join("files").display()),
    }
}

/// Tells of the steps, each as it begins and as it goes on.
pub(super) struct Steps {
    quiet: bool,
    /// What is under way, with its name.
    shown: Option<(&'static str, Progress)>,
}

impl Steps {
    pub(super) fn new(quiet: bool) -> Steps {
        Steps { quiet, shown: None }
    }

    /// Work is this far.
    pub(super) fn at(&mut self, step: Step) {
        let (label, done, total) = match step {
            Step::Databases => {
                self.shown = None;
                if !self.quiet {
                    note("copying the log and its keys");
                }
                return;
            }
            Step::Events { done, total } => ("events checked", done, total),
            Step::Files { done, total } => ("files copied", done, total),
        };
        match &mut self.shown {
            Some((shown, progress)) if *shown == label => progress.at(done),
            _ => self.shown = Some((label, Progress::new(label, total, self.quiet))),
        }
    }
}
