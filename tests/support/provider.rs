//! A model provider with a script: an HTTP server in the test's own process that speaks chat completions, says what it is
//! told to, when it is told to, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// A request that a test waits for comes within this time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Something that waits until it is opened, once per opening.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Gate {
        Gate(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Lets one through, now or when it comes.
    pub fn open(&self) {
        self.0.add_permits(1);
    }

    async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

/// A piece of a streamed answer.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Some text.
    Text(&'static str),
    /// A whole call of a tool: its id, its name and its arguments.
    Call(&'static str, &'static str, Value),
    /// A call whose arguments are these bytes, sound or not, in events of at most so many bytes of them.
    Arguments(&'static str, &'static str, String, usize),
    /// Why the answer ends, with figures.
    Finish(&'static str),
    /// The protocol's last word.
    Done,
    /// These bytes as they are.
    Raw(&'static str),
    /// The same of bytes that are made.
    Bytes(String),
    /// Nothing until the gate is opened.
    Wait(Gate),
    /// Nothing for ever.
    Stall,
    /// The connection breaks.
    Cut,
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A stream of pieces.
    Stream(Vec<Piece>),
    /// An answer with a status, headers and a body.
    Status(u16, Vec<(&'static str, &'static str)>, &'static str),
}

impl Reply {
    /// An answer of this text, as providers give it.
    pub fn text(text: &'static str) -> Reply {
        Reply::Stream(vec![Piece::Text(text), Piece::Finish("stop"), Piece::Done])
    }
}

/// What the provider was asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// When its last byte came.
    pub at: Instant,
    /// Its method and path.
    pub line: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Value,
}

impl Request {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

struct Shared {
    script: Mutex<VecDeque<Reply>>,
    requests: watch::Sender<Vec<Request>>,
}

/// The provider. It lives as long as the test's runtime.
#[derive(Clone)]
pub struct Provider {
    shared: Arc<Shared>,
    port: u16,
}

impl Provider {
    /// Starts a provider that gives these answers, one per request; any further request is answered 400.
    pub async fn start(script: impl IntoIterator<Item = Reply>) -> anyhow::Result<Provider> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let script = Mutex::new(script.into_iter().collect());
        let shared = Arc::new(Shared { script, requests: watch::Sender::new(Vec::new()) });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                // A client that hangs up ends its own connection and nothing else.
                tokio::spawn(async move { serve(connection, &shared).await.ok() });
            }
        });
        Ok(Provider { shared, port })
    }

    /// Where it is, as a provider's `base_url`.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// A `verbatim.toml` that makes this the default provider, with more lines for `[limits]`.
    pub fn config(&self, limits: &str) -> String {
        format!(
            "[providers.scripted]\nkind = \"openai_chat\"\nbase_url = \"http://127.0.0.1:{}/v1\"\n\
             api_key_env = \"SCRIPTED_KEY\"\n\n[models.scripted]\nprovider = \"scripted\"\nmodel = \"script-1\"\n\
             default = true\n\n[limits]\n{limits}\n",
            self.port
        )
    }

    /// Adds an answer.
    pub fn push(&self, reply: Reply) {
        self.shared.script.lock().unwrap_or_else(PoisonError::into_inner).push_back(reply);
    }

    /// Waits until there are so many requests, and returns all of them.
    pub async fn requests(&self, count: usize) -> anyhow::Result<Vec<Request>> {
        let mut requests = self.shared.requests.subscribe();
        let seen = requests.wait_for(|requests| requests.len() >= count);
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        Ok(seen.with_context(|| format!("the provider was not asked {count} times"))??.clone())
    }
}

async fn serve(connection: TcpStream, shared: &Shared) -> anyhow::Result<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let request = read(&mut connection).await?;
        shared.requests.send_modify(|requests| requests.push(request));
        let reply = shared.script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match reply.unwrap_or(Reply::Status(400, Vec::new(), "{\"error\": {\"message\": \"the script is over\"}}")) {
            Reply::Status(status, headers, body) => {
                let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n"
                );
                connection.write_all(format!("{head}{body}").as_bytes()).await?;
            }
            Reply::Stream(pieces) => stream(&mut connection, pieces).await?,
        }
    }
}

pub(crate) async fn read(connection: &mut BufReader<TcpStream>) -> anyhow::Result<Request> {
    let mut line = String::new();
    ensure!(connection.read_line(&mut line).await? > 0, "the client is gone");
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        ensure!(connection.read_line(&mut header).await? > 0, "a request ended early");
        let Some((name, value)) = header.split_once(':') else { break };
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    connection.read_exact(&mut body).await?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Request { at: Instant::now(), line: line.trim().to_owned(), headers, body })
}

/// Streams an answer in chunks of its pieces. An error ends the connection, which is how `Cut` is done.
async fn stream(connection: &mut BufReader<TcpStream>, pieces: Vec<Piece>) -> anyhow::Result<()> {
    connection
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    let mut calls = 0;
    for piece in pieces {
        let bytes = match piece {
            Piece::Text(text) => event(&delta(&json!({ "content": text }))),
            Piece::Call(id, name, arguments) => {
                let call = json!({ "index": calls, "id": id, "type": "function",
                    "function": { "name": name, "arguments": arguments.to_string() } });
                calls += 1;
                event(&delta(&json!({ "tool_calls": [call] })))
            }
            Piece::Arguments(id, name, arguments, bytes_max) => {
                let call = |piece: &str, index: usize| {
                    let head = json!({ "index": calls, "id": id, "type": "function",
                        "function": { "name": name, "arguments": piece } });
                    let more = json!({ "index": calls, "function": { "arguments": piece } });
                    event(&delta(&json!({ "tool_calls": [if index == 0 { head } else { more }] })))
                };
                let pieces = arguments.as_bytes().chunks(bytes_max).enumerate();
                let events = pieces.map(|(index, piece)| call(&String::from_utf8_lossy(piece), index)).collect();
                calls += 1;
                events
            }
            Piece::Finish(reason) => {
                let end = json!({ "id": "answer", "object": "chat.completion.chunk",
                    "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] });
                let usage = json!({ "id": "answer", "object": "chat.completion.chunk", "choices": [],
                    "usage": { "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18 } });
                format!("{}{}", event(&end), event(&usage))
            }
            Piece::Done => "data: [DONE]\n\n".to_owned(),
            Piece::Raw(bytes) => bytes.to_owned(),
            Piece::Bytes(bytes) => bytes,
            Piece::Wait(gate) => {
                gate.pass().await;
                continue;
            }
            Piece::Stall => std::future::pending().await,
            Piece::Cut => anyhow::bail!("cut, as ordered"),
        };
        connection.write_all(format!("{:x}\r\n{bytes}\r\n", bytes.len()).as_bytes()).await?;
        connection.flush().await?;
    }
    connection.write_all(b"0\r\n\r\n").await?;
    Ok(())
}

fn delta(delta: &Value) -> Value {
    json!({ "id": "answer", "object": "chat.completion.chunk",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}
