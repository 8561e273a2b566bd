//! Many chats: what they cost while they rest, how long it takes to open one, to make all read models anew.

use std::time::Instant;

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use memchr::memmem;
use serde_json::Value;

use super::Sizes;
use crate::report::{Kind, Report, percentile};
use crate::speaker::watch;
use crate::system::{Endpoint, System};
use crate::wire::post;

/// Settings of a server whose chats are to rest soon.
pub const LIMITS: &str = "passivate_after_ms = 1000";

/// Connections that the chats are made over.
const CONNECTIONS: usize = 32;

/// One chat in so many is made before memory is looked at for the first time: by then everything is there that there is
/// once, and what comes is the chats'.
const FIRST_SHARE: usize = 5;

/// Resting chats that are opened.
const OPENED: usize = 200;

/// How often the read models are made anew.
const REBUILDS: usize = 3;

/// Chats that have had their turns, and what the server took for them.
#[derive(Debug)]
pub struct Population {
    /// Their ids.
    pub chats: Vec<String>,
    /// Memory with a first share of them and with all of them at rest, in MB.
    memory_mb: (f64, f64),
}

impl Population {
    /// Makes the chats and waits until all of them rest and none is in memory.
    pub async fn make(system: &System, sizes: &Sizes) -> anyhow::Result<Population> {
        let (endpoint, figures) = (system.endpoint()?, system.figures()?);
        let first = sizes.population / FIRST_SHARE;
        let mut chats = make_all(&endpoint, first, sizes.turns_each).await?;
        let before = figures.memory_mb()?;
        chats.extend(make_all(&endpoint, sizes.population - first, sizes.turns_each).await?);
        Ok(Population { chats, memory_mb: (before, figures.memory_mb()?) })
    }

    /// What the chats cost while they rest, and how long it takes until one of them is seen.
    pub async fn idle(&self, kind: Kind, system: &System, report: &mut Report) -> anyhow::Result<()> {
        let endpoint = system.endpoint()?;
        let count = self.chats.len();
        let (before, after) = self.memory_mb;
        let later = (count - count / FIRST_SHARE).max(1) as f64;
        report.put(kind, &format!("memory with {count} chats at rest"), after, "MB");
        report.put(kind, "memory per chat at rest", (after - before).max(0.0) * 1000.0 / later, "kB");
        let mut opened = Vec::new();
        // Spread over all of them, oldest and newest alike.
        for chat in self.chats.iter().step_by((count / OPENED).max(1)) {
            let begin = Instant::now();
            watch(&endpoint, chat).await?;
            opened.push(begin.elapsed().as_secs_f64() * 1000.0);
        }
        report.put(kind, "resting chat opened, p50", percentile(&mut opened, 50), "ms");
        report.put(kind, "resting chat opened, p99", percentile(&mut opened, 99), "ms");
        Ok(())
    }

    /// Makes all read models anew while the server serves.
    pub async fn rebuild(&self, kind: Kind, system: &System, report: &mut Report) -> anyhow::Result<()> {
        let (endpoint, figures) = (system.endpoint()?, system.figures()?);
        let (mut rates, mut costs) = (Vec::new(), Vec::new());
        for _ in 0..REBUILDS {
            let (begin, cpu_ms) = (Instant::now(), figures.cpu_ms()?);
            let mut telling = endpoint.connect().await?;
            telling.stream(&post("/api/v1/projections/all/rebuild", &endpoint.key, "")).await?;
            let mut last = Vec::new();
            while let Some(chunk) = telling.chunk().await? {
                last = chunk.to_vec();
            }
            let seconds = begin.elapsed().as_secs_f64();
            let done = memmem::rfind(&last, b"event: done\ndata: ").context("the rebuild failed")?;
            let data = std::str::from_utf8(&last[done..])?.lines().nth(1).unwrap_or_default();
            let data: Value = serde_json::from_str(data.trim_start_matches("data: "))?;
            let events = data["events"].as_f64().context("no number of events")?;
            ensure!(events >= self.chats.len() as f64, "only {events} events were applied");
            rates.push(events / seconds);
            costs.push((figures.cpu_ms()? - cpu_ms) * 1000.0 / events);
        }
        report.put(kind, "rebuild of the read models", percentile(&mut rates, 50), "events per s");
        report.put(kind, "server CPU of the rebuild", percentile(&mut costs, 50), "µs per event");
        Ok(())
    }
}

/// Makes chats over several connections and waits until all of them rest and none is in memory.
async fn make_all(endpoint: &Endpoint, chats: usize, turns: usize) -> anyhow::Result<Vec<String>> {
    let shares = (0..CONNECTIONS).map(|index| {
        let share = chats / CONNECTIONS + usize::from(index < chats % CONNECTIONS);
        make(endpoint, share, turns)
    });
    let made = try_join_all(shares).await?.concat();
    endpoint.rests().await?;
    endpoint.sleeps().await?;
    Ok(made)
}

/// Makes chats over one connection; their turns are queued and go on behind it.
async fn make(endpoint: &Endpoint, chats: usize, turns: usize) -> anyhow::Result<Vec<String>> {
    let mut connection = endpoint.connect().await?;
    let mut made = Vec::with_capacity(chats);
    for number in 0..chats {
        let body = format!("{{\"content\":\"Tell me about matter {number}, as briefly as you can.\"}}");
        let answer = connection.ask(&post("/api/v1/chats", &endpoint.key, &body), 201).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let chat = answer["id"].as_str().context("a chat without an id")?.to_owned();
        let path = format!("/api/v1/chats/{chat}/messages");
        for turn in 1..turns {
            let body = format!("{{\"content\":\"And what about its aspect {turn}?\"}}");
            connection.ask(&post(&path, &endpoint.key, &body), 202).await?;
        }
        made.push(chat);
    }
    Ok(made)
}
