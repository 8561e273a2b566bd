//! A server written out message by message, at the other end of a pipe.

use std::collections::BTreeMap;
use std::sync::Arc;

use rmcp::RoleClient;
use rmcp::transport::async_rw::AsyncRwTransport;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use super::PATIENCE;
use crate::mcp::config::{McpConfig, McpTransport};
use crate::mcp::connection::{Connection, Era};

pub(super) type Pipe = AsyncRwTransport<RoleClient, ReadHalf<DuplexStream>, WriteHalf<DuplexStream>>;

/// The server's end.
pub(super) struct Peer {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: WriteHalf<DuplexStream>,
}

impl Peer {
    /// A server, and the transport that leads to it.
    pub(super) fn new() -> (Peer, Pipe) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (reader, writer) = split(far);
        let peer = Peer { lines: BufReader::new(reader).lines(), writer };
        let (reader, writer) = split(near);
        (peer, AsyncRwTransport::new_client(reader, writer))
    }

    /// The client's next message, which is of this method.
    pub(super) async fn expect(&mut self, method: &str) -> Value {
        let message = self.next().await;
        assert_eq!(message["method"], method, "{message}");
        message
    }

    /// The client's next message.
    pub(super) async fn next(&mut self) -> Value {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("the client says nothing");
        let line = line.expect("the pipe is whole").expect("the client is there");
        serde_json::from_str(&line).expect("the client speaks JSON")
    }

    pub(super) async fn send(&mut self, message: Value) {
        self.send_line(&message.to_string()).await;
    }

    pub(super) async fn send_line(&mut self, line: &str) {
        self.writer.write_all(line.as_bytes()).await.expect("the client reads");
        self.writer.write_all(b"\n").await.expect("the client reads");
    }

    pub(super) async fn answer(&mut self, request: &Value, result: Value) {
        self.send(json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })).await;
    }

    pub(super) async fn refuse(&mut self, request: &Value, code: i64, message: &str) {
        let error = json!({ "code": code, "message": message });
        self.send(json!({ "jsonrpc": "2.0", "id": request["id"], "error": error })).await;
    }

    /// The handshake of a server that knows `initialize` alone.
    pub(super) async fn greet_older(&mut self) {
        let probe = self.expect("server/discover").await;
        self.refuse(&probe, -32601, "Method not found").await;
        let hello = self.expect("initialize").await;
        assert_eq!(hello["params"]["protocolVersion"], "2025-11-25");
        assert_eq!(hello["params"]["capabilities"], json!({}), "nothing is offered that cannot be done");
        let result = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "tools": { "listChanged": true } },
            "serverInfo": { "name": "peer", "version": "1" },
        });
        self.answer(&hello, result).await;
        self.expect("notifications/initialized").await;
    }

    /// The handshake of a server of the newer era.
    pub(super) async fn greet_newer(&mut self) {
        let probe = self.expect("server/discover").await;
        let result = json!({
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "capabilities": { "tools": { "listChanged": true } },
            "ttlMs": 0,
            "cacheScope": "private",
        });
        self.answer(&probe, result).await;
    }

    /// Answers the request for tools with tools of these names.
    pub(super) async fn list(&mut self, names: &[&str]) {
        let request = self.expect("tools/list").await;
        let tools: Vec<Value> = names.iter().map(|name| json!({ "name": name, "inputSchema": {} })).collect();
        self.answer(&request, json!({ "resultType": "complete", "tools": tools, "ttlMs": 0, "cacheScope": "private" }))
            .await;
    }

    /// A connection to a server of the older era with one tool, `do`.
    pub(super) async fn connected() -> (Peer, Arc<Connection>) {
        let (mut peer, pipe) = Peer::new();
        let opening = tokio::spawn(open(pipe));
        peer.greet_older().await;
        peer.list(&["do"]).await;
        (peer, opening.await.expect("opening does not panic"))
    }
}

pub(super) fn config() -> McpConfig {
    McpConfig::new(McpTransport::Http { url: "http://unused".to_owned(), headers: BTreeMap::new() })
}

/// Opens a connection that must come about, and keeps it.
pub(super) async fn open(pipe: Pipe) -> Arc<Connection> {
    let opened = Connection::open("peer", Arc::new(config()), pipe, Era::Any).await;
    let (connection, keeping) = opened.expect("the connection comes about");
    tokio::spawn(keeping);
    connection
}
