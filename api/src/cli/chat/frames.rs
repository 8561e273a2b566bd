//! The frames of a chat's stream, across broken connections: a reader that comes back says where it was.

use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{Stream, StreamExt as _};
use reqwest::Method;
use serde_json::Value;
use sse_stream::{Sse, SseByteStream};

use crate::cli::remote::Remote;

/// Silence after which a connection counts as dead: three heartbeats and a bit.
const SILENCE: Duration = Duration::from_secs(50);

/// Tries to come back before giving up.
const TRIES: u32 = 8;

const FIRST_WAIT: Duration = Duration::from_millis(200);

const WAIT_MAX: Duration = Duration::from_secs(5);

type Events = Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>>>>;

/// The name of the frame that tells, once, that the connection broke. No server sends it.
pub(super) const BROKEN: &str = "connection_broken";

/// One frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub event: String,
    pub id: Option<String>,
    pub data: Value,
}

/// A place in a chat's stream.
pub(super) struct Frames {
    remote: Remote,
    path: String,
    /// Where to go on; at the beginning nowhere, for a picture of now.
    cursor: Option<String>,
    events: Option<Events>,
    failures: u32,
    /// Whoever reads was told that the connection broke.
    told: bool,
}

impl Frames {
    /// Everything of `chat` after `version`; without one a picture of now and everything after.
    pub(super) fn of(remote: &Remote, chat: &str, version: Option<u64>) -> Frames {
        Frames {
            remote: remote.clone(),
            path: format!("/chats/{chat}/stream"),
            cursor: version.map(|version| version.to_string()),
            events: None,
            failures: 0,
            told: false,
        }
    }

    /// The next frame, heartbeats left out. Comes back by itself when the connection breaks; fails when it cannot.
    pub(super) async fn next(&mut self) -> anyhow::Result<Frame> {
        loop {
            let Some(events) = &mut self.events else {
                match self.remote.open(Method::GET, &self.path, self.cursor.as_deref()).await {
                    Ok(response) => self.events = Some(Box::pin(SseByteStream::new(response.bytes_stream()))),
                    Err(error) if self.failures >= TRIES => return Err(error),
                    Err(_) => {
                        self.failures += 1;
                        if !std::mem::replace(&mut self.told, true) {
                            return Ok(Frame { event: BROKEN.to_owned(), id: None, data: Value::Null });
                        }
                        tokio::time::sleep(WAIT_MAX.min(FIRST_WAIT * 2_u32.pow(self.failures))).await;
                    }
                }
                continue;
            };
            match tokio::time::timeout(SILENCE, events.next()).await {
                Ok(Some(Ok(event))) => {
                    self.failures = 0;
                    self.told = false;
                    if let Some(frame) = self.take(event)? {
                        return Ok(frame);
                    }
                }
                // Broken, at its end, or silent for too long: come back and go on after the last frame.
                Ok(Some(Err(_)) | None) | Err(_) => {
                    self.events = None;
                    if self.failures >= TRIES {
                        bail!("{} closes the stream again and again", self.remote.url());
                    }
                    tokio::time::sleep(FIRST_WAIT).await;
                    self.failures += 1;
                }
            }
        }
    }

    fn take(&mut self, event: Sse) -> anyhow::Result<Option<Frame>> {
        if let Some(id) = &event.id {
            self.cursor = Some(id.clone());
        }
        let (Some(name), Some(data)) = (event.event, event.data) else { return Ok(None) };
        if name == "heartbeat" {
            return Ok(None);
        }
        let data = serde_json::from_str(&data).context("a frame of the stream is no JSON")?;
        Ok(Some(Frame { event: name, id: event.id, data }))
    }
}
