//! A chat's state for people and for programs.

use chrono::SecondsFormat;
use serde_json::{Value, json};
use verbatim_events::chat::Chat;
use verbatim_events::message::{Message, Role, Visibility};

use super::line::said;
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
