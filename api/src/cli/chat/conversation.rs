//! A conversation without a screen to draw on: asks, follows the turn, stops it when told to.

use super::follow::Follow;
use super::frames::{BROKEN, Frames};
use super::input;
use super::screen::Screen;
use super::show::{End, Show};
use super::slash;
use super::talk::{NewChat, Taken, create, interrupt, send};
use crate::cli::output::{Style, put, sentence};
use crate::cli::remote::Remote;
use anyhow::Context as _;

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
    new: NewChat,
    screen: Screen,
}

impl Conversation {
    pub(super) fn new(remote: Remote, chat: Option<String>, new: NewChat, screen: Screen) -> Conversation {
        Conversation { remote, chat, new, screen }
    }

    /// Asks and shows the answer.
    pub(super) async fn ask(&mut self, text: &str) -> anyhow::Result<Reached> {
        let taken = match self.chat.clone() {
            Some(chat) => send(&self.remote, &chat, text, self.new.model.as_deref()).await?,
            None => create(&self.remote, text, &self.new).await?,
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
            if let Some(command) = slash::read(&line) {
                match command {
                    Ok(slash::Slash::Quit) => break,
                    Ok(_) => self
                        .screen
                        .remark("commands work on a terminal that can move its cursor; here only /quit does")?,
                    Err(wrong) => self.screen.remark(&wrong)?,
                }
                continue;
            }
            match self.ask(slash::message(&line)).await {
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

    async fn follow(&mut self, taken: Taken) -> anyhow::Result<Reached> {
        let mut frames = Frames::of(&self.remote, &taken.chat, Some(taken.before));
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
            if frame.event == BROKEN {
                self.screen.show(&Show::Reconnecting)?;
                continue;
            }
            self.screen.frame(&frame.event, frame.id.as_deref(), &frame.data)?;
            for show in follow.feed(&frame.event, &frame.data) {
                self.screen.show(&show)?;
                match show {
                    Show::End(End::Complete) => return Ok(Reached::Answer),
                    // Nobody here can answer for a tool, and whoever can may take hours.
                    Show::End(_) | Show::Action(_) => return Ok(Reached::Nothing),
                    _ => {}
                }
            }
        }
    }

    async fn interrupt(&mut self, chat: &str) -> anyhow::Result<()> {
        self.screen.hint("stopping …")?;
        if let Err(error) = interrupt(&self.remote, chat).await {
            // The turn may have ended by itself at this very moment; the stream tells.
            self.screen.hint(&sentence(&error))?;
        }
        Ok(())
    }
}
