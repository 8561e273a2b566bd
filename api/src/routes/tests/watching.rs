//! Watching all of one's chats over real connections.

use reqwest::Method;
use serde_json::{Value, json};
use verbatim_events::limits::Limits;

use super::streams::{Frame, Reader, until_rested};
use super::{World, id_of};
use crate::watch::follower::{OWNER_RING, Scope};
use crate::watch::session::{View, Viewer, WatchSession};

const WATCH: &str = "/watch";

fn is(event: &'static str) -> impl Fn(&Frame) -> bool {
    move |frame| frame.event == event
}

fn told(frames: &[Frame]) -> Vec<(&str, &str)> {
    let notices = frames.iter().filter(|frame| frame.event != "heartbeat");
    notices.map(|frame| (frame.event.as_str(), word(frame))).collect()
}

/// What a notice says the chat does, or what a notification is about.
fn word(frame: &Frame) -> &str {
    let name = if frame.event == "notification" { "template" } else { "status" };
    frame.data[name].as_str().unwrap()
}

/// The notices of a reader up to and including the archiving of a chat, which ends every story here.
async fn until_archived(reader: &mut Reader) -> Vec<Frame> {
    let mut frames = reader.until(is("chat_archived")).await;
    frames.retain(|frame| frame.event != "heartbeat");
    frames
}

#[actix_web::test]
async fn a_watcher_is_told_what_happens_in_its_own_chats_and_an_auditor_everything() {
    let world = World::start().await;
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(|key| world.client(key));
    let (mut own, mut all) = (Reader::open(&ada, WATCH, None).await, Reader::open(&eve, WATCH, None).await);
    let begin = own.next().await.unwrap();
    assert_eq!(begin.event, "heartbeat", "a place to come back to comes first");
    assert!(begin.id.is_some());
    let foreign = id_of(&bob.post("/chats", json!({"title": "Bob's own"})).await.expect(201));
    let chat = ada.post("/chats", json!({"title": "Engines", "content": "[[say well]]"})).await.expect(201);
    let id = id_of(&chat);
    until_rested(&ada, &id).await;
    let path = format!("/chats/{id}");
    ada.patch(&path, json!({"title": "Looms", "pinned": true})).await.expect(200);
    ada.patch(&path, json!({"archived": true})).await.expect(200);

    let frames = until_archived(&mut own).await;
    assert_eq!(
        told(&frames),
        [
            ("chat_created", "waiting"),
            ("status_changed", "running"),
            ("status_changed", "waiting"),
            ("notification", "turn_finished"),
            ("title_changed", "waiting"),
            ("settings_changed", "waiting"),
            ("chat_archived", "waiting"),
        ]
    );
    assert!(frames.iter().all(|frame| frame.data["chat_id"] == id && frame.data["chat"]["id"] == id));
    assert_eq!(
        (&frames[2].data["chat"]["title"], &frames[4].data["chat"]["title"]),
        (&json!("Engines"), &json!("Looms"))
    );
    assert_eq!(frames[0].id.as_deref(), frames[0].data["position"].as_str());
    let everything = until_archived(&mut all).await;
    // Nobody but the owner is notified.
    let changes: Vec<Frame> = frames.iter().filter(|frame| frame.event != "notification").cloned().collect();
    assert_eq!((everything[0].data["chat_id"].as_str(), &everything[1..]), (Some(foreign.as_str()), &changes[..]));

    // From every place the rest comes, nothing twice: also between two notices of one event.
    let begin = begin.id.unwrap();
    let places = std::iter::once(begin.as_str()).chain(frames.iter().map(|frame| frame.id.as_deref().unwrap()));
    for (has, place) in places.enumerate().take(frames.len()) {
        let mut again = Reader::open(&ada, WATCH, Some(place)).await;
        assert_eq!(until_archived(&mut again).await, frames[has..], "after {place}");
        let query = format!("{WATCH}?after={place}");
        assert_eq!(until_archived(&mut Reader::open(&ada, &query, None).await).await, frames[has..]);
    }
    let mut from_the_first = Reader::open(&eve, WATCH, Some("0")).await;
    assert_eq!(until_archived(&mut from_the_first).await, everything);
    world.stop().await;
    assert_eq!(own.next().await, None, "streams end when the server stops");
}

#[actix_web::test]
async fn a_watcher_that_comes_back_goes_on_live_where_the_log_ends() {
    let world = World::start().await;
    let ada = world.client("ada");
    let mut first = Reader::open(&ada, WATCH, None).await;
    let place = first.next().await.unwrap().id.unwrap();
    drop(first);
    let mut chats = vec![id_of(&ada.post("/chats", json!({})).await.expect(201))];
    let mut reader = Reader::open(&ada, WATCH, Some(&place)).await;
    for _ in 0..20 {
        chats.push(id_of(&ada.post("/chats", json!({})).await.expect(201)));
    }
    for chat in &chats {
        let frames = reader.until(is("chat_created")).await;
        assert_eq!(frames.last().unwrap().data["chat_id"], chat.as_str());
    }
    world.stop().await;
}

