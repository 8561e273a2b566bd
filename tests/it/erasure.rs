//! Chats sealed and erased, through the real server: afterwards their words are nowhere on the disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use support::chat::ChatClient;
use support::http::{Answer, Client, IDEMPOTENCY_KEY};
use support::postgres::Postgres;
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

/// Words that nothing else says: of a message, of the model's answer, of a title, of a label, in a workspace's file, in a
/// tool's result, in a file that was sent, in one that a tool attached.
const WORDS: [&str; 8] =
    ["quagmire", "zephyrine", "obelisque", "marzipania", "velociped", "hullabaloo", "kaleidosk", "turpentina"];

fn config(more: &str) -> String {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../templates/blank");
    format!("{more}\n[templates.blank]\nprovisioner = \"local\"\npath = {template:?}\n")
}

async fn start(more: &str) -> TestServer {
    TestServer::start_with(PROGRAM, ServerOptions::with_config(&config(more))).await
}

fn tool(name: &str, args: &Value) -> String {
    format!("[[tool {name} {args}]]")
}

async fn say(chat: &ChatClient, text: &str) {
    chat.send(text).await.expect(202);
    chat.rest().await;
}

async fn upload(client: &Client, content: &str) -> String {
    let request = client.request(Method::POST, "/files").header("content-type", "text/plain").body(content.to_owned());
    client.send(request).await.expect("an answer").expect(201).text_of("id")
}

/// A chat that has said each of the words somewhere; the file that it was sent.
async fn talkative(client: &Client) -> (ChatClient, String) {
    let [said, answered, titled, labelled, written, printed, sent, attached] = WORDS;
    let file = upload(client, &format!("a file about {sent}")).await;
    let content =
        json!([{"type": "text", "text": format!("{said} [[say {answered}]]")}, {"type": "file", "file_id": file}]);
    let asked = json!({
        "content": content, "title": format!("on {titled}"), "labels": {"about": labelled},
        "workspace": {"template_id": "blank"},
    });
    let chat = ChatClient::create(client, asked).await;
    chat.rest().await;
    say(&chat, &tool("write_file", &json!({"path": "notes.txt", "content": format!("{written}\n")}))).await;
    say(&chat, &tool("execute", &json!({"command": format!("echo {printed}")}))).await;
    say(&chat, &tool("write_file", &json!({"path": "more.md", "content": attached}))).await;
    say(&chat, &tool("attach_file", &json!({"path": "more.md"}))).await;
    (chat, file)
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() { files_below(&path, found) } else { found.push(path) }
    }
}

/// Which words stand in which files of a folder.
pub(crate) fn found_in(folder: &Path, words: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    files_below(folder, &mut files);
    assert!(!files.is_empty(), "there is something to look through");
    let mut found = Vec::new();
    for file in files {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        for word in words {
            if bytes.windows(word.len()).any(|window| window == word.as_bytes()) {
                found.push(format!("{word} in {}", file.display()));
            }
        }
    }
    found
}

async fn clean(server: &TestServer) {
    let audit = server.run(&["audit", "verify"]).await.expect("it runs");
    assert!(audit.status.success(), "{audit:?}");
    let rebuilt = server.run(&["projections", "rebuild", "--verify"]).await.expect("it runs");
    assert!(rebuilt.status.success(), "{rebuilt:?}");
}

/// Every way to a chat that is not there any more.
async fn is_gone(client: &Client, id: &str) {
    for rest in
        ["", "/messages", "/queue", "/turns", "/stream", "/ws", "/events", "/prompts", "/children", "/attempts/1"]
    {
        client.get(&format!("/chats/{id}{rest}")).await.expect_problem(410, "erased");
    }
    client.get(&format!("/chats/{id}/events?follow=true")).await.expect_problem(410, "erased");
    client.get(&format!("/chats/{id}?at=1")).await.expect_problem(410, "erased");
    client.post(&format!("/chats/{id}/messages"), json!({"content": "hello"})).await.expect_problem(410, "erased");
    client.post(&format!("/chats/{id}/interrupt"), json!({})).await.expect_problem(410, "erased");
    client.post(&format!("/chats/{id}/fork"), json!({"at": 1})).await.expect_problem(410, "erased");
    client.post("/chats", json!({"parent": id})).await.expect_problem(410, "erased");
    client.patch(&format!("/chats/{id}"), json!({"pinned": true})).await.expect_problem(410, "erased");
    client.delete(&format!("/chats/{id}")).await.expect_problem(410, "erased");
}

