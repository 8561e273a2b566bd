//! What is said to the server.

use anyhow::{Context as _, bail};
use reqwest::Method;
use serde_json::{Value, json};

use super::follow::Ours;
use crate::cli::remote::Remote;

/// What a new chat begins with beside its first message.
#[derive(Clone, Debug, Default)]
pub(super) struct NewChat {
    /// The model; also of every message if the user named one.
    pub model: Option<String>,
    /// Client tools, as a list of definitions.
    pub tools: Option<Value>,
}

/// What was said, as the server took it.
#[derive(Debug)]
pub(super) struct Taken {
    pub chat: String,
    /// The chat's version before it, or an older one.
    pub before: u64,
    pub ours: Ours,
}

/// Begins a chat.
pub(super) async fn create(remote: &Remote, text: &str, new: &NewChat) -> anyhow::Result<Taken> {
    let mut body = json!({ "content": text });
    if let Some(model) = &new.model {
        body["model"] = json!(model);
    }
    if let Some(tools) = &new.tools {
        body["tools"] = tools.clone();
    }
    let chat = remote.post("/chats", &body).await?;
    let id = chat["id"].as_str().context("the server's answer names no chat")?.to_owned();
    // A chat begins with `chat_created`; the turn of its first message begins right after.
    Ok(Taken { chat: id, before: 0, ours: Ours::FirstTurn })
}

/// Says something in a chat that exists.
pub(super) async fn send(remote: &Remote, chat: &str, text: &str, model: Option<&str>) -> anyhow::Result<Taken> {
    let now = remote.get(&format!("/chats/{chat}")).await?;
    let taken = say(remote, chat, text, model, "queue").await?;
    let ours = match (taken["turn_id"].as_u64(), taken["queued_id"].as_u64()) {
        // From an error with a queue the message waits and an older one starts the turn.
        (_, Some(queued)) => Ours::Queued(queued),
        (Some(turn), None) => Ours::Turn(turn),
        (None, None) => bail!("the server's answer names neither a turn nor a queued message"),
    };
    Ok(Taken { chat: chat.to_owned(), before: now["version"].as_u64().unwrap_or_default(), ours })
}

/// Posts a message; `busy` says what becomes of it while a turn is under way.
pub(super) async fn say(
    remote: &Remote,
    chat: &str,
    text: &str,
    model: Option<&str>,
    busy: &str,
) -> anyhow::Result<Value> {
    let mut body = json!({ "content": text, "busy": busy });
    if let Some(model) = model {
        body["model"] = json!(model);
    }
    remote.post(&format!("/chats/{chat}/messages"), &body).await
}

/// Stops the turn.
pub(super) async fn interrupt(remote: &Remote, chat: &str) -> anyhow::Result<Value> {
    remote.post(&format!("/chats/{chat}/interrupt"), &json!({})).await
}

/// Says a message anew.
pub(super) async fn edit(remote: &Remote, chat: &str, message: u64, text: &str) -> anyhow::Result<Value> {
    let path = format!("/chats/{chat}/messages/{message}");
    remote.change(Method::PATCH, &path, &json!({ "content": text })).await
}
