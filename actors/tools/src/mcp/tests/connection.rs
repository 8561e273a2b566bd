//! What one connection does with what its server says, and does not say.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use super::peer::{Peer, config, open};
use super::{PATIENCE, output, until};
use crate::mcp::connection::{CallError, Connection, Era};
use crate::mcp::stdio::MESSAGE_MAX_BYTES;

type Answer = Result<rmcp::model::CallToolResult, CallError>;

fn call(connection: &Arc<Connection>, limit: Duration) -> JoinHandle<Answer> {
    let connection = Arc::clone(connection);
    let meta = Map::from_iter([("io.verbatim/call-id".to_owned(), json!("call-1"))]);
    tokio::spawn(async move { connection.call("do", Map::new(), meta, Box::new(drop), limit).await })
}

fn text(answer: Answer) -> String {
    let answer = serde_json::to_value(answer.expect("there is an answer")).expect("an answer is JSON");
    answer["content"][0]["text"].as_str().expect("it is text").to_owned()
}

fn said(words: &str) -> Value {
    json!({ "resultType": "complete", "content": [{ "type": "text", "text": words }] })
}

#[tokio::test]
async fn both_eras_are_spoken() {
    for newer in [false, true] {
        let (mut peer, pipe) = Peer::new();
        let opening = tokio::spawn(open(pipe));
        if newer {
            peer.greet_newer().await
        } else {
            peer.greet_older().await
        }
        peer.list(&["do", "look"]).await;
        let connection = opening.await.expect("opening does not panic");
        assert_eq!(connection.version(), if newer { "2026-07-28" } else { "2025-11-25" });
        let tools = connection.tools();
        let names: Vec<&str> = tools.definitions().map(|definition| definition.name.as_str()).collect();
        assert_eq!(names, ["peer__do", "peer__look"]);
        if newer {
            // Whoever wants to hear of changes has to ask.
            let request = peer.expect("subscriptions/listen").await;
            assert_eq!(request["params"]["notifications"]["toolsListChanged"], true, "{request}");
        }

        let calling = call(&connection, PATIENCE);
        let request = peer.expect("tools/call").await;
        assert_eq!(request["params"]["name"], "do");
        let meta = &request["params"]["_meta"];
        assert_eq!(meta["io.verbatim/call-id"], "call-1", "{request}");
        let version = &meta["io.modelcontextprotocol/protocolVersion"];
        assert_eq!(version, &if newer { json!("2026-07-28") } else { Value::Null });
        peer.answer(&request, said("done")).await;
        assert_eq!(text(calling.await.expect("a call does not panic")), "done");
    }
}

#[tokio::test]
async fn progress_is_shown_while_the_call_runs() {
    let (mut peer, connection) = Peer::connected().await;
    let (sink, seen) = output();
    let calling = {
        let connection = Arc::clone(&connection);
        tokio::spawn(async move { connection.call("do", Map::new(), Map::new(), sink, PATIENCE).await })
    };
    let request = peer.expect("tools/call").await;
    let token = &request["params"]["_meta"]["progressToken"];
    assert!(token.is_number(), "{request}");
    let report = |token: Value, message: &str| {
        let params = json!({ "progressToken": token, "progress": 1, "total": 2, "message": message });
        json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params })
    };
    peer.send(report(json!(4711), "of nobody")).await;
    peer.send(report(token.clone(), "half")).await;
    until(|| *seen.lock() == "1/2: half\n").await;
    peer.answer(&request, said("done")).await;
    assert_eq!(text(calling.await.expect("a call does not panic")), "done");
}

