//! Bad input: each has its status, its code and its place, and changes nothing.

use reqwest::Method;
use serde_json::{Value, json};
use support::chat::ChatClient;
use support::http::{Answer, Client};
use support::server::TestServer;

use crate::PROGRAM;

/// What a bad body must be answered with.
struct Bad {
    method: Method,
    path: String,
    body: Value,
    code: &'static str,
    /// Where the mistake is; empty where the code says it all.
    pointers: &'static [&'static str],
}

fn bad(method: Method, path: &str, body: Value, code: &'static str, pointers: &'static [&'static str]) -> Bad {
    Bad { method, path: path.to_owned(), body, code, pointers }
}

fn pointers(answer: &Answer) -> Vec<&str> {
    let errors = answer.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().filter_map(|error| error["pointer"].as_str()).collect()
}

#[tokio::test]
async fn bad_bodies_are_refused_with_the_place_of_the_mistake() {
    let server = TestServer::start(PROGRAM).await;
    let client = server.client();
    let tool = json!({ "name": "look", "description": "", "parameters": {} });
    let chat = ChatClient::create(client, json!({ "content": "[[tool look]]", "tools": [tool.clone()] })).await;
    chat.until_status("requires_action").await;
    let version = chat.version().await;
    let (messages, chats) = (chat.path("/messages"), "/chats");
    let (results, approvals) = (chat.path("/tool-results"), chat.path("/approvals"));
    let result = |call: &str| json!({ "call_id": call, "result": 1 });
    let (post, patch) = (Method::POST, Method::PATCH);
    let long = "x".repeat(201);
    let many: serde_json::Map<String, Value> = (0..51).map(|number| (format!("k{number}"), json!("v"))).collect();
    let invalid = "invalid_request";
    let cases = [
        bad(post.clone(), chats, json!({ "contents": "x" }), invalid, &["/contents"]),
        bad(post.clone(), chats, json!([]), invalid, &[""]),
        bad(post.clone(), chats, json!("text"), invalid, &[""]),
        bad(post.clone(), chats, json!({ "content": 7 }), invalid, &["/content"]),
        bad(post.clone(), chats, json!({ "content": "" }), "empty_content", &["/content"]),
        bad(post.clone(), chats, json!({ "content": [] }), "empty_content", &["/content"]),
        bad(post.clone(), chats, json!({ "content": "x", "title": 1, "model": [] }), invalid, &["/title", "/model"]),
        bad(post.clone(), chats, json!({ "title": long }), invalid, &["/title"]),
        bad(post.clone(), chats, json!({ "model": "no such model" }), invalid, &["/model"]),
        bad(post.clone(), chats, json!({ "labels": { "": "x" } }), invalid, &["/labels/"]),
        bad(post.clone(), chats, json!({ "labels": { "a/b": 1 } }), invalid, &["/labels/a~1b"]),
        bad(post.clone(), chats, json!({ "labels": many }), invalid, &["/labels"]),
        bad(post.clone(), chats, json!({ "system_prompt": "x".repeat(128 * 1024 + 1) }), invalid, &["/system_prompt"]),
        bad(post.clone(), chats, json!({ "tools": [tool.clone(), tool.clone()] }), invalid, &["/tools/1/name"]),
        bad(
            post.clone(),
            chats,
            json!({ "tools": [{ "name": "a b", "description": "", "parameters": {} }] }),
            invalid,
            &["/tools/0/name"],
        ),
        bad(
            post.clone(),
            chats,
            json!({ "tools": [{ "name": "a", "description": "", "parameters": 1 }] }),
            invalid,
            &["/tools/0/parameters"],
        ),
        bad(post.clone(), chats, json!({ "tool_policy": { "look": "maybe" } }), invalid, &["/tool_policy/look"]),
        bad(post.clone(), &messages, json!({}), invalid, &["/content"]),
        bad(post.clone(), &messages, json!({ "content": "  \n" }), "empty_content", &["/content"]),
        bad(
            post.clone(),
            &messages,
            json!({ "content": [{ "type": "text", "text": "" }] }),
            "empty_content",
            &["/content/0/text"],
        ),
        bad(post.clone(), &messages, json!({ "content": [{ "type": "video" }] }), invalid, &["/content/0/type"]),
        bad(
            post.clone(),
            &messages,
            json!({ "content": [{ "type": "text", "txt": "x" }] }),
            invalid,
            &["/content/0/text", "/content/0/txt"],
        ),
        bad(post.clone(), &messages, json!({ "content": "a\u{0}b" }), invalid, &["/content"]),
        bad(post.clone(), &messages, json!({ "content": "x", "busy": "wait" }), invalid, &["/busy"]),
        bad(post.clone(), &messages, json!({ "content": "x", "extra": 1, "busy": 1 }), invalid, &["/busy", "/extra"]),
        bad(patch.clone(), &chat.path("/messages/3"), json!({}), invalid, &["/content"]),
        bad(patch.clone(), &chat.path(""), json!({ "title": null }), invalid, &["/title"]),
        bad(patch.clone(), &chat.path(""), json!({ "pinned": "yes" }), invalid, &["/pinned"]),
        bad(patch.clone(), &chat.path(""), json!({ "status": "waiting" }), invalid, &["/status"]),
        bad(post.clone(), &chat.path("/interrupt"), json!({ "why": "x" }), invalid, &["/why"]),
        bad(post.clone(), &results, json!({ "results": [] }), "missing_call", &[]),
        bad(post.clone(), &results, json!({ "results": [{ "result": 1 }] }), invalid, &["/results/0/call_id"]),
        bad(post.clone(), &results, json!({ "results": [result("nobody")] }), "unknown_call", &[]),
        bad(post.clone(), &results, json!({ "results": [result("nobody"), result("nobody")] }), "duplicate_call", &[]),
        bad(
            post.clone(),
            &approvals,
            json!({ "decisions": [{ "call_id": "x", "decision": "perhaps" }] }),
            invalid,
            &["/decisions/0/decision"],
        ),
    ];
    for Bad { method, path, body, code, pointers: places } in cases {
        let answer = client.call(method.clone(), &path, Some(&body), &[]).await;
        let answer = answer.expect_problem(400, code);
        for place in places {
            assert!(pointers(&answer).contains(place), "{method} {path} {body}: {}", answer.text);
        }
        if places.is_empty() || code == "empty_content" {
            continue;
        }
        assert_eq!(pointers(&answer).len(), places.len(), "{method} {path} {body}: {}", answer.text);
    }
    assert_eq!(chat.version().await, version, "nothing of all this changed the chat");
    assert_eq!(client.get("/chats").await.items().len(), 1, "nothing of all this made a chat");
}

#[tokio::test]
async fn answers_to_calls_are_checked_one_by_one() {
    let server = TestServer::start(PROGRAM).await;
    let tools = json!([{ "name": "look", "description": "", "parameters": {} }]);
    let request = json!({ "content": "[[tool look]] [[tool look]]", "tools": tools });
    let chat = ChatClient::create(server.client(), request).await;
    chat.until_status("requires_action").await;
    let shown = chat.get("").await.expect(200);
    let version = shown.number("version");
    let calls: Vec<Value> =
        shown.body["action"]["calls"].as_array().unwrap().iter().map(|call| call["call_id"].clone()).collect();
    let result = |call: &Value| json!({ "call_id": call, "result": "x" });
    let large = json!({ "call_id": calls[1], "result": "x".repeat(1024 * 1024 + 1) });
    let cases = [
        ("missing_call", json!([result(&calls[0])])),
        ("duplicate_call", json!([result(&calls[0]), result(&calls[0])])),
        ("unknown_call", json!([result(&calls[0]), result(&calls[1]), result(&json!("other"))])),
        ("invalid_result", json!([result(&calls[0]), { "call_id": calls[1] }])),
        ("invalid_result", json!([result(&calls[0]), large])),
    ];
    for (code, results) in cases {
        chat.post("/tool-results", json!({ "results": results })).await.expect_problem(400, code);
    }
    assert_eq!(chat.version().await, version);
    let good = json!({ "results": [result(&calls[1]), { "call_id": calls[0], "result": null }] });
    chat.post("/tool-results", good.clone()).await.expect(202);
    chat.post("/tool-results", good).await.expect_problem(409, "not_allowed");
    chat.rest().await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let server = TestServer::start(PROGRAM).await;
    let client = server.client();
    let chat = ChatClient::begin(client, "[[say x]]").await;
    chat.rest().await;
    let version = chat.version().await;
    let nowhere = "/chats/01890000-0000-7000-8000-000000000000";
    for base in [nowhere, "/chats/not-an-id", "/chats/1"] {
        for path in ["", "/messages", "/queue", "/events", "/turns", "/stream"] {
            client.get(&format!("{base}{path}")).await.expect_problem(404, "chat_not_found");
        }
        client.post(&format!("{base}/messages"), json!({ "content": "x" })).await.expect_problem(404, "chat_not_found");
        client.post(&format!("{base}/interrupt"), json!({})).await.expect_problem(404, "chat_not_found");
        client.patch(base, json!({ "title": "x" })).await.expect_problem(404, "chat_not_found");
    }
    for id in ["99", "x", "0", "-1"] {
        let message = chat.path(&format!("/messages/{id}"));
        client.patch(&message, json!({ "content": "x" })).await.expect_problem(404, "message_not_found");
        let queued = chat.path(&format!("/queue/{id}"));
        client.delete(&queued).await.expect_problem(404, "queued_message_not_found");
        client.post(&format!("{queued}/promote"), json!({})).await.expect_problem(404, "queued_message_not_found");
    }
    let answer = chat.history().await.len();
    let replies = chat.get("/messages").await;
    let reply = replies.items().iter().find(|message| message["role"] == "assistant").unwrap()["id"].clone();
    let reply = chat.path(&format!("/messages/{reply}"));
    client.patch(&reply, json!({ "content": "x" })).await.expect_problem(400, "not_a_user_message");
    client.get("/nothing").await.expect_problem(404, "not_found");
    client.get("//nothing").await.expect_problem(404, "not_found");
    let refused = client.delete("/chats").await.expect_problem(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), Some("GET, POST"));
    assert_eq!((chat.history().await.len(), chat.version().await), (answer, version));
}

