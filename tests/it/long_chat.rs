//! A chat of ten thousand events: opened, watched, searched, looked at in its past, and rebuilt while others read and write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, SqlitePool};
use support::chat::ChatClient;
use support::events::EventStream;
use support::http::Client;
use support::saga::Saga;
use support::server::TestServer;
use tokio::runtime::Handle;
use verbatim_events::ids::Version;
use verbatim_events_sql::{LogOptions, Storage};

use crate::PROGRAM;

const EVENTS: Version = 10_000;
/// A word that is said once.
const RARE: &str = "lighthouse";

fn words(number: Version) -> String {
    let rare = if number == 5_001 { RARE } else { "harbour" };
    format!("Answer {number} speaks of a {rare}, of ships, of the sea and of those who sail it, at some length.")
}

/// A server that finds a chat of ten thousand events, and its newest state.
async fn server_with_a_long_chat() -> (TestServer, ChatClient) {
    let mut server = TestServer::start(PROGRAM).await;
    assert!(server.terminate().await.unwrap().success());
    let mut saga = Saga::new();
    let address = format!("sqlite:{}", server.data_dir().display());
    let storage = Storage::open(&address, LogOptions::default(), Handle::current()).await.unwrap();
    let began = Instant::now();
    saga.grow(storage.log().as_ref(), EVENTS, words).await;
    println!("{} events appended in {} ms", saga.version(), began.elapsed().as_millis());
    storage.close().await;
    let began = Instant::now();
    server.start_again().await.unwrap();
    let chat = ChatClient::of(server.client(), &saga.chat_id.to_string());
    // Each read waits for the read models as long as it is patient.
    while chat.get("").await.body["version"].as_u64() != Some(saga.version()) {
        assert!(began.elapsed().as_secs() < 60, "the read models never come up to the log");
    }
    println!("started and applied in {} ms", began.elapsed().as_millis());
    (server, chat)
}

