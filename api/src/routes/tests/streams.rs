//! Streams over real connections.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;
use serde_json::json;
use support::http::Client;

use super::{World, id_of};

/// Only a failing test ever waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A frame of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) event: String,
    pub(super) id: Option<String>,
    pub(super) data: Value,
}

/// A stream that is being read.
pub(super) struct Reader {
    response: Response,
    buffer: String,
}

impl Reader {
    pub(super) async fn open(client: &Client, path: &str, last_event_id: Option<&str>) -> Reader {
        let response = client.open(path, last_event_id).await.unwrap();
        Reader { response, buffer: String::new() }
    }

    /// The next frame; none when the stream has ended.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.buffer.split_once("\n\n") {
                if frame.starts_with("retry:") {
                    self.buffer = rest.to_owned();
                    continue;
                }
                let field = |name: &str| {
                    frame.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_start().to_owned())
                };
                let data = serde_json::from_str(&field("data:").expect("a frame has data")).unwrap();
                let frame = Frame { event: field("event:").expect("a frame has a name"), id: field("id:"), data };
                self.buffer = rest.to_owned();
                return Some(frame);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("the stream goes on");
            self.buffer.push_str(std::str::from_utf8(&chunk.unwrap()?).unwrap());
        }
    }

    /// The frames up to and including the first that fits.
    pub(super) async fn until(&mut self, fits: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("the stream ended after {frames:?}"));
            let done = fits(&frame);
            frames.push(frame);
            if done {
                return frames;
            }
        }
    }
}

fn rested(frame: &Frame) -> bool {
    let status = if frame.event == "snapshot" { &frame.data["chat"]["status"] } else { &frame.data["status"] };
    matches!(status.as_str(), Some("waiting" | "error"))
}

/// What a stream without a place begins with.
pub(super) async fn snapshot(client: &Client, id: &str) -> Value {
    let mut reader = Reader::open(client, &format!("/chats/{id}/stream"), None).await;
    reader.next().await.unwrap().data
}

/// Waits until a chat rests.
pub(super) async fn until_rested(client: &Client, id: &str) {
    Reader::open(client, &format!("/chats/{id}/stream"), None).await.until(rested).await;
}

#[actix_web::test]
async fn the_whole_story_comes_live_and_again_in_one_order() {
    let world = World::start().await;
    let ada = world.client("ada");
    let id = id_of(&ada.post("/chats", json!({})).await.expect(201));
    let path = format!("/chats/{id}/stream");
    let mut live = Reader::open(&ada, &path, None).await;
    let snapshot = live.next().await.unwrap();
    assert_eq!((snapshot.event.as_str(), snapshot.id.as_deref()), ("snapshot", Some("1")));
    assert_eq!((&snapshot.data["messages"], &snapshot.data["parts"]), (&json!([]), &json!([])));
    ada.post(&format!("/chats/{id}/messages"), json!({"content": "[[say hello to you]]"})).await.expect(202);
    let finished = |frame: &Frame| frame.event == "turn_finished";
    let frames = live.until(finished).await;
    let events: Vec<_> =
        frames.iter().filter(|frame| frame.event != "part").map(|frame| frame.event.as_str()).collect();
    let story = [
        "turn_started",
        "message_committed",
        "settings_changed",
        "attempt_recorded",
        "message_committed",
        "turn_finished",
    ];
    assert_eq!(events, story);
    let parts: Vec<_> = frames.iter().filter(|frame| frame.event == "part").collect();
    let text: String = parts.iter().map(|frame| frame.data["part"]["text"].as_str().unwrap()).collect();
    assert_eq!(text, "hello to you");
    let ids: Vec<_> = parts.iter().map(|frame| frame.id.clone().unwrap()).collect();
    assert_eq!(ids, (1..=parts.len()).map(|n| format!("5-5-{n}")).collect::<Vec<_>>());
    // A replay from the beginning tells the same events with the same bytes; the parts' message tells in their place.
    let told: Vec<_> = frames.iter().filter(|frame| frame.event != "part").cloned().collect();
    let again = Reader::open(&ada, &format!("{path}?after=0"), None).await.until(finished).await;
    assert_eq!((again[0].event.as_str(), &again[1..]), ("chat_created", &told[..]));
    let rest = Reader::open(&ada, &path, Some("1")).await.until(finished).await;
    assert_eq!(rest, told);
    world.stop().await;
}