#[tokio::test]
async fn keys_are_checked_before_anything_else() {
    let server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::begin(server.client(), "[[say x]]").await;
    chat.rest().await;
    let version = chat.version().await;
    for key in [None, Some("wrong"), Some("")] {
        let stranger = server.client().with_key(key);
        for (method, path) in [
            (Method::GET, "/chats".to_owned()),
            (Method::POST, "/chats".to_owned()),
            (Method::GET, chat.path("")),
            (Method::POST, chat.path("/messages")),
            (Method::GET, chat.path("/stream")),
            (Method::GET, chat.path("/events")),
            (Method::GET, "/projections".to_owned()),
            (Method::POST, "/projections/all/rebuild".to_owned()),
        ] {
            let answer = stranger.call(method, &path, Some(&json!({ "content": "x" })), &[]).await;
            let answer = answer.expect_problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        stranger.get("//healthz").await.expect(200);
    }
    assert_eq!(chat.version().await, version);
}

#[tokio::test]
async fn bodies_and_headers_have_bounds() {
    let server = TestServer::start(PROGRAM).await;
    let client = server.client();
    let chat = ChatClient::create(client, json!({})).await;
    let version = chat.version().await;
    let large = json!({ "content": "x".repeat(256 * 1024) });
    chat.post("/messages", large).await.expect_problem(413, "body_too_large");
    chat.post("/tool-results", json!({ "results": "x".repeat(2 * 1024 * 1024) }))
        .await
        .expect_problem(413, "body_too_large");
    let raw = |text: &'static str, media_type: &'static str| {
        client.send(client.request(Method::POST, &chat.path("/messages")).header("content-type", media_type).body(text))
    };
    raw("{\"content\": \"x\"}", "text/plain").await.unwrap().expect_problem(415, "unsupported_media_type");
    raw("{\"content\": ", "application/json").await.unwrap().expect_problem(400, "invalid_request");
    raw("\u{feff}{}", "application/json").await.unwrap().expect_problem(400, "invalid_request");
    let content = json!({ "content": "[[say x]]" });
    let path = chat.path("/messages");
    for key in ["", "with space", &"k".repeat(256), "ключ"] {
        let value = reqwest::header::HeaderValue::from_bytes(key.as_bytes()).unwrap();
        let request = client.request(Method::POST, &path).header("idempotency-key", value).json(&content);
        client.send(request).await.unwrap().expect_problem(400, "invalid_request");
    }
    for position in ["", "x", "1", "00000000-0-1", "-1"] {
        let headers = [("verbatim-position", position)];
        client.call(Method::GET, &chat.path(""), None, &headers).await.expect_problem(400, "invalid_request");
    }
    for query in
        ["limit=0", "limit=201", "limit=x", "cursor=rubbish", "unknown=1", "status=asleep", "parent=x", "label=x"]
    {
        client.get(&format!("/chats?{query}")).await.expect_problem(400, "invalid_request");
    }
    for query in ["before=x", "limit=1000", "withdrawn=maybe", "cursor=zzz", "after=-1"] {
        client.get(&format!("{path}?{query}")).await.expect_problem(400, "invalid_request");
    }
    assert_eq!(chat.version().await, version, "nothing of all this changed the chat");
}

#[tokio::test]
async fn a_position_is_waited_for_and_never_in_vain() {
    let server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::create(server.client(), json!({})).await;
    for number in 0..10 {
        let title = format!("Title {number}");
        let answer = server.client().patch(&chat.path(""), json!({ "title": title })).await.expect(200);
        let position = answer.header("verbatim-position").unwrap().to_owned();
        let headers = [("verbatim-position", position.as_str())];
        let shown = server.client().call(Method::GET, &chat.path(""), None, &headers).await.expect(200);
        assert_eq!(shown.body["title"], title);
        let list = server.client().get("/chats").await.expect(200);
        assert_eq!(list.items()[0]["title"], title, "without the header, too, nobody reads older than was answered");
        let mut parts = position.rsplitn(2, '-');
        let ahead = parts.next().and_then(|number| number.parse::<u64>().ok()).unwrap() + 1000;
        if number == 0 {
            let ahead = format!("{}-{ahead}", parts.next().unwrap());
            let headers = [("verbatim-position", ahead.as_str())];
            let late = server.client().call(Method::GET, &chat.path(""), None, &headers).await;
            assert!(late.expect_problem(503, "reads_behind").header("retry-after").is_some());
        }
    }
}

#[tokio::test]
async fn an_archived_chat_is_read_and_not_written_to() {
    let server = TestServer::start(PROGRAM).await;
    let client: &Client = server.client();
    let chat = ChatClient::begin(client, "[[say x]]").await;
    chat.rest().await;
    let archived = client.patch(&chat.path(""), json!({ "archived": true })).await.expect(200);
    assert_eq!(archived.body["archived"], true);
    let version = chat.version().await;
    chat.send("more").await.expect_problem(409, "archived");
    client.patch(&chat.path("/messages/3"), json!({ "content": "x" })).await.expect_problem(409, "archived");
    for path in ["/interrupt", "/compact", "/clear", "/queue/5/promote"] {
        chat.post(path, json!({})).await.expect_problem(409, "archived");
    }
    client.delete(&chat.path("/queue/5")).await.expect_problem(409, "archived");
    chat.post("/tool-results", json!({ "results": [{ "call_id": "x", "result": 1 }] }))
        .await
        .expect_problem(409, "archived");
    client.patch(&chat.path(""), json!({ "archived": true })).await.expect(200);
    assert_eq!(chat.version().await, version);
    assert_eq!(chat.history().await.len(), 2);
    client.patch(&chat.path(""), json!({ "title": "Renamed in the archive" })).await.expect(200);
    let unarchived = client.patch(&chat.path(""), json!({ "archived": false })).await.expect(200);
    assert_eq!((unarchived.number("version"), &unarchived.body["status"]), (version + 2, &json!("waiting")));
    chat.send("[[say y]]").await.expect(202);
    chat.rest().await;
}
