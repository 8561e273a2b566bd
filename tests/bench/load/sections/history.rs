//! Turns in chats with a history: nothing but the prompt may grow with it.

use anyhow::Context;
use futures_util::future::try_join_all;

use super::Sizes;
use crate::report::{Kind, Report, percentile};
use crate::speaker::Speaker;
use crate::system::{Endpoint, System};

/// Chats of one measurement.
const CHATS: usize = 5;

/// Turns measured in each.
const TURNS: usize = 10;

/// Measures.
pub async fn run(kind: Kind, system: &System, sizes: &Sizes, report: &mut Report) -> anyhow::Result<()> {
    let endpoint = system.endpoint()?;
    if endpoint.proxy {
        return Ok(());
    }
    let mut medians = Vec::new();
    for messages in &sizes.history {
        let median = measure(&endpoint, *messages).await?;
        report.put(kind, &format!("turn at history {messages}, p50"), median, "ms");
        medians.push((*messages, median));
    }
    let (first, rest) = medians.split_first().context("no history to measure")?;
    for (messages, median) in rest {
        report.put(kind, &format!("turn at history {messages} against {}", first.0), median / first.1, "times");
    }
    Ok(())
}

async fn measure(endpoint: &Endpoint, messages: usize) -> anyhow::Result<f64> {
    // A turn is two messages. The measured turns lie around the wanted length, not behind it.
    let before = (messages / 2).saturating_sub(TURNS / 2);
    let grown = (0..CHATS).map(|_| async {
        let mut speaker = Speaker::new(endpoint, "instant-20").await?;
        for _ in 0..before {
            speaker.turn().await?;
        }
        anyhow::Ok(speaker)
    });
    let mut finished = Vec::new();
    for mut speaker in try_join_all(grown).await? {
        for _ in 0..TURNS {
            finished.push(speaker.turn().await?.finished_ms);
        }
    }
    Ok(percentile(&mut finished, 50))
}
