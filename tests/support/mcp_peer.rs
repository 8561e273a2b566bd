//! An MCP server over streamable HTTP in the test's own process: it speaks the era that it is told to, remembers every
//! message, and answers calls once it is told to. So it outlives the server under test, and knows what reached it.

use std::sync::Arc;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::provider::{PATIENCE, Request, read};

/// Which protocol it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// 2025-11-25: a handshake, and a session that every later message must name.
    Older,
    /// 2026-07-28: no handshake and no session.
    Newer,
}

/// The result of a call, by the call's parameters.
pub type Results = dyn Fn(&Value) -> Value + Send + Sync;

struct Shared {
    era: Era,
    tools: Value,
    results: Box<Results>,
    seen: watch::Sender<Vec<Value>>,
    hung_up: watch::Sender<usize>,
    answers: watch::Sender<bool>,
}

/// The server. It lives as long as the test's runtime.
#[derive(Clone)]
pub struct McpPeer {
    shared: Arc<Shared>,
    port: u16,
}

impl McpPeer {
    /// Starts a server that lists `tools` as they are, sound or not, and gives these results.
    pub async fn start(era: Era, tools: Value, results: Box<Results>) -> anyhow::Result<McpPeer> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            era,
            tools,
            results,
            seen: watch::Sender::new(Vec::new()),
            hung_up: watch::Sender::new(0),
            answers: watch::Sender::new(false),
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                // A client that hangs up ends its own connection and nothing else.
                tokio::spawn(async move { serve(connection, &shared).await.ok() });
            }
        });
        Ok(McpPeer { shared, port })
    }

    /// A server of tools that answer `<name> done`: `charge`, of which nothing good is known, and `look`, which only reads.
    pub async fn counter(era: Era) -> anyhow::Result<McpPeer> {
        let tool = |name: &str, annotations: Value| json!({ "name": name, "description": name, "inputSchema": { "type": "object" }, "annotations": annotations });
        let tools = json!([tool("charge", json!({})), tool("look", json!({ "readOnlyHint": true }))]);
        let done = |params: &Value| {
            let text = format!("{} done", params["name"].as_str().unwrap_or_default());
            json!({ "content": [{ "type": "text", "text": text }] })
        };
        McpPeer::start(era, tools, Box::new(done)).await
    }

    /// The lines of a `verbatim.toml` that make this the server `name`.
    pub fn config(&self, name: &str) -> String {
        format!("[mcp.{name}]\nurl = \"http://127.0.0.1:{}/mcp\"\n", self.port)
    }

    /// Answers all calls from now on, also those that wait.
    pub fn answer(&self) {
        self.shared.answers.send_replace(true);
    }

    /// Answers no call from now on.
    pub fn hold(&self) {
        self.shared.answers.send_replace(false);
    }

    /// Every message so far.
    pub fn seen(&self) -> Vec<Value> {
        self.shared.seen.borrow().clone()
    }

    /// How often a tool was called so far.
    pub fn calls_of(&self, tool: &str) -> usize {
        calls_of(&self.shared.seen.borrow(), tool)
    }

    /// Waits until a tool was called so often, and returns the messages.
    pub async fn called(&self, tool: &str, times: usize) -> anyhow::Result<Vec<Value>> {
        self.until(|seen| calls_of(seen, tool) >= times).await.with_context(|| format!("{tool} was not called"))
    }

    /// Waits until the messages are such, and returns them.
    pub async fn until(&self, mut fits: impl FnMut(&[Value]) -> bool) -> anyhow::Result<Vec<Value>> {
        let mut seen = self.shared.seen.subscribe();
        let waiting = seen.wait_for(|seen| fits(seen));
        Ok(tokio::time::timeout(PATIENCE, waiting).await??.clone())
    }

    /// Waits until so many calls were left by their client without an answer.
    pub async fn hung_up(&self, times: usize) -> anyhow::Result<()> {
        let mut hung_up = self.shared.hung_up.subscribe();
        let waiting = hung_up.wait_for(|count| *count >= times);
        tokio::time::timeout(PATIENCE, waiting).await.context("nobody hung up")??;
        Ok(())
    }
}

fn calls_of(seen: &[Value], tool: &str) -> usize {
    seen.iter().filter(|message| message["method"] == "tools/call" && message["params"]["name"] == tool).count()
}

async fn serve(connection: TcpStream, shared: &Shared) -> anyhow::Result<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let request = read(&mut connection).await?;
        let (status, headers, body) = if request.line.starts_with("POST ") {
            let message = request.body.clone();
            shared.seen.send_modify(|seen| seen.push(message));
            if request.body["method"] == "tools/call" {
                let mut answers = shared.answers.subscribe();
                let mut byte = [0];
                tokio::select! {
                    open = answers.wait_for(|open| *open) => drop(open?),
                    // Nobody speaks before the answer; whatever can be read is the end.
                    _ = connection.read(&mut byte) => {
                        shared.hung_up.send_modify(|count| *count += 1);
                        return Ok(());
                    }
                }
            }
            shared.response(&request)
        } else {
            // No stream of the server's own, and no end of a session that anybody would have to know of.
            ("405 Method Not Allowed", "", String::new())
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(format!("{head}{body}").as_bytes()).await?;
    }
}

impl Shared {
    fn response(&self, request: &Request) -> (&'static str, &'static str, String) {
        let message = &request.body;
        let method = message["method"].as_str().unwrap_or_default();
        let answer = |more: Value| {
            let mut answer = json!({ "jsonrpc": "2.0", "id": message["id"] });
            answer.as_object_mut().into_iter().for_each(|fields| fields.extend(object(&more)));
            answer.to_string()
        };
        let ok = |result: Value| {
            let mut result = result;
            if self.era == Era::Newer {
                result.as_object_mut().into_iter().for_each(|fields| {
                    fields.insert("resultType".to_owned(), json!("complete"));
                });
            }
            ("200 OK", "", answer(json!({ "result": result })))
        };
        let unknown = ("200 OK", "", answer(json!({ "error": { "code": -32601, "message": "Method not found" } })));
        let has_session = request.header("mcp-session-id") == Some("the-session");
        match (self.era, method) {
            (Era::Newer, "server/discover") => ok(json!({
                "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} }, "ttlMs": 0, "cacheScope": "private",
            })),
            (Era::Older, "initialize") => {
                let (status, _, body) = ok(json!({
                    "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                    "serverInfo": { "name": "peer", "version": "1" },
                }));
                (status, "mcp-session-id: the-session\r\n", body)
            }
            (Era::Older, "server/discover") | (Era::Newer, "initialize") => unknown,
            (Era::Older, _) if !has_session => ("400 Bad Request", "", answer(json!({}))),
            (_, "tools/list") => ok(json!({ "tools": self.tools, "ttlMs": 0, "cacheScope": "private" })),
            (_, "tools/call") => ok((self.results)(&message["params"])),
            _ if message.get("id").is_none() => ("202 Accepted", "", String::new()),
            _ => unknown,
        }
    }
}

fn object(value: &Value) -> serde_json::Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}
