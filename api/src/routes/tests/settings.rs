//! Providers and models over HTTP: made, changed, shown without keys, taken back.

use serde_json::{Value, json};
use support::http::IDEMPOTENCY_KEY;
use verbatim_events::settings::SETTINGS_STREAM;

use super::World;
use crate::position::VERBATIM_POSITION;
use reqwest::Method;

const KEY: &str = "sk-very-secret-4711";

#[actix_web::test]
async fn a_provider_is_made_changed_shown_without_its_key_and_taken_back() {
    let world = World::start().await;
    let admin = world.client("admin");
    let made = json!({"name": "mine", "kind": "openai_chat", "base_url": "http://127.0.0.1:9/v1", "api_key": KEY});
    let made = admin.post("/providers", made).await.expect(201);
    let mut shown = json!({
        "name": "mine",
        "kind": "openai_chat",
        "base_url": "http://127.0.0.1:9/v1",
        "has_key": true,
        "enabled": true,
        "store": false,
        "source": "api",
        "overrides_file": false,
        "models": [],
    });
    assert_eq!(made.body, shown);
    assert_eq!(made.header("location"), Some("/api/v1/providers/mine"));
    assert_eq!(admin.get("/providers/mine").await.expect(200).body, shown);
    shown["enabled"] = json!(false);
    assert_eq!(admin.patch("/providers/mine", json!({"enabled": false})).await.expect(200).body, shown);
    let named: Vec<Value> = admin.get("/providers").await.items().iter().map(|item| item["name"].clone()).collect();
    assert_eq!(named, ["demo", "mine"]);
    let put = json!({"kind": "anthropic", "api_key": null, "base_url": "https://h.example"});
    let put = admin.request(Method::PUT, "/providers/mine").json(&put).send().await.unwrap();
    assert_eq!(put.status(), 200);
    let after = admin.get("/providers/mine").await.expect(200);
    assert_eq!((&after.body["has_key"], &after.body["kind"]), (&json!(false), &json!("anthropic")));
    admin.delete("/providers/mine").await.expect(204);
    admin.get("/providers/mine").await.expect_problem(404, "provider_not_found");
    world.stop().await;
}

#[actix_web::test]
async fn a_key_goes_to_another_address_only_where_the_request_names_it() {
    let world = World::start().await;
    let admin = world.client("admin");
    for (name, field, value) in [("sealed", "api_key", KEY), ("named", "api_key_env", "HOUSE_KEY")] {
        let made = json!({"name": name, "kind": "openai_chat", "base_url": "http://127.0.0.1:9/v1", field: value});
        admin.post("/providers", made).await.expect(201);
        let path = format!("/providers/{name}");
        for change in
            [json!({"base_url": "https://h.example/v1"}), json!({"kind": "anthropic"}), json!({"base_url": null})]
        {
            let refused = admin.patch(&path, change.clone()).await.expect_problem(400, "invalid_request");
            assert_eq!(refused.body["errors"][0]["pointer"], format!("/{field}"), "{change}");
            let mut change = change;
            change[field] = json!(value);
            admin.patch(&path, change).await.expect(200);
        }
        admin.patch(&path, json!({"base_url": "http://127.0.0.1:9/v1", field: null})).await.expect(200);
    }
    world.stop().await;
}

#[actix_web::test]
async fn a_key_is_nowhere_in_the_log() {
    let world = World::start().await;
    let admin = world.client("admin");
    let made = json!({"name": "mine", "kind": "openai_chat", "api_key": KEY});
    let request = || admin.request(Method::POST, "/providers").header(IDEMPOTENCY_KEY, "k-1").json(&made);
    for replayed in [false, true] {
        let response = request().send().await.unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers().contains_key("idempotency-replayed"), replayed);
        assert!(!response.text().await.unwrap().contains(KEY));
    }
    let stored = world.state.log.read_chat(SETTINGS_STREAM, 0, 100).await.unwrap();
    assert_eq!(stored.len(), 1, "the second one changed nothing");
    assert!(!String::from_utf8_lossy(&stored[0].event.data).contains(KEY));
    let receipt = world.state.log.receipt("admin", "k-1").await.unwrap().expect("a receipt");
    assert!(!String::from_utf8_lossy(&receipt.outcome).contains(KEY));
    let other = admin.request(Method::POST, "/providers").header(IDEMPOTENCY_KEY, "k-1").json(&json!({"name": "b"}));
    assert_eq!(other.send().await.unwrap().status(), 400, "what is malformed is told first");
    let other = json!({"name": "other", "kind": "demo"});
    let other = admin.request(Method::POST, "/providers").header(IDEMPOTENCY_KEY, "k-1").json(&other);
    assert_eq!(other.send().await.unwrap().status(), 422);
    world.stop().await;
}

