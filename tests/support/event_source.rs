//! A reader of server-sent events that does what browsers do and nothing else: it reads lines as the HTML standard says, and
//! when its connection ends it comes back by itself with the last id. An answer that is no stream ends it for good.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

/// Something happens within this time, a restart of the server included.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a browser waits before it comes back, where the server does not say.
const RETRY: Duration = Duration::from_millis(3000);

/// An event as the page gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its type.
    pub event: String,
    /// The last id when it came.
    pub last_event_id: String,
    /// Its data.
    pub data: Value,
}

/// Waits as browsers do. This wait is no test's: it is what the reader is like.
async fn wait(duration: Duration) {
    let _ = tokio::time::timeout(duration, std::future::pending::<()>()).await;
}

/// A reader of one address, which never changes.
#[derive(Debug)]
pub struct EventSource {
    url: String,
    http: reqwest::Client,
    connection: Option<reqwest::Response>,
    last_event_id: String,
    retry: Duration,
    buffer: Vec<u8>,
    /// How often it connected.
    pub connections: usize,
}

impl EventSource {
    /// A reader of `url`, which holds the key: a page cannot set headers.
    ///
    /// # Panics
    /// When no client can be made at all.
    pub fn new(url: String) -> EventSource {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client can be made");
        EventSource {
            url,
            http,
            connection: None,
            last_event_id: String::new(),
            retry: RETRY,
            buffer: Vec::new(),
            connections: 0,
        }
    }

    /// The next event; an error once the reader would have given up.
    pub async fn next(&mut self) -> anyhow::Result<Message> {
        tokio::time::timeout(PATIENCE, self.read()).await.context("nothing happens")?
    }

    async fn read(&mut self) -> anyhow::Result<Message> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let rest = self.buffer.split_off(end + 2);
                let block = std::mem::replace(&mut self.buffer, rest);
                if let Some(message) = self.dispatch(std::str::from_utf8(&block[..end])?)? {
                    return Ok(message);
                }
            }
            let Some(connection) = &mut self.connection else {
                self.connect().await?;
                continue;
            };
            match connection.chunk().await {
                Ok(Some(bytes)) => self.buffer.extend_from_slice(&bytes),
                // Whatever the end is: what was not dispatched is forgotten, and the reader comes back.
                Ok(None) | Err(_) => {
                    self.connection = None;
                    self.buffer.clear();
                    wait(self.retry).await;
                }
            }
        }
    }

    /// Takes a block of lines; an event if it holds data.
    fn dispatch(&mut self, block: &str) -> anyhow::Result<Option<Message>> {
        let (mut event, mut data) = (String::new(), Vec::new());
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => event = value.to_owned(),
                "data" => data.push(value),
                "id" if !value.contains('\0') => self.last_event_id = value.to_owned(),
                "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                    self.retry = Duration::from_millis(value.parse()?);
                }
                _ => {}
            }
        }
        if data.is_empty() {
            return Ok(None);
        }
        let data = serde_json::from_str(&data.join("\n")).context("the data is no JSON")?;
        Ok(Some(Message { event, last_event_id: self.last_event_id.clone(), data }))
    }

    async fn connect(&mut self) -> anyhow::Result<()> {
        let mut request = self.http.get(&self.url).header("accept", "text/event-stream");
        if !self.last_event_id.is_empty() {
            request = request.header("last-event-id", &self.last_event_id);
        }
        let Ok(response) = request.send().await else {
            wait(self.retry).await;
            return Ok(());
        };
        let is_stream = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        if response.status() != 200 || !is_stream {
            bail!("the server answered {}: a browser gives up for good", response.status());
        }
        self.connections += 1;
        self.connection = Some(response);
        Ok(())
    }
}
