//! How many appends a second the log takes: one event of 600 bytes each, its chat's version and hash checked, by so
//! many callers at once, each with a chat of its own. SQLite in a directory here, PostgreSQL in a server of our own (or
//! one that is named), both writing to the disk.
//!
//! `cargo run --release -p tests --bin append_bench -- --seconds 5 --callers 1,16,64`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use support::chain::Chain;
use support::postgres::Postgres;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use verbatim_events::log::{Append, EventLog};
use verbatim_events_sql::{LogOptions, PostgresLog, SqliteLog};

/// Bytes of one event's data.
const EVENT_BYTES: usize = 600;
/// How long each cell runs before it counts.
const WARM_UP: Duration = Duration::from_millis(500);

/// Measures appends a second.
#[derive(Parser)]
struct Arguments {
    /// How long each cell is measured, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Numbers of callers, separated by commas.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    callers: Vec<usize>,
    /// Where the SQLite log is written; a new directory in the current one if it is not named.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// An empty PostgreSQL database; a server is started for the purpose if it is not named.
    #[arg(long)]
    postgres: Option<String>,
    /// Leave PostgreSQL out.
    #[arg(long)]
    sqlite_only: bool,
}

/// What one cell came to.
struct Cell {
    appends_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    println!("| log | callers | appends/s | p50 ms | p99 ms |");
    println!("|---|---|---|---|---|");
    sqlite(&arguments).await?;
    if !arguments.sqlite_only {
        postgres(&arguments).await?;
    }
    Ok(())
}

async fn sqlite(arguments: &Arguments) -> anyhow::Result<()> {
    let parent = arguments.directory.clone().unwrap_or_else(|| PathBuf::from("."));
    let directory = tempfile::Builder::new().prefix("append-bench-").tempdir_in(parent)?;
    let path = directory.path().join("events.db");
    let log = Arc::new(SqliteLog::open(path, LogOptions::default(), Handle::current()).await?);
    measure("SQLite", log.clone(), arguments).await?;
    log.close().await;
    Ok(())
}

async fn postgres(arguments: &Arguments) -> anyhow::Result<()> {
    // Lives until the end of the measurement, if it is ours.
    let (_server, url) = match &arguments.postgres {
        Some(url) => (None, url.clone()),
        None => {
            let server = Postgres::start(true)?;
            let url = server.database().await?;
            (Some(server), url)
        }
    };
    let log = Arc::new(PostgresLog::connect(&url, LogOptions::default(), Handle::current()).await?);
    measure("PostgreSQL", log.clone(), arguments).await?;
    log.close().await;
    Ok(())
}

async fn measure(name: &str, log: Arc<dyn EventLog>, arguments: &Arguments) -> anyhow::Result<()> {
    for callers in &arguments.callers {
        let cell = run(&log, *callers, Duration::from_secs(arguments.seconds)).await?;
        let Cell { appends_per_second, p50_ms, p99_ms } = cell;
        println!("| {name} | {callers} | {appends_per_second:.0} | {p50_ms:.2} | {p99_ms:.2} |");
    }
    Ok(())
}

async fn run(log: &Arc<dyn EventLog>, callers: usize, time: Duration) -> anyhow::Result<Cell> {
    let start = Instant::now() + WARM_UP;
    let end = start + time;
    let mut running = JoinSet::new();
    for _ in 0..callers {
        running.spawn(call(log.clone(), start, end));
    }
    let mut latencies: Vec<Duration> = Vec::new();
    while let Some(finished) = running.join_next().await {
        latencies.extend(finished??);
    }
    latencies.sort_unstable();
    let percentile = |percent: usize| {
        let index = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
        let latency = latencies.get(index).context("no append was finished in time")?;
        anyhow::Ok(latency.as_secs_f64() * 1000.0)
    };
    Ok(Cell {
        appends_per_second: latencies.len() as f64 / time.as_secs_f64(),
        p50_ms: percentile(50)?,
        p99_ms: percentile(99)?,
    })
}

/// One caller: the next append when the last one is answered. Returns how long those took that began in time.
async fn call(log: Arc<dyn EventLog>, start: Instant, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut chat = Chain::new();
    let mut latencies = Vec::new();
    loop {
        let append = Append { streams: vec![chat.grow_with(1, EVENT_BYTES)], receipt: None };
        let asked = Instant::now();
        log.append(append).await?;
        let answered = Instant::now();
        if answered >= end {
            return Ok(latencies);
        }
        if asked >= start {
            latencies.push(answered - asked);
        }
    }
}
