//! One conversation: with the server by a message and the chat's stream, with the proxy by a question and its answer.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use memchr::memmem;
use serde_json::Value;

use super::model::OWN;
use super::system::{Endpoint, count, scripted};
use super::wire::{Connection, get, post};

/// Marks a frame of the stream with a part.
pub const PART: &str = "event: part\n";
/// Marks the frame that ends a turn.
pub const FINISHED: &str = "event: turn_finished\n";

/// What is said.
pub const WORDS: &str = "What do you say to that?";

/// Moments of one turn, since its message was sent, in ms.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// The first token was there.
    pub first_part_ms: f64,
    /// What the model itself took for it; 0 where it does not say.
    pub own_ms: f64,
    /// All was said and kept.
    pub finished_ms: f64,
}

/// One conversation.
pub struct Speaker {
    /// The chat's id; empty with the proxy.
    pub chat: String,
    talk: Connection,
    /// The chat's stream; none with the proxy, whose answer comes on `talk`.
    watch: Option<Connection>,
    message: Vec<u8>,
}

impl Speaker {
    /// A new conversation with a model of this script.
    pub async fn new(endpoint: &Endpoint, script: &str) -> anyhow::Result<Speaker> {
        let mut talk = endpoint.connect().await?;
        let model = scripted(endpoint, script);
        if endpoint.proxy {
            let body = format!(
                "{{\"model\":\"{model}\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"{WORDS}\"}}]}}"
            );
            let message = post("/v1/chat/completions", "", &body);
            return Ok(Speaker { chat: String::new(), talk, watch: None, message });
        }
        let made = talk.ask(&post("/api/v1/chats", &endpoint.key, &format!("{{\"model\":\"{model}\"}}")), 201).await?;
        let made: Value = serde_json::from_slice(&made)?;
        let chat = made["id"].as_str().context("a chat without an id")?.to_owned();
        Speaker::in_chat(endpoint, chat, talk, WORDS).await
    }

    /// Goes on with a chat that is there, always in the same words.
    pub async fn in_chat(endpoint: &Endpoint, chat: String, talk: Connection, words: &str) -> anyhow::Result<Speaker> {
        let watch = watch(endpoint, &chat).await?;
        let body = format!("{{\"content\":\"{words}\"}}");
        let message = post(&format!("/api/v1/chats/{chat}/messages"), &endpoint.key, &body);
        Ok(Speaker { chat, talk, watch: Some(watch), message })
    }

    /// Says something and listens until the answer is over.
    pub async fn turn(&mut self) -> anyhow::Result<Turn> {
        let begin = Instant::now();
        let mut listening = Listening { begin, first: None };
        let Some(watch) = &mut self.watch else {
            self.talk.stream(&self.message).await?;
            while let Some(chunk) = self.talk.chunk().await? {
                listening.part(chunk);
            }
            return listening.over();
        };
        let (talk, message) = (&mut self.talk, &self.message);
        let listen = async {
            loop {
                let chunk = watch.chunk().await?.context("the stream ended")?;
                if memmem::find(chunk, PART.as_bytes()).is_some() {
                    listening.part(chunk);
                }
                if let Some(at) = memmem::find(chunk, FINISHED.as_bytes()) {
                    let complete = memmem::find(&chunk[at..], b"\"outcome\":\"complete\"").is_some();
                    ensure!(complete, "a turn failed: {}", String::from_utf8_lossy(&chunk[at..]));
                    return listening.over();
                }
            }
        };
        let (accepted, turn) = tokio::join!(talk.ask(message, 202), listen);
        accepted?;
        turn
    }

    /// Says something and listens until so many parts have come.
    pub async fn hear(&mut self, parts: usize) -> anyhow::Result<()> {
        self.talk.ask(&self.message, 202).await?;
        let watch = self.watch.as_mut().context("no stream")?;
        let mut heard = 0;
        while heard < parts {
            heard += count(watch.chunk().await?.context("the stream ended")?, PART);
        }
        Ok(())
    }
}

/// Opens the stream of a chat and takes the snapshot that it begins with.
pub async fn watch(endpoint: &Endpoint, chat: &str) -> anyhow::Result<Connection> {
    let mut watch = endpoint.connect().await?;
    watch.stream(&get(&format!("/api/v1/chats/{chat}/stream"), &endpoint.key)).await?;
    let first = watch.chunk().await?.context("an empty stream")?;
    ensure!(first.starts_with(b"event: snapshot\n"), "a stream without a snapshot");
    Ok(watch)
}

/// A turn while it goes on.
struct Listening {
    begin: Instant,
    first: Option<(Duration, f64)>,
}

impl Listening {
    fn part(&mut self, chunk: &[u8]) {
        if self.first.is_none() {
            let at = self.begin.elapsed();
            let digits =
                memmem::find(chunk, OWN.as_bytes()).map(|index| &chunk[index + OWN.len()..]).unwrap_or_default();
            let micros = digits.iter().take_while(|digit| digit.is_ascii_digit());
            let micros = micros.fold(0.0, |number, digit| number * 10.0 + f64::from(digit - b'0'));
            self.first = Some((at, micros / 1000.0));
        }
    }

    fn over(&self) -> anyhow::Result<Turn> {
        let finished_ms = self.begin.elapsed().as_secs_f64() * 1000.0;
        let (first, own_ms) = self.first.context("no part came")?;
        Ok(Turn { first_part_ms: first.as_secs_f64() * 1000.0, own_ms, finished_ms })
    }
}
