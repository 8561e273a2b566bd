//! The inbox over real connections.

use reqwest::Method;
use serde_json::{Value, json};
use support::http::{Answer, Client, IDEMPOTENCY_KEY};

use super::streams::{Frame, Reader, until_rested};
use super::{World, id_of};

const WATCH: &str = "/inbox/watch";

/// A chat in which something was said and answered.
async fn answered(client: &Client, content: &str) -> String {
    let id = id_of(&client.post("/chats", json!({"content": content, "title": "Engines"})).await.expect(201));
    until_rested(client, &id).await;
    id
}

async fn put(client: &Client, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
    client.call(Method::PUT, path, Some(&body), headers).await
}

/// What stands in an inbox, the newest first, and how many of it are unread.
async fn inbox(client: &Client, query: &str) -> (Vec<(String, String, bool)>, u64) {
    let list = client.get(&format!("/inbox{query}")).await.expect(200);
    let row = |item: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&item["chat"]["id"]), text(&item["template"]), item["read"].as_bool().unwrap())
    };
    (list.items().iter().map(row).collect(), list.number("unread"))
}

async fn next(reader: &mut Reader) -> Frame {
    reader.next().await.expect("the stream goes on")
}

#[actix_web::test]
async fn each_owner_has_an_inbox_of_their_own_and_marks_it_alone() {
    let world = World::start().await;
    let [ada, bob, eve, admin] = ["ada", "bob", "eve", "admin"].map(|key| world.client(key));
    let first = answered(&ada, "[[say one]]").await;
    let failed = answered(&ada, "[[refuse]]").await;
    let foreign = answered(&bob, "[[say two]]").await;
    let row = |id: &str, template: &str, read| (id.to_owned(), template.to_owned(), read);
    let rows = vec![row(&failed, "turn_failed", false), row(&first, "turn_finished", false)];
    assert_eq!(inbox(&ada, "").await, (rows.clone(), 2));
    assert_eq!(inbox(&bob, "").await, (vec![row(&foreign, "turn_finished", false)], 1));
    for other in [&eve, &admin] {
        assert_eq!(inbox(other, "").await, (vec![], 0), "to read all chats is to be notified of none");
    }
    assert_eq!(inbox(&ada, "?template=turn_failed").await, (rows[..1].to_vec(), 2));
    assert_eq!(inbox(&ada, &format!("?chat={first}&chat={foreign}")).await, (rows[1..].to_vec(), 2));
    assert_eq!(inbox(&ada, "?templates=turn_failed,turn_finished&limit=1").await, (rows[..1].to_vec(), 2));
    for wrong in ["?template=nothing", "?chat=nothing", "?unread=maybe", "?colour=red", "?cursor=x"] {
        ada.get(&format!("/inbox{wrong}")).await.expect_problem(400, "invalid_request");
    }
    let list = ada.get("/inbox").await.expect(200);
    let [newest, oldest] = list.items() else { panic!("two: {}", list.text) };
    assert_eq!((&newest["error_kind"], &newest["outcome"]), (&json!("content_filter"), &json!("failed")));
    assert_eq!((&oldest["chat"]["title"], oldest.get("error_kind")), (&json!("Engines"), None));

    let path = format!("/inbox/{}/read", oldest["id"].as_str().unwrap());
    for (client, status, code) in [(&bob, 404, "notification_not_found"), (&eve, 403, "forbidden")] {
        put(client, &path, json!({"read": true}), &[]).await.expect_problem(status, code);
    }
    put(&admin, &path, json!({"read": true}), &[]).await.expect_problem(404, "notification_not_found");
    put(&ada, &path, json!({}), &[]).await.expect_problem(400, "invalid_request");
    let head = world.state.log.known_head();
    let marked = put(&ada, &path, json!({"read": true}), &[]).await.expect(200);
    assert_eq!((&marked.body["read"], &marked.body["id"]), (&json!(true), &oldest["id"]));
    assert!(marked.header("verbatim-position").is_some());
    put(&ada, &path, json!({"read": true}), &[]).await.expect(200);
    assert_eq!(world.state.log.known_head(), head + 1, "what is so already appends nothing");
    assert_eq!(inbox(&ada, "?unread=true").await, (rows[..1].to_vec(), 1));
    // The chat itself has not changed.
    assert_eq!(ada.get(&format!("/chats/{first}")).await.number("version"), oldest["version"].as_u64().unwrap());

    let key = [(IDEMPOTENCY_KEY, "once")];
    let unmarked = put(&ada, &path, json!({"read": false}), &key).await.expect(200);
    put(&ada, &path, json!({"read": true}), &[]).await.expect(200);
    let again = put(&ada, &path, json!({"read": false}), &key).await.expect(200);
    assert_eq!(again.header("verbatim-position"), unmarked.header("verbatim-position"));
    assert_eq!((again.header("idempotency-replayed"), inbox(&ada, "").await.1), (Some("true"), 1));
    put(&ada, &path, json!({"read": true}), &key).await.expect_problem(422, "idempotency_mismatch");

    put(&ada, &path, json!({"read": false}), &[]).await.expect(200);
    let through = json!({"through": oldest["id"]});
    put(&ada, "/inbox/read-all", through, &[]).await.expect(204);
    assert_eq!(inbox(&ada, "?unread=true").await, (rows[..1].to_vec(), 1));
    put(&bob, "/inbox/read-all", json!({"through": oldest["id"]}), &[])
        .await
        .expect_problem(404, "notification_not_found");
    put(&bob, "/inbox/read-all", json!({}), &[]).await.expect(204);
    assert_eq!((inbox(&ada, "").await.1, inbox(&bob, "").await.1), (1, 0));
    put(&ada, "/inbox/read-all", json!({}), &[]).await.expect(204);
    assert_eq!(inbox(&ada, "?unread=true").await, (vec![], 0));
    world.stop().await;
}

