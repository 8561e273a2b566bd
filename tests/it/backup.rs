//! Backups taken beside the real server, and restored elsewhere.

use std::path::{Path, PathBuf};
use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use support::chat::ChatClient;
use support::http::Client;
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;
use crate::erasure::found_in;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

async fn backup(server: &TestServer, name: &str) -> (PathBuf, Value) {
    let folder = server.home().join(name);
    let output = server.run(&["backup", folder.to_str().unwrap(), "--json"]).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    (folder, told["backup"].clone())
}

/// Another place with the same master key, where no server has ever been.
fn elsewhere(server: &TestServer) -> TestServer {
    let other = TestServer::prepare(PROGRAM, ServerOptions::default()).unwrap();
    std::fs::create_dir_all(other.data_dir()).unwrap();
    std::fs::copy(server.data_dir().join("master.key"), other.data_dir().join("master.key")).unwrap();
    other
}

async fn restore(to: &TestServer, folder: &Path) -> Output {
    to.run(&["restore", folder.to_str().unwrap(), "--json"]).await.unwrap()
}

/// The backup restored elsewhere, and clean.
async fn restored(server: &TestServer, folder: &Path) -> TestServer {
    let other = elsewhere(server);
    let output = restore(&other, folder).await;
    assert!(output.status.success(), "{output:?}");
    is_clean(&other).await;
    other
}

async fn is_clean(server: &TestServer) {
    let audit = server.run(&["audit", "verify"]).await.unwrap();
    assert!(audit.status.success(), "{audit:?}");
}

async fn with_file(client: &Client, words: &str, content: &str) -> (ChatClient, String) {
    let request = client.request(Method::POST, "/files").header("content-type", "text/plain").body(content.to_owned());
    let file = client.send(request).await.unwrap().expect(201).text_of("id");
    let content = json!([{ "type": "text", "text": words }, { "type": "file", "file_id": file }]);
    let chat = ChatClient::create(client, json!({ "content": content })).await;
    chat.rest().await;
    (chat, file)
}