#[actix_web::test]
async fn a_place_nobody_knows_is_reset() {
    let world = World::start().await;
    let ada = world.client("ada");
    let id = id_of(&ada.post("/chats", json!({})).await.expect(201));
    for place in ["2", "nonsense", "1-1-7", "1-2-7", "-1", "1-2-3-4"] {
        let mut reader = Reader::open(&ada, &format!("/chats/{id}/stream"), Some(place)).await;
        let (first, second) = (reader.next().await.unwrap(), reader.next().await.unwrap());
        assert_eq!((first.event.as_str(), first.id), ("reset", None), "after {place}");
        assert_eq!((second.event.as_str(), second.id.as_deref()), ("snapshot", Some("1")));
    }
    // The header wins over the query, and an empty one is none.
    let mut reader = Reader::open(&ada, &format!("/chats/{id}/stream?after=nonsense"), Some("0")).await;
    assert_eq!(reader.next().await.unwrap().event, "chat_created");
    let mut reader = Reader::open(&ada, &format!("/chats/{id}/stream?after="), None).await;
    assert_eq!(reader.next().await.unwrap().event, "snapshot");
    world.stop().await;
}

#[actix_web::test]
async fn a_stream_says_that_it_lives_and_ends_with_the_server() {
    let world = World::start().await;
    let ada = world.client("ada");
    let id = id_of(&ada.post("/chats", json!({})).await.expect(201));
    let mut reader = Reader::open(&ada, &format!("/chats/{id}/stream"), None).await;
    assert_eq!(reader.next().await.unwrap().event, "snapshot");
    for _ in 0..2 {
        world.clock.advance_ms(world.state.limits.heartbeat_ms);
        let beat = reader.next().await.unwrap();
        assert_eq!((beat.event.as_str(), beat.id), ("heartbeat", None));
    }
    world.state.stopping.cancel();
    assert_eq!(reader.next().await, None);
    world.stop().await;
}

#[actix_web::test]
async fn followed_events_go_on_line_by_line() {
    let world = World::start().await;
    let eve = world.client("eve");
    let ada = world.client("ada");
    let id = id_of(&ada.post("/chats", json!({})).await.expect(201));
    let mut response = eve.open(&format!("/chats/{id}/events?follow=true"), None).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    ada.patch(&format!("/chats/{id}"), json!({"pinned": true})).await.expect(200);
    let mut text = String::new();
    while text.lines().count() < 2 || !text.ends_with('\n') {
        let chunk = tokio::time::timeout(PATIENCE, response.chunk()).await.expect("the events go on");
        text.push_str(std::str::from_utf8(&chunk.unwrap().expect("more")).unwrap());
    }
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&events[0]["type"], &events[1]["type"]), (&json!("chat_created"), &json!("settings_changed")));
    assert_eq!(events[1]["previous_hash"], events[0]["hash"], "the past and the present are one chain");
    // A page of the same events is the same events.
    let page = eve.get(&format!("/chats/{id}/events?after=1")).await.expect(200);
    assert_eq!(page.items(), &events[1..]);
    world.stop().await;
}

#[actix_web::test]
async fn a_rebuild_is_told_to_its_end() {
    let world = World::start().await;
    let admin = world.client("admin");
    let id = id_of(&admin.post("/chats", json!({"title": "Engines"})).await.expect(201));
    let told = admin.post("/projections/all/rebuild?verify=true", json!({})).await.expect(200);
    assert_eq!(told.header("content-type"), Some("text/event-stream"));
    let events: Vec<_> = told.text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(events.last(), Some(&"done"), "{}", told.text);
    assert_eq!(admin.get(&format!("/chats/{id}")).await.expect(200).body["title"], "Engines");
    let projections = admin.get("/projections").await.expect(200);
    assert_eq!(projections.items()[0]["generation"], 2);
    world.stop().await;
}

