//! A conversation: asks, follows the turn, stops it when told to.

use anyhow::Context as _;
use serde_json::json;

use super::follow::{End, Follow, Ours, Show};
use super::frames::Frames;
use super::input;
use super::screen::Screen;
use crate::cli::output::{Style, put, sentence};
use crate::cli::remote::Remote;

/// What a question led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// The turn ended well.
    Answer,
    /// The turn ended otherwise.
    Nothing,
    /// The user left before it ended; it goes on without them.
    Left,
}

/// A conversation with one chat.
pub(super) struct Conversation {
    remote: Remote,
    chat: Option<String>,
    model: Option<String>,
    screen: Screen,
}

/// What was said, as the server took it.
struct Taken {
    chat: String,
    /// The chat's version before it, or an older one.
    before: u64,
    ours: Ours,
}

impl Conversation {
    pub(super) fn new(remote: Remote, chat: Option<String>, model: Option<String>, screen: Screen) -> Conversation {
        Conversation { remote, chat, model, screen }
    }

    /// Asks and shows the answer.
    pub(super) async fn ask(&mut self, text: &str) -> anyhow::Result<Reached> {
        let taken = match self.chat.clone() {
            Some(chat) => self.send(chat, text).await?,
            None => self.create(text).await?,
        };
        self.chat = Some(taken.chat.clone());
        self.follow(taken).await
    }

    /// Asks line by line until the user leaves.
    pub(super) async fn talk(&mut self) -> anyhow::Result<()> {
        let style = Style::of_stdout();
        let prompt = style.bold("> ");
        let mut lines = input::lines();
        let mut leaving = false;
        self.screen.hint(&format!("{} — Ctrl-C stops an answer, Ctrl-D leaves", self.remote.url()))?;
        loop {
            put(&prompt)?;
            let line = tokio::select! {
                line = lines.recv() => line,
                stop = tokio::signal::ctrl_c() => {
                    stop.context("Ctrl-C cannot be noticed")?;
                    put("\n")?;
                    if std::mem::replace(&mut leaving, true) {
                        break;
                    }
                    self.screen.hint("Ctrl-C again leaves")?;
                    continue;
                }
            };
            leaving = false;
            let Some(line) = line else {
                put("\n")?;
                break;
            };
            if line.trim().is_empty() {
                continue;
            }
            match self.ask(&line).await {
                Ok(Reached::Left) => break,
                Ok(Reached::Answer | Reached::Nothing) => {}
                // The next line may do better; the chat is kept by the server.
                Err(error) => self.screen.remark(&Style::of_stderr().red(&sentence(&error)))?,
            }
        }
        if let Some(chat) = &self.chat {
            self.screen.hint(&format!("go on with: verbatim chat --chat {chat}"))?;
        }
        Ok(())
    }

    async fn create(&self, text: &str) -> anyhow::Result<Taken> {
        let mut body = json!({ "content": text });
        if let Some(model) = &self.model {
            body["model"] = json!(model);
        }
        let chat = self.remote.post("/chats", &body).await?;
        let id = chat["id"].as_str().context("the server's answer names no chat")?.to_owned();
        // A chat begins with `chat_created`; the turn of its first message begins right after.
        Ok(Taken { chat: id, before: 0, ours: Ours::FirstTurn })
    }

    async fn send(&self, chat: String, text: &str) -> anyhow::Result<Taken> {
        let now = self.remote.get(&format!("/chats/{chat}")).await?;
        let mut body = json!({ "content": text });
        if let Some(model) = &self.model {
            body["model"] = json!(model);
        }
        let taken = self.remote.post(&format!("/chats/{chat}/messages"), &body).await?;
        let ours = match (taken["turn_id"].as_u64(), taken["queued_id"].as_u64()) {
            // From an error with a queue the message waits and an older one starts the turn.
            (_, Some(queued)) => Ours::Queued(queued),
            (Some(turn), None) => Ours::Turn(turn),
            (None, None) => anyhow::bail!("the server's answer names neither a turn nor a queued message"),
        };
        Ok(Taken { chat, before: now["version"].as_u64().unwrap_or_default(), ours })
    }

    async fn follow(&mut self, taken: Taken) -> anyhow::Result<Reached> {
        let mut frames = Frames::after(&self.remote, &taken.chat, taken.before);
        let mut follow = Follow::new(taken.ours);
        let mut stopping = false;
        loop {
            let frame = tokio::select! {
                frame = frames.next() => frame?,
                stop = tokio::signal::ctrl_c() => {
                    stop.context("Ctrl-C cannot be noticed")?;
                    if std::mem::replace(&mut stopping, true) {
                        return Ok(Reached::Left);
                    }
                    self.interrupt(&taken.chat).await?;
                    continue;
                }
            };
            self.screen.frame(&frame.event, frame.id.as_deref(), &frame.data)?;
            for show in follow.feed(&frame.event, &frame.data) {
                self.screen.show(&show)?;
                if let Show::End(end) = show {
                    return Ok(if end == End::Complete { Reached::Answer } else { Reached::Nothing });
                }
            }
        }
    }

    async fn interrupt(&mut self, chat: &str) -> anyhow::Result<()> {
        self.screen.hint("stopping …")?;
        if let Err(error) = self.remote.post(&format!("/chats/{chat}/interrupt"), &json!({})).await {
            // The turn may have ended by itself at this very moment; the stream tells.
            self.screen.hint(&sentence(&error))?;
        }
        Ok(())
    }
}
