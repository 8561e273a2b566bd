//! An event as a line for people.

use chrono::SecondsFormat;
use serde_json::Value;
use verbatim_events::envelope::{Actor, Stored};
use verbatim_events::error::ChatError;
use verbatim_events::event::{
    ApprovalDecision, AttemptRecorded, CapacityScope, Event, PendingCall, RetryScheduled, ToolCallFinished,
    TurnFinished, UsageRecorded,
};
use verbatim_events::message::{Role, Usage};
use verbatim_events::part::Part;
use verbatim_events::price::dollars;
use verbatim_events::wire::decode;

use super::ledger::Ledger;
use crate::cli::output::{Style, harmless, shortened};

/// Characters of what was said that a line shows.
const SAID: usize = 100;

/// The event's version, time, type, what matters of it, and who did it. The ledger has seen the events before it.
pub(super) fn text(stored: &Stored, ledger: &mut Ledger, style: Style) -> String {
    let event = &stored.event;
    let time = event.recorded_at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let what = match decode(stored) {
        Ok(recorded) => {
            let what = summary(&recorded.event, ledger);
            ledger.pass(&recorded.event);
            what
        }
        Err(error) if error.erased => style.dim("erased"),
        Err(error) => style.red(&format!("cannot be read: {}", harmless(&error.problem))),
    };
    let who = match &event.actor {
        Actor::User(name) => harmless(name),
        Actor::Node(name) => format!("node {}", harmless(name)),
        Actor::System => "system".to_owned(),
    };
    let kind = style.bold(&format!("{:<24}", event.event_type));
    format!("{:>5}  {}  {kind}  {what}  {}\n", event.version, style.dim(&time), style.dim(&format!("({who})")))
}

fn summary(event: &Event, ledger: &Ledger) -> String {
    match event {
        Event::ChatCreated(created) => format!("{} {}", quoted(&created.title), model(created.model.as_deref())),
        Event::MessageCommitted(message) => {
            format!("{}: {}", role(message.role), told(&message.parts, |call_id| ledger.is_unknown(call_id)))
        }
        Event::MessagesWithdrawn(withdrawn) => format!("from message {} on", withdrawn.from),
        Event::MessageQueued(queued) => {
            format!("{}{}", said(&queued.parts), if queued.steer { ", for the next step" } else { "" })
        }
        Event::QueuedMessageDeleted(deleted) => format!("queued message {}", deleted.queued_id),
        Event::QueuedMessagePromoted(promoted) => {
            format!("queued message {} to {}", promoted.queued_id, name(&promoted.to))
        }
        Event::TurnStarted(turn) => name(&turn.reason),
        Event::AttemptRecorded(attempt) => attempt_summary(attempt),
        Event::ToolCallStarted(call) => {
            format!("{} ({}), {}", harmless(&call.name), harmless(&call.call_id), name(&call.effect_class))
        }
        Event::ToolCallFinished(call) => finished_summary(call),
        Event::RetryScheduled(retry) => retry_summary(retry),
        Event::CapacityAwaited(awaited) => match awaited.scope {
            CapacityScope::Root | CapacityScope::Child => {
                "as many turns of this owner are at work as may be".to_owned()
            }
            CapacityScope::Node => "as many turns are at work here as may be".to_owned(),
        },
        Event::AttemptAbandoned(abandoned) => format!("attempt {}: {}", abandoned.attempt_id, name(&abandoned.cause)),
        Event::ActionRequired(action) => {
            let calls: Vec<String> = action.calls.iter().map(waiting).collect();
            format!("{} until {}", calls.join(", "), action.deadline.to_rfc3339_opts(SecondsFormat::Secs, true))
        }
        Event::ActionResolved(resolved) => name(&resolved.resolution),
        Event::ApprovalsDecided(decided) => {
            let decisions: Vec<String> = decided.decisions.iter().map(decision).collect();
            format!("{} by {}", decisions.join(", "), harmless(&decided.by))
        }
        Event::InterruptRequested(interrupt) => name(&interrupt.cause),
        Event::TurnFinished(turn) => turn_summary(turn),
        Event::CompactionRequested(requested) => name(&requested.source),
        Event::ContextCompacted(compacted) => {
            format!("{} at {} tokens", name(&compacted.source), compacted.context_tokens)
        }
        Event::ContextCleared(cleared) => name(&cleared.source),
        Event::SettingsChanged(changed) => {
            serde_json::to_value(changed).map_or_else(|_| String::new(), |all| value(&all))
        }
        Event::ChatArchived(_) | Event::ChatUnarchived(_) => String::new(),
        Event::ChatErased(erased) => {
            format!(
                "by {}{}",
                harmless(&erased.by),
                erased.reason.as_deref().map_or_else(String::new, |why| format!(": {}", shortened(why, SAID)))
            )
        }
        Event::ChildSpawned(child) => format!("{} ({})", child.child, name(&child.kind)),
        Event::UsageRecorded(spent) => spent_summary(spent),
    }
}

