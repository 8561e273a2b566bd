//! The stream of a chat: the log itself, from any place in it, the same for everybody.

use std::collections::HashSet;

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::events::{EventStream, Frame, Transcript, message_text};
use support::http::Client;
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

/// What a chat must have told, at the least, to be worth resuming everywhere.
const EVENTS_MIN: usize = 20;

/// A chat with answers, a failure that is tried again, a queued message, a tool call and an interrupt.
async fn eventful(client: &Client) -> ChatClient {
    let tools = json!([{ "name": "look", "description": "Looks.", "parameters": { "type": "object" } }]);
    let chat = ChatClient::create(client, json!({ "content": "[[say one two three]]", "tools": tools })).await;
    chat.rest().await;
    chat.send("[[cut 2 times 1]] [[say four five six]]").await.expect(202);
    chat.send("[[reasoning]] [[say seven]]").await.expect(202);
    chat.rest().await;
    chat.send("[[tool look {\"far\": true}]]").await.expect(202);
    let waiting = chat.until_status("requires_action").await;
    let action = if waiting.event == "snapshot" { &waiting.data["chat"]["action"] } else { &waiting.data["data"] };
    let call_id = action["calls"][0]["call_id"].clone();
    chat.post("/tool-results", json!({ "results": [{ "call_id": call_id, "result": { "seen": "a lake" } }] }))
        .await
        .expect(202);
    chat.rest().await;
    chat.send("[[slow 20]] [[tokens 500]]").await.expect(202);
    chat.stream(Some("0")).await.until_event("part").await;
    chat.post("/interrupt", json!({})).await.expect(202);
    chat.rest().await;
    chat
}

fn fast() -> ServerOptions {
    ServerOptions::with_config("[limits]\nretry_base_ms = 50\nheartbeat_ms = 200\n")
}

/// The raw text of all frames but heartbeats.
fn raw(frames: &[Frame]) -> Vec<&str> {
    frames.iter().filter(|frame| frame.event != "heartbeat").map(|frame| frame.raw.as_str()).collect()
}

#[tokio::test]
async fn a_stream_begins_with_a_snapshot_and_goes_on_in_order() {
    let server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::create(server.client(), json!({ "title": "Quiet" })).await;
    let mut stream = chat.stream(None).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("cache-control"), Some("no-cache"));
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));
    let snapshot = stream.expect_next().await;
    assert_eq!((snapshot.event.as_str(), snapshot.id.as_deref()), ("snapshot", Some("1")));
    assert_eq!(snapshot.data["chat"], chat.get("").await.body);
    assert_eq!((&snapshot.data["messages"], &snapshot.data["queue"]), (&json!([]), &json!([])));
    assert_eq!(snapshot.data["parts"], json!([]));
    assert!(snapshot.data.get("attempt").is_none());

    chat.send("[[slow 10]] [[say a b c d]]").await.expect(202);
    let mut transcript = Transcript::from_snapshot();
    transcript.connect();
    transcript.take(snapshot).unwrap();
    for frame in stream.until_event("turn_finished").await {
        transcript.take(frame).unwrap();
    }
    let names: Vec<&str> = transcript.events().map(|frame| frame.event.as_str()).collect();
    assert_eq!(names, ["turn_started", "message_committed", "attempt_recorded", "message_committed", "turn_finished"]);
    assert_eq!(transcript.frames.iter().filter_map(Frame::text_delta).collect::<String>(), "a b c d");
    assert_eq!(transcript.check_answers().unwrap(), 1);
    let attempt = &transcript.frames[2].data["data"];
    assert_eq!((&attempt["attempt"], &attempt["action"]), (&json!(1), &json!("generate")));
    let finished = &transcript.frames.last().unwrap().data;
    assert_eq!((&finished["status"], &finished["data"]["outcome"]), (&json!("waiting"), &json!("complete")));
}

#[tokio::test]
async fn a_reader_resumes_at_every_id_of_a_finished_chat() {
    let server = TestServer::start_with(PROGRAM, fast()).await;
    let chat = eventful(server.client()).await;
    let all = chat.replay().await;
    let all = raw(&all);
    let version = chat.version().await;
    assert_eq!(all.len() as u64, version, "a finished chat has events and no parts");
    assert!(all.len() >= EVENTS_MIN, "{all:?}");
    for after in 0..version {
        let frames = chat.stream(Some(&after.to_string())).await;
        let frames = up_to(frames, version).await;
        assert_eq!(raw(&frames), all[usize::try_from(after).unwrap()..], "after {after}");
        // The query says the same where a header cannot be set.
        let path = format!("{}?after={after}", chat.path("/stream"));
        let frames = up_to(EventStream::open(server.client(), &path, None).await.unwrap(), version).await;
        assert_eq!(raw(&frames), all[usize::try_from(after).unwrap()..], "after {after}");
    }
    // A part of an attempt that is over: the events after it tell the rest.
    for (after, id) in attempts(&chat).await.iter().map(|attempt| (attempt, format!("{attempt}-{attempt}-2"))) {
        let frames = up_to(chat.stream(Some(&id)).await, version).await;
        assert_eq!(raw(&frames), all[usize::try_from(*after).unwrap()..], "after {id}");
    }
    // At the end there is nothing to tell: the first word is a heartbeat.
    let mut stream = chat.stream(Some(&version.to_string())).await;
    assert_eq!(stream.expect_next().await.event, "heartbeat");
}