#[tokio::test]
async fn an_erased_chats_words_are_nowhere_on_the_disk() {
    let mut server = start("").await;
    let client = server.client().clone();
    let (chat, file) = talkative(&client).await;
    let (other, shared) = (ChatClient::begin(&client, "another one").await, upload(&client, "shared by two").await);
    for chat in [&chat, &other] {
        let content = json!([{"type": "text", "text": "see"}, {"type": "file", "file_id": shared}]);
        chat.post("/messages", json!({"content": content})).await.expect(202);
        chat.rest().await;
    }
    assert!(found_in(&server.data_dir(), &WORDS).len() >= 4, "the words are there before");

    let bob = json!({"name": "bob", "owner": "bob", "roles": ["user"]});
    let bob = client.with_key(Some(&client.post("/keys", bob).await.expect(201).text_of("key")));
    bob.delete(&format!("/chats/{}", chat.id)).await.expect_problem(404, "chat_not_found");
    let mut watching = chat.stream(None).await;
    client.delete(&format!("/chats/{}", chat.id)).await.expect(204);
    let seen = watching.until(|frame| frame.event == "chat_erased").await;
    assert_eq!(seen.last().expect("it ended").data["data"]["by"], json!("admin"));

    is_gone(&client, &chat.id).await;
    bob.get(&format!("/chats/{}", chat.id)).await.expect_problem(404, "chat_not_found");
    client.get(&format!("/files/{file}")).await.expect_problem(404, "file_not_found");
    client.get(&format!("/files/{shared}")).await.expect(200);
    assert_eq!(client.get("/workspaces").await.expect(200).items(), &[] as &[Value]);
    for word in WORDS {
        assert_eq!(client.get(&format!("/chats?q={word}")).await.expect(200).items(), &[] as &[Value]);
    }
    assert_eq!(found_in(&server.data_dir(), &WORDS), [] as [String; 0], "while the server runs");
    clean(&server).await;
    let replayed = server.run(&["replay", &chat.id]).await.expect("it runs");
    assert!(replayed.status.success() && String::from_utf8_lossy(&replayed.stdout).contains("erased"), "{replayed:?}");
    let checked = server.run(&["replay", &chat.id, "--check"]).await.expect("it runs");
    assert!(checked.status.success(), "{checked:?}");

    assert!(server.terminate().await.expect("it stops").success());
    assert_eq!(found_in(&server.data_dir(), &WORDS), [] as [String; 0], "after it stopped");
    server.start_again().await.expect("it starts again");
    is_gone(server.client(), &chat.id).await;
    let other = other.through(server.client());
    assert!(other.history().await.iter().any(|(_, said)| said.contains("another one")));
    say(&other, "goes on").await;
    clean(&server).await;
}

#[tokio::test]
async fn no_word_of_a_sealed_chat_stands_in_the_log() {
    let mut server = start("").await;
    let chat = ChatClient::begin(server.client(), "quagmire [[say zephyrine]]").await;
    chat.rest().await;
    assert!(server.terminate().await.expect("it stops").success());
    let data_dir = server.data_dir();
    for file in ["events.db", "keys.db"] {
        let bytes = std::fs::read(data_dir.join(file)).expect("a file");
        for word in ["quagmire", "zephyrine"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word} in {file}");
        }
    }
    // With another master key nothing is read, and it is said what to do.
    let key = data_dir.join("master.key");
    let right = std::fs::read(&key).expect("it was made");
    std::fs::write(&key, "0".repeat(64)).expect("it can be written");
    server.start_again().await.expect_err("the wrong key");
    server.until_log("VERBATIM_MASTER_KEY").await;
    // Where it is missed, no other one is made in its place.
    std::fs::remove_file(&key).expect("it was there");
    server.start_again().await.expect_err("no key");
    server.until_log("put its file back").await;
    assert!(!key.exists());
    std::fs::write(&key, right).expect("it can be written");
    server.start_again().await.expect("the right key");
    let chat = chat.through(server.client());
    assert!(chat.history().await.iter().any(|(_, said)| said.contains("zephyrine")));
}

