//! Templates over HTTP: made, changed, shown, taken back.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};
use support::http::IDEMPOTENCY_KEY;
use tempfile::TempDir;
use verbatim_events::envelope::Actor;
use verbatim_events::settings::SETTINGS_STREAM;

use super::World;
use crate::position::VERBATIM_POSITION;

/// A directory to make workspaces from, by the path that it really has.
fn ground() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap().join("site");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("template.toml"), "description = \"A bare site\"\n").unwrap();
    (directory, path)
}

#[actix_web::test]
async fn a_template_is_made_changed_shown_and_taken_back() {
    let world = World::start().await;
    let [ada, eve, admin] = ["ada", "eve", "admin"].map(|key| world.client(key));
    let (_ground, path) = ground();
    let title = json!({"description": "Above all pages", "default": "Untitled"});
    let made = json!({"name": "site", "provisioner": "local", "path": path, "parameters": {"title": title}});
    let made = admin.post("/templates", made).await.expect(201);
    let title = json!({
        "name": "title",
        "type": "string",
        "description": "Above all pages",
        "required": false,
        "default": "Untitled",
    });
    let mut shown = json!({
        "id": "site",
        "description": "",
        "provisioner": "local",
        "parameters": [title],
        "path": path,
        "source": "api",
        "overrides_file": false,
    });
    assert_eq!(made.body, shown);
    assert_eq!(made.header("location"), Some("/api/v1/templates/site"));
    shown["description"] = json!("A bare site");
    assert_eq!(eve.get("/templates/site").await.expect(200).body, shown, "its directory says what it is for");
    shown.as_object_mut().unwrap().remove("path");
    assert_eq!(ada.get("/templates/site").await.expect(200).body, shown);
    assert_eq!(ada.get("/templates").await.expect(200).items(), [shown.clone()]);
    assert_eq!(ada.get("/templates?q=nothing").await.expect(200).items(), [] as [Value; 0]);

    admin.patch("/templates/site", json!({"description": "Ours"})).await.expect(200);
    assert_eq!(ada.get("/templates/site").await.expect(200).body["description"], "Ours");
    let chat = json!({"workspace": {"template_id": "site", "parameters": {"title": "T"}}});
    ada.post("/chats", chat.clone()).await.expect(201);
    let put = json!({"provisioner": "local", "path": path});
    let put = admin.request(Method::PUT, "/templates/site").json(&put).send().await.unwrap();
    assert_eq!(put.status(), 200);
    let refused = ada.post("/chats", chat.clone()).await.expect_problem(400, "invalid_request");
    assert_eq!(refused.body["errors"][0]["pointer"], "/workspace/parameters", "it has none any more");

    admin.delete("/templates/site").await.expect(204);
    ada.get("/templates/site").await.expect_problem(404, "template_not_found");
    let refused = ada.post("/chats", chat).await.expect_problem(400, "invalid_request");
    assert_eq!(refused.body["errors"][0]["pointer"], "/workspace/template_id");
    admin.delete("/templates/site").await.expect_problem(404, "template_not_found");
    world.stop().await;
}

#[actix_web::test]
async fn a_template_is_set_once_under_a_key_and_seen_by_its_position() {
    let world = World::start().await;
    let admin = world.client("admin");
    let (ground, path) = ground();
    let made = json!({"name": "site", "provisioner": "local", "path": path});
    let request = || admin.request(Method::POST, "/templates").header(IDEMPOTENCY_KEY, "k-1").json(&made);
    let first = request().send().await.unwrap();
    assert_eq!(first.status(), 201);
    let position = first.headers()[VERBATIM_POSITION].to_str().unwrap().to_owned();
    let read = |position: String| admin.request(Method::GET, "/templates").header(VERBATIM_POSITION, position).send();
    assert_eq!(read(position.clone()).await.unwrap().status(), 200);
    assert_eq!(read(format!("{position}9999")).await.unwrap().status(), 503);
    // What was answered stays so, whatever became of the directory.
    drop(ground);
    let second = request().send().await.unwrap();
    assert_eq!((second.status().as_u16(), second.headers().contains_key("idempotency-replayed")), (201, true));
    let stored = world.state.log.read_chat(SETTINGS_STREAM, 0, 100).await.unwrap();
    assert_eq!((stored.len(), stored[0].event.event_type.as_str()), (1, "template_set"));
    assert_eq!(stored[0].event.actor, Actor::User("admin".to_owned()));
    world.stop().await;
}

#[actix_web::test]
async fn what_is_wrong_is_named_by_its_place() {
    let world = World::start().await;
    let admin = world.client("admin");
    let (ground, path) = ground();
    let folder = path.parent().unwrap();
    std::os::unix::fs::symlink(&path, folder.join("link")).unwrap();
    std::fs::write(folder.join("file"), "").unwrap();
    std::fs::create_dir(folder.join("odd")).unwrap();
    std::fs::write(folder.join("odd/template.toml"), "colour = 1\n").unwrap();
    let template = |more: Value| {
        let mut body = json!({"name": "t", "provisioner": "local", "path": path});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let parameter = |parameter: Value| template(json!({"parameters": {"p": parameter}}));
    for (body, pointer) in [
        (json!({"name": "t", "path": path}), "/provisioner"),
        (json!({"provisioner": "local", "path": path}), "/name"),
        (json!({"name": "t", "provisioner": "local"}), "/path"),
        (json!({"name": "t", "provisioner": "coder"}), "/provisioner"),
        (template(json!({"provisioner": "docker"})), "/provisioner"),
        (template(json!({"name": "two words"})), "/name"),
        (template(json!({"name": ".."})), "/name"),
        (template(json!({"path": "templates/site"})), "/path"),
        (template(json!({"path": folder.join("nothing")})), "/path"),
        (template(json!({"path": folder.join("file")})), "/path"),
        (template(json!({"path": folder.join("link")})), "/path"),
        (template(json!({"path": folder.join("odd/../site")})), "/path"),
        (template(json!({"path": folder.join("odd")})), "/path"),
        (template(json!({"template": "docker"})), "/template"),
        (template(json!({"description": 7})), "/description"),
        (template(json!({"parameters": []})), "/parameters"),
        (parameter(json!({"type": "colour"})), "/parameters/p"),
        (parameter(json!({"colour": "red"})), "/parameters/p"),
        (parameter(json!({"default": "a\0b"})), "/parameters/p"),
        (parameter(json!({"type": "number", "default": "many"})), "/parameters"),
        (parameter(json!({"default": "c", "options": ["a", "b"]})), "/parameters"),
        (template(json!({"enabled": true})), "/enabled"),
    ] {
        let refused = admin.post("/templates", body.clone()).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (400, &json!(pointer)), "{body}");
    }
    admin.post("/templates", template(json!({}))).await.expect(201);
    admin.post("/templates", template(json!({}))).await.expect_problem(409, "already_exists");
    admin.patch("/templates/t", json!({"path": null})).await.expect_problem(400, "invalid_request");
    drop(ground);
    world.stop().await;
}
