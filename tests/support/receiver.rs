//! A receiver of webhooks in the test's own process: it takes, refuses or hangs as it is told, and keeps all it took.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a test waits for comes within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the receiver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It takes what comes.
    Takes,
    /// It answers this status.
    Answers(u16),
    /// It reads and never answers.
    Hangs,
}

/// Something that was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as it came.
    pub text: String,
    /// The body as JSON.
    pub body: Value,
    /// It was taken.
    pub is_taken: bool,
}

impl Received {
    /// Its `webhook-id`.
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

/// The receiver. It lives as long as the test's runtime.
#[derive(Clone, Debug)]
pub struct Receiver {
    port: u16,
    mood: watch::Sender<Mood>,
    received: watch::Sender<Vec<Received>>,
}

impl Receiver {
    /// Starts a receiver that takes what comes.
    pub async fn start() -> anyhow::Result<Receiver> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let receiver = Receiver { port, mood: watch::Sender::new(Mood::Takes), received: watch::Sender::default() };
        let accepting = receiver.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let receiver = accepting.clone();
                // A sender that goes away has seen enough.
                tokio::spawn(async move { receiver.serve(connection).await });
            }
        });
        Ok(receiver)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?token=hidden", self.port)
    }

    /// How it answers from now on, also those that hang.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// All that was sent, taken or not.
    pub fn received(&self) -> Vec<Received> {
        self.received.borrow().clone()
    }

    /// All that was taken.
    pub fn taken(&self) -> Vec<Received> {
        self.received.borrow().iter().filter(|received| received.is_taken).cloned().collect()
    }

    /// Waits until what was sent fits.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn until(&self, mut fits: impl FnMut(&[Received]) -> bool) {
        let mut watch = self.received.subscribe();
        let waiting = tokio::time::timeout(PATIENCE, watch.wait_for(|received| fits(received)));
        assert!(waiting.await.is_ok(), "what was waited for was not sent: {:#?}", self.received());
    }

    async fn serve(self, connection: TcpStream) -> anyhow::Result<()> {
        let (reader, mut writer) = connection.into_split();
        let mut reader = BufReader::new(reader);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let mut headers = BTreeMap::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).await?;
                let Some((name, value)) = line.trim_end().split_once(':') else { break };
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            let length: usize = headers.get("content-length").context("no length")?.parse()?;
            let mut body = vec![0; length];
            reader.read_exact(&mut body).await?;
            let text = String::from_utf8(body)?;
            let mut mood = self.mood.subscribe();
            let keep = |is_taken| {
                let body = serde_json::from_str(&text).unwrap_or(Value::Null);
                let received = Received { headers: headers.clone(), text: text.clone(), body, is_taken };
                self.received.send_modify(|all| all.push(received));
            };
            let now = *mood.borrow_and_update();
            let status = match now {
                Mood::Takes => 204,
                Mood::Answers(status) => status,
                Mood::Hangs => {
                    keep(false);
                    mood.wait_for(|mood| *mood != Mood::Hangs).await?;
                    // Whoever sent this has given up.
                    return Ok(());
                }
            };
            keep(status < 300);
            let answer = format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n");
            writer.write_all(answer.as_bytes()).await?;
        }
    }
}