#[actix_web::test]
async fn a_client_s_tools_are_told_what_they_are_waited_for() {
    let world = World::start().await;
    let ada = world.client("ada");
    let mut reader = Reader::open(&ada, WATCH, None).await;
    let tool = json!({"name": "weather", "description": "tells it", "parameters": {"type": "object"}});
    let chat = json!({"tools": [tool], "content": "[[tool weather {\"city\": \"Oslo\"}]]"});
    let id = id_of(&ada.post("/chats", chat).await.expect(201));
    let frames = reader.until(is("notification")).await;
    let [.., changed, required, notified] = &frames[..] else { panic!("too few: {frames:?}") };
    assert_eq!((word(notified), &notified.data["chat_id"]), ("action_required", &json!(id)));
    assert_eq!((changed.event.as_str(), &changed.data["status"]), ("status_changed", &json!("requires_action")));
    let call = &required.data["chat"]["action"]["calls"][0];
    assert_eq!((&call["name"], &required.data["chat_id"]), (&json!("weather"), &json!(id)));
    // Both belong to one event: after the first alone the second is still to come.
    let mut again = Reader::open(&ada, WATCH, changed.id.as_deref()).await;
    assert_eq!(again.next().await.as_ref(), Some(required));
    world.stop().await;
}

#[actix_web::test]
async fn a_place_of_another_log_is_reset_to_the_head() {
    let world = World::start().await;
    let ada = world.client("ada");
    let made = ada.post("/chats", json!({})).await.expect(201);
    let position = made.header("verbatim-position").unwrap();
    let (mark, number) = position.rsplit_once('-').unwrap();
    let beyond = format!("{mark}-{}", number.parse::<u64>().unwrap() + 1);
    for place in ["nonsense", "00000000-0-1", "1", "-1", beyond.as_str()] {
        let mut reader = Reader::open(&ada, WATCH, Some(place)).await;
        let reset = reader.next().await.unwrap();
        assert_eq!((reset.event.as_str(), reset.id.as_deref()), ("reset", Some(position)), "after {place}");
    }
    // What a mutation says is a place as well.
    let mut reader = Reader::open(&ada, WATCH, Some(position)).await;
    let next = id_of(&ada.post("/chats", json!({})).await.expect(201));
    assert_eq!(reader.next().await.unwrap().data["chat_id"], next.as_str());
    world.stop().await;
}

#[actix_web::test]
async fn a_watcher_too_slow_for_its_ring_is_cut() {
    let world = World::start().await;
    let ada = world.client("ada");
    let state = actix_web::web::Data::new(world.state.clone());
    let viewer = Viewer { owner: "ada".into(), scope: Scope::Owner("ada".into()), view: View::Chats };
    let mut slow = WatchSession::open(state, viewer, None).await.unwrap();
    assert!(slow.next().await.unwrap().starts_with(b"event: heartbeat\nid: "));
    let mut quick = Reader::open(&ada, WATCH, None).await;
    let path = format!("/chats/{}", id_of(&ada.post("/chats", json!({})).await.expect(201)));
    for round in 0..OWNER_RING {
        ada.patch(&path, json!({"title": format!("Title {round}")})).await.expect(200);
        // The follower has told it to everybody by then.
        quick.until(is("title_changed")).await;
    }
    assert_eq!(slow.next().await, None);
    world.stop().await;
}

#[actix_web::test]
async fn a_heartbeat_moves_the_place_of_a_watcher_whose_chats_rest() {
    let world = World::start().await;
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(|key| world.client(key));
    let mut reader = Reader::open(&ada, WATCH, None).await;
    let begin = reader.next().await.unwrap();
    let mut all = Reader::open(&eve, WATCH, None).await;
    let position = bob.post("/chats", json!({})).await.expect(201).header("verbatim-position").unwrap().to_owned();
    // Told to somebody, the follower has come past it.
    all.until(is("chat_created")).await;
    let heartbeat_ms = Limits::default().heartbeat_ms;
    world.clock.advance_ms(heartbeat_ms);
    let beat = reader.next().await.unwrap();
    assert_eq!((beat.event.as_str(), beat.id.as_deref()), ("heartbeat", Some(position.as_str())));
    assert_ne!(begin.id, beat.id);
    let unknown = ada.call(Method::POST, WATCH, Some(&Value::Null), &[]).await;
    unknown.expect_problem(405, "method_not_allowed");
    world.stop().await;
}
