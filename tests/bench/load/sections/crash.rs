//! `kill -9` with many chats, some of them in the middle of an answer: how soon the next start answers, and whether
//! what was half written is kept.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::future::try_join_all;
use memchr::memmem;
use tokio::time::{Instant as Moment, sleep_until};

use super::Sizes;
use super::population::Population;
use crate::model::token;
use crate::report::{Kind, Report};
use crate::speaker::{Speaker, WORDS};
use crate::system::{Endpoint, System, endpoint_of};
use crate::wire::{Connection, get};

/// Tokens of an answer that is cut in half.
const TOKENS: usize = 40;

/// What is said is on its way to the journal for at most the flush interval, 100 ms by default.
const JOURNALED_AFTER: Duration = Duration::from_millis(300);

/// Kills the server and starts it again. `model` gives the other half when it is asked to.
pub async fn run(
    kind: Kind,
    system: &mut System,
    population: &Population,
    model: &mut Connection,
    sizes: &Sizes,
    report: &mut Report,
) -> anyhow::Result<()> {
    let System::Server(server) = system else { bail!("only a server can be killed") };
    let endpoint = endpoint_of(server)?;
    let script = format!("half-{TOKENS}");
    let begun = (0..sizes.half_written).map(|_| async {
        let mut speaker = Speaker::new(&endpoint, &script).await?;
        speaker.hear(TOKENS / 2).await?;
        anyhow::Ok(speaker)
    });
    let half: Vec<String> = try_join_all(begun).await?.into_iter().map(|speaker| speaker.chat).collect();
    sleep_until(Moment::now() + JOURNALED_AFTER).await;
    server.kill().await?;
    model.ask(b"POST /release HTTP/1.1\r\nhost: model\r\n\r\n", 204).await?;

    let begin = Instant::now();
    server.start_again().await.with_context(|| server.log())?;
    let listens_ms = begin.elapsed().as_secs_f64() * 1000.0;
    let endpoint = endpoint_of(server)?;
    let chat = population.chats.first().context("no chat")?.clone();
    let mut speaker = Speaker::in_chat(&endpoint, chat, endpoint.connect().await?, WORDS).await?;
    speaker.turn().await?;
    let answered_ms = begin.elapsed().as_secs_f64() * 1000.0;
    endpoint.rests().await?;
    let rests_ms = begin.elapsed().as_secs_f64() * 1000.0;
    report.put(kind, "kill -9, start, listening", listens_ms, "ms");
    report.put(kind, "kill -9, start, first answered message", answered_ms, "ms");
    if half.is_empty() {
        return Ok(());
    }
    report.put(kind, &format!("kill -9, start, {} cut answers given anew", half.len()), rests_ms, "ms");
    let mut kept = 0;
    for chat in &half {
        kept += usize::from(is_kept(&endpoint, chat).await?);
    }
    report.put(kind, "half-written answers kept", kept as f64 * 100.0 / half.len() as f64, "%");
    Ok(())
}

/// Whether a chat's events hold what was said before the kill, and the whole answer after it.
async fn is_kept(endpoint: &Endpoint, chat: &str) -> anyhow::Result<bool> {
    let path = format!("/api/v1/chats/{chat}/events?limit=200");
    let events = endpoint.connect().await?.ask(&get(&path, &endpoint.key), 200).await?;
    let lines = |name: &str| {
        events
            .split(|byte| *byte == b'\n')
            .filter(|line| memmem::find(line, name.as_bytes()).is_some())
            .collect::<Vec<_>>()
    };
    let said = |line: &[u8], number: usize| memmem::find(line, token(number).trim().as_bytes()).is_some();
    let answered = lines("message_committed").iter().any(|line| said(line, TOKENS - 1));
    ensure!(answered, "chat {chat} was not answered: {}", String::from_utf8_lossy(&events));
    Ok(lines("attempt_abandoned").iter().any(|line| said(line, TOKENS / 2 - 1)))
}
