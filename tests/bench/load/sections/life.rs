//! One chat of very many messages with a model of a small window: it is summarised as it goes, and neither its turns nor the
//! server's memory may grow with what was ever said in it. In the end every prompt is made again from the log.

use std::time::Instant;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::Sizes;
use crate::report::{Kind, Report, percentile};
use crate::speaker::Speaker;
use crate::system::{System, WINDOW_MODEL};
use crate::wire::post;

/// Messages between two looks.
const STRETCH: usize = 1_000;

/// What is said again and again: about 150 tokens.
fn words() -> String {
    "Tell me more of the harbour, of the ships that come in, and of those who sail them. ".repeat(7)
}

/// Measures.
pub async fn run(kind: Kind, system: &System, sizes: &Sizes, report: &mut Report) -> anyhow::Result<()> {
    let endpoint = system.endpoint()?;
    let System::Server(server) = system else { bail!("a proxy has no chats") };
    let mut talk = endpoint.connect().await?;
    let body = format!("{{\"model\":\"{WINDOW_MODEL}\"}}");
    let made: Value = serde_json::from_slice(&talk.ask(&post("/api/v1/chats", &endpoint.key, &body), 201).await?)?;
    let chat = made["id"].as_str().context("a chat without an id")?.to_owned();
    let mut speaker = Speaker::in_chat(&endpoint, chat.clone(), talk, &words()).await?;
    let mut medians = Vec::new();
    for stretch in 1..=sizes.life / STRETCH {
        // A turn is two messages.
        let mut finished = Vec::new();
        for _ in 0..STRETCH / 2 {
            finished.push(speaker.turn().await?.finished_ms);
        }
        let name = format!("turn up to message {}", stretch * STRETCH);
        let median = percentile(&mut finished, 50);
        report.put(kind, &format!("{name}, p50"), median, "ms");
        report.put(kind, &format!("{name}, p99"), percentile(&mut finished, 99), "ms");
        report.put(kind, &format!("memory after message {}", stretch * STRETCH), system.figures()?.memory_mb()?, "MB");
        medians.push(median);
    }
    if let [first, .., last] = medians.as_slice() {
        report.put(kind, "last turns of a long life against the first", last / first, "times");
    }
    let begin = Instant::now();
    let checked = server.run(&["replay", &chat, "--check", "--json"]).await?;
    let verdict: Value = serde_json::from_slice(&checked.stdout).context("no verdict")?;
    let prompts = verdict["prompts"].as_array().context("no prompts")?;
    let same = prompts.iter().filter(|prompt| prompt["verdict"] == "same").count();
    ensure!(checked.status.success() && same == prompts.len(), "only {same} of {} prompts are the same", prompts.len());
    // Besides the answers there were summaries.
    let summaries = same.saturating_sub(medians.len() * STRETCH / 2);
    report.put(kind, "summaries of a long life", summaries as f64, "prompts");
    report.put(kind, "every prompt of a long life made again", begin.elapsed().as_secs_f64() * 1000.0, "ms");
    Ok(())
}
