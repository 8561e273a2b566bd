//! `verbatim restore`: a backup in place of a log that is not there.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::backup::{Steps, sqlite_file};
use super::output::{Style, put};
use super::{Context, runtime};
use crate::backup::{Target, restore};
use crate::locate::{DataDir, MASTER_VARIABLE};

pub(super) const ABOUT: &str = "\
Put the backup in DIR into the data directory, which must not have a log yet. The backup itself is not changed.

The master key that was in force when the backup was made must be at hand: in VERBATIM_MASTER_KEY, or in master.key in the data directory. The read
models are made at the next start, and turns that were under way go on then, whatever became of them after the backup: never let the old log serve
as well. The log gets a timeline of its own: places in it that watchers remembered are refused, and they begin anew.

What was erased after the backup was made comes back with it: erase those chats again before anybody else gets to the server. Workspaces
do not come back; chats that had one find it gone, or as it is now.";

/// How a log on PostgreSQL is restored.
const POSTGRES: &str = "\
this restores a log on SQLite; for one on PostgreSQL restore the dump into an empty database, give the log a timeline of its own by \
`UPDATE log_meta SET timeline = gen_random_uuid(), incarnation = incarnation + 1` before the first start, and bring back the files in";

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: RestoreArgs) -> anyhow::Result<ExitCode> {
    let settings = context.settings(None)?;
    let log = sqlite_file(&settings, POSTGRES)?;
    let data_dir = DataDir::at(&settings.data_dir);
    data_dir.prepare()?;
    let _serving = data_dir.serve()?;
    let file = settings.sealing.master_key_file.as_deref();
    let master = data_dir.stored_master_key(context.environment.get(MASTER_VARIABLE), file)?;
    runtime::block_on(async |shared| {
        let target = Target {
            log,
            data_dir: settings.data_dir.clone(),
            master_mark: master.map(|home| home.key.mark()),
            runtime: shared,
        };
        let mut steps = Steps::new(args.json);
        let restored = restore(&args.folder, &target, |step| steps.at(step)).await?;
        drop(steps);
        let manifest = &restored.manifest;
        if args.json {
            put(&format!("{}\n", json!({ "timeline": restored.timeline, "backup": manifest })))?;
            return Ok(ExitCode::SUCCESS);
        }
        put(&format!(
            "{}: {} events of {} chats and {} files, as of {}\n\
             what was erased after that is back: erase it again; `verbatim audit verify` checks the log\n",
            Style::of_stdout().green("restored"),
            manifest.position,
            manifest.chats,
            manifest.files,
            manifest.made_at.format("%Y-%m-%d %H:%M:%S UTC"),
        ))?;
        Ok(ExitCode::SUCCESS)
    })
}
