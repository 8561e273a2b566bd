//! Files, from being sent to being shown.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use support::http::{Client, IDEMPOTENCY_KEY};

use verbatim_events::limits::CHAT_FILES_MAX;

use super::{World, id_of, streams};
use crate::files::FILE_MAX_BYTES;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nand so on";

async fn put(client: &Client, path: &str, headers: &[(&str, &str)], content: &[u8]) -> Response {
    let mut request = client.request(Method::POST, path).body(content.to_vec());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn kept(client: &Client, content: &[u8]) -> String {
    let answer = put(client, "/files?name=a.txt", &[("content-type", "text/plain")], content).await;
    assert_eq!(answer.status(), 201);
    let body: Value = answer.json().await.unwrap();
    body["id"].as_str().unwrap().to_owned()
}

async fn refused(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["code"].as_str().unwrap().to_owned())
}

fn shown(id: &str) -> Value {
    json!({"type": "file", "file_id": id, "media_type": "text/html", "name": "another"})
}

#[actix_web::test]
async fn a_file_comes_back_as_it_went_to_those_who_may_see_it() {
    let world = World::start().await;
    let [ada, bob, eve, admin] = ["ada", "bob", "eve", "admin"].map(|key| world.client(key));
    let headers = [("content-type", "image/png"), ("content-disposition", "attachment; filename=\"../a b.png\"")];
    let answer = put(&ada, "/files", &headers, PNG).await;
    assert_eq!(answer.status(), 201);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let made: Value = answer.json().await.unwrap();
    let id = made["id"].as_str().unwrap();
    assert_eq!(made, json!({"id": id, "media_type": "image/png", "name": "a b.png", "size_bytes": PNG.len()}));
    assert_eq!(location, format!("/api/v1/files/{id}"));

    let path = format!("/files/{id}");
    for reader in [&ada, &eve, &admin] {
        let read = reader.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(read.status(), 200);
        let header = |name: &str| read.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(
            (header("content-type").as_str(), header("x-content-type-options").as_str()),
            ("image/png", "nosniff")
        );
        assert_eq!(header("content-disposition"), "inline; filename=\"a b.png\"");
        let tag = header("etag");
        assert_eq!(read.bytes().await.unwrap(), PNG);
        let again = reader.request(Method::GET, &path).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!((again.status().as_u16(), again.headers()["etag"].to_str().unwrap()), (304, tag.as_str()));
    }
    for nowhere in [path.as_str(), "/files/01890000-0000-7000-8000-000000000001", "/files/..%2Fadmin.key"] {
        bob.get(nowhere).await.expect_problem(404, "file_not_found");
    }
    assert_eq!(refused(put(&eve, "/files", &headers, PNG).await).await, (403, "forbidden".into()));
    let named =
        put(&ada, "/files?name=%C5%BElu%C5%A5.md", &[("content-type", "text/markdown; charset=utf-8")], b"# x").await;
    let named: Value = named.json().await.unwrap();
    let read = ada.request(Method::GET, &format!("/files/{}", named["id"].as_str().unwrap())).send().await.unwrap();
    assert_eq!(read.headers()["content-type"], "text/markdown; charset=utf-8");
    assert_eq!(read.headers()["content-disposition"], "attachment; filename*=UTF-8''%C5%BElu%C5%A5.md");
    world.stop().await;
}

#[actix_web::test]
async fn what_is_no_such_file_is_refused() {
    let world = World::start().await;
    let ada = world.client("ada");
    let text = [("content-type", "text/plain")];
    let large = vec![b'a'; FILE_MAX_BYTES + 1];
    for (path, headers, content, status, code) in [
        ("/files", [("content-type", "text/html")], &b"<p>"[..], 415, "unsupported_media_type"),
        ("/files", [("content-type", "image/png")], b"GIF89a", 400, "invalid_request"),
        ("/files", text, b"", 400, "invalid_request"),
        ("/files", text, b"a\0", 400, "invalid_request"),
        ("/files?name=%20", text, b"a", 400, "invalid_request"),
        ("/files?colour=red", text, b"a", 400, "invalid_request"),
        ("/files", text, &large, 413, "body_too_large"),
    ] {
        assert_eq!(refused(put(&ada, path, &headers, content).await).await, (status, code.to_owned()), "{path}");
    }
    assert_eq!(put(&ada, "/files", &text, &large[1..]).await.status(), 201, "just fits");
    world.stop().await;
}

