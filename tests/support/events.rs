//! A reader of server-sent events, and what it has read: the transcript of a chat over all its connections.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::Response;
use serde_json::Value;

use crate::http::Client;

/// A stream says at least a heartbeat within this time.
const PATIENCE: Duration = Duration::from_secs(40);

/// What a test waits for on a stream comes within this time, heartbeats or not.
const UNTIL_PATIENCE: Duration = Duration::from_secs(60);

/// One server-sent event.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Its name.
    pub event: String,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its data.
    pub data: Value,
    /// All of it as it came, without the empty line at its end.
    pub raw: String,
}

impl Frame {
    /// Reads a frame strictly: one `event`, at most one `id`, one line of JSON data, nothing else.
    fn parse(raw: &str) -> anyhow::Result<Frame> {
        let (mut event, mut id, mut data) = (None, None, None);
        for line in raw.split('\n') {
            let (field, value) = line.split_once(": ").with_context(|| format!("no field: {line:?} in {raw:?}"))?;
            let place = match field {
                "event" => &mut event,
                "id" => &mut id,
                "data" => &mut data,
                _ => bail!("an unknown field: {line:?} in {raw:?}"),
            };
            ensure!(place.replace(value.to_owned()).is_none(), "{field} comes twice in {raw:?}");
        }
        let data = data.with_context(|| format!("no data in {raw:?}"))?;
        Ok(Frame {
            event: event.with_context(|| format!("no event in {raw:?}"))?,
            id,
            data: serde_json::from_str(&data).with_context(|| format!("the data is no JSON: {data:?}"))?,
            raw: raw.to_owned(),
        })
    }

    /// It is an event of the chat, not a part, a snapshot or anything about the stream itself.
    pub fn is_chat_event(&self) -> bool {
        !matches!(self.event.as_str(), "part" | "snapshot" | "reset" | "heartbeat")
    }

    /// It says that the chat rests.
    pub fn rests(&self) -> bool {
        let status = if self.event == "snapshot" { &self.data["chat"]["status"] } else { &self.data["status"] };
        matches!(status.as_str(), Some("waiting" | "error"))
    }

    /// The text that a part adds to the answer.
    pub fn text_delta(&self) -> Option<&str> {
        let part = &self.data["part"];
        if self.event == "part" && part["type"] == "text_delta" { part["text"].as_str() } else { None }
    }
}

/// One connection to a stream.
#[derive(Debug)]
pub struct EventStream {
    response: Response,
    buffer: Vec<u8>,
    /// No frame ends before this place in the buffer.
    looked_at: usize,
}

impl EventStream {
    /// Opens a stream of server-sent events.
    pub async fn open(client: &Client, path: &str, last_event_id: Option<&str>) -> anyhow::Result<EventStream> {
        let response = client.open(path, last_event_id).await?;
        Ok(EventStream { response, buffer: Vec::new(), looked_at: 0 })
    }

    /// Opens the stream of a chat.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn of_chat(client: &Client, chat: &str, last_event_id: Option<&str>) -> EventStream {
        let path = format!("/chats/{chat}/stream");
        EventStream::open(client, &path, last_event_id).await.unwrap_or_else(|error| panic!("{path}: {error:?}"))
    }

    /// The headers that the stream began with.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The next frame; none when the stream has ended in order. An error when it broke off. Cancel-safe.
    pub async fn next(&mut self) -> anyhow::Result<Option<Frame>> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer[self.looked_at..], b"\n\n") {
                let end = self.looked_at + end;
                self.looked_at = 0;
                let rest = self.buffer.split_off(end + 2);
                let mut bytes = std::mem::replace(&mut self.buffer, rest);
                bytes.truncate(end);
                // Says when to come back, and is no frame.
                if bytes.starts_with(b"retry: ") {
                    continue;
                }
                return Frame::parse(std::str::from_utf8(&bytes)?).map(Some);
            }
            self.looked_at = self.buffer.len().saturating_sub(1);
            let chunk =
                tokio::time::timeout(PATIENCE, self.response.chunk()).await.context("the stream is silent")??;
            match chunk {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => {
                    ensure!(self.buffer.is_empty(), "the stream ended inside a frame");
                    return Ok(None);
                }
            }
        }
    }

    /// The next frame, which must come.
    ///
    /// # Panics
    /// When the stream ends or breaks off.
    pub async fn expect_next(&mut self) -> Frame {
        match self.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => panic!("the stream ended"),
            Err(error) => panic!("the stream broke off: {error:?}"),
        }
    }

    /// Reads until a frame fits, and returns it with everything before it.
    ///
    /// # Panics
    /// When the stream ends or breaks off before, or goes on for too long.
    pub async fn until(&mut self, mut fits: impl FnMut(&Frame) -> bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        let reading = async {
            while !frames.last().is_some_and(&mut fits) {
                frames.push(self.expect_next().await);
            }
        };
        let read = tokio::time::timeout(UNTIL_PATIENCE, reading).await;
        assert!(read.is_ok(), "what was waited for did not come after {frames:#?}");
        frames
    }

    /// Reads until an event of this name, which is the last of what is returned.
    ///
    /// # Panics
    /// When the stream ends or breaks off before.
    pub async fn until_event(&mut self, name: &str) -> Vec<Frame> {
        self.until(|frame| frame.event == name).await
    }

    /// Reads until the stream has ended, in order or not.
    pub async fn to_the_end(mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = self.next().await {
            frames.push(frame);
        }
        frames
    }
}

/// What is wrong with what a stream told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach(pub String);

