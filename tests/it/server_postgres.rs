//! The server on PostgreSQL: everything is there after a restart, and a database that is away is waited for.

use std::sync::Arc;

use reqwest::Method;
use serde_json::json;
use support::chat::ChatClient;
use support::http::{Answer, IDEMPOTENCY_KEY};
use support::postgres::Postgres;
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

async fn start(database: String, config: &str) -> TestServer {
    let options = ServerOptions { database: Some(database), ..ServerOptions::with_config(config) };
    TestServer::start_with(PROGRAM, options).await
}

#[tokio::test]
async fn a_chat_on_postgres_survives_a_kill_in_mid_answer() {
    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    let mut server = start(database, "[limits]\nretry_base_ms = 50\n").await;
    let chat = ChatClient::begin(server.client(), "[[slow 20]] [[tokens 20]]").await;
    chat.send("[[fail 503 times 1]] [[say then]]").await.expect(202);
    let seen = chat.stream(Some("0")).await.until(|frame| frame.data["n"] == 5).await;
    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    let chat = chat.through(server.client());
    let rested = chat.rest().await;
    assert_eq!(rested["status"], "waiting");
    let history = chat.history().await;
    assert_eq!(history.len(), 4, "{history:?}");
    assert_eq!((history[1].1.split_whitespace().count(), history[3].1.as_str()), (20, "then"));
    let replay = chat.replay().await;
    let before = seen.iter().filter(|frame| frame.is_chat_event());
    assert!(before.zip(&replay).all(|(before, after)| before.raw == after.raw), "what was told stays what it was");
    for arguments in [&["audit", "verify"][..], &["replay", &chat.id, "--check"], &["projections", "list"]] {
        let output = server.run(arguments).await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    assert!(server.terminate().await.unwrap().success());
    assert!(!server.log().contains("postgres://postgres:"), "no address with a password is logged");
}

async fn keyed(chat: &ChatClient, words: &str) -> Answer {
    let body = json!({ "content": format!("[[say {words}]]") });
    chat.client().call(Method::POST, &chat.path("/messages"), Some(&body), &[(IDEMPOTENCY_KEY, words)]).await
}

#[tokio::test]
async fn a_database_that_is_away_is_waited_for() {
    let postgres = Arc::new(Postgres::start(false).unwrap());
    let mut server = start(postgres.database().await.unwrap(), "").await;
    let chat = ChatClient::begin(server.client(), "[[say one]]").await;
    chat.rest().await;
    let slow = ChatClient::begin(server.client(), "[[slow 10]] [[tokens 20]]").await;
    let mut stream = slow.stream(Some("0")).await;
    stream.until_event("part").await;
    postgres.stop().unwrap();
    for _ in 0..2 {
        let refused = keyed(&chat, "two").await.expect_problem(503, "log_unavailable");
        assert!(refused.header("retry-after").is_some());
    }
    server.client().get("//healthz").await.expect(200);
    server.client().get("//readyz").await.expect(503);
    postgres.resume().unwrap();
    // The turn that could not be finished goes on by itself, and its watcher is told.
    let finished = stream.until_event("turn_finished").await.pop().unwrap();
    assert_eq!(finished.data["data"]["outcome"], "complete");
    let mut answer = keyed(&chat, "two").await;
    for _ in 0..100 {
        if answer.status == 202 {
            break;
        }
        answer = keyed(&chat, "two").await;
    }
    answer.expect(202);
    chat.rest().await;
    let said: Vec<String> = chat.history().await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(said, ["[[say one]]", "one", "[[say two]]", "two"]);
    assert!(server.run(&["audit", "verify"]).await.unwrap().status.success());
    assert!(server.terminate().await.unwrap().success());
}