#[tokio::test]
async fn whatever_runs_ends_with_its_chat_and_its_children_go_too() {
    let server = start("").await;
    let client = server.client();
    let parent = ChatClient::begin(client, "[[say parent]]").await;
    parent.rest().await;
    let child = ChatClient::create(client, json!({"parent": parent.id, "content": "[[stall]]"})).await;
    let mut watching = child.stream(None).await;
    watching.until(|frame| frame.event == "snapshot" || frame.event == "attempt_recorded").await;
    client.delete(&format!("/chats/{}", parent.id)).await.expect(204);
    watching.until(|frame| frame.event == "chat_erased").await;
    is_gone(client, &parent.id).await;
    is_gone(client, &child.id).await;
    clean(&server).await;
}

#[tokio::test]
async fn an_erasure_that_was_cut_short_is_finished_by_the_next_start() {
    for pause_ms in [0, 2, 5, 40] {
        let mut server = start("").await;
        let (chat, _) = talkative(server.client()).await;
        let client = server.client().clone();
        let path = format!("/chats/{}", chat.id);
        let erasing = tokio::spawn(async move {
            let request = client.request(Method::DELETE, &path).header(IDEMPOTENCY_KEY, "once");
            client.send(request).await.map(|answer| answer.status)
        });
        // The moment of the kill is what varies here; nothing waits for it to be right.
        let mut ticks = tokio::time::interval(Duration::from_millis(pause_ms.max(1)));
        ticks.tick().await;
        ticks.tick().await;
        server.kill().await.expect("it can be killed");
        let answered = erasing.await.expect("it does not panic");
        server.start_again().await.expect("it starts again");
        let chat = chat.through(server.client());
        let state = chat.get("").await;
        if state.status == 410 {
            let patience = tokio::time::Instant::now() + Duration::from_secs(20);
            let mut left = found_in(&server.data_dir(), &WORDS);
            while !left.is_empty() && tokio::time::Instant::now() < patience {
                ticks.tick().await;
                left = found_in(&server.data_dir(), &WORDS);
            }
            assert_eq!(left, [] as [String; 0], "killed after {pause_ms} ms");
        } else {
            assert!(answered.is_err(), "what was answered is done: {answered:?}, {}", state.text);
            chat.history().await;
        }
        // Whoever got no answer asks again, and is told that it was done, whenever that was.
        let (client, path) = (server.client(), chat.path(""));
        let again = client.call(Method::DELETE, &path, None, &[(IDEMPOTENCY_KEY, "once")]).await.expect(204);
        assert!(state.status != 410 || again.header("idempotency-replayed") == Some("true"), "{}", again.text);
        clean(&server).await;
    }
}

#[tokio::test]
async fn a_chat_that_began_plain_is_erased_only_as_far_as_that_can_be_and_only_if_asked_for() {
    let mut server = start("sealing = { enabled = false }").await;
    let chat = ChatClient::begin(server.client(), "quagmire [[say zephyrine]]").await;
    chat.rest().await;
    assert!(server.terminate().await.expect("it stops").success());
    std::fs::write(server.home().join("verbatim.toml"), config("")).expect("the settings can be written");
    server.start_again().await.expect("a plain log opens as before");
    let chat = chat.through(server.client());
    say(&chat, "and so it goes on").await;
    let client = server.client();
    client.delete(&format!("/chats/{}", chat.id)).await.expect_problem(409, "not_sealed");
    assert!(chat.history().await.len() >= 3);
    client.delete(&format!("/chats/{}?keep_events=true", chat.id)).await.expect(204);
    is_gone(client, &chat.id).await;
    let left = found_in(&server.data_dir(), &["quagmire"]);
    assert!(!left.is_empty() && left.iter().all(|place| place.contains("events.db")), "{left:?}");
    clean(&server).await;
}

/// All rows of all tables, as text.
async fn everything(database: &str) -> String {
    let mut connection = PgConnection::connect(database).await.expect("a connection");
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT schemaname::text, tablename::text FROM pg_tables \
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the tables");
    assert!(tables.iter().any(|(schema, table)| (&**schema, &**table) == ("chat_vault", "chat_keys")));
    let mut text = String::new();
    for (schema, table) in tables {
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("SELECT t::text FROM {schema}.{table} t")))
            .fetch_all(&mut connection)
            .await
            .expect("the rows");
        text.extend(rows);
    }
    text
}