#[actix_web::test]
async fn a_repeated_key_keeps_one_file() {
    let world = World::start().await;
    let (ada, bob) = (world.client("ada"), world.client("bob"));
    let headers = [("content-type", "text/plain"), (IDEMPOTENCY_KEY, "once")];
    let first = put(&ada, "/files", &headers, b"one").await;
    assert!(!first.headers().contains_key("idempotency-replayed"));
    let again = put(&ada, "/files", &headers, b"one").await;
    assert_eq!((again.status().as_u16(), &again.headers()["idempotency-replayed"]), (201, &"true".parse().unwrap()));
    let (first, again): (Value, Value) = (first.json().await.unwrap(), again.json().await.unwrap());
    assert_eq!(first, again);
    assert_eq!(refused(put(&ada, "/files", &headers, b"two").await).await, (422, "idempotency_mismatch".into()));
    assert_eq!(put(&bob, "/files", &headers, b"two").await.status(), 201, "another owner's key is another key");
    world.stop().await;
}

#[actix_web::test]
async fn a_message_shows_its_owners_files_as_they_are_kept() {
    let world = World::start().await;
    let [ada, bob, admin] = ["ada", "bob", "admin"].map(|key| world.client(key));
    let (mine, theirs) = (kept(&ada, b"mine").await, kept(&bob, b"theirs").await);
    let part = json!({"type": "file", "file_id": mine, "media_type": "text/plain", "name": "a.txt"});
    let content = json!({"content": [{"type": "text", "text": "see"}, shown(&mine)]});
    let chat = id_of(&ada.post("/chats", content.clone()).await.expect(201));
    streams::until_rested(&ada, &chat).await;
    let messages = format!("/chats/{chat}/messages");
    let said = ada.get(&messages).await.expect(200).items()[0].clone();
    assert_eq!(said["content"][1], part);
    // A file alone says something; an administrator shows the owner's files, not others'.
    admin.post(&messages, json!({"content": [shown(&mine)]})).await.expect(202);
    streams::until_rested(&ada, &chat).await;
    let edited = format!("{messages}/{}", said["id"]);
    let wrong = json!({"content": [{"type": "text", "text": "see"}, shown(&theirs)]});
    for answer in [
        ada.post("/chats", wrong.clone()).await,
        ada.post(&messages, wrong.clone()).await,
        admin.post(&messages, wrong.clone()).await,
        ada.patch(&edited, wrong).await,
        ada.post(&messages, json!({"content": [{"type": "text", "text": "see"}, shown("nothing")]})).await,
    ] {
        let problem = answer.expect_problem(400, "invalid_request");
        assert_eq!(problem.body["errors"][0]["pointer"], "/content/1/file_id");
    }
    ada.patch(&edited, content).await.expect(202);
    world.stop().await;
}

#[actix_web::test]
async fn of_too_many_files_the_oldest_expire() {
    let world = World::start().await;
    let ada = world.client("ada");
    let chat = id_of(&ada.post("/chats", json!({})).await.expect(201));
    let mut ids = Vec::new();
    for number in 0..=CHAT_FILES_MAX {
        ids.push(kept(&ada, format!("{number}").as_bytes()).await);
    }
    let parts: Vec<_> = ids.iter().map(|id| shown(id)).collect();
    let path = format!("/chats/{chat}/messages");
    ada.post(&path, json!({"content": parts})).await.expect_problem(400, "invalid_request");
    let (full, once) = (json!({"content": parts[..CHAT_FILES_MAX]}), [(IDEMPOTENCY_KEY, "once")]);
    ada.call(Method::POST, &path, Some(&full), &once).await.expect(202);
    streams::until_rested(&ada, &chat).await;
    let (oldest, second, last) = (&ids[0], &ids[1], &ids[CHAT_FILES_MAX]);
    ada.get(&format!("/files/{oldest}")).await.expect(200);
    // The oldest is shown again: it is no longer the first to go.
    ada.post(&path, json!({"content": [parts[0]]})).await.expect(202);
    streams::until_rested(&ada, &chat).await;
    ada.post(&path, json!({"content": [parts[CHAT_FILES_MAX]]})).await.expect(202);
    streams::until_rested(&ada, &chat).await;
    ada.get(&format!("/files/{second}")).await.expect_problem(410, "file_expired");
    for id in [oldest, last] {
        ada.get(&format!("/files/{id}")).await.expect(200);
    }
    let snapshot = streams::snapshot(&ada, &chat).await;
    let listed = ada.get(&path).await.expect(200).body["items"].clone();
    for messages in [&listed, &snapshot["messages"]] {
        let content = &messages[0]["content"];
        assert_eq!((&content[0]["expired"], &content[1]["expired"]), (&Value::Null, &json!(true)), "{messages}");
    }
    // Shown again it is there again, and another one goes.
    ada.post(&path, json!({"content": [parts[1]]})).await.expect(202);
    streams::until_rested(&ada, &chat).await;
    ada.get(&format!("/files/{second}")).await.expect(200);
    ada.get(&format!("/files/{}", ids[2])).await.expect_problem(410, "file_expired");
    let again = ada.call(Method::POST, &path, Some(&full), &once).await.expect(202);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    world.stop().await;
}