#[actix_web::test]
async fn nobody_is_told_what_they_stopped_nor_of_what_a_child_did() {
    let world = World::start().await;
    let ada = world.client("ada");
    let parent = answered(&ada, "[[say one]]").await;
    let child = json!({"parent": parent, "content": "[[say two]]"});
    let child = id_of(&ada.post("/chats", child).await.expect(201));
    until_rested(&ada, &child).await;
    let tool = json!({"name": "weather", "description": "tells it", "parameters": {"type": "object"}});
    let waits = json!({"parent": parent, "tools": [tool], "content": "[[tool weather {}]]"});
    let waits = id_of(&ada.post("/chats", waits).await.expect(201));
    let stream = format!("/chats/{waits}/stream");
    let is_waiting =
        |frame: &Frame| frame.data["status"] == "requires_action" || frame.data["chat"]["status"] == "requires_action";
    Reader::open(&ada, &stream, None).await.until(is_waiting).await;
    ada.post(&format!("/chats/{waits}/interrupt"), json!({})).await.expect(202);
    until_rested(&ada, &waits).await;
    let rows = [(&waits, "action_required"), (&parent, "turn_finished")];
    let expected: Vec<_> = rows.map(|(id, template)| (id.clone(), template.to_owned(), false)).into();
    assert_eq!(inbox(&ada, "").await, (expected, 2));
    world.stop().await;
}

#[actix_web::test]
async fn a_watcher_of_an_inbox_misses_nothing_and_hears_nothing_twice() {
    let world = World::start().await;
    let [ada, bob, admin] = ["ada", "bob", "admin"].map(|key| world.client(key));
    answered(&ada, "[[say one]]").await;
    let (mut own, mut foreign) = (Reader::open(&ada, WATCH, None).await, Reader::open(&admin, WATCH, None).await);
    let snapshot = next(&mut own).await;
    assert_eq!((snapshot.event.as_str(), &snapshot.data["unread"]), ("snapshot", &json!(1)));
    assert_eq!(snapshot.id.as_deref(), snapshot.data["position"].as_str());
    assert_eq!(next(&mut foreign).await.data["unread"], 0);

    let chat = answered(&ada, "[[say two]]").await;
    answered(&bob, "[[say three]]").await;
    let told = next(&mut own).await;
    assert_eq!(
        (told.event.as_str(), &told.data["chat"]["id"], &told.data["read"]),
        ("notification", &json!(chat), &json!(false))
    );
    let id = told.data["id"].as_str().unwrap();
    put(&ada, &format!("/inbox/{id}/read"), json!({"read": true}), &[]).await.expect(200);
    let marked = next(&mut own).await;
    assert_eq!(
        (marked.event.as_str(), &marked.data["notifications"], &marked.data["read"]),
        ("notifications_marked", &json!([id]), &json!(true))
    );
    put(&ada, "/inbox/read-all", json!({}), &[]).await.expect(204);
    let all = next(&mut own).await;
    assert_eq!((all.event.as_str(), all.data.get("through")), ("all_notifications_read", None));
    let listed = ada.get("/inbox").await.expect(200);
    for field in ["id", "template", "chat_id", "version", "turn_id", "created_at", "position"] {
        assert_eq!(told.data[field], listed.items()[0][field], "{field}");
    }

    let frames = [told, marked, all];
    let places = std::iter::once(&snapshot).chain(&frames).map(|frame| frame.id.clone().unwrap());
    for (has, place) in places.enumerate().take(frames.len()) {
        let mut again = Reader::open(&ada, WATCH, Some(&place)).await;
        for frame in &frames[has..] {
            assert_eq!(&next(&mut again).await, frame, "after {place}");
        }
    }
    let mut reset = Reader::open(&ada, WATCH, Some("nonsense")).await;
    assert_eq!(next(&mut reset).await.event, "reset");
    let again = next(&mut reset).await;
    assert_eq!((again.event.as_str(), &again.data["unread"]), ("snapshot", &json!(0)));
    // Whoever watches another inbox heard nothing of all this.
    world.clock.advance_ms(world.state.limits.heartbeat_ms);
    assert_eq!((next(&mut foreign).await.event, next(&mut own).await.event), ("heartbeat".into(), "heartbeat".into()));
    world.stop().await;
    assert_eq!(own.next().await, None);
}