/// Asks for a rebuild and returns its last frame.
async fn rebuilt(client: &Client, verify: bool) -> (String, Value) {
    let path = format!("/projections/all/rebuild?verify={verify}");
    let text = client.request(reqwest::Method::POST, &path).send().await.unwrap().text().await.unwrap();
    let last = text.trim_end().rsplit("\n\n").next().unwrap().to_owned();
    let line = |name: &str| last.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    (line("event: "), serde_json::from_str(&line("data: ")).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_events_are_opened_watched_searched_and_looked_at() {
    let (mut server, chat) = server_with_a_long_chat().await;
    // Killed and started again: nobody has the chat in memory, and its snapshot is there.
    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    let chat = chat.through(server.client());
    let began = Instant::now();
    let snapshot = chat.stream(None).await.expect_next().await;
    println!("opened cold in {} ms", began.elapsed().as_millis());
    assert_eq!(snapshot.event, "snapshot");
    let version = snapshot.data["chat"]["version"].as_u64().unwrap();
    assert!(version >= EVENTS);
    let shown = snapshot.data["messages"].as_array().unwrap();
    assert_eq!((shown.len(), shown.last().unwrap()["turn_id"].is_u64()), (200, true));

    let began = Instant::now();
    let missed = 50;
    let mut stream: EventStream = chat.stream(Some(&(version - missed).to_string())).await;
    let told = stream.until(|frame| frame.data["version"].as_u64() == Some(version)).await;
    println!("resumed after {missed} missed events in {} ms", began.elapsed().as_millis());
    let versions: Vec<u64> = told.iter().filter_map(|frame| frame.data["version"].as_u64()).collect();
    assert_eq!(versions, (version - missed + 1..=version).collect::<Vec<_>>());
    chat.send("[[say and on it goes]]").await.expect(202);
    let live = stream.until(support::events::Frame::rests).await;
    assert_eq!(live.first().and_then(|frame| frame.data["version"].as_u64()), Some(version + 1));
    assert_eq!(chat.history().await.last().unwrap().1, "and on it goes");

    let began = Instant::now();
    let found = server.client().get(&format!("/chats?q={RARE}")).await.expect(200);
    println!("searched in {} ms", began.elapsed().as_millis());
    assert_eq!(found.items().iter().map(|item| item["id"].clone()).collect::<Vec<_>>(), [chat.id.as_str()]);
    assert!(server.client().get("/chats?q=submarine").await.expect(200).items().is_empty());

    let began = Instant::now();
    let past = chat.get("?at=5000").await.expect(200);
    println!("looked at version 5000 in {} ms", began.elapsed().as_millis());
    assert_eq!(past.number("version"), 5_000);
    let diff = server.run(&["replay", &chat.id, "--diff", "9990", "9996", "--json"]).await.unwrap();
    let diff: Value = serde_json::from_slice(&diff.stdout).unwrap();
    let changed: BTreeMap<&str, &Value> =
        diff["changes"].as_array().unwrap().iter().map(|change| (change["path"].as_str().unwrap(), change)).collect();
    assert_eq!(changed["/outline/version"]["before"], 9990);
    let messages = changed.keys().filter(|path| path.starts_with("/history/")).count();
    assert!(messages >= 2 && changed.values().all(|change| change["before"] != change["after"]), "{diff}");
    let text = server.run(&["replay", &chat.id, "--diff", "9990", "9996"]).await.unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("version 9990 to version 9996") && text.contains("+ message #"), "{text}");
    let checked = server.run(&["replay", &chat.id, "--check"]).await.unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_under_load_disturbs_no_reader_and_its_comparison_sees_every_row() {
    let (server, chat) = server_with_a_long_chat().await;
    let client = server.client().clone();
    let stop = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicU64::new(0));
    // Somebody writes, and several read; each reader's view only ever moves forward.
    let writer = tokio::spawn({
        let (chat, stop) = (ChatClient::begin(&client, "[[say hello]]").await, Arc::clone(&stop));
        async move {
            chat.rest().await;
            while !stop.load(Ordering::Relaxed) {
                chat.send("[[say more]]").await.expect(202);
                chat.rest().await;
            }
            chat.version().await
        }
    });
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (client, chat, stop, rounds) = (client.clone(), chat.clone(), Arc::clone(&stop), Arc::clone(&rounds));
            tokio::spawn(async move {
                let mut seen: BTreeMap<String, u64> = BTreeMap::new();
                while !stop.load(Ordering::Relaxed) {
                    let listed = client.get("/chats").await.expect(200);
                    assert_eq!(listed.items().len(), 2);
                    for item in listed.items() {
                        let version = item["version"].as_u64().unwrap();
                        let before = seen.insert(item["id"].to_string(), version).unwrap_or(0);
                        assert!(version >= before, "a reader went back in time: from {before} to {version}");
                    }
                    assert_eq!(chat.get("/messages?limit=200").await.expect(200).items().len(), 200);
                    assert_eq!(client.get(&format!("/chats?q={RARE}")).await.expect(200).items().len(), 1);
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for generation in 2..4 {
        let began = Instant::now();
        let (event, report) = rebuilt(&client, true).await;
        assert_eq!((event.as_str(), &report["generation"]), ("done", &Value::from(generation)), "{report}");
        // Every message, every turn, both chats and more were compared.
        assert!(report["rows_compared"].as_u64().unwrap() > 6_000, "{report}");
        println!("rebuilt and compared under load in {} ms: {report}", began.elapsed().as_millis());
        let before = rounds.load(Ordering::Relaxed);
        while rounds.load(Ordering::Relaxed) < before + 3 {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(writer.await.unwrap() > 5);

    // By hand: plain lines about its progress where there is no terminal, and the outcome.
    let told = server.run(&["projections", "rebuild", "--verify"]).await.unwrap();
    let (out, progress) = (String::from_utf8(told.stdout).unwrap(), String::from_utf8(told.stderr).unwrap());
    assert!(told.status.success() && out.contains("rows were the same as before"), "{out}{progress}");
    assert!(progress.contains("events applied: "), "{progress}");

    // One number in one row of thousands.
    let file = server.data_dir().join("read-4.db");
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(file)).await.unwrap();
    let change = "UPDATE turns SET attempts = attempts + 1 WHERE turn_id = (SELECT max(turn_id) FROM turns)";
    assert_eq!(sqlx::query(AssertSqlSafe(change)).execute(&pool).await.unwrap().rows_affected(), 1);
    pool.close().await;
    let (event, report) = rebuilt(&client, true).await;
    assert_eq!(event, "failed");
    assert!(report["detail"].as_str().unwrap().contains("turns"), "{report}");
    let told = server.run(&["projections", "rebuild", "--verify"]).await.unwrap();
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert_eq!(rebuilt(&client, false).await.0, "done");
    assert_eq!(rebuilt(&client, true).await.0, "done");
}
