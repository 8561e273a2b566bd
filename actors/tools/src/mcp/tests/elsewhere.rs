//! Servers over HTTP: what they get to see, and what is said of them. The listeners are written out, an answer a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use verbatim_events::tool::ToolInvocation;

use super::{chat, invocation, output};
use crate::mcp::{McpConfig, McpServers, McpTransport};

/// A request: its head in lower case, and its body.
type Request = (String, Value);
/// The status line's end, further header lines, and the body.
type Response = (&'static str, String, Value);

/// Listens, answers as told, and keeps what it was asked.
async fn listen(answer: impl Fn(&Request) -> Response + Send + 'static) -> (String, Arc<Mutex<Vec<Request>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/mcp", listener.local_addr().expect("it has an address"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(request) = read(&mut stream).await else { continue };
            let (status, headers, body) = answer(&request);
            into.lock().push(request);
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\
                 connection: close\r\n\r\n",
                body.len()
            );
            // A client that has gone needs no answer.
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    (url, seen)
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return Some((head, serde_json::from_str(body).unwrap_or(Value::Null)));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn servers(url: &str) -> McpServers {
    let headers = BTreeMap::from([("Authorization".to_owned(), "Bearer ${TOKEN}".to_owned())]);
    let config = McpConfig::new(McpTransport::Http { url: format!("{url}?key=${{TOKEN}}"), headers });
    let lookup = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
    McpServers::new(BTreeMap::from([("far".to_owned(), config)]), lookup, Handle::current())
}

/// A server of the newer era with one tool, which fails when told to.
fn stateless((_, message): &Request) -> Response {
    let ok =
        |result: Value| ("200 OK", String::new(), json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }));
    match message["method"].as_str() {
        Some("server/discover") => ok(json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} },
            "ttlMs": 0, "cacheScope": "private",
        })),
        Some("tools/list") => ok(json!({
            "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
            "tools": [{ "name": "do", "inputSchema": {} }],
        })),
        Some("tools/call") if message["params"]["arguments"]["fail"] == true => {
            ("503 Service Unavailable", String::new(), Value::Null)
        }
        Some("tools/call") => ok(json!({ "resultType": "complete", "content": [{ "type": "text", "text": "done" }] })),
        _ => ("202 Accepted", String::new(), Value::Null),
    }
}

#[tokio::test]
async fn headers_and_their_secrets_go_with_every_request() {
    let (url, seen) = listen(stateless).await;
    let servers = servers(&url);
    let chat = chat(&["far"]);
    servers.prepare(&chat).expect("it is not connected").await;
    assert_eq!(servers.states()[0].connected.as_deref(), Some("2026-07-28"));
    let answer = servers.run(invocation(&chat, "far__do", json!({})), output().0).await;
    assert_eq!(answer.result, json!("done"), "{answer:?}");
    let seen = seen.lock();
    assert!(seen.len() >= 3, "{seen:?}");
    for (head, _) in seen.iter() {
        assert!(head.contains("authorization: bearer s3cret") && head.contains("?key=s3cret"), "{head}");
    }
    let (_, message) = seen.iter().find(|(_, message)| message["method"] == "tools/call").expect("a call was made");
    let meta = &message["params"]["_meta"];
    let key = invocation(&chat, "far__do", json!({})).key;
    assert_eq!(meta["io.verbatim/call-id"], key.uuid().to_string());
    assert_eq!(meta["io.verbatim/attempt-id"], 5);
    assert_eq!(meta["io.verbatim/chat-id"], "00000000-0000-0000-0000-000000000007");
}

