//! Short turns: how long one takes, how many go in a second, what they cost.

use std::time::{Duration, Instant};

use super::Sizes;
use crate::process::ProcessFigures;
use crate::report::{Kind, Report, percentile};
use crate::speaker::{Speaker, Turn};
use crate::system::{Endpoint, System};

/// Turns before those that count.
const WARM_UP: usize = 50;

/// A new chat after so many turns, as people do.
const TURNS_PER_CHAT: usize = 20;

/// The script of the usual answer.
const INSTANT: &str = "instant-20";

/// The script of a model that takes its time for the first token.
const SLOW: &str = "slow-30-20";

/// Measures a system that has just been started.
pub async fn run(kind: Kind, system: &System, sizes: &Sizes, report: &mut Report) -> anyhow::Result<()> {
    let (endpoint, figures) = (system.endpoint()?, system.figures()?);
    report.put(kind, "memory at start", figures.memory_mb()?, "MB");
    one_by_one(&endpoint, INSTANT, TURNS_PER_CHAT).await?;
    report.put(kind, "memory after 20 turns", figures.memory_mb()?, "MB");

    one_by_one(&endpoint, INSTANT, WARM_UP).await?;
    let turns = one_by_one(&endpoint, INSTANT, sizes.turns).await?;
    let mut finished: Vec<f64> = turns.iter().map(|turn| turn.finished_ms).collect();
    report.put(kind, "turn of 20 tokens, 1 chat, p50", percentile(&mut finished, 50), "ms");
    report.put(kind, "turn of 20 tokens, 1 chat, p99", percentile(&mut finished, 99), "ms");

    let turns = one_by_one(&endpoint, SLOW, (sizes.turns / 5).max(1)).await?;
    let mut over: Vec<f64> = turns.iter().map(|turn| turn.first_part_ms - turn.own_ms).collect();
    report.put(kind, "first token over the model's own, p50", percentile(&mut over, 50), "ms");
    report.put(kind, "first token over the model's own, p99", percentile(&mut over, 99), "ms");

    for chats in &sizes.chats {
        at_once(kind, &endpoint, &figures, *chats, Duration::from_secs(sizes.seconds), report).await?;
    }
    report.put(kind, "memory after all turns", figures.memory_mb()?, "MB");
    Ok(())
}

async fn one_by_one(endpoint: &Endpoint, script: &str, turns: usize) -> anyhow::Result<Vec<Turn>> {
    let mut done = Vec::with_capacity(turns);
    while done.len() < turns {
        let mut speaker = Speaker::new(endpoint, script).await?;
        for _ in 0..TURNS_PER_CHAT.min(turns - done.len()) {
            done.push(speaker.turn().await?);
        }
    }
    Ok(done)
}

async fn at_once(
    kind: Kind,
    endpoint: &Endpoint,
    figures: &ProcessFigures,
    chats: usize,
    duration: Duration,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut speakers = Vec::new();
    for _ in 0..chats {
        speakers.push(Speaker::new(endpoint, INSTANT).await?);
    }
    let (cpu_ms, begin) = (figures.cpu_ms()?, Instant::now());
    let talks = speakers.into_iter().map(|mut speaker| async move {
        let mut finished = Vec::new();
        while begin.elapsed() < duration {
            if finished.len() % TURNS_PER_CHAT == TURNS_PER_CHAT - 1 {
                speaker = Speaker::new(endpoint, INSTANT).await?;
            }
            finished.push(speaker.turn().await?.finished_ms);
        }
        anyhow::Ok(finished)
    });
    let mut finished = futures_util::future::try_join_all(talks).await?.concat();
    let (elapsed, turns) = (begin.elapsed().as_secs_f64(), finished.len() as f64);
    let cpu_ms = figures.cpu_ms()? - cpu_ms;
    let crowd = if chats == 1 { "1 chat".to_owned() } else { format!("{chats} chats at once") };
    report.put(kind, &format!("turns, {crowd}"), turns / elapsed, "per s");
    if chats > 1 {
        report.put(kind, &format!("turn of 20 tokens, {crowd}, p50"), percentile(&mut finished, 50), "ms");
        report.put(kind, &format!("turn of 20 tokens, {crowd}, p99"), percentile(&mut finished, 99), "ms");
    }
    report.put(kind, &format!("server CPU per turn, {crowd}"), cpu_ms / turns, "ms");
    Ok(())
}
