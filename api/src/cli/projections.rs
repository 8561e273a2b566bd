//! `verbatim projections`: the read models, of a running server or of none.

use std::pin::pin;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use sse_stream::SseByteStream;
use tokio::runtime::Handle;
use verbatim_projections::{ReadModels, ReadSettings, RebuildRequest, Verify, projection_names};

use super::output::{Style, harmless, put};
use super::progress::Progress;
use super::remote::Remote;
use super::{Context, log, runtime};
use crate::compose::read_location;
use crate::config::Settings;
use crate::locate::DataDir;

const LIST: &str = "\
List the read models: up to which position of the log they stand, and how many events they are behind.";

const REBUILD: &str = "\
Build the read models anew from the log, beside the live ones, and swap. Readers notice nothing. All of them share one
database, so naming one rebuilds them all.

If a server runs on the data directory it is asked to do it; else it is done here.";

#[derive(Debug, Subcommand)]
pub(super) enum ProjectionsCommand {
    /// Positions and lag
    #[command(long_about = LIST)]
    List(ListArgs),
    /// Build them anew
    #[command(long_about = REBUILD)]
    Rebuild(RebuildArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// Which; all without a name
    names: Vec<String>,
    /// Compare every new row with the live one before the swap; a difference fails the rebuild
    #[arg(long)]
    verify: bool,
    /// The key to a running server [default: $VERBATIM_KEY, else the admin key in the data directory]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, command: ProjectionsCommand) -> anyhow::Result<ExitCode> {
    let settings = context.settings(None)?;
    runtime::block_on(async |shared| match command {
        ProjectionsCommand::List(args) => list(context, &settings, &args, shared).await,
        ProjectionsCommand::Rebuild(args) => {
            let key = context.given(args.key.as_deref(), &["VERBATIM_KEY", "VERBATIM_ADMIN_KEY"]);
            rebuild(context, &settings, &args, key, shared).await
        }
    })
}

/// Looks at the database itself, beside a running server or without one: both are read alone.
async fn list(context: &Context, settings: &Settings, args: &ListArgs, shared: Handle) -> anyhow::Result<ExitCode> {
    let log = log::open(settings, &context.environment, shared.clone()).await?;
    let head = log.head().await?;
    let found = ReadModels::inspect(read_location(settings), &shared).await?;
    let usable = found.as_ref().filter(|found| found.same_program && found.timeline == log.timeline());
    let applied = usable.map_or(0, |found| found.applied);
    let generation = found.as_ref().map(|found| found.generation);
    let note_on = match (&found, usable) {
        (_, Some(_)) => None,
        (Some(found), None) if found.same_program => Some("made from another log; rebuilt at the next start"),
        (Some(_), None) => Some("made by another version; rebuilt at the next start"),
        (None, None) => Some("not there yet; built at the next start"),
    };
    if args.json {
        let items: Vec<Value> = projection_names()
            .map(|name| {
                json!({
                    "name": name, "position": applied, "head": head, "lag": head.saturating_sub(applied),
                    "generation": generation, "note": note_on,
                })
            })
            .collect();
        put(&format!("{}\n", json!({ "items": items })))?;
        return Ok(ExitCode::SUCCESS);
    }
    let style = Style::of_stdout();
    let mut text =
        style.bold(&format!("{:<12} {:>10} {:>10} {:>8}", "projection", "position", "head", "behind")) + "\n";
    for name in projection_names() {
        text.push_str(&format!("{name:<12} {applied:>10} {head:>10} {:>8}\n", head.saturating_sub(applied)));
    }
    if let Some(remark) = note_on {
        text.push_str(&format!("{}\n", style.yellow(remark)));
    }
    put(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn rebuild(
    context: &Context,
    settings: &Settings,
    args: &RebuildArgs,
    key: Option<String>,
    shared: Handle,
) -> anyhow::Result<ExitCode> {
    for name in &args.names {
        if !projection_names().any(|known| known == name) {
            let known = projection_names().collect::<Vec<_>>().join(", ");
            bail!("there is no projection {name:?}; there are {known}");
        }
    }
    match Remote::running(&DataDir::at(&settings.data_dir), key.as_deref())? {
        Some(remote) => ask(&remote, args).await,
        None => rebuild_here(context, settings, args, shared).await,
    }
}

/// Has the running server do it, and shows what it tells.
async fn ask(remote: &Remote, args: &RebuildArgs) -> anyhow::Result<ExitCode> {
    let [name] = &args.names[..] else { return ask_for(remote, "all", args).await };
    ask_for(remote, name, args).await
}

async fn ask_for(remote: &Remote, name: &str, args: &RebuildArgs) -> anyhow::Result<ExitCode> {
    let path = format!("/projections/{name}/rebuild?verify={}", args.verify);
    let response = remote.open(Method::POST, &path, None).await?;
    let mut events = pin!(SseByteStream::new(response.bytes_stream()));
    let mut progress = Progress::new("events applied", 0, args.json);
    while let Some(event) = events.next().await {
        let event = event.with_context(|| format!("{} broke the stream off", remote.url()))?;
        let data: Value = serde_json::from_str(event.data.as_deref().unwrap_or("null"))?;
        match event.event.as_deref() {
            Some("progress") => {
                progress.of(data["events_total"].as_u64().unwrap_or_default());
                progress.at(data["events_done"].as_u64().unwrap_or_default());
            }
            Some("done") => {
                drop(progress);
                return report(&data, args);
            }
            Some("failed") => {
                drop(progress);
                let reason = data["detail"].as_str().unwrap_or("no reason was given");
                bail!("the rebuild failed, the live rows stay: {}", harmless(reason));
            }
            Some(_) | None => {}
        }
    }
    bail!("{} stopped telling; it may still be rebuilding, see `verbatim projections list`", remote.url())
}

/// Does it in this process, which keeps servers out meanwhile.
async fn rebuild_here(
    context: &Context,
    settings: &Settings,
    args: &RebuildArgs,
    shared: Handle,
) -> anyhow::Result<ExitCode> {
    let data_dir = DataDir::at(&settings.data_dir);
    let log = log::open(settings, &context.environment, shared.clone()).await?;
    data_dir.prepare()?;
    let _serving = data_dir.serve()?;
    let reads = ReadModels::open(read_location(settings), log, shared, ReadSettings::default()).await?;
    let mut told = reads.rebuild_progress();
    let verify = if args.verify { Verify::Compare } else { Verify::Trust };
    if args.verify && reads.stale().is_none() {
        // What is compared must show the same events.
        reads.catch_up().await?;
    }
    let request = RebuildRequest { projections: args.names.clone(), verify, ..RebuildRequest::default() };
    let mut progress = Progress::new("events applied", 0, args.json);
    let mut rebuilding = pin!(reads.rebuild(request));
    let rebuilt = loop {
        tokio::select! {
            rebuilt = &mut rebuilding => break rebuilt,
            Ok(()) = told.changed() => {
                let now = told.borrow_and_update().clone();
                progress.of(now.head);
                progress.at(now.applied);
            }
        }
    };
    drop(progress);
    let closed = reads.close().await;
    let done = rebuilt.context("the rebuild failed, the live rows stay")?;
    closed?;
    let data = json!({
        "generation": done.generation, "events": done.events,
        "rows_compared": done.rows_compared, "dead_letters": done.dead_letters,
    });
    report(&data, args)
}

fn report(data: &Value, args: &RebuildArgs) -> anyhow::Result<ExitCode> {
    if args.json {
        put(&format!("{data}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let number = |name: &str| data[name].as_u64().unwrap_or_default();
    let compared = match number("rows_compared") {
        0 => String::new(),
        rows => format!(", {rows} rows were the same as before"),
    };
    put(&format!(
        "{}: generation {} was made from {} events{compared}\n",
        Style::of_stdout().green("rebuilt"),
        number("generation"),
        number("events")
    ))?;
    Ok(ExitCode::SUCCESS)
}