#[tokio::test]
async fn a_call_has_its_key_in_a_header_and_keeps_it_when_it_is_made_again() {
    let (url, seen) = listen(stateless).await;
    // A server that starts again knows nothing of the first time but the call.
    for attempt_id in [5, 9] {
        let (servers, chat) = (servers(&url), chat(&["far"]));
        servers.prepare(&chat).expect("it is not connected").await;
        let call = ToolInvocation { attempt_id, ..invocation(&chat, "far__do", json!({})) };
        assert_eq!(servers.run(call, output().0).await.result, json!("done"));
    }
    let (servers, chat) = (servers(&url), chat(&["far"]));
    let mut other = invocation(&chat, "far__do", json!({}));
    other.key.call_id = "call-2".to_owned();
    assert_eq!(servers.run(other, output().0).await.result, json!("done"));
    let key = |head: &str| head.lines().find_map(|line| line.strip_prefix("idempotency-key: ").map(str::to_owned));
    let seen = seen.lock();
    let (calls, others): (Vec<&Request>, Vec<&Request>) =
        seen.iter().partition(|(_, message)| message["method"] == "tools/call");
    assert!(others.iter().all(|(head, _)| key(head).is_none()));
    let keys: Vec<String> = calls.iter().filter_map(|(head, _)| key(head)).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys[0] == keys[1] && keys[1] != keys[2], "{keys:?}");
    assert_eq!(calls[0].1["params"]["_meta"]["io.verbatim/call-id"], keys[0]);
}

#[tokio::test]
async fn a_tool_that_is_not_written_as_the_protocol_has_it_costs_its_server_that_tool_alone() {
    let answer = |request: &Request| {
        if request.1["method"] != "tools/list" {
            return stateless(request);
        }
        let tools = json!([{ "name": "bare" }, { "name": "do", "inputSchema": {} }]);
        let result = json!({ "resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": tools });
        ("200 OK", String::new(), json!({ "jsonrpc": "2.0", "id": request.1["id"], "result": result }))
    };
    let (url, _) = listen(answer).await;
    let (servers, chat) = (servers(&url), chat(&["far"]));
    servers.prepare(&chat).expect("it is not connected").await;
    assert_eq!((servers.states()[0].tools, &servers.states()[0].problem), (1, &None));
    assert_eq!(servers.run(invocation(&chat, "far__do", json!({})), output().0).await.result, json!("done"));
}

#[tokio::test]
async fn one_failed_request_is_no_end_of_the_connection() {
    let (url, _) = listen(stateless).await;
    let servers = servers(&url);
    let chat = chat(&["far"]);
    servers.prepare(&chat).expect("it is not connected").await;
    let answer = servers.run(invocation(&chat, "far__do", json!({ "fail": true })), output().0).await;
    let words = answer.result.as_str().expect("it is text");
    assert!(answer.is_error && words.contains("HTTP 503") && words.contains("outcome unknown"), "{words}");
    assert!(servers.prepare(&chat).is_none() && servers.definitions(&chat).len() == 1);
}

#[tokio::test]
async fn what_goes_wrong_is_told_without_secrets_and_redirects_are_not_followed() {
    let (trap, trapped) = listen(stateless).await;
    let redirect = format!("location: {trap}\r\n");
    let cases: [(&str, String, &str); 4] = [
        ("401 Unauthorized", "www-authenticate: Bearer\r\n".to_owned(), "without authorization"),
        ("500 Internal Server Error", String::new(), "HTTP 500"),
        ("307 Temporary Redirect", redirect, "does not answer as"),
        ("200 OK", String::new(), "does not answer as"),
    ];
    for (status, headers, problem) in cases {
        let (url, _) = listen(move |_| (status, headers.clone(), Value::Null)).await;
        let servers = servers(&url);
        let chat = chat(&["far"]);
        servers.prepare(&chat).expect("it is not connected").await;
        let told = servers.states()[0].problem.clone().expect("it cannot be connected to");
        assert!(told.contains(problem), "{status}: {told}");
        assert!(!told.contains("s3cret") && !told.contains("127.0.0.1"), "{status}: {told}");
        assert!(servers.prepare(&chat).is_none(), "it is skipped");
    }
    assert!(trapped.lock().is_empty());
}
