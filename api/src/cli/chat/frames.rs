//! The frames of a chat's stream, across broken connections: a reader that comes back says where it was.

use std::io::IsTerminal as _;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{Stream, StreamExt as _};
use reqwest::Method;
use serde_json::Value;
use sse_stream::{Sse, SseByteStream};

use crate::cli::output::note;
use crate::cli::remote::Remote;

/// Silence after which a connection counts as dead: three heartbeats and a bit.
const SILENCE: Duration = Duration::from_secs(50);

/// Tries to come back before giving up.
const TRIES: u32 = 8;

const FIRST_WAIT: Duration = Duration::from_millis(200);

const WAIT_MAX: Duration = Duration::from_secs(5);

type Events = Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>>>>;

/// One frame.
pub(super) struct Frame {
    pub event: String,
    pub id: Option<String>,
    pub data: Value,
}

/// A place in a chat's stream.
pub(super) struct Frames {
    remote: Remote,
    path: String,
    cursor: String,
    events: Option<Events>,
}

impl Frames {
    /// Everything of `chat` after `version`.
    pub(super) fn after(remote: &Remote, chat: &str, version: u64) -> Frames {
        Frames {
            remote: remote.clone(),
            path: format!("/chats/{chat}/stream"),
            cursor: version.to_string(),
            events: None,
        }
    }

    /// The next frame, heartbeats left out. Comes back by itself when the connection breaks; fails when it cannot.
    pub(super) async fn next(&mut self) -> anyhow::Result<Frame> {
        let mut failures = 0;
        loop {
            let Some(events) = &mut self.events else {
                match self.remote.open(Method::GET, &self.path, Some(&self.cursor)).await {
                    Ok(response) => self.events = Some(Box::pin(SseByteStream::new(response.bytes_stream()))),
                    Err(error) if failures >= TRIES => return Err(error),
                    Err(_) => {
                        if failures == 0 && std::io::stderr().is_terminal() {
                            note("\n(the server does not answer; trying again)");
                        }
                        tokio::time::sleep(WAIT_MAX.min(FIRST_WAIT * 2_u32.pow(failures))).await;
                        failures += 1;
                    }
                }
                continue;
            };
            match tokio::time::timeout(SILENCE, events.next()).await {
                Ok(Some(Ok(event))) => {
                    failures = 0;
                    if let Some(frame) = self.take(event)? {
                        return Ok(frame);
                    }
                }
                // Broken, at its end, or silent for too long: come back and go on after the last frame.
                Ok(Some(Err(_)) | None) | Err(_) => {
                    self.events = None;
                    if failures >= TRIES {
                        bail!("{} closes the stream again and again", self.remote.url());
                    }
                    tokio::time::sleep(FIRST_WAIT).await;
                    failures += 1;
                }
            }
        }
    }

    fn take(&mut self, event: Sse) -> anyhow::Result<Option<Frame>> {
        if let Some(id) = &event.id {
            self.cursor.clone_from(id);
        }
        let (Some(name), Some(data)) = (event.event, event.data) else { return Ok(None) };
        if name == "heartbeat" {
            return Ok(None);
        }
        let data = serde_json::from_str(&data).context("a frame of the stream is no JSON")?;
        Ok(Some(Frame { event: name, id: event.id, data }))
    }
}