#[tokio::test]
async fn a_call_that_is_dropped_or_too_slow_is_cancelled_at_the_server() {
    let (mut peer, connection) = Peer::connected().await;
    let calling = call(&connection, PATIENCE);
    let request = peer.expect("tools/call").await;
    calling.abort();
    let cancelled = peer.expect("notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], request["id"]);

    let calling = call(&connection, Duration::from_millis(20));
    let request = peer.expect("tools/call").await;
    let error = calling.await.expect("a call does not panic").expect_err("nobody answers");
    assert_eq!(error, CallError::Unknown("it did not answer in 20 ms".to_owned()));
    let cancelled = peer.expect("notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], request["id"]);

    // An answer that comes too late is nobody's, and the connection goes on.
    peer.answer(&request, said("late")).await;
    let calling = call(&connection, PATIENCE);
    let request = peer.expect("tools/call").await;
    peer.answer(&request, said("in time")).await;
    assert_eq!(text(calling.await.expect("a call does not panic")), "in time");
}

#[tokio::test]
async fn a_server_that_dies_in_a_call_leaves_its_outcome_unknown() {
    let (mut peer, connection) = Peer::connected().await;
    let calling = call(&connection, PATIENCE);
    peer.expect("tools/call").await;
    drop(peer);
    let error = calling.await.expect("a call does not panic").expect_err("nobody answers");
    assert_eq!(error, CallError::Unknown("the connection to it broke".to_owned()));
    assert!(!connection.is_alive());
}

#[tokio::test]
async fn a_refusal_is_told_in_the_server_s_words() {
    let (mut peer, connection) = Peer::connected().await;
    let calling = call(&connection, PATIENCE);
    let request = peer.expect("tools/call").await;
    peer.refuse(&request, -32602, &format!("no \u{1b}[31m{}", "x".repeat(10_000))).await;
    let error = calling.await.expect("a call does not panic").expect_err("it is refused");
    let CallError::Refused(words) = error else { panic!("it did not run: {error:?}") };
    assert!(words.starts_with("it said: no [31mxx") && words.len() < 3_000, "{words}");
    assert!(connection.is_alive());
}

#[tokio::test]
async fn changed_tools_are_listed_again_in_both_eras() {
    let (mut peer, connection) = Peer::connected().await;
    peer.send(json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" })).await;
    peer.list(&["one", "two"]).await;
    until(|| connection.tools().len() == 2).await;
    assert!(connection.tools().get("peer__do").is_none());

    let (mut peer, pipe) = Peer::new();
    let opening = tokio::spawn(open(pipe));
    peer.greet_newer().await;
    peer.list(&["do"]).await;
    let connection = opening.await.expect("opening does not panic");
    let request = peer.expect("subscriptions/listen").await;
    let meta = json!({ "io.modelcontextprotocol/subscriptionId": request["id"] });
    let notify = |method: &str, more: Value| {
        let mut params = json!({ "_meta": meta });
        params.as_object_mut().expect("it is an object").extend(more.as_object().cloned().unwrap_or_default());
        json!({ "jsonrpc": "2.0", "method": method, "params": params })
    };
    let accepted = json!({ "notifications": { "toolsListChanged": true } });
    peer.send(notify("notifications/subscriptions/acknowledged", accepted)).await;
    peer.send(notify("notifications/tools/list_changed", json!({}))).await;
    peer.list(&["one", "two", "three"]).await;
    until(|| connection.tools().len() == 3).await;
}

#[tokio::test]
async fn a_list_of_tools_without_an_end_has_one() {
    let (mut peer, pipe) = Peer::new();
    let opening = tokio::spawn(open(pipe));
    peer.greet_older().await;
    let mut pages = 0;
    loop {
        tokio::select! {
            request = peer.expect("tools/list") => {
                let tool = json!({ "name": format!("t{pages}"), "inputSchema": {} });
                peer.answer(&request, json!({ "tools": [tool], "nextCursor": "again" })).await;
                pages += 1;
            }
            () = until(|| opening.is_finished()) => break,
        }
    }
    let connection = opening.await.expect("opening does not panic");
    assert_eq!((pages, connection.tools().len()), (32, 32));
}

#[tokio::test]
async fn messages_that_could_do_harm_are_dropped_and_the_connection_goes_on() {
    let (mut peer, connection) = Peer::connected().await;
    let calling = call(&connection, PATIENCE);
    let request = peer.expect("tools/call").await;
    peer.send_line("no JSON").await;
    peer.send_line(&"[".repeat(1_000_000)).await;
    peer.send_line(&"x".repeat(MESSAGE_MAX_BYTES + 1)).await;
    let bomb = (0..100_000).fold(String::new(), |bomb, _| bomb + "{\"a\":");
    peer.send_line(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{bomb}", request["id"])).await;
    peer.answer(&request, said("still here")).await;
    assert_eq!(text(calling.await.expect("a call does not panic")), "still here");
}

#[tokio::test]
async fn a_server_s_own_requests_are_refused() {
    let (mut peer, _connection) = Peer::connected().await;
    for (id, method, params) in [
        (1, "sampling/createMessage", json!({ "messages": [], "maxTokens": 1 })),
        (
            2,
            "elicitation/create",
            json!({ "mode": "form", "message": "Password?", "requestedSchema": {
            "type": "object", "properties": {} } }),
        ),
        (3, "secrets/list", json!({})),
    ] {
        peer.send(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        let answer = peer.next().await;
        assert_eq!(answer["id"], id, "{answer}");
        let declined = answer["result"]["action"] == "decline";
        assert!(declined || answer["error"]["code"] == -32601, "{answer}");
    }
}

#[tokio::test]
async fn what_is_no_server_is_told_in_words() {
    let (mut peer, pipe) = Peer::new();
    let opening =
        tokio::spawn(async move { Connection::open("peer", Arc::new(config()), pipe, Era::Older).await.err() });
    let hello = peer.expect("initialize").await;
    peer.refuse(&hello, -32000, "go away").await;
    let error = opening.await.expect("opening does not panic").expect("it is refused");
    assert_eq!(error.to_string(), "the handshake failed: it said: go away");
}
