//! What must hold in the end.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::Report;
use super::talker::{Sent, Talk};
use super::watcher::Watched;
use crate::chat::ChatClient;
use crate::events::{Frame, message_text};

/// A chat's whole log, as a client reads it in the end.
pub(super) struct Log {
    frames: Vec<Frame>,
}

/// Reads the log of a chat that rests, and compares it with what was sent to it.
pub(super) async fn check_log(chat: &ChatClient, rested: &Value, talk: &Talk) -> anyhow::Result<Log> {
    ensure!(rested["status"] == "waiting", "the chat rests in {}: {rested}", rested["status"]);
    ensure!(rested["queue_length"] == 0 && rested.get("retry").is_none(), "the chat owes something: {rested}");
    let version = rested["version"].as_u64().context("a version")?;
    let frames = chat.stream(Some("0")).await.until(|frame| frame.data["version"].as_u64() == Some(version)).await;
    let frames: Vec<Frame> = frames.into_iter().filter(Frame::is_chat_event).collect();
    ensure!(frames.len() as u64 == version, "{} events up to version {version}", frames.len());
    let messages: Vec<&Value> =
        frames.iter().filter(|frame| frame.event == "message_committed").map(|frame| &frame.data["data"]).collect();
    check_messages(&messages, &talk.sent)?;
    check_answers(&messages, &talk.sent)?;
    check_turns(&frames)?;
    check_read_model(chat, &messages).await?;
    Ok(Log { frames })
}

/// Each acknowledged message is there once, under the id it was acknowledged with; those that may not overtake are in the
/// order in which they were acknowledged, and so are those that may.
fn check_messages(messages: &[&Value], sent: &[Sent]) -> anyhow::Result<()> {
    let users: Vec<&Value> = messages.iter().copied().filter(|message| message["role"] == "user").collect();
    let mut places = BTreeMap::new();
    for (place, message) in users.iter().enumerate() {
        let text = message_text(message);
        ensure!(places.insert(text.clone(), place).is_none(), "{text:?} is there twice");
    }
    ensure!(users.len() == sent.len(), "{} messages were acknowledged, {} are there", sent.len(), users.len());
    let mut last = [None, None];
    for one in sent {
        let place = *places.get(&one.content).with_context(|| format!("{:?} is lost", one.content))?;
        let message = users[place];
        let (id, queued_id) = (message["id"].as_u64(), message["queued_id"].as_u64());
        let is_it = match one.message_id {
            Some(_) => id == one.message_id,
            None => queued_id.is_some() && queued_id == one.queued_id,
        };
        ensure!(is_it, "{one:?} was acknowledged, {message} is there");
        let last = &mut last[usize::from(one.steer)];
        ensure!(
            *last < Some(place),
            "{:?} is at {place}, one that was acknowledged before it at {last:?}",
            one.content
        );
        *last = Some(place);
    }
    Ok(())
}

/// Each answer is the one that the demo model gives to the message before it: all of it, or, if it was interrupted, its
/// beginning. No message is answered twice.
fn check_answers(messages: &[&Value], sent: &[Sent]) -> anyhow::Result<()> {
    let answers: BTreeMap<&str, &str> = sent.iter().map(|one| (one.content.as_str(), one.answer.as_str())).collect();
    let mut asked: Option<String> = None;
    for message in messages {
        let text = message_text(message);
        if message["role"] == "user" {
            asked = Some(text);
            continue;
        }
        let asked = asked.take().with_context(|| format!("{message} answers nothing"))?;
        let expected = answers.get(asked.as_str()).with_context(|| format!("{asked:?} was never sent"))?;
        let fits = match message["finish_reason"].as_str() {
            Some("interrupted") => expected.starts_with(text.as_str()),
            _ => *expected == text,
        };
        ensure!(fits, "{asked:?} was answered {message}");
    }
    Ok(())
}

/// Turns do not overlap, each ends once, and none failed.
fn check_turns(frames: &[Frame]) -> anyhow::Result<()> {
    let mut open = None;
    for frame in frames {
        let data = &frame.data["data"];
        match frame.event.as_str() {
            "turn_started" => {
                ensure!(open.replace(data["turn_id"].clone()).is_none(), "a turn in a turn: {}", frame.raw)
            }
            "turn_finished" => {
                ensure!(open.take().as_ref() == Some(&data["turn_id"]), "another turn ended: {}", frame.raw);
                let outcome = data["outcome"].as_str();
                ensure!(matches!(outcome, Some("complete" | "interrupted")), "a turn ended badly: {}", frame.raw);
            }
            _ => {}
        }
    }
    ensure!(open.is_none(), "the turn {open:?} never ended");
    Ok(())
}

/// The read model's history is the log's.
async fn check_read_model(chat: &ChatClient, messages: &[&Value]) -> anyhow::Result<()> {
    let mut shown = Vec::new();
    let mut after = 0;
    loop {
        let page = chat.get(&format!("/messages?limit=200&after={after}")).await.expect(200);
        let Some(last) = page.items().last() else { break };
        after = last["id"].as_u64().context("an id")?;
        shown.extend(page.items().iter().cloned());
    }
    let brief = |message: &Value| (message["id"].as_u64(), message["role"].clone(), message["content"].clone());
    let (log, read): (Vec<_>, Vec<_>) =
        (messages.iter().map(|message| brief(message)).collect(), shown.iter().map(brief).collect());
    ensure!(log == read, "the read model has another history than the log");
    Ok(())
}

impl Log {
    /// Adds its figures.
    pub(super) fn count(&self, report: &mut Report) {
        let count = |name: &str| self.frames.iter().filter(|frame| frame.event == name).count();
        report.events += self.frames.len();
        report.abandoned += count("attempt_abandoned");
        report.retries += count("retry_scheduled");
        report.interrupted += self.frames.iter().filter(|frame| frame.data["data"]["outcome"] == "interrupted").count();
    }

    /// What a watcher was told over all its connections is what the log says, to the byte.
    pub(super) fn compare(&self, watched: &Watched, report: &mut Report) -> anyhow::Result<()> {
        let transcript = &watched.transcript;
        let told: Vec<&str> = transcript.events().map(|frame| frame.raw.as_str()).collect();
        let log: Vec<&str> = self.frames.iter().map(|frame| frame.raw.as_str()).collect();
        ensure!(told.len() == log.len(), "{} events were told, {} happened", told.len(), log.len());
        for (told, happened) in told.iter().zip(&log) {
            ensure!(told == happened, "{told:?} was told, {happened:?} happened");
        }
        let answers = transcript.check_answers().map_err(|breach| anyhow::anyhow!(breach.0))?;
        report.answers += answers;
        report.connections += watched.connections;
        report.resets += transcript.resets;
        report.parts += transcript.frames.len() - log.len();
        Ok(())
    }
}
