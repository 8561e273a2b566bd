//! A chat's state for people and for programs.

use chrono::SecondsFormat;
use serde_json::{Value, json};
use verbatim_events::chat::Chat;
use verbatim_events::message::{Message, Role, Visibility};

use super::line::{said, value, waiting};
use crate::cli::output::{Style, harmless};

/// `{outline, messages, queue, head_hash}`
pub(super) fn json(chat: &Chat) -> Value {
    let messages: Vec<&Message> = chat.history.iter().map(AsRef::as_ref).collect();
    let queue: Vec<Value> = chat
        .queue
        .iter()
        .map(|queued| json!({ "id": queued.id, "author": queued.author, "parts": queued.parts, "steer": queued.steer }))
        .collect();
    json!({ "outline": chat.outline, "messages": messages, "queue": queue, "head_hash": chat.head_hash })
}

/// The chat in words: what it is doing, and what was said.
pub(super) fn text(chat: &Chat, style: Style) -> String {
    let outline = &chat.outline;
    let archived = if outline.archived { ", archived" } else { "" };
    let at = outline.updated_at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut text = format!(
        "{}\nchat {}, owner {}\nversion {} of {at}: {}{archived}\n",
        style.bold(&harmless(&outline.title)),
        outline.id,
        harmless(&outline.owner),
        outline.version,
        outline.status.name()
    );
    if let Some(error) = &outline.last_error {
        text.push_str(&format!("{}: {}\n", style.red("failed"), harmless(&error.message)));
    }
    if let Some(retry) = &outline.retry {
        let retry_at = retry.retry_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        text.push_str(&format!(
            "attempt {} failed: {}; again at {retry_at}\n",
            retry.attempt,
            harmless(&retry.error.message)
        ));
    }
    if let Some(action) = &outline.action {
        for call in &action.calls {
            text.push_str(&format!("{} with {}\n", waiting(call), value(&call.args)));
        }
        text.push_str(&format!("until {}\n", action.deadline.to_rfc3339_opts(SecondsFormat::Millis, true)));
    }
    for message in chat.history.iter() {
        text.push_str(&format!("\n{} {}\n", style.bold(&speaker(message)), style.dim(&format!("#{}", message.id))));
        text.push_str(&format!("{}\n", body(message)));
    }
    for queued in &chat.queue {
        text.push_str(&format!("\n{} {}\n", style.yellow("waits"), style.dim(&format!("#{}", queued.id))));
        text.push_str(&format!("{}\n", said(&queued.parts)));
    }
    text
}

fn speaker(message: &Message) -> String {
    let name = match (message.role, &message.author, &message.model) {
        (Role::User, Some(author), _) => harmless(author),
        (Role::Assistant, _, Some(model)) => harmless(model),
        (Role::User, None, _) => "user".to_owned(),
        (Role::Assistant, _, None) => "assistant".to_owned(),
        (Role::System, _, _) => "system".to_owned(),
        (Role::Tool, _, _) => "tool".to_owned(),
    };
    match message.visibility {
        Visibility::Both => name,
        Visibility::Model => format!("{name} (for the model alone)"),
        Visibility::User => format!("{name} (for users alone)"),
    }
}

/// Text in full, everything else in short.
fn body(message: &Message) -> String {
    let parts = message.parts.iter().map(|part| match part {
        verbatim_events::part::Part::Text { text } => harmless(text),
        other => said(std::slice::from_ref(other)),
    });
    parts.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use uuid::Uuid;
    use verbatim_events::chat::{PendingAction, evolve};
    use verbatim_events::envelope::Recorded;
    use verbatim_events::event::{CallNeed, ChatCreated, Event, PendingCall};
    use verbatim_events::ids::ChatId;

    use super::*;

    #[test]
    fn what_waits_is_told_with_its_arguments_and_its_deadline() {
        let id = ChatId(Uuid::from_u128(1));
        let created = Event::ChatCreated(ChatCreated::new("ada", id, "New chat"));
        let mut chat = evolve(None, &Recorded::decided(id, 1, DateTime::UNIX_EPOCH, created)).expect("a chat begins");
        let call = |call_id: &str, name: &str, needs| PendingCall {
            call_id: call_id.to_owned(),
            name: name.to_owned(),
            args: json!({ "command": "ls" }),
            needs,
        };
        let calls = vec![call("c1", "weather", CallNeed::Result), call("c2", "execute", CallNeed::Approval)];
        let deadline = DateTime::UNIX_EPOCH + TimeDelta::minutes(5);
        chat.outline.action = Some(PendingAction { calls, deadline });
        let told = text(&chat, Style::PLAIN);
        let lines: Vec<&str> = told.lines().skip(3).collect();
        let expected = [
            "weather (c1) waits for its result with {\"command\":\"ls\"}",
            "execute (c2) waits for its approval with {\"command\":\"ls\"}",
            "until 1970-01-01T00:05:00.000Z",
        ];
        assert_eq!(lines, expected);
    }
}
