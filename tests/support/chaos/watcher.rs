//! One watcher: follows a chat from its first event, comes back by id whenever its connection ends, and ends it now and
//! then itself.

use anyhow::{Context, bail};
use tokio::sync::watch;

use super::{current, pause};
use crate::events::{EventStream, Transcript};
use crate::http::Client;
use crate::random::Random;

/// What a watcher was told.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) transcript: Transcript,
    pub(super) connections: usize,
}

pub(super) struct Watcher {
    pub(super) chat: String,
    pub(super) client: watch::Receiver<Option<Client>>,
    pub(super) random: Random,
    /// The version at which there is nothing more to watch.
    pub(super) end: watch::Receiver<Option<u64>>,
}

impl Watcher {
    pub(super) async fn run(mut self, seen: watch::Sender<u64>, rests: watch::Sender<bool>) -> anyhow::Result<Watched> {
        let mut watched = Watched { transcript: Transcript::from_the_start(), connections: 0 };
        let path = format!("/chats/{}/stream", self.chat);
        while !self.is_over(&watched.transcript) {
            let client = current(&mut self.client).await?;
            let last_id = watched.transcript.last_id.clone();
            let Ok(mut stream) = EventStream::open(&client, &path, last_id.as_deref()).await else {
                pause(&mut self.client, 40).await;
                continue;
            };
            watched.connections += 1;
            watched.transcript.connect();
            let frames = self.random.between(1, 400);
            for _ in 0..frames {
                let frame = tokio::select! {
                    frame = stream.next() => frame,
                    changed = self.end.changed() => {
                        changed.context("the test is over")?;
                        if self.is_over(&watched.transcript) { break } else { continue }
                    }
                };
                let Ok(Some(frame)) = frame else { break };
                let told = frame.raw.clone();
                match watched.transcript.take(frame) {
                    Ok(true) => {
                        seen.send_modify(|frames| *frames += 1);
                        rests.send_if_modified(|now| {
                            std::mem::replace(now, watched.transcript.rests) != watched.transcript.rests
                        });
                    }
                    Ok(false) => {}
                    Err(breach) => {
                        bail!("after {last_id:?} came {told}, at {:?}: {}", watched.transcript.last_id, breach.0)
                    }
                }
                if self.is_over(&watched.transcript) {
                    break;
                }
            }
        }
        Ok(watched)
    }

    fn is_over(&self, transcript: &Transcript) -> bool {
        self.end.borrow().is_some_and(|end| transcript.version >= end)
    }
}