#[actix_web::test]
async fn models_come_and_go_and_there_is_always_a_default_one() {
    let world = World::start().await;
    let [ada, admin] = ["ada", "admin"].map(|key| world.client(key));
    admin.post("/providers", json!({"name": "other", "kind": "demo"})).await.expect(201);
    let made = json!({
        "name": "vendor/m-1",
        "provider": "other",
        "model": "demo",
        "context_window": 8192,
        "efforts": ["low"],
        "accepts": ["image/*"],
        "prices": {"input_micros": 3, "output_micros": 15},
    });
    let made = admin.post("/models", made).await.expect(201);
    let shown = json!({
        "name": "vendor/m-1",
        "provider": "other",
        "model": "demo",
        "context_window": 8192,
        "efforts": ["low"],
        "provider_tools": [],
        "accepts": ["image/*"],
        "prices": {"input_micros": 3, "output_micros": 15},
        "enabled": true,
        "available": true,
        "default": false,
        "source": "api",
        "overrides_file": false,
    });
    assert_eq!(made.body, shown);
    let place = made.header("location").unwrap().trim_start_matches("/api/v1").to_owned();
    let mut for_users = shown.clone();
    for_users.as_object_mut().unwrap().remove("provider_tools");
    assert_eq!(ada.get(&place).await.expect(200).body, for_users);
    // Chats see it at once.
    let chat = ada.post("/chats", json!({"model": "vendor/m-1"})).await.expect(201);
    assert_eq!(chat.body["model"], "vendor/m-1");
    admin.delete("/providers/other").await.expect_problem(409, "provider_in_use");
    admin.patch(&place, json!({"default": true})).await.expect(200);
    assert_eq!(ada.post("/chats", json!({})).await.expect(201).body["model"], "vendor/m-1");
    for refused in [json!({"enabled": false}), json!({"default": false})] {
        admin.patch(&place, refused).await.expect_problem(409, "model_is_default");
    }
    admin.delete(&place).await.expect_problem(409, "model_is_default");
    admin.patch("/models/demo", json!({"default": true})).await.expect(200);
    admin.patch(&place, json!({"enabled": false})).await.expect(200);
    ada.post("/chats", json!({"model": "vendor/m-1"})).await.expect_problem(400, "invalid_request");
    ada.post("/chats", json!({"model": "other/demo"})).await.expect_problem(400, "invalid_request");
    ada.post("/chats", json!({"model": "other/else"})).await.expect(201);
    admin.delete(&place).await.expect(204);
    admin.delete(&place).await.expect_problem(404, "model_not_found");
    admin.delete("/providers/other").await.expect(204);
    admin.delete("/models/demo").await.expect_problem(409, "set_in_file");
    world.stop().await;
}

#[actix_web::test]
async fn what_is_wrong_is_named_by_its_place() {
    let world = World::start().await;
    let admin = world.client("admin");
    let provider = |more: Value| {
        let mut body = json!({"name": "p", "kind": "openai_chat"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, pointer) in [
        (json!({"name": "p"}), "/kind"),
        (json!({"name": "p", "kind": "telepathy"}), "/kind"),
        (provider(json!({"base_url": "https://ada:secret@h/v1"})), "/base_url"),
        (provider(json!({"base_url": 7})), "/base_url"),
        (provider(json!({"api_key": "two words"})), "/api_key"),
        (provider(json!({"api_key": KEY, "api_key_env": "A_KEY"})), "/api_key"),
        (provider(json!({"api_key_env": "HOME"})), "/api_key_env"),
        (provider(json!({"store": true})), "/store"),
        (provider(json!({"name": "a/b"})), "/name"),
        (provider(json!({"secret": 1})), "/secret"),
        (provider(json!({"enabled": null})), "/enabled"),
    ] {
        let refused = admin.post("/providers", body.clone()).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (400, &json!(pointer)), "{body}");
        assert!(!refused.body.to_string().contains(KEY));
    }
    let model = |more: Value| {
        let mut body = json!({"name": "m", "provider": "demo"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, pointer) in [
        (json!({"name": "m"}), "/provider"),
        (model(json!({"provider": "nobody"})), "/provider"),
        (model(json!({"context_window": 0})), "/context_window"),
        (model(json!({"efforts": [1]})), "/efforts/0"),
        (model(json!({"provider_tools": ["web_search"]})), "/provider_tools/0"),
        (model(json!({"prices": {"input_micros": 1}})), "/prices/output_micros"),
        (model(json!({"accepts": ["video/mp4"]})), "/accepts"),
        (model(json!({"accepts": [7]})), "/accepts/0"),
        (model(json!({"enabled": false, "default": true})), "/default"),
        (model(json!({"name": "two words"})), "/name"),
        (model(json!({"temperature": 1})), "/temperature"),
    ] {
        let refused = admin.post("/models", body.clone()).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (400, &json!(pointer)), "{body}");
    }
    admin.post("/models", model(json!({"name": "demo"}))).await.expect_problem(409, "already_exists");
    world.stop().await;
}

#[actix_web::test]
async fn a_read_sees_the_change_whose_position_it_names() {
    let world = World::start().await;
    let admin = world.client("admin");
    let made = admin.post("/models", json!({"name": "m", "provider": "demo"})).await.expect(201);
    let position = made.header(VERBATIM_POSITION).expect("a position").to_owned();
    let read = |position: String| admin.request(Method::GET, "/models/m").header(VERBATIM_POSITION, position).send();
    assert_eq!(read(position.clone()).await.unwrap().status(), 200);
    let ahead = format!("{}9999", position);
    assert_eq!(read(ahead).await.unwrap().status(), 503);
    world.stop().await;
}

#[actix_web::test]
async fn the_settings_stream_is_no_chat_to_anybody() {
    let world = World::start().await;
    let admin = world.client("admin");
    admin.post("/models", json!({"name": "m", "provider": "demo"})).await.expect(201);
    for rest in ["", "/messages", "/events", "/stream", "/turns", "/queue", "/children"] {
        admin.get(&format!("/chats/{SETTINGS_STREAM}{rest}")).await.expect_problem(404, "chat_not_found");
    }
    let say = json!({"content": "hello"});
    admin.post(&format!("/chats/{SETTINGS_STREAM}/messages"), say).await.expect_problem(404, "chat_not_found");
    let child = json!({"parent": SETTINGS_STREAM});
    admin.post("/chats", child).await.expect_problem(404, "chat_not_found");
    assert_eq!(admin.get("/chats").await.items(), [] as [Value; 0]);
    let log = admin.request(Method::GET, "/log").send().await.unwrap().text().await.unwrap();
    assert!(log.contains("\"model_set\""), "auditors see it: {log}");
    world.stop().await;
}