async fn up_to(mut stream: EventStream, version: u64) -> Vec<Frame> {
    stream.until(|frame| frame.data["version"].as_u64() == Some(version)).await
}

async fn attempts(chat: &ChatClient) -> Vec<u64> {
    let frames = chat.replay().await;
    let attempts = frames.iter().filter(|frame| frame.event == "attempt_recorded");
    attempts.filter_map(|frame| frame.data["data"]["attempt_id"].as_u64()).collect()
}

#[tokio::test]
async fn a_reader_resumes_at_every_id_of_a_running_chat() {
    let server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::begin(server.client(), "[[slow 15]] [[stall 12]] [[tokens 30]]").await;
    let mut stream = chat.stream(Some("0")).await;
    let mut all = stream.until_event("part").await;
    chat.send("waits").await.expect(202);
    // The message was queued between two parts, wherever that was; the last part is the last that is told.
    all.extend(stream.until(|frame| frame.data["n"] == 12).await);
    let ids: Vec<String> = all.iter().filter_map(|frame| frame.id.clone()).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "an id comes once: {ids:?}");
    assert!(ids.iter().filter(|id| id.contains('-')).count() == 12, "{ids:?}");
    for (index, id) in ids.iter().enumerate().take(ids.len() - 1) {
        let rest = chat.stream(Some(id)).await.until(|frame| frame.id.as_ref() == ids.last()).await;
        assert_eq!(raw(&rest), raw(&all[index + 1..]), "after {id}");
    }
    // While nothing has come since, a fresh snapshot has the same place and the same words.
    let snapshot = chat.stream(None).await.expect_next().await;
    assert_eq!(snapshot.id.as_ref(), ids.last());
    let parts: Vec<Value> = all.iter().filter(|frame| frame.event == "part").map(|frame| frame.data.clone()).collect();
    assert_eq!(snapshot.data["parts"], Value::Array(parts));
    assert_eq!(snapshot.data["attempt"]["attempt_id"], all.last().unwrap().data["attempt"]);
    assert_eq!(snapshot.data["queue"][0]["content"], json!([{ "type": "text", "text": "waits" }]));

    // Whoever comes back later is told how it ended, from every one of those ids.
    chat.post("/interrupt", json!({})).await.expect(202);
    let version = chat.rest().await["version"].as_u64().unwrap();
    let end = up_to(stream, version).await;
    let told = [all, end].concat();
    for (index, id) in ids.iter().enumerate() {
        let rest = up_to(chat.stream(Some(id)).await, version).await;
        let events: Vec<&Frame> = told[index + 1..].iter().filter(|frame| frame.is_chat_event()).collect();
        assert_eq!(raw(&rest), events.iter().map(|frame| frame.raw.as_str()).collect::<Vec<_>>(), "after {id}");
    }
}

#[tokio::test]
async fn events_and_parts_have_one_order_whoever_watches() {
    let server = TestServer::start_with(PROGRAM, fast()).await;
    let chat = ChatClient::create(server.client(), json!({})).await;
    let (mut one, mut other) = (chat.stream(Some("0")).await, chat.stream(Some("0")).await);
    chat.send("[[slow 5]] [[tokens 40]]").await.expect(202);
    for number in 0..10 {
        chat.send(&format!("[[say {number}]]")).await.expect(202);
    }
    let version = chat.rest().await["version"].as_u64().unwrap();
    let end = |frame: &Frame| frame.data["version"].as_u64() == Some(version);
    let (one, other) = tokio::join!(one.until(end), other.until(end));
    assert_eq!(raw(&one), raw(&other));
    let mut transcript = Transcript::from_the_start();
    transcript.connect();
    for frame in one {
        transcript.take(frame).unwrap();
    }
    assert_eq!(transcript.check_answers().unwrap(), 11);
    let mixed = transcript.frames.windows(2).any(|pair| pair[0].event == "part" && pair[1].event == "message_queued");
    assert!(mixed, "messages were queued between the parts");
}