#[tokio::test]
async fn chats_are_erased_on_postgres_too() {
    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    let options = ServerOptions { database: Some(database.clone()), ..ServerOptions::with_config(&config("")) };
    let server = TestServer::start_with(PROGRAM, options).await;
    let client = server.client();
    let (chat, file) = talkative(client).await;
    client.delete(&format!("/chats/{}", chat.id)).await.expect(204);
    is_gone(client, &chat.id).await;
    client.get(&format!("/files/{file}")).await.expect_problem(404, "file_not_found");
    assert_eq!(found_in(&server.data_dir(), &WORDS), [] as [String; 0]);
    let dumped = everything(&database).await;
    for word in WORDS {
        let bytes: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!dumped.contains(word) && !dumped.contains(&bytes), "{word} is in the database");
    }
    clean(&server).await;
}

#[tokio::test]
async fn the_master_key_is_changed_and_everything_is_read_as_before() {
    let mut server = start("").await;
    let chat = ChatClient::begin(server.client(), "quagmire [[say zephyrine]]").await;
    chat.rest().await;
    let refused = server.run(&["keys", "rotate-master"]).await.expect("it runs");
    assert!(!refused.status.success(), "a server runs: {refused:?}");
    assert!(server.terminate().await.expect("it stops").success());
    let key = server.data_dir().join("master.key");
    let before = std::fs::read_to_string(&key).expect("a key");
    let rotated = server.run(&["keys", "rotate-master"]).await.expect("it runs");
    assert!(rotated.status.success(), "{rotated:?}");
    let after = std::fs::read_to_string(&key).expect("a key");
    let told = String::from_utf8_lossy(&rotated.stdout).into_owned();
    assert!(after != before && !told.contains(after.trim()), "{told}");
    server.start_again().await.expect("it starts again");
    let chat = chat.through(server.client());
    assert!(chat.history().await.iter().any(|(_, said)| said.contains("zephyrine")));
    clean(&server).await;
}

#[tokio::test]
async fn a_sealed_chat_with_a_plain_child_is_not_said_to_be_gone() {
    let mut server = start("").await;
    let root = ChatClient::begin(server.client(), "[[say root]]").await;
    root.rest().await;
    assert!(server.terminate().await.expect("it stops").success());
    let plain = config("sealing = { enabled = false }");
    std::fs::write(server.home().join("verbatim.toml"), plain).expect("the settings can be written");
    server.start_again().await.expect("it starts again");
    let client = server.client();
    let child = ChatClient::create(client, json!({"parent": root.id, "content": "[[say quagmire]]"})).await;
    child.rest().await;
    client.delete(&format!("/chats/{}", root.id)).await.expect_problem(409, "not_sealed");
    client.get(&format!("/chats/{}", root.id)).await.expect(200);
    client.delete(&format!("/chats/{}?keep_events=true", root.id)).await.expect(204);
    is_gone(client, &root.id).await;
    is_gone(client, &child.id).await;
}

#[tokio::test]
async fn a_key_that_comes_back_with_an_older_copy_of_the_keys_is_destroyed_again() {
    let mut server = start("").await;
    let chat = ChatClient::begin(server.client(), "[[say quagmire]]").await;
    chat.rest().await;
    assert!(server.terminate().await.expect("it stops").success());
    let keys = server.data_dir().join("keys.db");
    let older = std::fs::read(&keys).expect("the keys");
    server.start_again().await.expect("it starts again");
    server.client().delete(&format!("/chats/{}", chat.id)).await.expect(204);
    assert!(server.terminate().await.expect("it stops").success());
    std::fs::write(&keys, older).expect("they can be put back");
    server.start_again().await.expect("it starts again");
    server.until_log("they are destroyed").await;
    let replayed = server.run(&["replay", &chat.id]).await.expect("it runs");
    let told = String::from_utf8_lossy(&replayed.stdout).into_owned();
    assert!(!told.contains("quagmire") && told.contains("erased"), "{told}");
    clean(&server).await;
}

