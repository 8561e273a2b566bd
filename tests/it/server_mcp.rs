//! Servers of tools, reached by the real server: over a pipe and over HTTP, in both eras of the protocol, stopped, killed in
//! mid-call, and hostile.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::mcp_peer::{Era, McpPeer};
use support::server::{ServerOptions, TestServer};
use tempfile::TempDir;

use crate::PROGRAM;

/// What the model is told of a call that had effects, perhaps.
const UNKNOWN: &str = "outcome unknown";

/// A wait that only a fault makes longer.
const PATIENCE: Duration = Duration::from_secs(60);

const ERAS: [Era; 2] = [Era::Older, Era::Newer];

/// A program that writes every message down and answers calls once the file `go` is there, never before.
const RECORDER: &str = r#"
const fs = require('fs'), [, home] = process.argv;
const answer = (id, result) => console.log(JSON.stringify({ jsonrpc: '2.0', id, result }));
const run = (id, name) => {
  const look = () => fs.existsSync(`${home}/go`) && (clearInterval(timer), answer(id, { content: [{ type: 'text', text: `${name} done` }] }));
  const timer = setInterval(look, 5);
};
require('readline').createInterface({ input: process.stdin }).on('close', () => process.exit()).on('line', line => {
  fs.appendFileSync(`${home}/seen`, line + '\n');
  const { id, method, params } = JSON.parse(line);
  if (method === 'initialize') answer(id, { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'recorder', version: '1' } });
  else if (method === 'tools/list') answer(id, { tools: [{ name: 'charge', inputSchema: { type: 'object' } }] });
  else if (method === 'tools/call') run(id, params.name);
  else if (id !== undefined) console.log(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no such method' } }));
});
"#;

/// A server with these MCP servers, and a chat that may use the one called `far`.
async fn start(config: &str) -> (TestServer, ChatClient) {
    let server = TestServer::start_with(PROGRAM, ServerOptions::with_config(config)).await;
    let chat = ChatClient::create(server.client(), json!({ "mcp_servers": ["far"] })).await;
    (server, chat)
}

/// Lets the model call a tool of `far`.
async fn call(chat: &ChatClient, tool: &str) -> u64 {
    let version = chat.version().await;
    chat.send(&format!("[[tool far__{tool} {{}}]]")).await.expect(202);
    version
}

/// The one result after a version, and whether it is an error.
async fn result_after(chat: &ChatClient, version: u64) -> (bool, Value) {
    let answer = chat.get(&format!("/messages?after={version}&limit=200")).await.expect(200);
    let parts = answer.items().iter().flat_map(|message| message["content"].as_array().cloned().unwrap_or_default());
    let results: Vec<Value> = parts.filter(|part| part["type"] == "tool_result").collect();
    assert_eq!(results.len(), 1, "{results:?}");
    (results[0]["is_error"] == true, results[0]["result"].clone())
}

fn says(result: &Value, words: &str) -> bool {
    result.to_string().contains(words)
}