#[tokio::test]
async fn a_place_that_nobody_knows_is_answered_with_a_reset() {
    let server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::begin(server.client(), "[[stall 3]] [[tokens 9]]").await;
    let last = chat.stream(Some("0")).await.until(|frame| frame.data["n"] == 3).await.pop().unwrap();
    let id = last.id.unwrap();
    let (event, attempt) = (id.split('-').next().unwrap(), id.split('-').nth(1).unwrap());
    let unknown = [
        "99".to_owned(),
        "x".to_owned(),
        "-1".to_owned(),
        "1-2".to_owned(),
        "1.5".to_owned(),
        "18446744073709551616".to_owned(),
        format!("{event}-{attempt}-4"),
        format!("{event}-{attempt}-0"),
        format!("{event}-{}-1", 1000),
        format!("99-{attempt}-1"),
        "1-1-1-1".to_owned(),
    ];
    for cursor in unknown {
        let mut stream = chat.stream(Some(&cursor)).await;
        let (reset, snapshot) = (stream.expect_next().await, stream.expect_next().await);
        assert_eq!((reset.event.as_str(), reset.id.as_deref()), ("reset", None), "{cursor}");
        assert!(reset.data["reason"].is_string());
        assert_eq!((snapshot.event.as_str(), snapshot.id.as_ref()), ("snapshot", Some(&id)), "{cursor}");
        assert_eq!(snapshot.data["chat"]["status"], "running");
    }
}

#[tokio::test]
async fn a_quiet_stream_says_that_it_lives() {
    let server = TestServer::start_with(PROGRAM, fast()).await;
    let chat = ChatClient::create(server.client(), json!({})).await;
    let mut stream = chat.stream(None).await;
    assert_eq!(stream.expect_next().await.event, "snapshot");
    for _ in 0..3 {
        let beat = stream.expect_next().await;
        assert_eq!((beat.event.as_str(), beat.id), ("heartbeat", None));
    }
    // A closed stream cancels nothing.
    chat.send("[[slow 20]] [[tokens 20]]").await.expect(202);
    drop(stream);
    chat.rest().await;
    assert_eq!(chat.history().await[1].1.split_whitespace().count(), 20);
}

#[tokio::test]
async fn auditors_see_the_envelope_and_owners_the_key_in_the_query() {
    let server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::begin(server.client(), "[[say hello]]").await;
    let public = chat.replay().await;
    let version = public.len() as u64;
    let path = format!("{}?raw=1&after=0", chat.path("/stream"));
    let frames = up_to(EventStream::open(server.client(), &path, None).await.unwrap(), version).await;
    assert_eq!(frames.len(), public.len());
    let mut previous = Value::String("0".repeat(64));
    for (raw, public) in frames.iter().zip(&public) {
        assert_eq!((&raw.event, &raw.id), (&public.event, &public.id));
        assert_eq!(raw.data["previous_hash"], previous);
        previous = raw.data["hash"].clone();
        assert!(raw.data["event_id"].is_string() && raw.data["position"].is_string(), "{}", raw.raw);
    }
    let key = std::fs::read_to_string(server.data_dir().join("admin.key")).unwrap();
    let nobody = server.client().with_key(None);
    let path = format!("{}?access_token={}&after=0", chat.path("/stream"), key.trim());
    let frames = up_to(EventStream::open(&nobody, &path, None).await.unwrap(), version).await;
    assert_eq!(raw(&frames), raw(&public));
    assert!(!server.log().contains(key.trim()), "the key is in the server's log");
}

#[tokio::test]
async fn events_are_listed_in_pages_and_followed() {
    let server = TestServer::start_with(PROGRAM, fast()).await;
    let chat = eventful(server.client()).await;
    let version = chat.version().await;
    let mut versions = Vec::new();
    let mut after = "0".to_owned();
    loop {
        let page = chat.get(&format!("/events?after={after}&limit=7")).await.expect(200);
        versions.extend(page.items().iter().filter_map(|event| event["version"].as_u64()));
        match page.body["next_cursor"].as_str() {
            Some(cursor) => cursor.clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(versions, (1..=version).collect::<Vec<_>>());
    let mut response = server.client().open(&chat.path("/events?after=0&follow=true"), None).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let mut text = String::new();
    while text.lines().filter(|line| !line.is_empty()).count() < usize::try_from(version).unwrap()
        || !text.ends_with('\n')
    {
        text.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
    }
    let followed: Vec<u64> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["version"].as_u64().unwrap())
        .collect();
    assert_eq!(followed, versions);
}

#[tokio::test]
async fn a_chat_is_shown_as_it_was() {
    let server = TestServer::start_with(PROGRAM, fast()).await;
    let chat = eventful(server.client()).await;
    let frames = chat.replay().await;
    for frame in &frames {
        let version = frame.data["version"].as_u64().unwrap();
        let then = chat.get(&format!("?at={version}")).await.expect(200).body;
        assert_eq!((&then["version"], &then["status"]), (&json!(version), &frame.data["status"]));
    }
    chat.get(&format!("?at={}", frames.len() + 1)).await.expect_problem(404, "version_not_found");
    chat.get("?at=0").await.expect_problem(404, "version_not_found");
    let said: String = frames
        .iter()
        .filter(|frame| frame.event == "message_committed" && frame.data["data"]["role"] == "assistant")
        .map(|frame| message_text(&frame.data["data"]))
        .collect();
    assert!(said.starts_with("one two threefour five sixseven"), "{said}");
}