/// The ids of the chats' keys in a folder.
async fn keys_in(folder: &Path) -> i64 {
    let address = format!("sqlite:{}?mode=ro", folder.join("keys.db").display());
    let mut connection = SqliteConnection::connect(&address).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM chat_keys").fetch_one(&mut connection).await.unwrap()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_while_chats_speak_goes_on_elsewhere() {
    let server = TestServer::start(PROGRAM).await;
    let client = server.client();
    let (told, file) = with_file(client, "an old tale [[say of a quagmire]]", "marzipania").await;
    let before = told.history().await;
    let mut speaking = Vec::new();
    for number in 0..10 {
        speaking.push(ChatClient::begin(client, &format!("[[slow 200]][[tokens 40]] tale {number}")).await);
    }
    let (folder, manifest) = backup(&server, "copy").await;
    assert_eq!(names_in(&folder), ["backup.json", "events.db", "files", "keys.db"]);
    assert_eq!((&manifest["chats"], &manifest["files"]), (&json!(11), &json!(1)));
    let secrets = ["master.key", "admin.key"].map(|name| std::fs::read(server.data_dir().join(name)).unwrap());
    let secrets = secrets.each_ref().map(|secret| std::str::from_utf8(secret).unwrap().trim());
    assert_eq!(found_in(&folder, &secrets), [""; 0]);
    assert_eq!(found_in(&folder, &["quagmire"]), [""; 0], "what was said is sealed");

    let mut other = elsewhere(&server);
    let output = restore(&other, &folder).await;
    assert!(output.status.success(), "{output:?}");
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome["backup"], manifest);
    assert_ne!(outcome["timeline"], manifest["timeline"], "it is another log from now on");
    is_clean(&other).await;
    let mut unfinished = 0;
    for chat in &speaking {
        let events = other.run(&["replay", &chat.id, "--json"]).await.unwrap();
        unfinished += usize::from(!text(&events.stdout).contains("turn_finished"));
    }
    assert!(unfinished > 0, "some were speaking when the backup was made");

    other.start_again().await.unwrap();
    for chat in &speaking {
        let again = chat.through(other.client());
        assert_eq!(again.rest().await["status"], "waiting");
        let history = again.history().await;
        assert_eq!(history.len(), 2, "{history:?}");
        assert_eq!(history[1].1.split_whitespace().count(), 40, "{history:?}");
    }
    assert_eq!(told.through(other.client()).history().await, before);
    let content = other.client().get(&format!("/files/{file}")).await.expect(200);
    assert_eq!(content.text, "marzipania");
    told.through(other.client()).send("and on [[say it goes]]").await.expect(202);
    told.through(other.client()).rest().await;
    is_clean(&other).await;
    assert_eq!(told.history().await, before, "the first log knows nothing of it");
    is_clean(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_erased_before_is_not_in_a_backup_and_what_is_erased_meanwhile_breaks_none() {
    let server = TestServer::start(PROGRAM).await;
    let client = server.client();
    let (gone, file) = with_file(client, "about a quagmire", "zephyrine").await;
    let (stays, _) = with_file(client, "about an obelisque", "marzipania").await;
    client.delete(&gone.path("")).await.expect(204);
    let (folder, manifest) = backup(&server, "copy").await;
    assert_eq!(
        (&manifest["chats"], &manifest["files"], &manifest["files_missing"]),
        (&json!(2), &json!(1), &json!([]))
    );
    assert_eq!(keys_in(&folder).await, 1, "the key of the chat that lives, and no other");
    assert_eq!(found_in(&folder, &["quagmire", "zephyrine", &file.replace('-', "")]), [""; 0]);
    assert_eq!(found_in(&folder, &["marzipania"]).len(), 1);
    let mut other = restored(&server, &folder).await;
    other.start_again().await.unwrap();
    other.client().get(&gone.path("")).await.expect_problem(410, "erased");
    assert_eq!(stays.through(other.client()).history().await, stays.history().await);

    let mut chats = Vec::new();
    for _ in 0..20 {
        chats.push(ChatClient::begin(client, "soon gone").await);
    }
    let erasing = tokio::spawn({
        let client = client.clone();
        async move {
            for chat in chats {
                client.delete(&chat.path("")).await.expect(204);
            }
        }
    });
    for name in ["one", "two", "three"] {
        let (folder, _) = backup(&server, name).await;
        restored(&server, &folder).await;
    }
    erasing.await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_nothing_is_changed() {
    let mut server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::begin(server.client(), "hello").await;
    chat.rest().await;
    let (folder, _) = backup(&server, "copy").await;
    let copy = folder.to_str().unwrap();
    let before = names_in(&folder);
    let refused = server.run(&["backup", copy]).await.unwrap();
    assert!(!refused.status.success() && said(&refused).contains("is not empty"), "{refused:?}");
    assert_eq!(names_in(&folder), before);
    let refused = server.run(&["restore", copy]).await.unwrap();
    assert!(!refused.status.success() && said(&refused).contains("a server runs on"), "{refused:?}");
    server.terminate().await.unwrap();
    let refused = server.run(&["restore", copy]).await.unwrap();
    assert!(!refused.status.success() && said(&refused).contains("events.db is there already"), "{refused:?}");
    backup(&server, "without a server").await;

    let mut other = elsewhere(&server);
    let refused = other.run(&["backup", "nowhere"]).await.unwrap();
    assert!(!refused.status.success() && said(&refused).contains("there is no log at"), "{refused:?}");
    let empty = server.home().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let refused = restore(&other, &empty).await;
    assert!(!refused.status.success() && said(&refused).contains("there is no backup.json"), "{refused:?}");

    let key = other.data_dir().join("master.key");
    let right = std::fs::read(&key).unwrap();
    for wrong in [None, Some("0".repeat(64))] {
        match wrong {
            None => std::fs::remove_file(&key).unwrap(),
            Some(text) => std::fs::write(&key, text).unwrap(),
        }
        let refused = restore(&other, &folder).await;
        assert!(!refused.status.success() && said(&refused).contains("VERBATIM_MASTER_KEY"), "{refused:?}");
    }
    std::fs::write(&key, right).unwrap();
    let log = folder.join("events.db");
    let whole = std::fs::read(&log).unwrap();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&log, damaged).unwrap();
    let refused = restore(&other, &folder).await;
    assert!(!refused.status.success() && said(&refused).contains("is not what it was"), "{refused:?}");
    assert_eq!(names_in(&other.data_dir()), ["master.key", "server.lock"]);
    std::fs::write(&log, whole).unwrap();

    // A restore that was cut short is begun anew.
    std::fs::create_dir(other.data_dir().join("restore.unfinished")).unwrap();
    std::fs::write(other.data_dir().join("keys.db"), "half of it").unwrap();
    assert!(restore(&other, &folder).await.status.success());
    assert_eq!(names_in(&other.data_dir()), ["events.db", "keys.db", "master.key", "server.lock"]);
    is_clean(&other).await;

    // A key that is gone without an erasure: both copies are made again and again, and then it is said.
    let mut keys = SqliteConnection::connect(&format!("sqlite:{}/keys.db", other.data_dir().display())).await.unwrap();
    sqlx::query("DELETE FROM chat_keys").execute(&mut keys).await.unwrap();
    keys.close().await.unwrap();
    other.skip_histories();
    let refused = other.run(&["backup", "broken/one"]).await.unwrap();
    assert!(
        !refused.status.success() && said(&refused).contains(&format!("the key of chat {}", chat.id)),
        "{refused:?}"
    );
    assert!(!other.home().join("broken/one").exists());

    let options =
        ServerOptions { database: Some("postgres://nobody@127.0.0.1/none".to_owned()), ..ServerOptions::default() };
    let mut postgres = TestServer::prepare(PROGRAM, options).unwrap();
    postgres.skip_histories();
    for command in ["backup", "restore"] {
        let refused = postgres.run(&[command, copy]).await.unwrap();
        assert!(!refused.status.success() && said(&refused).contains("PostgreSQL"), "{refused:?}");
    }
}