/// What a program has written down, once it is such.
async fn until_seen(home: &Path, mut fits: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
    let waiting = async {
        loop {
            let text = std::fs::read_to_string(home.join("seen")).unwrap_or_default();
            let seen: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if fits(&seen) {
                return seen;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it was never told")
}

fn one<'a>(seen: &'a [Value], method: &str) -> Option<&'a Value> {
    seen.iter().find(|message| message["method"] == method)
}

/// Stops the turn, and checks what the chat makes of the call that ran.
async fn stop(chat: &ChatClient, version: u64) {
    chat.post("/interrupt", json!({})).await.expect(202);
    assert_eq!(chat.rest().await["status"], "waiting");
    let (failed, result) = result_after(chat, version).await;
    assert!(failed && says(&result, "interrupted"), "{result}");
}

#[tokio::test]
async fn who_stops_a_turn_stops_the_call_of_a_program() {
    let home = TempDir::new().expect("a directory");
    let args = json!(["node", "-e", RECORDER, home.path()]);
    let (_server, chat) = start(&format!("[mcp.far]\ncommand = \"/usr/bin/env\"\nargs = {args}\n")).await;
    let version = call(&chat, "charge").await;
    let seen = until_seen(home.path(), |seen| one(seen, "tools/call").is_some()).await;
    let id = one(&seen, "tools/call").expect("it is there")["id"].clone();
    stop(&chat, version).await;
    let seen = until_seen(home.path(), |seen| one(seen, "notifications/cancelled").is_some()).await;
    assert_eq!(one(&seen, "notifications/cancelled").expect("it is there")["params"]["requestId"], id);

    // The program is as good as before, and the chat goes on with it.
    std::fs::write(home.path().join("go"), "").expect("it can be written");
    let version = call(&chat, "charge").await;
    chat.rest().await;
    assert_eq!(result_after(&chat, version).await, (false, json!("charge done")));
    let seen = until_seen(home.path(), |_| true).await;
    assert_eq!(seen.iter().filter(|message| message["method"] == "initialize").count(), 1, "it is the same process");
}

#[tokio::test]
async fn who_stops_a_turn_stops_the_call_over_http() {
    for era in ERAS {
        let peer = McpPeer::counter(era).await.expect("it listens");
        let (_server, chat) = start(&peer.config("far")).await;
        let version = call(&chat, "charge").await;
        peer.called("charge", 1).await.expect("it is called");
        stop(&chat, version).await;
        // Over HTTP the newer era has one way to say so, which is to hang up.
        match era {
            Era::Older => {
                let is_told = |seen: &[Value]| one(seen, "notifications/cancelled").is_some();
                let seen = peer.until(is_told).await.expect("it is told");
                let id = &one(&seen, "tools/call").expect("it was called")["id"];
                assert_eq!(&one(&seen, "notifications/cancelled").expect("it is there")["params"]["requestId"], id);
            }
            Era::Newer => peer.hung_up(1).await.expect("its client hangs up"),
        }
        peer.answer();
        let version = call(&chat, "charge").await;
        chat.rest().await;
        assert_eq!(result_after(&chat, version).await, (false, json!("charge done")), "{era:?}");
        assert_eq!(peer.calls_of("charge"), 2, "{era:?}");
    }
}

#[tokio::test]
async fn a_call_over_http_that_may_have_had_effects_is_not_made_again_after_a_crash() {
    for era in ERAS {
        let peer = McpPeer::counter(era).await.expect("it listens");
        let (mut server, chat) = start(&peer.config("far")).await;
        let version = call(&chat, "charge").await;
        peer.called("charge", 1).await.expect("it is called");
        server.kill().await.expect("it can be killed");
        peer.answer();
        server.start_again().await.expect("it starts again");
        let chat = chat.through(server.client());
        assert_eq!(chat.rest().await["status"], "waiting");
        let (failed, result) = result_after(&chat, version).await;
        assert!(failed && says(&result, UNKNOWN), "{era:?}: {result}");
        assert_eq!(peer.calls_of("charge"), 1, "{era:?}");
    }
}

#[tokio::test]
async fn a_call_over_http_that_only_reads_is_made_again_after_a_crash() {
    for era in ERAS {
        let peer = McpPeer::counter(era).await.expect("it listens");
        let (mut server, chat) = start(&peer.config("far")).await;
        let version = call(&chat, "look").await;
        let seen = peer.called("look", 1).await.expect("it is called");
        let key = |message: &Value| message["params"]["_meta"]["io.verbatim/call-id"].clone();
        let first = key(one(&seen, "tools/call").expect("it was called"));
        server.kill().await.expect("it can be killed");
        server.start_again().await.expect("it starts again");
        let seen = peer.called("look", 2).await.expect("it is called again");
        peer.answer();
        let chat = chat.through(server.client());
        assert_eq!(chat.rest().await["status"], "waiting");
        assert_eq!(result_after(&chat, version).await, (false, json!("look done")), "{era:?}");
        let again = seen.iter().rfind(|message| message["method"] == "tools/call").map(key);
        assert!(first.is_string() && again == Some(first), "one call has one name, however often it is made: {seen:?}");
    }
}
