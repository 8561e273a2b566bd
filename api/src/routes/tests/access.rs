//! Who may do what: every route with every kind of key.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use support::http::Client;

use super::{World, id_of};
use crate::auth::{NewKey, Principal, Role};

/// Whom a route is for.
#[derive(Clone, Copy, Debug)]
enum For {
    /// A chat's owner and those who read all.
    Reading,
    /// A chat's owner and administrators.
    Writing,
    /// Ada herself and those who read all.
    Owning,
    /// Everybody with a key; each sees their own.
    Everybody,
    /// Whoever may write at all.
    Making,
    /// Auditors and administrators.
    Auditing,
    /// Administrators.
    Administering,
}

/// How a route is asked, whom it is for, and what it answers those it is for. `*` is the chat's id, `+` another key's.
type Row = (&'static str, &'static str, Value, For, &'static str);

fn rows() -> Vec<Row> {
    use For::{Administering, Auditing, Everybody, Making, Owning, Reading, Writing};
    let none = Value::Null;
    let say = json!({"content": "hello"});
    vec![
        ("GET", "/chats", none.clone(), Everybody, "200"),
        ("POST", "/chats", json!({}), Making, "201"),
        ("GET", "/chats/*", none.clone(), Reading, "200"),
        ("PATCH", "/chats/*", json!({"pinned": true}), Writing, "200"),
        ("DELETE", "/chats/*", none.clone(), Writing, "not_sealed"),
        ("GET", "/chats/*/messages", none.clone(), Reading, "200"),
        ("POST", "/chats/*/messages", json!({"content": ""}), Writing, "empty_content"),
        ("PATCH", "/chats/*/messages/7", say, Writing, "message_not_found"),
        ("GET", "/chats/*/queue", none.clone(), Reading, "200"),
        ("DELETE", "/chats/*/queue/7", none.clone(), Writing, "queued_message_not_found"),
        ("POST", "/chats/*/queue/7/promote", none.clone(), Writing, "queued_message_not_found"),
        ("POST", "/chats/*/fork", json!({"at": 1}), Writing, "201"),
        ("POST", "/chats/*/interrupt", none.clone(), Writing, "not_allowed"),
        ("POST", "/chats/*/compact", none.clone(), Writing, "nothing_to_compact"),
        ("POST", "/chats/*/clear", none.clone(), Writing, "nothing_to_clear"),
        ("POST", "/chats/*/title/propose", none.clone(), Writing, "not_allowed"),
        ("POST", "/chats/*/title/regenerate", none.clone(), Writing, "not_allowed"),
        ("PUT", "/chats/*/context", none.clone(), Writing, "workspace_not_found"),
        ("POST", "/chats/*/tool-results", json!({}), Writing, "invalid_request"),
        ("POST", "/chats/*/approvals", json!({}), Writing, "invalid_request"),
        ("GET", "/chats/*/stream", none.clone(), Reading, "200"),
        ("GET", "/chats/*/ws", none.clone(), Reading, "invalid_request"),
        ("GET", "/watch", none.clone(), Everybody, "200"),
        ("GET", "/watch/ws", none.clone(), Everybody, "invalid_request"),
        ("GET", "/inbox", none.clone(), Everybody, "200"),
        ("PUT", "/inbox/nothing/read", json!({"read": true}), Making, "notification_not_found"),
        ("PUT", "/inbox/read-all", none.clone(), Making, "204"),
        ("GET", "/inbox/watch", none.clone(), Everybody, "200"),
        ("GET", "/inbox/watch/ws", none.clone(), Everybody, "invalid_request"),
        ("GET", "/webhooks", none.clone(), Auditing, "200"),
        ("POST", "/webhooks/nothing/resume", none.clone(), Administering, "webhook_not_found"),
        ("GET", "/chats/*/events", none.clone(), Reading, "200"),
        ("GET", "/chats/*/children", none.clone(), Reading, "200"),
        ("GET", "/chats/*/turns", none.clone(), Reading, "200"),
        ("GET", "/chats/*/attempts/1", none.clone(), Reading, "attempt_not_found"),
        ("GET", "/chats/*/diff", none.clone(), Reading, "workspace_not_found"),
        ("GET", "/chats/*/prompts", none.clone(), Reading, "200"),
        ("GET", "/log", none.clone(), Auditing, "200"),
        ("POST", "/audit/verify", none.clone(), Auditing, "200"),
        ("GET", "/keys", none.clone(), Auditing, "200"),
        ("POST", "/keys", json!({}), Administering, "invalid_request"),
        ("DELETE", "/keys/+", none.clone(), Administering, "204"),
        ("POST", "/files", none.clone(), Making, "unsupported_media_type"),
        ("GET", "/files/nothing", none.clone(), Everybody, "file_not_found"),
        ("GET", "/providers", none.clone(), Auditing, "200"),
        ("POST", "/providers", json!({}), Administering, "invalid_request"),
        ("GET", "/providers/demo", none.clone(), Auditing, "200"),
        ("PUT", "/providers/demo", json!({"kind": "demo"}), Administering, "200"),
        ("PATCH", "/providers/demo", json!({}), Administering, "200"),
        ("DELETE", "/providers/demo", none.clone(), Administering, "set_in_file"),
        ("GET", "/models", none.clone(), Everybody, "200"),
        ("POST", "/models", json!({}), Administering, "invalid_request"),
        ("GET", "/models/demo", none.clone(), Everybody, "200"),
        ("PUT", "/models/demo", json!({"provider": "demo"}), Administering, "200"),
        ("PATCH", "/models/demo", json!({}), Administering, "200"),
        ("DELETE", "/models/nothing", none.clone(), Administering, "model_not_found"),
        ("GET", "/templates", none.clone(), Everybody, "200"),
        ("POST", "/templates", json!({}), Administering, "invalid_request"),
        ("GET", "/templates/nothing", none.clone(), Everybody, "template_not_found"),
        ("PUT", "/templates/nothing", json!({"provisioner": "coder"}), Administering, "invalid_request"),
        ("PATCH", "/templates/nothing", json!({}), Administering, "template_not_found"),
        ("DELETE", "/templates/nothing", none.clone(), Administering, "template_not_found"),
        ("GET", "/workspaces", none.clone(), Auditing, "200"),
        ("DELETE", "/workspaces/nothing", none.clone(), Administering, "workspace_not_found"),
        ("GET", "/usage", none.clone(), Everybody, "200"),
        ("GET", "/budgets", none.clone(), Everybody, "200"),
        ("GET", "/budgets/ada", none.clone(), Owning, "200"),
        ("PUT", "/budgets/ada", json!({"period": "day"}), Administering, "200"),
        ("DELETE", "/budgets/nobody", none.clone(), Administering, "budget_not_found"),
        ("GET", "/projections", none.clone(), Auditing, "200"),
        ("POST", "/projections/nothing/rebuild", none, Administering, "projection_not_found"),
    ]
}

/// Addresses that need no key, or whose key is a setting.
const OPEN: [&str; 6] = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/api/v1/openapi.json"];

/// The status of an answer without a problem, else the problem's code. Answers that do not end are not read.
async fn answer(client: &Client, method: &str, path: &str, body: &Value) -> String {
    let request = client.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
    let request = if body.is_null() { request } else { request.json(body) };
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    if status < 400 {
        return status.to_string();
    }
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status, "{method} {path}: {problem}");
    problem["code"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn every_route_lets_in_whom_it_is_for_and_nobody_else() {
    let world = World::start().await;
    let [ada, bob, eve, admin] = ["ada", "bob", "eve", "admin"].map(|key| world.client(key));
    let chat = id_of(&ada.post("/chats", json!({})).await.expect(201));
    let key = |name: &str| json!({"name": name, "owner": "ada", "roles": ["user", "admin"]});
    let gone = admin.post("/keys", key("gone")).await.expect(201);
    let revoked = ada.with_key(Some(&gone.text_of("key")));
    assert_eq!(answer(&revoked, "GET", "/keys", &Value::Null).await, "200");
    admin.delete(&format!("/keys/{}", gone.text_of("id"))).await.expect(204);
    let strangers = [ada.with_key(None), ada.with_key(Some("wrong")), ada.with_key(Some("")), revoked];

    for (method, path, body, whom, granted) in rows() {
        let spare = id_of(&admin.post("/keys", key("spare")).await.expect(201));
        let path = path.replace('*', &chat).replace('+', &spare);
        for stranger in &strangers {
            assert_eq!(answer(stranger, method, &path, &body).await, "unauthorized", "{method} {path}");
        }
        let [owner, other, auditor] = match whom {
            For::Reading => [granted, "chat_not_found", granted],
            For::Owning => [granted, "forbidden", granted],
            For::Writing => [granted, "chat_not_found", "forbidden"],
            For::Everybody => [granted, granted, granted],
            For::Making => [granted, granted, "forbidden"],
            For::Auditing => ["forbidden", "forbidden", granted],
            For::Administering => ["forbidden", "forbidden", "forbidden"],
        };
        for (who, client, expected) in
            [("owner", &ada, owner), ("other", &bob, other), ("auditor", &eve, auditor), ("admin", &admin, granted)]
        {
            assert_eq!(answer(client, method, &path, &body).await, expected, "{who}: {method} {path}");
        }
    }
    world.stop().await;
}

/// Reads the routes out of the table itself, so that none can be added without an answer to whom it is for.
#[test]
fn every_route_is_asked_above() {
    let mut missing = BTreeSet::new();
    for registered in include_str!("../mod.rs").split("only(\"").skip(1) {
        let (path, rest) = registered.split_once('"').unwrap();
        let methods = rest.split('"').nth(1).unwrap();
        if OPEN.contains(&path) {
            continue;
        }
        let path =
            if path.is_empty() || path.starts_with("/{chat}") { format!("/chats{path}") } else { path.to_owned() };
        for method in methods.split(", ") {
            if !rows().iter().any(|row| row.0 == method && fits(&path, row.1)) {
                missing.insert(format!("{method} {path}"));
            }
        }
    }
    assert_eq!(missing, BTreeSet::new(), "nobody asks these who may use them");
}

/// Whether an address is one of a route's.
fn fits(route: &str, address: &str) -> bool {
    let (mut route, mut address) = (route.split('/'), address.split('/'));
    loop {
        match (route.next(), address.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given || wanted.starts_with('{') => {}
            _ => return false,
        }
    }
}

#[actix_web::test]
async fn keys_are_made_listed_and_revoked() {
    let world = World::start().await;
    let admin = world.client("admin");
    let body = json!({"name": "laptop", "owner": "ada", "roles": ["user", "auditor"]});
    let made = admin.post("/keys", body.clone()).await.expect(201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let secret = made.text_of("key");
    assert!(secret.starts_with("vbt_"), "{secret}");
    let ada = world.client(&secret);
    assert_eq!(ada.post("/chats", json!({})).await.expect(201).body["owner"], "ada");
    for name in ["second", "third"] {
        admin.post("/keys", json!({"name": name, "owner": "ada", "roles": ["user"]})).await.expect(201);
    }
    let page = admin.get("/keys?limit=2").await.expect(200);
    let rest = admin.get(&format!("/keys?limit=2&cursor={}", page.text_of("next_cursor"))).await.expect(200);
    let names: Vec<_> = page.items().iter().chain(rest.items()).map(|key| key["name"].clone()).collect();
    assert_eq!(
        (names, &rest.body["next_cursor"]),
        (vec![json!("laptop"), json!("second"), json!("third")], &Value::Null)
    );
    assert_eq!(page.items()[0]["roles"], json!(["user", "auditor"]));
    assert!(!page.text.contains(&secret) && page.items()[0].get("key").is_none(), "a key is shown once");

    let path = format!("/keys/{}", made.text_of("id"));
    admin.delete(&path).await.expect(204);
    admin.delete(&path).await.expect(204);
    ada.get("/chats").await.expect_problem(401, "unauthorized");
    assert!(admin.get("/keys").await.items()[0]["revoked_at"].is_string());
    for nowhere in ["/keys/01890000-0000-7000-8000-000000000001", "/keys/laptop"] {
        admin.delete(nowhere).await.expect_problem(404, "key_not_found");
    }
    admin.get("/keys?cursor=x").await.expect_problem(400, "invalid_request");
    world.stop().await;
}

#[actix_web::test]
async fn a_stream_ends_when_its_key_is_revoked() {
    let world = World::start().await;
    let admin = world.client("admin");
    let principal = Principal { owner: "ada".into(), roles: [Role::User].into() };
    let new = NewKey { name: "laptop".into(), principal };
    let made = world.state.keys.create(new, world.state.clock.now()).await.unwrap();
    let ada = world.client(&made.secret);
    let chat = id_of(&ada.post("/chats", json!({})).await.expect(201));
    let mut reader = super::streams::Reader::open(&ada, &format!("/chats/{chat}/stream"), None).await;
    assert_eq!(reader.next().await.unwrap().event, "snapshot");
    admin.delete(&format!("/keys/{}", made.stored.id)).await.expect(204);
    assert_eq!(reader.next().await, None);
    world.stop().await;
}
