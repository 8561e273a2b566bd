//! Disks that lie and disks that are full.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use support::chat::ChatClient;
use support::http::{Answer, IDEMPOTENCY_KEY};
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

/// Changes one byte of the log's file wherever it holds `needle`: in the row, and in what a row left behind when it moved.
fn change_byte(server: &TestServer, needle: &str, offset: usize, byte: u8) {
    let path = server.data_dir().join("events.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let found: Vec<usize> =
        (0..bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(needle.as_bytes())).collect();
    assert!(!found.is_empty(), "{needle} is not there");
    found.iter().for_each(|at| bytes[at + offset] = byte);
    std::fs::write(&path, bytes).unwrap();
    let log = std::fs::metadata(path.with_extension("db-wal")).map_or(0, |metadata| metadata.len());
    assert_eq!(log, 0, "an orderly stop leaves everything in the file itself");
}

/// What is changed in the stored answer `"text":"lighthouse"`: a letter of a word, which only the hashes can tell, or the
/// shape of the JSON.
#[tokio::test]
async fn a_damaged_event_is_noticed_and_harms_its_own_chat_alone() {
    let needle = "\"text\":\"lighthouse\"";
    for (offset, byte) in [(8, b'L'), (6, b'!')] {
        // Plain, so that the word is found in the file.
        let options = ServerOptions::with_config("sealing = { enabled = false }");
        let mut server = TestServer::start_with(PROGRAM, options).await;
        let before = ChatClient::begin(server.client(), "[[say before]]").await;
        before.rest().await;
        let damaged = ChatClient::begin(server.client(), "[[say lighthouse]]").await;
        damaged.rest().await;
        let after = ChatClient::begin(server.client(), "[[say after]]").await;
        after.rest().await;
        let events = damaged.get("/events").await.expect(200);
        let bad = events.items().iter().find(|event| event["data"].to_string().contains(":\"lighthouse\"")).unwrap();
        let (version, id) = (bad["version"].to_string(), damaged.id.clone());
        assert!(server.terminate().await.unwrap().success());
        change_byte(&server, needle, offset, byte);
        server.skip_histories();

        let audit = server.run(&["audit", "verify"]).await.unwrap();
        let text = String::from_utf8_lossy(&audit.stdout).into_owned();
        assert_eq!(audit.status.code(), Some(1), "{audit:?}");
        assert!(text.contains(&id) && text.contains(&format!("version {version}")), "{text}");
        let audit = server.run(&["audit", "verify", "--json"]).await.unwrap();
        let report: Value = serde_json::from_slice(&audit.stdout).unwrap();
        assert_eq!(
            (report["finding"]["chat_id"].as_str(), report["finding"]["version"].to_string()),
            (Some(&*id), version.clone())
        );
        let replay = server.run(&["replay", &id, "--check"]).await.unwrap();
        let text = String::from_utf8_lossy(&replay.stdout).into_owned();
        assert_eq!(replay.status.code(), Some(1), "{replay:?}");
        assert!(text.contains(&format!("version {version}")), "{text}");
        let replay = server.run(&["replay", &before.id, "--check"]).await.unwrap();
        assert!(replay.status.success(), "{replay:?}");

        server.start_again().await.unwrap();
        let client = server.client();
        let chat = damaged.through(client);
        chat.send("[[say more]]").await.expect_problem(500, "chat_damaged");
        client.get(&chat.path("/stream")).await.expect_problem(500, "chat_damaged");
        client.patch(&chat.path(""), json!({ "title": "x" })).await.expect_problem(500, "chat_damaged");
        // Auditors still see what is there.
        let events = chat.get("/events").await.expect(200);
        assert_eq!(events.items().len(), 6, "{}", events.text);
        for (chat, words) in [(&before, "before"), (&after, "after")] {
            let chat = chat.through(client);
            chat.send("[[say and on]]").await.expect(202);
            chat.rest().await;
            let said: Vec<String> = chat.history().await.into_iter().map(|(_, text)| text).collect();
            assert_eq!(said[1..], [words, "[[say and on]]", "and on"]);
        }
        ChatClient::begin(client, "[[say new]]").await.rest().await;
        assert_eq!(client.get("/chats").await.expect(200).items().len(), 4);
        assert!(server.log().contains(&id), "the server's log says which chat: {}", server.log());
    }
}

/// The program, with the signal ignored that would end it where a file must not grow: its writes fail instead.
fn unlimited_by_signals(folder: &Path) -> PathBuf {
    let path = folder.join("verbatim.sh");
    std::fs::write(&path, format!("#!/bin/sh\ntrap '' XFSZ\nexec '{PROGRAM}' \"$@\"\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Bounds the size to which the server's files may grow.
fn limit_files(server: &TestServer, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let status = Command::new("prlimit").args(["--pid", &server.pid().to_string(), &limit]).status().unwrap();
    assert!(status.success(), "prlimit (of util-linux) is needed");
}

async fn keyed(chat: &ChatClient, words: &str) -> Answer {
    let body = json!({ "content": format!("[[say {words}]]") });
    chat.client().call(Method::POST, &chat.path("/messages"), Some(&body), &[(IDEMPOTENCY_KEY, words)]).await
}

#[tokio::test]
async fn nothing_is_lost_where_nothing_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let program = unlimited_by_signals(folder.path());
    let mut server = TestServer::prepare(program, ServerOptions::default()).unwrap();
    server.start_again().await.unwrap();
    let chat = ChatClient::begin(server.client(), "[[say one]]").await;
    chat.rest().await;
    let slow = ChatClient::begin(server.client(), "[[slow 20]] [[tokens 30]]").await;
    slow.stream(Some("0")).await.until_event("part").await;
    limit_files(&server, "4096");
    for key in ["two", "two", "three"] {
        let refused = keyed(&chat, key).await.expect_problem(503, "log_unavailable");
        assert!(refused.header("retry-after").is_some());
    }
    let refused = server.client().post("/chats", json!({ "content": "[[say new]]" })).await;
    refused.expect_problem(503, "log_unavailable");
    server.client().get("//healthz").await.expect(200);
    assert_eq!(chat.history().await.len(), 2, "what was said can be read");
    assert_eq!(chat.get("").await.expect(200).body["status"], "waiting");

    limit_files(&server, "unlimited");
    keyed(&chat, "two").await.expect(202);
    keyed(&chat, "three").await.expect(202);
    // The turn that could not be finished goes on by itself.
    let rested = slow.rest().await;
    assert_eq!(rested["status"], "waiting", "{rested}");
    assert_eq!(slow.history().await[1].1.split_whitespace().count(), 30);
    chat.rest().await;
    let said = |history: Vec<(String, String)>| history.into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    let expected = ["[[say one]]", "one", "[[say two]]", "two", "[[say three]]", "three"];
    assert_eq!(said(chat.history().await), expected);
    assert_eq!(server.client().get("/chats").await.items().len(), 2);

    limit_files(&server, "4096");
    keyed(&chat, "four").await.expect_problem(503, "log_unavailable");
    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    let chat = chat.through(server.client());
    assert_eq!(said(chat.history().await), expected);
    assert!(server.run(&["audit", "verify"]).await.unwrap().status.success());
    keyed(&chat, "four").await.expect(202);
    chat.rest().await;
    assert_eq!(chat.history().await.len(), 8);
}

/// A file system of a few megabytes in the place of a data directory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this process may not mount anything.
    fn mount(path: &Path) -> Option<SmallDisk> {
        std::fs::create_dir_all(path).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(path).output();
        mount.is_ok_and(|output| output.status.success()).then(|| SmallDisk(path.to_owned()))
    }

    fn grow(&self) {
        let status = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&self.0).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server may still be there. A failure leaves a mount that the next boot forgets.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The same with a disk that is really full. Needs the right to mount; the test above does without.
#[tokio::test]
async fn a_full_disk_refuses_and_forgets_nothing() {
    let mut server = TestServer::prepare(PROGRAM, ServerOptions::default()).unwrap();
    let Some(disk) = SmallDisk::mount(&server.data_dir()) else {
        println!("nothing may be mounted here");
        return;
    };
    server.start_again().await.unwrap();
    let chat = ChatClient::create(server.client(), json!({ "title": "Large" })).await;
    let mut accepted = Vec::new();
    let refused = loop {
        let number = accepted.len();
        assert!(number < 200, "the disk does not become full");
        let body = json!({ "content": format!("{number} [[say {number}]] {}", "x".repeat(200_000)) });
        let answer = chat.post("/messages", body).await;
        if answer.status != 202 {
            break answer;
        }
        accepted.push(number.to_string());
        // The turn may be stuck already: its answer needs room, too.
        let status = chat.get("").await.body["status"].clone();
        assert!(status == "waiting" || status == "running", "{status}");
    };
    assert!(matches!((refused.status, refused.code()), (503, "log_unavailable") | (429, "queue_full")), "{refused:?}");
    server.client().get("//healthz").await.expect(200);
    disk.grow();
    let rested = chat.rest().await;
    assert_eq!(rested["status"], "waiting", "{rested}");
    chat.send("[[say the end]]").await.expect(202);
    chat.rest().await;
    let messages = chat.get("/messages?limit=200").await.expect(200);
    let said: Vec<String> = messages
        .items()
        .iter()
        .filter(|message| message["role"] == "user")
        .map(|message| message["content"][0]["text"].as_str().unwrap().split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(said[..accepted.len()], accepted, "what was accepted is there, in its order");
    assert_eq!(chat.history().await.last().unwrap().1, "the end");
    assert!(server.run(&["audit", "verify"]).await.unwrap().status.success());
    server.kill().await.unwrap();
    drop(server);
    drop(disk);
}
