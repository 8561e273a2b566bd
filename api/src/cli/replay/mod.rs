//! `verbatim replay`: one chat, from its log.

mod diff;
mod ledger;
mod line;
mod state;

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::json;
use uuid::Uuid;
use verbatim_events::chat::{Chat, Outline, evolve};
use verbatim_events::envelope::Stored;
use verbatim_events::ids::{ChatId, Digest, Version};
use verbatim_events::wire::decode;

use super::output::{Style, harmless, put};
use super::{Context, FAILED, log, runtime};
use crate::position;
use crate::verify::{ChatAudit, PromptVerdict, audit_chat, read_chat};
use crate::wire::raw::RawView;

pub(super) const ABOUT: &str = "\
Show everything that happened in a chat, in order, from the log alone. Works beside a running server.

--at shows the chat as it was after one of its events, or at a time, --diff what changed from one such moment to another. \
--check proves it: the hash chain, that every event
can have happened, and for every model call that the log still yields the very bytes that were sent.";

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The chat's id
    chat: ChatId,
    /// Show the chat as it was after this version, or at this time (RFC 3339)
    #[arg(long, value_name = "VERSION|TIME", conflicts_with = "check")]
    at: Option<Moment>,
    /// Show what changed from one version or time to another
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"], conflicts_with_all = ["at", "check"])]
    diff: Vec<Moment>,
    /// Check hashes, legality and prompts; exit code 1 if something is wrong
    #[arg(long)]
    check: bool,
    /// Print JSON: one event a line, or the state, the changes, the outcome of the check
    #[arg(long)]
    json: bool,
}

/// A moment in a chat's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// After the event of this version.
    Version(Version),
    /// After the last event decided until then.
    Time(DateTime<Utc>),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        if let Ok(version) = text.parse() {
            return Ok(Moment::Version(version));
        }
        let time = DateTime::parse_from_rfc3339(text);
        time.map(|time| Moment::Time(time.to_utc()))
            .map_err(|_| "a version such as 42, or a time such as 2030-01-31T12:00:00Z, is needed".to_owned())
    }
}

pub(super) fn run(context: &Context, args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let settings = context.settings(None)?;
    runtime::block_on(async |shared| {
        let log = log::open(&settings, &context.environment, shared).await?;
        let events = read_chat(log.as_ref(), args.chat).await?;
        if events.is_empty() || !args.chat.is_chat() {
            bail!("there is no chat {} in {}", args.chat, settings.database);
        }
        if let [from, to] = args.diff[..] {
            let (from, to) = (fold(&events, from)?, fold(&events, to)?);
            let changes = diff::between(&from, &to)?;
            put(&if args.json {
                format!("{}\n", diff::json(&from, &to, &changes))
            } else {
                diff::text(&from, &to, &changes, Style::of_stdout())
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        match args.at {
            Some(moment) => {
                let chat = fold(&events, moment)?;
                put(&if args.json {
                    format!("{}\n", state::json(&chat))
                } else {
                    state::text(&chat, Style::of_stdout())
                })?;
                Ok(ExitCode::SUCCESS)
            }
            None if args.check => check(&events, args.json),
            None => show(&events, args.json, log.timeline()),
        }
    })
}

fn show(events: &[Stored], as_json: bool, timeline: Uuid) -> anyhow::Result<ExitCode> {
    let style = Style::of_stdout();
    let (mut outline, mut previous) = (None, Digest::ZERO);
    let mut ledger = ledger::Ledger::default();
    for stored in events {
        if as_json {
            // The audit form of the HTTP face: what one has read, a program for the other understands.
            if !stored.is_erased() {
                outline = decode(stored).ok().and_then(|recorded| Outline::apply(outline, &recorded).ok());
            }
            let status = outline.as_ref().map(|outline| outline.status);
            let position = position::encode(timeline, stored.position);
            let view = RawView::of(stored, position, status, Some(previous));
            put(&format!("{}\n", serde_json::to_string(&view)?))?;
            previous = stored.event.hash;
        } else {
            put(&line::text(stored, &mut ledger, style))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The chat as it was at a moment.
fn fold(events: &[Stored], moment: Moment) -> anyhow::Result<Chat> {
    let last = events.last().map_or(0, |stored| stored.event.version);
    let wanted = match moment {
        Moment::Version(0) => bail!("versions begin with 1"),
        Moment::Version(version) if version > last => bail!("the chat is at version {last}"),
        Moment::Version(version) => version,
        // By version, not by time alone: a clock that was set back must not hide events between others.
        Moment::Time(time) => events
            .iter()
            .filter(|stored| stored.event.recorded_at <= time)
            .map(|stored| stored.event.version)
            .max()
            .unwrap_or(0),
    };
    let mut chat = None;
    let mut erased = false;
    for stored in events.iter().take_while(|stored| stored.event.version <= wanted) {
        erased |= stored.is_erased();
        if stored.is_erased() {
            continue;
        }
        chat = Some(evolve(chat, &decode(stored)?)?);
    }
    match chat {
        Some(chat) => Ok(chat),
        None if erased => bail!("what the chat was then was erased"),
        None => bail!("the chat did not exist yet"),
    }
}

fn check(events: &[Stored], as_json: bool) -> anyhow::Result<ExitCode> {
    let audit = audit_chat(events);
    let clean = audit.is_clean();
    if as_json {
        let mut report = serde_json::to_value(&audit)?;
        report["clean"] = json!(clean);
        put(&format!("{report}\n"))?;
    } else {
        put(&check_text(&audit, Style::of_stdout()))?;
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn check_text(audit: &ChatAudit, style: Style) -> String {
    let mut text = match &audit.finding {
        None => format!("events   {} {}: hash chain and order hold\n", audit.events, style.green("fine")),
        Some(finding) => format!("events   {}: {}\n", style.red("first bad event"), harmless(&finding.to_string())),
    };
    let count =
        |wanted: fn(&PromptVerdict) -> bool| audit.prompts.iter().filter(|check| wanted(&check.verdict)).count();
    let same = count(|verdict| matches!(verdict, PromptVerdict::Same { .. }));
    text.push_str(&format!("prompts  {same} of {} made again from the log, byte by byte\n", audit.prompts.len()));
    for prompt in &audit.prompts {
        match &prompt.verdict {
            PromptVerdict::Same { .. } => {}
            PromptVerdict::Differs { sent, rebuilt } => text.push_str(&format!(
                "         attempt {}: {}: sent {sent}, the log yields {rebuilt}\n",
                prompt.attempt_id,
                style.red("differs")
            )),
            PromptVerdict::NotComparable { reason } => text.push_str(&format!(
                "         attempt {}: {}: {}\n",
                prompt.attempt_id,
                style.yellow("not compared"),
                harmless(reason)
            )),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_version_or_a_time() {
        assert_eq!("42".parse(), Ok(Moment::Version(42)));
        let noon = DateTime::from_timestamp(1_900_000_000, 0).expect("a time");
        assert_eq!(noon.to_rfc3339().parse(), Ok(Moment::Time(noon)));
        assert!("yesterday".parse::<Moment>().is_err());
    }
}
