//! One long answer, given as fast as the model can, and those who watch it come.

use std::time::Instant;

use anyhow::{Context, ensure};

use super::Sizes;
use crate::report::{Kind, Report, percentile};
use crate::speaker::{FINISHED, PART, Speaker, watch};
use crate::system::{Endpoint, System, count};
use crate::wire::Connection;

/// Measures how many tokens a second reach all watchers together. With the proxy each answer has one reader.
pub async fn run(kind: Kind, system: &System, sizes: &Sizes, report: &mut Report) -> anyhow::Result<()> {
    let (endpoint, figures) = (system.endpoint()?, system.figures()?);
    let script = format!("instant-{}", sizes.tokens);
    for watchers in sizes.watchers.iter().filter(|watchers| **watchers == 1 || !endpoint.proxy) {
        let delivered = (sizes.tokens * watchers) as f64;
        let (mut rates, cpu_ms) = (Vec::new(), figures.cpu_ms()?);
        for _ in 0..sizes.repeat.max(1) {
            let seconds = match endpoint.proxy {
                true => Speaker::new(&endpoint, &script).await?.turn().await?.finished_ms / 1000.0,
                false => watched(&endpoint, &script, sizes.tokens, *watchers).await?,
            };
            rates.push(delivered / seconds);
        }
        let cpu_ms = (figures.cpu_ms()? - cpu_ms) / sizes.repeat.max(1) as f64;
        let who = if *watchers == 1 { "1 watcher".to_owned() } else { format!("{watchers} watchers") };
        report.put(kind, &format!("tokens delivered, 1 chat, {who}"), percentile(&mut rates, 50), "per s");
        report.put(kind, &format!("server CPU of {} tokens, {who}", sizes.tokens), cpu_ms, "ms");
    }
    Ok(())
}

/// One answer; returns the seconds from the question until the last watcher has all of it.
async fn watched(endpoint: &Endpoint, script: &str, tokens: usize, watchers: usize) -> anyhow::Result<f64> {
    let mut speaker = Speaker::new(endpoint, script).await?;
    let mut readers = Vec::new();
    // The speaker's own stream is one of them.
    for _ in 1..watchers {
        readers.push(watch(endpoint, &speaker.chat).await?);
    }
    let begin = Instant::now();
    let reads = futures_util::future::try_join_all(readers.into_iter().map(|reader| read(reader, tokens)));
    let (turn, all) = tokio::join!(speaker.turn(), reads);
    turn?;
    all?;
    Ok(begin.elapsed().as_secs_f64())
}

async fn read(mut reader: Connection, tokens: usize) -> anyhow::Result<()> {
    let mut parts = 0;
    loop {
        let chunk = reader.chunk().await?.context("a watcher was cut")?;
        parts += count(chunk, PART);
        if count(chunk, FINISHED) > 0 {
            ensure!(parts == tokens, "a watcher got {parts} of {tokens} tokens");
            return Ok(());
        }
    }
}
