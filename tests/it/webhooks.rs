//! Webhooks of the real server: receivers that refuse, hang and come back, and a server that is killed in between.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::http::Client;
use support::receiver::{Mood, Received, Receiver};
use support::server::{ServerOptions, TestServer};
use verbatim::webhooks::sign::Secret;

use crate::PROGRAM;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn webhook(name: &str, receiver: &Receiver, events: &str) -> String {
    let url = receiver.url();
    format!("[webhooks.{name}]\nurl = \"{url}\"\nsecret_env = \"HOOK_SECRET\"\nevents = {events}\ntimeout_ms = 500\n")
}

fn options(config: String) -> ServerOptions {
    let environment = vec![("HOOK_SECRET".to_owned(), SECRET.to_owned())];
    ServerOptions { config, environment, ..ServerOptions::default() }
}

/// How a webhook stands.
async fn standing(client: &Client, name: &str) -> Value {
    let list = client.get("/webhooks").await.expect(200);
    list.items().iter().find(|webhook| webhook["name"] == name).expect("a webhook of this name").clone()
}

async fn resume(client: &Client, name: &str) -> Value {
    client.post(&format!("/webhooks/{name}/resume"), json!({})).await.expect(200).body
}

/// The ids of everything that happened and is to be told, in the log's order.
async fn expected(client: &Client) -> Vec<String> {
    let log = client.get("/log").await.expect(200);
    let events = log.text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let id = |event: Value| {
        let kind = event["type"].as_str().expect("a type").to_owned();
        let event_id = event["event_id"].as_str().expect("an id").replace('-', "");
        matches!(kind.as_str(), "chat_created" | "turn_finished").then(|| format!("msg_{event_id}_{kind}"))
    };
    events.filter_map(id).collect()
}

/// What was taken, each once, in the order in which it came first. The same id is always the same thing.
fn distinct(taken: &[Received]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for received in taken {
        if !ids.iter().any(|id| id == received.id()) {
            ids.push(received.id().to_owned());
        }
        let first = taken.iter().find(|other| other.id() == received.id()).expect("itself at least");
        assert_eq!(first.text, received.text);
    }
    ids
}

fn refused(received: &[Received]) -> usize {
    received.iter().filter(|received| !received.is_taken).count()
}

fn assert_is_signed(received: &Received) {
    let timestamp = received.headers["webhook-timestamp"].parse().expect("seconds");
    let signature = Secret::parse(SECRET).expect("a secret").sign(received.id(), timestamp, received.text.as_bytes());
    assert_eq!(received.headers["webhook-signature"], signature);
    assert_eq!(received.headers["content-type"], "application/json");
    let now = chrono::Utc::now().timestamp();
    assert!((now - 600..=now + 5).contains(&timestamp), "{timestamp} is not now");
}

#[tokio::test]
async fn nothing_is_lost_whoever_fails_hangs_or_is_killed_and_nobody_waits() {
    let (receiver, silent) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
    silent.set(Mood::Hangs);
    let kinds = r#"["chat_created", "turn_finished"]"#;
    let config = webhook("all", &receiver, kinds) + &webhook("silent", &silent, kinds);
    let mut server = TestServer::start_with(PROGRAM, options(config)).await;
    let chat = ChatClient::begin(server.client(), "[[say the secret plan]]").await;
    chat.rest().await;
    receiver.until(|received| received.len() >= 2).await;
    let taken = receiver.taken();
    assert_eq!(taken.iter().map(|one| &one.body["type"]).collect::<Vec<_>>(), ["chat_created", "turn_finished"]);
    for received in &taken {
        assert_is_signed(received);
        assert!(!received.text.contains("secret"), "{}", received.text);
        let names: BTreeSet<&str> = received.body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, BTreeSet::from(["data", "timestamp", "type"]));
        assert_eq!(received.body["data"]["chat_id"], chat.id.as_str());
    }
    assert_eq!(taken[1].body["data"]["turn_id"], 2, "{}", taken[1].text);

    receiver.set(Mood::Answers(503));
    for round in 0..3 {
        ChatClient::begin(server.client(), &format!("[[say {round}]]")).await.rest().await;
    }
    receiver.until(|received| refused(received) >= 2).await;
    let all = standing(server.client(), "all").await;
    assert_eq!((&all["state"], &all["last_error"]), (&json!("failing"), &json!("it answered 503")));
    assert!(all["failing_since"].is_string() && all["lag"].as_u64() > Some(0), "{all}");
    assert!(!all.to_string().contains("hidden"), "{all}");
    silent.until(|received| refused(received) >= 1).await;
    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    receiver.set(Mood::Hangs);
    let before = receiver.received().len();
    resume(server.client(), "all").await;
    receiver.until(|received| received.len() > before).await;
    ChatClient::begin(server.client(), "[[say while it hangs]]").await.rest().await;
    server.kill().await.unwrap();
    receiver.set(Mood::Takes);
    server.start_again().await.unwrap();
    ChatClient::begin(server.client(), "[[say at last]]").await.rest().await;

    let expected = expected(server.client()).await;
    assert_eq!(expected.len(), 12);
    receiver.until(|received| received.iter().any(|one| one.is_taken && one.id() == expected[11])).await;
    assert_eq!(distinct(&receiver.taken()), expected);
    let all = standing(server.client(), "all").await;
    assert_eq!((&all["state"], &all["set_aside_count"]), (&json!("following"), &json!(0)));
    // The silent one held up nobody, and goes on where it is.
    silent.set(Mood::Takes);
    resume(server.client(), "silent").await;
    silent.until(|received| received.iter().any(|one| one.is_taken && one.id() == expected[11])).await;
    assert_eq!(distinct(&silent.taken()), expected);
    for received in receiver.taken().iter().chain(&silent.taken()) {
        assert_is_signed(received);
    }
}