/// Everything that one reader was told about one chat, over all its connections, checked as it comes: events in order of
/// version without gap and double, each part in its place, numbers of parts without gap and double.
#[derive(Debug, Default)]
pub struct Transcript {
    /// Where to resume.
    pub last_id: Option<String>,
    /// Events and parts, each once, in order.
    pub frames: Vec<Frame>,
    /// The version of the last event.
    pub version: u64,
    /// The version of the first event that is in `frames`; one more than `version` while there is none.
    pub first_version: u64,
    /// The chat rested when the last frame came.
    pub rests: bool,
    /// How often the reader was sent back to a snapshot.
    pub resets: u64,
    /// The open attempt and its last part.
    attempt: Option<(u64, u64)>,
    /// The next frame must be a snapshot.
    begins: bool,
}

impl Transcript {
    /// A transcript that begins with whatever the chat is now.
    pub fn from_snapshot() -> Transcript {
        Transcript { begins: true, first_version: 1, ..Transcript::default() }
    }

    /// A transcript that begins with the chat's first event.
    pub fn from_the_start() -> Transcript {
        Transcript { last_id: Some("0".to_owned()), first_version: 1, ..Transcript::default() }
    }

    /// A new connection begins, at `last_id`.
    pub fn connect(&mut self) {
        self.begins = self.last_id.is_none();
    }

    /// Takes the next frame. True when it is an event or a part.
    pub fn take(&mut self, frame: Frame) -> Result<bool, Breach> {
        let breach = |problem: String| Err(Breach(format!("{problem}: {}", frame.raw)));
        if self.begins != (frame.event == "snapshot") {
            return breach(format!("a snapshot {} here", if self.begins { "is missing" } else { "has no place" }));
        }
        match frame.event.as_str() {
            "heartbeat" => {
                if frame.id.is_some() {
                    return breach("a heartbeat with an id".to_owned());
                }
                return Ok(false);
            }
            "reset" => {
                self.resets += 1;
                self.begins = true;
                return Ok(false);
            }
            "snapshot" => {
                let version = frame.data["chat"]["version"].as_u64().unwrap_or_default();
                if self.frames.is_empty() {
                    self.first_version = version + 1;
                } else if version != self.version {
                    return breach(format!("a snapshot at {version} after event {}", self.version));
                }
                self.begins = false;
                self.version = version;
                self.rests = frame.rests();
                self.attempt = frame.data["attempt"]["attempt_id"].as_u64().map(|attempt| {
                    let parts = frame.data["parts"].as_array().map(Vec::as_slice).unwrap_or_default();
                    (attempt, parts.last().and_then(|part| part["n"].as_u64()).unwrap_or(0))
                });
                self.last_id = frame.id;
                return Ok(false);
            }
            "part" => {
                let (attempt, n) = (frame.data["attempt"].as_u64(), frame.data["n"].as_u64());
                let Some((open, last)) = self.attempt else { return breach("a part without an attempt".to_owned()) };
                if (attempt, n) != (Some(open), Some(last + 1)) {
                    return breach(format!("a part after part {last} of attempt {open}"));
                }
                if frame.id.as_deref() != Some(&format!("{}-{open}-{}", self.version, last + 1)) {
                    return breach(format!("a part's id after event {}", self.version));
                }
                self.attempt = Some((open, last + 1));
            }
            name => {
                let (version, id) = (frame.data["version"].as_u64(), frame.id.as_deref());
                if version != Some(self.version + 1) || id != Some(&(self.version + 1).to_string()) {
                    return breach(format!("an event after event {}", self.version));
                }
                if frame.data["type"] != name {
                    return breach("an event under another name".to_owned());
                }
                self.version += 1;
                self.rests = frame.rests();
                match name {
                    "attempt_recorded" => self.attempt = Some((self.version, 0)),
                    "retry_scheduled" | "attempt_abandoned" | "turn_finished" => self.attempt = None,
                    "message_committed" if ends_attempt(&frame.data["data"]) => self.attempt = None,
                    _ => {}
                }
            }
        }
        self.last_id.clone_from(&frame.id);
        self.frames.push(frame);
        Ok(true)
    }

    /// The events, in order.
    pub fn events(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(|frame| frame.is_chat_event())
    }

    /// Each committed answer must begin with what was streamed of its attempt. Returns how many answers were compared.
    pub fn check_answers(&self) -> Result<usize, Breach> {
        let (mut streamed, mut open, mut compared) = (String::new(), None, 0);
        for frame in &self.frames {
            let data = &frame.data["data"];
            match frame.event.as_str() {
                "attempt_recorded" => (streamed, open) = (String::new(), data["attempt_id"].as_u64()),
                "retry_scheduled" | "attempt_abandoned" => open = None,
                "part" if open.is_some() => streamed.push_str(frame.text_delta().unwrap_or_default()),
                "message_committed" if data["role"] == "assistant" && open.take().is_some() => {
                    let said = message_text(data);
                    // A crash in the middle of an interruption leaves what had been journaled.
                    let cut = data["finish_reason"] == "interrupted" && streamed.starts_with(&said);
                    if !said.starts_with(&streamed) && !cut {
                        return Err(Breach(format!("streamed {streamed:?}, committed {said:?}")));
                    }
                    compared += 1;
                }
                _ => {}
            }
        }
        Ok(compared)
    }
}

/// The model's own answer and a batch's results end the attempt that made them; other messages leave it alone.
fn ends_attempt(message: &Value) -> bool {
    matches!(message["origin"].as_str(), Some("model"))
}

/// The text of a message.
pub fn message_text(message: &Value) -> String {
    let parts = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter(|part| part["type"] == "text").filter_map(|part| part["text"].as_str()).collect()
}
