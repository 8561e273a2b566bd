//! Idempotency keys over HTTP: what is sent twice is done once.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use support::chat::ChatClient;
use support::http::{Answer, Client, IDEMPOTENCY_KEY};
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

async fn call(client: &Client, method: Method, path: &str, body: &Value, key: &str) -> Answer {
    client.call(method, path, Some(body), &[(IDEMPOTENCY_KEY, key)]).await
}

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

#[tokio::test]
async fn the_same_request_is_answered_again_and_done_once() {
    let mut server = TestServer::start(PROGRAM).await;
    let client = server.client().clone();
    let new = json!({ "content": "[[stall 2]] [[tokens 9]]", "title": "Once" });
    let created = call(&client, Method::POST, "/chats", &new, "create").await.expect(201);
    let chat = ChatClient::of(&client, &created.text_of("id"));
    chat.stream(Some("0")).await.until_event("part").await;
    let message = json!({ "content": "queued" });
    let queued = call(&client, Method::POST, &chat.path("/messages"), &message, "message").await.expect(202);
    let other = call(&client, Method::POST, &chat.path("/messages"), &message, "another").await.expect(202);
    assert_ne!(queued.number("queued_id"), other.number("queued_id"), "another key is another message");
    let title = json!({ "title": "Twice" });
    let patched = call(&client, Method::PATCH, &chat.path(""), &title, "patch").await.expect(200);
    let delete = chat.path(&format!("/queue/{}", other.number("queued_id")));
    let deleted = call(&client, Method::DELETE, &delete, &json!({}), "delete").await.expect(204);
    let interrupted = call(&client, Method::POST, &chat.path("/interrupt"), &json!({}), "stop").await.expect(202);
    chat.rest().await;
    let version = chat.version().await;

    for restarted in [false, true] {
        if restarted {
            server.kill().await.unwrap();
            server.start_again().await.unwrap();
        }
        let client = server.client();
        let chat = chat.through(client);
        for (method, path, body, key, first) in [
            (Method::POST, "/chats".to_owned(), &new, "create", &created),
            (Method::POST, chat.path("/messages"), &message, "message", &queued),
            (Method::PATCH, chat.path(""), &title, "patch", &patched),
            (Method::DELETE, delete.clone(), &json!({}), "delete", &deleted),
            (Method::POST, chat.path("/interrupt"), &json!({}), "stop", &interrupted),
        ] {
            assert!(!replayed(first), "{key}");
            let again = call(client, method, &path, body, key).await;
            assert!(replayed(&again), "{key}: {again:?}");
            assert_eq!((again.status, &again.text), (first.status, &first.text), "{key}");
            assert_eq!(again.header("verbatim-position"), first.header("verbatim-position"), "{key}");
            assert_eq!(again.header("location"), first.header("location"), "{key}");
        }
        assert_eq!(chat.version().await, version, "nothing happened twice");
        assert_eq!(client.get("/chats").await.items().len(), 1);
    }
}

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    let server = TestServer::start(PROGRAM).await;
    let client = server.client();
    let (one, two) = (ChatClient::create(client, json!({})).await, ChatClient::create(client, json!({})).await);
    let content = json!({ "content": "[[say x]]" });
    call(client, Method::POST, &one.path("/messages"), &content, "key").await.expect(202);
    one.rest().await;
    let versions = (one.version().await, two.version().await);
    for (method, path, body) in [
        (Method::POST, one.path("/messages"), json!({ "content": "[[say y]]" })),
        (Method::POST, two.path("/messages"), content.clone()),
        (Method::POST, one.path("/interrupt"), json!({})),
        (Method::POST, "/chats".to_owned(), content.clone()),
        (Method::PATCH, one.path("/messages/3"), content.clone()),
    ] {
        call(client, method, &path, &body, "key").await.expect_problem(422, "idempotency_mismatch");
    }
    assert_eq!((one.version().await, two.version().await), versions);
    assert_eq!(client.get("/chats").await.items().len(), 2);
    // A rejection is not remembered: the same request is judged anew.
    call(client, Method::POST, &two.path("/interrupt"), &json!({}), "again").await.expect_problem(409, "not_allowed");
    two.send("[[stall 1]] [[tokens 9]]").await.expect(202);
    call(client, Method::POST, &two.path("/interrupt"), &json!({}), "again").await.expect(202);
    two.rest().await;
}

#[tokio::test]
async fn duplicates_at_the_same_moment_are_one() {
    let server = TestServer::start(PROGRAM).await;
    let client = server.client();
    let new = json!({ "content": "[[say x]]" });
    let created = join_all((0..12).map(|_| call(client, Method::POST, "/chats", &new, "create"))).await;
    let ids: std::collections::BTreeSet<String> = created.iter().map(|answer| answer.text_of("id")).collect();
    assert_eq!(ids.len(), 1, "{created:?}");
    assert!(created.iter().all(|answer| answer.status == 201 && answer.text == created[0].text), "{created:?}");
    assert_eq!(created.iter().filter(|answer| !replayed(answer)).count(), 1);
    let chat = ChatClient::of(client, &created[0].text_of("id"));
    chat.rest().await;
    let path = chat.path("/messages");
    for round in 0..5 {
        let (message, key) =
            (json!({ "content": format!("[[say {round}]]") }), format!("message {round}").replace(' ', "-"));
        let sent = join_all((0..12).map(|_| call(client, Method::POST, &path, &message, &key))).await;
        assert!(sent.iter().all(|answer| answer.status == 202 && answer.text == sent[0].text), "{sent:?}");
        assert_eq!(sent.iter().filter(|answer| !replayed(answer)).count(), 1);
    }
    chat.rest().await;
    let said: Vec<String> =
        chat.history().await.into_iter().filter(|(role, _)| role == "assistant").map(|(_, text)| text).collect();
    assert_eq!(said, ["x", "0", "1", "2", "3", "4"]);
    assert_eq!(client.get("/chats").await.items().len(), 1);
}

#[tokio::test]
async fn a_key_is_told_its_first_answer_though_the_model_is_gone() {
    let with = "[providers.own]\nkind = \"demo\"\n[models.passing]\nprovider = \"own\"\n";
    let mut server = TestServer::start_with(PROGRAM, ServerOptions::with_config(with)).await;
    let new = json!({ "content": "[[say x]]", "model": "passing" });
    let created = call(server.client(), Method::POST, "/chats", &new, "create").await.expect(201);
    let chat = ChatClient::of(server.client(), &created.text_of("id"));
    chat.rest().await;
    let more = json!({ "content": "[[say y]]", "model": "passing" });
    let sent = call(server.client(), Method::POST, &chat.path("/messages"), &more, "send").await.expect(202);
    chat.rest().await;
    assert!(server.terminate().await.unwrap().success());
    std::fs::write(server.home().join("verbatim.toml"), "").unwrap();
    server.start_again().await.unwrap();
    let client = server.client();
    for (path, body, key, first) in
        [("/chats".to_owned(), &new, "create", &created), (chat.path("/messages"), &more, "send", &sent)]
    {
        let again = call(client, Method::POST, &path, body, key).await;
        assert!(replayed(&again), "{again:?}");
        assert_eq!((again.status, &again.text), (first.status, &first.text));
        call(client, Method::POST, &path, body, "fresh").await.expect_problem(400, "invalid_request");
        let other = json!({ "content": "else", "model": "passing" });
        call(client, Method::POST, &path, &other, key).await.expect_problem(422, "idempotency_mismatch");
    }
}
