//! `verbatim audit export`: the log as a file that anybody can read.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Args;
use serde_json::json;
use verbatim_events::ids::ChatId;
use verbatim_events::log::EventLog;
use verbatim_events_sql::master_key_mark;

use crate::cli::output::{Style, note, put};
use crate::cli::progress::Progress;
use crate::cli::{Context, log, runtime};
use crate::transfer::{ExportError, ExportOptions, Exported, Filters, Form, Step, export};

pub(super) const ABOUT: &str = "\
Write the log as NDJSON: a first line that says what follows, one event a line in the order of the log with everything that its hash is over, \
and a last line that says how many there were, so that a cut file is noticed. Works beside a running server; what is appended meanwhile is not in it.

What is sealed is opened, so the file holds what was said: keep it as you keep the chats. The hash of such an event is over its sealed bytes and \
can be held against the log alone. With --sealed the stored bytes are written instead: every hash can be computed again from the file, no key \
is needed (but to choose by chat or owner), and what it says is read with the keys of the log alone. Keys that were set for providers stay sealed \
in both. Nothing is signed: keep the sha256 of the last line elsewhere to know the file again.

Of an erased chat both forms hold what is left: its sealed bytes, which nothing opens, and its erasure. Files that chats show are not in an export.

`verbatim audit import` reads an export into an empty log. --since and --until choose by the time when an event was recorded; such an excerpt \
is for reading, and is refused there.";

/// An erasure that comes between makes an export useless: into a file it is begun anew, so often.
const TRIES_MAX: usize = 3;

/// What an unfinished file is called: its name with this at its end.
const SUFFIX: &str = ".unfinished";

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// Only its owner reads and writes.
const PRIVATE_FILE: u32 = 0o600;

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// Only this chat and those that it made; may be given several times
    #[arg(long = "chat", value_name = "ID")]
    chats: Vec<ChatId>,
    /// Only this owner's chats and inbox
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only what was recorded then or later: a date, or a time such as 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
    /// Only what was recorded before
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<DateTime<Utc>>,
    /// Write what is stored, sealed as it is
    #[arg(long)]
    sealed: bool,
    /// Where to: a new file, which only its owner may read, or - for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    /// Print the outcome as JSON; with --out alone
    #[arg(long, requires = "out")]
    json: bool,
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.and_time(NaiveTime::MIN).and_utc());
    }
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.to_utc())
        .map_err(|_| "a date such as 2030-01-31, or a time such as 2030-01-31T12:00:00Z, is needed".to_owned())
}

pub(super) fn run(context: &Context, args: ExportArgs) -> anyhow::Result<ExitCode> {
    let settings = context.settings(None)?;
    let to_file = args.out != Path::new("-");
    if args.json && !to_file {
        bail!("--json tells what was written into a file, and --out names standard output: name a file");
    }
    runtime::block_on(async |shared| {
        // Whose a chat is stands in its words; everything else of the sealed form needs none.
        let as_stored = args.sealed && args.chats.is_empty() && args.owner.is_none();
        let log = match as_stored {
            true => log::open_stored(&settings, shared.clone()).await?,
            false => log::open(&settings, &context.environment, shared.clone()).await?,
        };
        let options = ExportOptions {
            form: if args.sealed { Form::Sealed } else { Form::Opened },
            filters: Filters {
                chats: args.chats.clone(),
                owner: args.owner.clone(),
                since: args.since,
                until: args.until,
            },
            now: Utc::now(),
            master_key: master_key_mark(&settings.database.url(), shared).await?,
        };
        let head = log.head().await?;
        let mut progress = Progress::new("events read", head, args.json);
        let tell = |step: Step| {
            if let Step::Events { done } = step {
                progress.at(done);
            }
        };
        let exported = match to_file {
            true => into_file(log.as_ref(), &options, &args.out, tell).await,
            false => into_stdout(log.as_ref(), &options, tell).await,
        };
        drop(progress);
        let exported = exported?;
        let Exported { events, chats, sha256, .. } = &exported;
        if args.json {
            put(&format!("{}\n", json!({ "file": args.out, "export": exported })))?;
        } else if to_file {
            let done = Style::of_stdout().green("exported");
            put(&format!("{done}: {events} events of {chats} chats to {}, sha256 {sha256}\n", args.out.display()))?;
        } else {
            note(&format!("exported: {events} events of {chats} chats, sha256 {sha256}"));
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn into_stdout(log: &dyn EventLog, options: &ExportOptions, tell: impl FnMut(Step)) -> anyhow::Result<Exported> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    export(log, options, &mut out, tell).await.map_err(|error| match error {
        // As it is, so that a reader who went away is known as such.
        ExportError::Write(error) => error.into(),
        other => other.into(),
    })
}

/// Writes a file beside its place and puts it there when it is whole.
async fn into_file(
    log: &dyn EventLog,
    options: &ExportOptions,
    path: &Path,
    mut tell: impl FnMut(Step),
) -> anyhow::Result<Exported> {
    if path.symlink_metadata().is_ok() {
        bail!("{} is there already; an export is written into a new file", path.display());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    let unfinished = PathBuf::from(name);
    let mut tries = 1;
    loop {
        match write_file(log, options, &unfinished, &mut tell).await {
            Err(ExportError::ErasedMeanwhile(_) | ExportError::KeyGone(_)) if tries < TRIES_MAX => tries += 1,
            Err(error) => {
                std::fs::remove_file(&unfinished).ok();
                return Err(error).with_context(|| path.display().to_string());
            }
            Ok(exported) => {
                std::fs::rename(&unfinished, path).with_context(|| path.display().to_string())?;
                return Ok(exported);
            }
        }
    }
}

async fn write_file(
    log: &dyn EventLog,
    options: &ExportOptions,
    path: &Path,
    tell: &mut impl FnMut(Step),
) -> Result<Exported, ExportError> {
    // What a try before left is of no use.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file: File = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path)?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
    let exported = export(log, options, &mut out, tell).await?;
    out.flush()?;
    out.get_ref().sync_all()?;
    Ok(exported)
}