#[tokio::test]
async fn what_is_refused_is_set_aside_in_sight_and_a_webhook_that_stands_still_goes_on_where_it_stopped() {
    let (receiver, late) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
    let config = webhook("some", &receiver, r#"["chat_created"]"#);
    let mut server = TestServer::start_with(PROGRAM, options(config.clone())).await;
    receiver.set(Mood::Answers(400));
    let unwanted = ChatClient::create(server.client(), json!({})).await;
    for attempt in 1..8 {
        receiver.until(|received| received.len() >= attempt).await;
        resume(server.client(), "some").await;
    }
    receiver.until(|received| received.len() == 8).await;
    receiver.set(Mood::Takes);
    let wanted = ChatClient::create(server.client(), json!({})).await;
    receiver.until(|received| received.iter().any(|one| one.is_taken)).await;
    assert_eq!(receiver.taken()[0].body["data"]["chat_id"], wanted.id.as_str());
    let some = standing(server.client(), "some").await;
    assert_eq!((&some["set_aside_count"], &some["state"]), (&json!(1), &json!("following")));
    let aside = &some["set_aside"][0];
    assert_eq!((&aside["chat_id"], &aside["type"]), (&json!(unwanted.id), &json!("chat_created")));
    assert_eq!(aside["problem"], "it answered 400");

    receiver.set(Mood::Answers(410));
    let missed = ChatClient::create(server.client(), json!({})).await;
    receiver.until(|received| refused(received) == 9).await;
    assert!(server.terminate().await.unwrap().success());
    receiver.set(Mood::Takes);
    // One that is new begins with what happens from now on.
    let both = config + &webhook("late", &late, r#"["chat_created"]"#);
    std::fs::write(server.home().join("verbatim.toml"), both).unwrap();
    server.start_again().await.unwrap();
    let some = standing(server.client(), "some").await;
    assert_eq!(some["state"], "set_aside", "a restart does not wake it: {some}");
    assert_eq!(some["set_aside_count"], 1, "what was set aside is still in sight");
    let resumed = resume(server.client(), "some").await;
    assert_eq!(
        (&resumed["state"], &resumed["last_error"]),
        (&json!("following"), &Value::Null),
        "the answer says how it stands now"
    );
    receiver.until(|received| received.iter().filter(|one| one.is_taken).count() == 2).await;
    assert_eq!(receiver.taken()[1].body["data"]["chat_id"], missed.id.as_str());
    let newest = ChatClient::create(server.client(), json!({})).await;
    late.until(|received| !received.is_empty()).await;
    assert_eq!(late.received()[0].body["data"]["chat_id"], newest.id.as_str());
}

#[tokio::test]
async fn a_webhook_without_its_secret_does_not_start() {
    let receiver = Receiver::start().await.unwrap();
    let config = webhook("all", &receiver, r#"["chat_created"]"#);
    let mut server = TestServer::prepare(PROGRAM, ServerOptions::with_config(&config)).unwrap();
    assert!(server.start_again().await.is_err());
    let output = server.run(&["serve", "--listen", "127.0.0.1:0"]).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("HOOK_SECRET"), "{said}");
}