#[actix_web::test]
async fn a_reader_resumes_inside_an_attempt() {
    let world = World::start().await;
    let ada = world.client("ada");
    // Says five words and then nothing for ever.
    let content = "[[say one two three four five six seven]] [[stall 5]]";
    let id = id_of(&ada.post("/chats", json!({"content": content})).await.expect(201));
    let path = format!("/chats/{id}/stream");
    let ids_until = async |place: &str, last: &'static str| -> Vec<String> {
        let mut reader = Reader::open(&ada, &path, Some(place)).await;
        let frames = reader.until(|frame| frame.id.as_deref() == Some(last)).await;
        frames.into_iter().map(|frame| frame.id.unwrap_or(frame.event)).collect()
    };
    assert_eq!(ids_until("3", "4-4-5").await, ["4", "4-4-1", "4-4-2", "4-4-3", "4-4-4", "4-4-5"]);
    assert_eq!(ids_until("4-4-3", "4-4-5").await, ["4-4-4", "4-4-5"]);
    let snapshot = Reader::open(&ada, &path, None).await.next().await.unwrap();
    assert_eq!(snapshot.id.as_deref(), Some("4-4-5"));
    assert_eq!(snapshot.data["attempt"], json!({"attempt_id": 4, "attempt": 1, "action": "generate", "model": "demo"}));
    let words: Vec<_> = snapshot.data["parts"].as_array().unwrap().iter().map(|part| &part["n"]).collect();
    assert_eq!(words, [1, 2, 3, 4, 5]);
    // An event after the last part: it is the place of a snapshot, and parts go before it.
    ada.post(&format!("/chats/{id}/messages"), json!({"content": "later"})).await.expect(202);
    assert_eq!(ids_until("4-4-3", "5").await, ["4-4-4", "4-4-5", "5"]);
    let snapshot = Reader::open(&ada, &path, None).await.next().await.unwrap();
    assert_eq!((snapshot.id.as_deref(), &snapshot.data["queue"][0]["queued_id"]), (Some("5"), &json!(5)));
    // A part that was never said.
    let mut reader = Reader::open(&ada, &path, Some("4-4-6")).await;
    assert_eq!(reader.next().await.unwrap().event, "reset");
    // The interrupted answer is what was shown, and a place inside the attempt is still good.
    ada.post(&format!("/chats/{id}/interrupt"), json!({})).await.expect(202);
    let mut reader = Reader::open(&ada, &path, Some("4-4-2")).await;
    let committed = |frame: &Frame| frame.event == "message_committed";
    let frames = reader.until(committed).await;
    let message = &frames.last().unwrap().data["data"];
    assert_eq!((&message["finish_reason"], &message["role"]), (&json!("interrupted"), &json!("assistant")));
    assert_eq!(message["content"][0]["text"].as_str().map(str::trim), Some("one two three four five"));
    world.stop().await;
}

#[actix_web::test]
async fn tool_calls_wait_for_their_results() {
    let world = World::start().await;
    let ada = world.client("ada");
    let chat = json!({
        "tools": [{"name": "weather", "description": "tells it", "parameters": {"type": "object"}}],
        "content": "[[tool weather {\"city\": \"Oslo\"}]]",
    });
    let id = id_of(&ada.post("/chats", chat).await.expect(201));
    let mut reader = Reader::open(&ada, &format!("/chats/{id}/stream?after=0"), None).await;
    let frames = reader.until(|frame| frame.event == "action_required").await;
    let call = &frames.last().unwrap().data["data"]["calls"][0];
    assert_eq!(
        (&call["name"], &call["args"], &call["needs"]),
        (&json!("weather"), &json!({"city": "Oslo"}), &json!("result"))
    );
    let results = format!("/chats/{id}/tool-results");
    let call_id = call["call_id"].as_str().unwrap();
    let result = |call_id: &str| json!({"call_id": call_id, "result": "sunny"});
    for (sent, code) in [
        (json!([result("other")]), "unknown_call"),
        (json!([result(call_id), result(call_id)]), "duplicate_call"),
        (json!([{"call_id": call_id}]), "invalid_result"),
    ] {
        ada.post(&results, json!({"results": sent})).await.expect_problem(400, code);
    }
    ada.post(&results, json!({"results": [result(call_id)]})).await.expect(202);
    ada.post(&results, json!({"results": [result(call_id)]})).await.expect_problem(409, "not_allowed");
    let frames = reader.until(|frame| frame.event == "turn_finished").await;
    let types: Vec<_> = frames.iter().map(|frame| frame.event.as_str()).filter(|event| *event != "part").collect();
    assert_eq!(
        types,
        ["action_resolved", "message_committed", "attempt_recorded", "message_committed", "turn_finished"]
    );
    world.stop().await;
}