async fn call(client: &Client, method: Method, path: &str, body: &Value, key: &str) -> Answer {
    client.call(method, path, Some(body), &[(IDEMPOTENCY_KEY, key)]).await
}

/// What was answered under idempotency keys before a chat was erased says so afterwards, and is nowhere any more.
async fn told_again_an_erased_chat_says_that_it_is(server: &mut TestServer, database: Option<&str>) {
    const KEYS: [&str; 4] = ["key-of-a-message", "key-of-an-archive", "key-of-a-patch", "key-of-nothing-new"];
    let client = server.client().clone();
    let new = json!({"content": "[[say hello]]"});
    let chat =
        ChatClient::of(&client, &call(&client, Method::POST, "/chats", &new, "made").await.expect(201).text_of("id"));
    chat.rest().await;
    let child = json!({"parent": chat.id, "content": "[[say hello]]"});
    let child = call(&client, Method::POST, "/chats", &child, "made-below").await.expect(201).text_of("id");
    ChatClient::of(&client, &child).rest().await;
    let fork = json!({"at": 1});
    let forked = call(&client, Method::POST, &chat.path("/fork"), &fork, "forked").await.expect(201).text_of("id");
    let [archive, back, pin] = [json!({"archived": true}), json!({"archived": false}), json!({"pinned": true})];
    let message = json!({"content": "[[say more]]"});
    let said = |client: &Client| {
        let (client, path) = (client.clone(), chat.path("/messages"));
        let (message, key) = (message.clone(), KEYS[0]);
        async move { call(&client, Method::POST, &path, &message, key).await }
    };
    said(&client).await.expect(202);
    chat.rest().await;
    call(&client, Method::PATCH, &chat.path(""), &archive, KEYS[1]).await.expect(200);
    call(&client, Method::PATCH, &chat.path(""), &back, "back").await.expect(200);
    for key in [KEYS[2], KEYS[3]] {
        call(&client, Method::PATCH, &chat.path(""), &pin, key).await.expect(200);
    }
    call(&client, Method::DELETE, &chat.path(""), &json!({}), "erased").await.expect(204);
    for restarted in [false, true] {
        if restarted {
            assert!(server.terminate().await.expect("it stops").success());
            server.start_again().await.expect("it starts again");
        }
        let client = server.client().clone();
        said(&client).await.expect_problem(410, "erased");
        call(&client, Method::PATCH, &chat.path(""), &archive, KEYS[1]).await.expect_problem(410, "erased");
        call(&client, Method::PATCH, &chat.path(""), &pin, KEYS[2]).await.expect_problem(410, "erased");
        call(&client, Method::PATCH, &chat.path(""), &pin, KEYS[3]).await.expect_problem(410, "erased");
        // A chat is not made a second time, whatever becomes of it.
        call(&client, Method::POST, "/chats", &new, "made").await.expect_problem(410, "erased");
        call(&client, Method::POST, "/chats", &json!({"parent": chat.id, "content": "[[say hello]]"}), "made-below")
            .await
            .expect_problem(410, "erased");
        let again = call(&client, Method::DELETE, &chat.path(""), &json!({}), "erased").await.expect(204);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        let left: Vec<Value> = client.get("/chats").await.expect(200).items().to_vec();
        assert_eq!(left.iter().map(|chat| &chat["id"]).collect::<Vec<_>>(), [&json!(forked)]);
        match database {
            None => assert_eq!(found_in(&server.data_dir(), &KEYS), [] as [String; 0]),
            Some(database) => {
                let dumped = everything(database).await;
                assert!(dumped.contains("made-below") && KEYS.iter().all(|key| !dumped.contains(key)));
            }
        }
    }
}

#[tokio::test]
async fn told_again_an_erased_chat_says_that_it_is_on_sqlite() {
    told_again_an_erased_chat_says_that_it_is(&mut start("").await, None).await;
}

#[tokio::test]
async fn told_again_an_erased_chat_says_that_it_is_on_postgres() {
    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    let options = ServerOptions { database: Some(database.clone()), ..ServerOptions::with_config(&config("")) };
    let mut server = TestServer::start_with(PROGRAM, options).await;
    told_again_an_erased_chat_says_that_it_is(&mut server, Some(&database)).await;
}
