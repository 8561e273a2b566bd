//! How many turns are at work at once, through the real server: who waits says so everywhere, survives the server's death,
//! and goes on in order.

use reqwest::Method;
use serde_json::{Value, json};
use support::chat::ChatClient;
use support::events::{EventStream, Frame};
use support::http::Client;
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

/// An answer that takes a second and a half.
const SLOW: &str = "[[slow 50]] [[tokens 30]]";

/// An answer that takes five seconds.
const SLOWER: &str = "[[slow 50]] [[tokens 100]]";

async fn bounded(limits: &str) -> TestServer {
    TestServer::start_with(PROGRAM, ServerOptions::with_config(&format!("[limits]\n{limits}\n"))).await
}

/// A client with a key of an owner's own.
async fn client_of(server: &TestServer, owner: &str) -> Client {
    let request = json!({ "name": owner, "owner": owner, "roles": ["user"] });
    let key = server.client().post("/keys", request).await.expect(201).text_of("key");
    server.client().with_key(Some(&key))
}

/// A chat's events: type and time, in order.
async fn events(chat: &ChatClient) -> Vec<(String, String)> {
    let answer = chat.get("/events?limit=200").await.expect(200);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    answer.items().iter().map(|event| (text(&event["type"]), text(&event["at"]))).collect()
}

fn first_at<'a>(events: &'a [(String, String)], event_type: &str) -> &'a str {
    &events.iter().find(|(found, _)| found == event_type).unwrap_or_else(|| panic!("no {event_type}: {events:?}")).1
}

/// Chats of the list that wait, at this place in the log or after it.
async fn waiting(client: &Client, place: &str) -> Vec<String> {
    let headers = [("verbatim-position", place)];
    let answer = client.call(Method::GET, "/chats?limit=200", None, &headers).await.expect(200);
    let waiting = answer.items().iter().filter(|chat| chat["waiting_for_capacity"] == true);
    waiting.map(|chat| chat["id"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The value of a metric.
async fn metric(server: &TestServer, series: &str) -> f64 {
    let text = server.client().get("//metrics").await.expect(200).text;
    let value = text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("no {series}"));
    value.trim().parse().expect("a number")
}

#[tokio::test]
async fn two_of_eight_are_at_work_and_the_others_wait_over_the_servers_death() {
    let mut server = bounded("turns_root_max = 2").await;
    let ann = client_of(&server, "ann").await;
    let bob = client_of(&server, "bob").await;
    let mut watch = EventStream::open(&ann, "/watch", None).await.expect("the stream opens");
    let mut chats = Vec::new();
    for place in 0..8 {
        // The first two stay at work until all is looked at, however slow the machine is.
        chats.push(ChatClient::begin(&ann, if place < 2 { SLOWER } else { SLOW }).await);
    }
    let last = chats.last().expect("eight chats");
    let told = |frame: &Frame| {
        frame.event == "status_changed"
            && frame.data["chat_id"] == last.id.as_str()
            && frame.data["chat"]["waiting_for_capacity"] == true
    };
    watch.until(told).await;
    assert_eq!(metric(&server, "verbatim_turns_at_work{kind=\"root\"}").await, 2.0);
    assert_eq!(metric(&server, "verbatim_turns_waiting{kind=\"root\"}").await, 6.0);
    assert_eq!(last.get("").await.expect(200).body["waiting_for_capacity"], true);
    let snapshot = last.stream(None).await.until_event("snapshot").await.pop().expect("a snapshot");
    assert_eq!(snapshot.data["chat"]["waiting_for_capacity"], true);
    // The others are not held up.
    let other = ChatClient::begin(&bob, "hello").await;
    assert_eq!(other.rest().await["status"], "waiting");
    assert!(!events(&other).await.iter().any(|(event_type, _)| event_type == "capacity_awaited"));

    server.kill().await.expect("it is killed");
    server.start_again().await.expect("it starts again");
    let url = server.client().clone();
    let chats: Vec<ChatClient> = chats.iter().map(|chat| chat.through(&url)).collect();
    let mut all = Vec::new();
    for chat in &chats {
        assert_eq!(chat.rest().await["status"], "waiting");
        all.push(events(chat).await);
    }
    // Two places that come free in the same moment are given in order, but each chat notes its beginning for itself: only
    // who came two later certainly begins later.
    let begun: Vec<&str> = all.iter().map(|events| first_at(events, "attempt_recorded")).collect();
    for (earlier, later) in begun.iter().zip(&begun[2..]) {
        assert!(earlier < later, "they were served in the order in which they came: {begun:?}");
    }
    // From its first attempt to its end each had its place: never more than two.
    let spans: Vec<(&str, &str)> =
        all.iter().map(|events| (first_at(events, "attempt_recorded"), first_at(events, "turn_finished"))).collect();
    for (moment, _) in &spans {
        let at_work = spans.iter().filter(|(from, to)| from <= moment && moment < to).count();
        assert!(at_work <= 2, "{at_work} were at work at {moment}: {spans:?}");
    }
    for events in &all {
        let waits = events.iter().filter(|(event_type, _)| event_type == "capacity_awaited").count();
        assert!(waits <= 1, "a wait is said once: {events:?}");
    }
    assert_eq!(all.iter().filter(|events| events.iter().any(|(name, _)| name == "capacity_awaited")).count(), 6);
}

#[tokio::test]
async fn a_waiting_turn_can_be_stopped_and_shows_in_the_list() {
    let server = bounded("turns_root_max = 1").await;
    let first = ChatClient::begin(server.client(), "[[slow 60000]] [[tokens 2]]").await;
    let made = server.client().post("/chats", json!({ "content": "hello" })).await.expect(201);
    let second = ChatClient::of(server.client(), &made.text_of("id"));
    let place = made.header("verbatim-position").expect("a write names its place").to_owned();
    assert_eq!(waiting(server.client(), &place).await, std::slice::from_ref(&second.id));
    second.post("/interrupt", json!({})).await.expect(202);
    assert_eq!(second.rest().await.get("waiting_for_capacity"), None);
    let turns = second.get("/turns").await.expect(200);
    assert_eq!(turns.items()[0]["outcome"], "interrupted");
    assert_eq!(first.get("").await.expect(200).body["status"], "running", "the first was left alone");
    first.post("/interrupt", json!({})).await.expect(202);
    first.rest().await;
}

#[tokio::test]
async fn a_parent_that_waits_for_its_child_gives_its_place_up() {
    for limits in ["turns_root_max = 1\nturns_child_max = 1", "turns_node_max = 1"] {
        let server = bounded(limits).await;
        let prompt = json!({ "prompt": SLOW, "title": "Helper" });
        let chat = ChatClient::begin(server.client(), &format!("[[tool spawn_agent {prompt}]]")).await;
        chat.rest().await;
        let children = chat.get("/children").await.expect(200);
        let child = children.items()[0]["id"].as_str().expect("a child").to_owned();
        let wait = json!({ "agent_id": child });
        chat.send(&format!("[[tool wait_agent {wait}]]")).await.expect(202);
        // A third chat takes the parent's place meanwhile, or waits for the child's.
        let third = ChatClient::begin(server.client(), "hello").await;
        third.rest().await;
        chat.rest().await;
        let turns = chat.get("/turns").await.expect(200);
        assert!(turns.items().iter().all(|turn| turn["outcome"] == "complete"), "{limits}: {:?}", turns.body);
        let child = ChatClient::of(server.client(), &child);
        assert_eq!(child.rest().await["status"], "waiting");
    }
}