fn attempt_summary(attempt: &AttemptRecorded) -> String {
    let digest = match &attempt.prompt_digest {
        Some(digest) => format!(", prompt {}…", &digest.to_string()[..12]),
        None => String::new(),
    };
    format!("{} {}, {}{digest}", name(&attempt.action), attempt.number, model(attempt.model.as_deref()))
}

fn finished_summary(call: &ToolCallFinished) -> String {
    let state = if call.is_error { "failed" } else { "done" };
    let files: Vec<String> = call.attachments.iter().map(|file| said(std::slice::from_ref(file))).collect();
    let files = if files.is_empty() { String::new() } else { format!(", with {}", files.join(", ")) };
    let (tool, call_id) = (harmless(&call.name), harmless(&call.call_id));
    format!("{tool} ({call_id}) {state} in {} ms: {}{files}", call.duration_ms, value(&call.result))
}

fn spent_summary(spent: &UsageRecorded) -> String {
    let Usage { output_tokens, .. } = spent.usage;
    let tokens = if spent.usage == Usage::default() && spent.cost_micros.is_none() {
        "nobody knows how many tokens".to_owned()
    } else {
        format!("{} + {output_tokens} tokens", spent.usage.context_tokens())
    };
    let cost = spent.cost_micros.map_or_else(String::new, |micros| format!(", {}", dollars(micros)));
    format!("{} by {}: {tokens}{cost}", name(&spent.purpose), model(spent.model.as_deref()))
}

fn decision(decision: &ApprovalDecision) -> String {
    let verdict = if decision.approved { "approved" } else { "denied" };
    let reason = decision.reason.as_deref().map_or_else(String::new, |why| format!(" {}", quoted(why)));
    format!("{} {verdict}{reason}", harmless(&decision.call_id))
}

fn retry_summary(retry: &RetryScheduled) -> String {
    format!("attempt {} failed: {}; again in {} ms", retry.attempt, error(&retry.error), retry.delay_ms)
}

fn turn_summary(turn: &TurnFinished) -> String {
    let cost = turn.cost_micros.filter(|micros| *micros > 0);
    let cost = cost.map_or_else(String::new, |micros| format!(", {}", dollars(micros)));
    let tokens = format!("{} + {} tokens{cost}", turn.usage.context_tokens(), turn.usage.output_tokens);
    let why = turn.error.as_ref().map_or_else(String::new, |why| format!(": {}", error(why)));
    format!("{}{why}, {} steps, {tokens}, {} ms", name(&turn.outcome), turn.steps, turn.duration_ms)
}

fn error(error: &ChatError) -> String {
    format!("{} ({})", shortened(&error.message, SAID), error.kind.name())
}

fn model(name: Option<&str>) -> String {
    name.map_or_else(|| "default model".to_owned(), harmless)
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", shortened(text, SAID))
}

/// A value in short.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => shortened(&other.to_string(), SAID),
    }
}

/// A call that somebody must answer, and what it waits for.
pub(super) fn waiting(call: &PendingCall) -> String {
    format!("{} ({}) waits for its {}", harmless(&call.name), harmless(&call.call_id), name(&call.needs))
}

/// What a message's parts say, in short.
pub(super) fn said(parts: &[Part]) -> String {
    told(parts, |_| false)
}

/// The same, where it is known of which calls nobody knows whether they did their work.
fn told(parts: &[Part], is_unknown: impl Fn(&str) -> bool) -> String {
    let said: Vec<String> = parts
        .iter()
        .map(|part| match part {
            Part::Text { text } => quoted(text),
            Part::Reasoning { text, .. } => format!("thinks {}", quoted(text)),
            Part::ToolCall { name, args, .. } => format!("calls {} {}", harmless(name), value(args)),
            Part::ToolResult { call_id, name, result, is_error, .. } => {
                let state = match is_error {
                    _ if is_unknown(call_id) => "(outcome unknown)",
                    true => "failed",
                    false => "answered",
                };
                format!("{} {state} {}", harmless(name), value(result))
            }
            Part::Source { url, .. } => format!("cites {}", shortened(url, SAID)),
            Part::File { name, .. } => format!("file {}", quoted(name)),
            Part::ContextFile { path, .. } => format!("context {}", quoted(path)),
        })
        .collect();
    said.join(", ")
}

/// The stable name of a variant without data, as the log has it.
fn name(variant: &impl serde::Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(Value::String(name)) => name,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests;
