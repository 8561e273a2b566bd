//! Exports made beside the real server, and imported elsewhere: from one database to the other and back, killed on the way,
//! and refused.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use support::chat::ChatClient;
use support::http::Client;
use support::postgres::Postgres;
use support::saga::Saga;
use support::server::{ServerOptions, TestServer};
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::Handle;
use verbatim_events_sql::{LogOptions, Storage};

use crate::PROGRAM;

/// How often is looked, and for how long.
const LOOK: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(60);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn run_clean(server: &TestServer, arguments: &[&str]) -> String {
    let output = server.run(arguments).await.expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    text(&output.stdout)
}

/// What a command that must not succeed says.
async fn refused(server: &TestServer, arguments: &[&str]) -> String {
    let output = server.run(arguments).await.expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    text(&output.stdout) + &text(&output.stderr)
}

/// An export into a file of the server's home, and its lines.
async fn exported(server: &TestServer, name: &str, more: &[&str]) -> (String, Vec<Value>) {
    let file = server.home().join(name).to_str().expect("a name").to_owned();
    let arguments = [&["audit", "export", "--out", &file][..], more].concat();
    run_clean(server, &arguments).await;
    let lines = std::fs::read_to_string(&file).expect("the export");
    (file, lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect())
}

async fn imported(server: &TestServer, file: &str) -> Value {
    let told = run_clean(server, &["audit", "import", file, "--json"]).await;
    run_clean(server, &["audit", "verify"]).await;
    serde_json::from_str::<Value>(&told).expect("JSON")["import"].clone()
}

fn nowhere_yet(database: Option<String>) -> TestServer {
    TestServer::prepare(PROGRAM, ServerOptions { database, ..ServerOptions::default() }).expect("a folder")
}

async fn on_postgres() -> TestServer {
    nowhere_yet(Some(Postgres::shared().await.expect("a server").database().await.expect("a database")))
}

/// What is the same in every log of the same chats: all but hashes and sealed bytes.
fn lasting(lines: &[Value]) -> Vec<Value> {
    let mut lines = lines[1..lines.len() - 1].to_vec();
    for line in &mut lines {
        line.as_object_mut().expect("an object").remove("hash");
    }
    lines
}

/// Everything that a client can see of a chat.
async fn seen(chat: &ChatClient) -> (Vec<(String, String)>, Value, Vec<Value>) {
    let mut whole = chat.get("").await.expect(200).body;
    whole.as_object_mut().expect("an object").remove("position");
    let events = chat.get("/events?limit=200").await.expect(200);
    let events =
        events.items().iter().map(|event| json!([event["version"], event["type"], event["data"], event["at"]]));
    (chat.history().await, whole, events.collect())
}

/// Chats that did all sorts of things.
async fn eventful(client: &Client) -> (Vec<ChatClient>, ChatClient) {
    let talk = ChatClient::begin(client, "hello [[say the quagmire]]").await;
    talk.rest().await;
    talk.send("[[fail 503 times 1]] again [[say after all]]").await.expect(202);
    talk.rest().await;
    let tools = json!([{"name": "look", "description": "Looks.", "parameters": {"type": "object"}}]);
    let asked = json!({"content": "[[tool look]]", "tools": tools, "title": "It asks", "labels": {"a": "b"}});
    let waiting = ChatClient::create(client, asked).await;
    waiting.until_status("requires_action").await;
    waiting.send("and more").await.expect(202);
    let child = ChatClient::create(client, json!({"parent": talk.id, "content": "a child [[say small]]"})).await;
    child.rest().await;
    let fork = client.post(&talk.path("/fork"), json!({"at": talk.version().await})).await.expect(201);
    let fork = ChatClient::of(client, &fork.text_of("id"));
    let gone = ChatClient::begin(client, "soon gone, a zephyrine").await;
    gone.rest().await;
    client.delete(&gone.path("")).await.expect(204);
    let archived = ChatClient::begin(client, "put away").await;
    archived.rest().await;
    client.patch(&archived.path(""), json!({"archived": true})).await.expect(200);
    (vec![talk, waiting, child, fork, archived], gone)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_goes_to_postgres_and_back_and_nothing_of_it_changes() {
    const KEY: &str = "sk-a-providers-own-key";
    let server = TestServer::start_with(PROGRAM, ServerOptions::with_config("[limits]\nretry_base_ms = 20\n")).await;
    let client = server.client();
    let (chats, gone) = eventful(client).await;
    let provider = json!({"name": "acme", "kind": "openai_chat", "base_url": "http://127.0.0.1:9/v1", "api_key": KEY});
    client.post("/providers", provider).await.expect(201);
    let mut before = Vec::new();
    for chat in &chats {
        before.push(seen(chat).await);
    }
    let (file, lines) = exported(&server, "all.ndjson", &[]).await;
    let mode = std::fs::metadata(&file).expect("the export").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let written = std::fs::read_to_string(&file).expect("the export");
    assert!(written.contains("quagmire") && !written.contains("zephyrine") && !written.contains(KEY));
    assert_eq!(lines[lines.len() - 1]["events"], json!(lines.len() - 2));
    let to_stdout = run_clean(&server, &["audit", "export"]).await;
    let again: Vec<Value> = to_stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(again[1..again.len() - 1], lines[1..lines.len() - 1]);

    let mut postgres = on_postgres().await;
    let told = imported(&postgres, &file).await;
    assert_eq!(told["provider_keys"], json!(["acme"]), "whose key only the old server opens");
    assert_eq!((&told["events"], &told["chats"]), (&json!(lines.len() - 2), &json!(chats.len() + 1)));
    let (back, there) = exported(&postgres, "back.ndjson", &[]).await;
    assert_eq!(lasting(&there), lasting(&lines), "ids, versions, times, order, words");
    let mut home = nowhere_yet(None);
    imported(&home, &back).await;
    let (_, here) = exported(&home, "here.ndjson", &[]).await;
    assert_eq!(lasting(&here), lasting(&lines));

    for other in [&mut postgres, &mut home] {
        other.start_again().await.unwrap_or_else(|error| panic!("{error:?}\n{}", other.log()));
        let client = other.client();
        for (chat, before) in chats.iter().zip(&before) {
            let chat = chat.through(client);
            assert_eq!(seen(&chat).await, *before);
            let checked = run_clean(other, &["replay", &chat.id, "--check"]).await;
            assert!(!checked.contains("not comparable"), "{checked}");
        }
        client.get(&gone.path("")).await.expect_problem(410, "erased");
        run_clean(other, &["projections", "rebuild", "--verify"]).await;
        // It goes on from where it was.
        let waiting = chats[1].through(client);
        waiting.post("/interrupt", json!({})).await.expect(202);
        assert_eq!(waiting.rest().await["status"], "waiting", "what waited behind it came to its turn");
        let talk = chats[0].through(client);
        talk.send("and on [[say it goes]]").await.expect(202);
        talk.rest().await;
        assert_eq!(talk.history().await.last().map(|(_, text)| text.clone()), Some("it goes".to_owned()));
        client.delete(&chats[3].path("")).await.expect(204);
        run_clean(other, &["audit", "verify"]).await;
    }
    assert_eq!(seen(&chats[0]).await, before[0], "the first log knows nothing of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_export_needs_no_key_to_be_made_and_the_logs_keys_to_be_used() {
    let mut server = TestServer::start(PROGRAM).await;
    let (chats, _) = eventful(server.client()).await;
    let before = seen(&chats[0]).await;
    let of_one = exported(&server, "one.ndjson", &["--sealed", "--chat", &chats[0].id]).await.1;
    assert_eq!(of_one[of_one.len() - 1]["streams"], json!(2), "it and its child");
    assert!(server.terminate().await.expect("it ends").success());
    let (key, aside) = (server.data_dir().join("master.key"), server.home().join("aside.key"));
    std::fs::rename(&key, &aside).expect("moved");
    let (file, lines) = exported(&server, "sealed.ndjson", &["--sealed"]).await;
    assert!(refused(&server, &["audit", "export"]).await.contains("VERBATIM_MASTER_KEY"));
    std::fs::rename(&aside, &key).expect("moved");
    let written = std::fs::read_to_string(&file).expect("the export");
    assert!(!written.contains("quagmire"), "what was said is sealed");

    let mut other = nowhere_yet(None);
    assert!(refused(&other, &["audit", "import", &file]).await.contains("keys.db"));
    for name in ["keys.db", "master.key"] {
        std::fs::copy(server.data_dir().join(name), other.data_dir().join(name)).expect("copied");
    }
    assert_eq!(imported(&other, &file).await["sealed_anew"], json!(0));
    let (_, again) = exported(&other, "again.ndjson", &["--sealed"]).await;
    assert_eq!(again[1..again.len() - 1], lines[1..lines.len() - 1], "hashes and all");
    assert_eq!(again[again.len() - 1]["heads"], lines[lines.len() - 1]["heads"]);
    other.start_again().await.expect("it starts");
    assert_eq!(seen(&chats[0].through(other.client())).await, before);
}

/// A log that takes a moment to import.
async fn long_log(home: &Path) -> PathBuf {
    let mut server = nowhere_yet(None);
    server.skip_histories();
    std::fs::create_dir_all(server.data_dir()).expect("a folder");
    let address = format!("sqlite:{}/", server.data_dir().display());
    let storage = Storage::open(&address, LogOptions::default(), Handle::current()).await.expect("a log");
    for _ in 0..3 {
        Saga::new().grow(storage.log().as_ref(), 1_000, |number| format!("Answer {number}.")).await;
    }
    storage.close().await;
    let (file, _) = exported(&server, "long.ndjson", &[]).await;
    let copy = home.join("long.ndjson");
    std::fs::copy(file, &copy).expect("copied");
    copy
}

/// Waits until the import has begun to write.
async fn until_staged(server: &TestServer, database: Option<&str>) {
    let mut looks = tokio::time::interval(LOOK);
    let begun = async {
        loop {
            looks.tick().await;
            let begun = match database {
                None => server.data_dir().join("events.db.import").exists(),
                Some(url) => {
                    let mut connection = PgConnection::connect(url).await.expect("a connection");
                    let query = "SELECT to_regclass('verbatim_import.events') IS NOT NULL";
                    sqlx::query_scalar(query).fetch_one(&mut connection).await.expect("an answer")
                }
            };
            if begun {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.expect("it begins");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_is_killed_leaves_nothing_that_anybody_serves() {
    let home = tempfile::tempdir().expect("a folder");
    let file = long_log(home.path()).await;
    let bytes = std::fs::read(&file).expect("the export");
    let database = Postgres::shared().await.expect("a server").database().await.expect("a database");
    for database in [None, Some(database)] {
        let mut server = nowhere_yet(database.clone());
        let mut command = server.command(&["audit", "import", "-"]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(&bytes[..bytes.len() * 9 / 10]).await.expect("it reads");
        until_staged(&server, database.as_deref()).await;
        // Nobody else gets in while it works.
        let busy = server.run(&["audit", "import", file.to_str().expect("a name")]).await.expect("it runs");
        assert!(!busy.status.success(), "{busy:?}");
        child.kill().await.expect("killed");
        let told = refused(&server, &["serve", "--listen", "127.0.0.1:0"]).await;
        assert!(told.contains("cut short") && told.contains("audit import"), "{told}");
        let again = imported(&server, file.to_str().expect("a name")).await;
        assert_eq!(again["chats"], json!(3));
        server.start_again().await.unwrap_or_else(|error| panic!("{error:?}\n{}", server.log()));
        let chats = server.client().get("/chats").await.expect(200);
        assert_eq!(chats.items().len(), 3);
        server.skip_histories();
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_word_on_what_to_do() {
    let mut server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::begin(server.client(), "hello").await;
    chat.rest().await;
    let (file, lines) = exported(&server, "all.ndjson", &[]).await;
    assert!(refused(&server, &["audit", "export", "--out", &file]).await.contains("is there already"));
    let stranger = "01890000-0000-7000-8000-000000000000";
    assert!(refused(&server, &["audit", "export", "--chat", stranger]).await.contains(&format!("no chat {stranger}")));
    let (excerpt, part) = exported(&server, "part.ndjson", &["--since", "2001-02-03", "--until", "2001-02-04"]).await;
    assert_eq!(part.len(), 2, "nothing happened that day");
    let usage = server.run(&["audit", "export", "--since", "yesterday"]).await.expect("it runs");
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
    assert!(refused(&server, &["audit", "import", &file]).await.contains("a server runs on"));
    assert!(server.terminate().await.expect("it ends").success());
    let full = refused(&server, &["audit", "import", &file]).await;
    assert!(full.contains(&format!("holds {} events", lines.len() - 2)), "{full}");

    let mut other = nowhere_yet(None);
    assert!(refused(&other, &["audit", "import", "nowhere"]).await.contains("nowhere"));
    assert!(!other.data_dir().exists(), "a wrong name makes nothing");
    let wrong = |name: &str, bytes: &[u8]| {
        let path = server.home().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.to_str().expect("a name").to_owned()
    };
    let bytes = std::fs::read(&file).expect("the export");
    let mut swapped: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    swapped.swap(2, 3);
    let cases = [
        (excerpt, "without --since"),
        (wrong("cut", &bytes[..bytes.len() / 2]), "cut"),
        (wrong("swapped", &swapped.concat()), "line 3: "),
        (wrong("long", &[&bytes[..bytes.len() / 2], &[b'x'; 10_000_000], b"\n"].concat()), "line "),
        (wrong("deep", &[swapped[0], &[b'['; 10_000_000], b"\n"].concat()), "line 2: "),
    ];
    for (file, problem) in cases {
        let told = refused(&other, &["audit", "import", &file]).await;
        assert!(told.contains(problem), "{file}: {told}");
        let Output { status, stdout, .. } = other.run(&["audit", "verify", "--json"]).await.expect("it runs");
        // Where nothing was begun, there is no log yet.
        assert!(!status.success() || text(&stdout).contains("\"events\":0"), "{file}: {}", text(&stdout));
    }
    other.start_again().await.expect("what was refused leaves nothing behind");
    assert_eq!(other.client().get("/chats").await.expect(200).items().len(), 0);
    assert!(other.terminate().await.expect("it ends").success());
    // A log that was served, but in which nothing happened, is as empty as a new one; its keys to the server stay.
    imported(&other, &file).await;
    other.start_again().await.expect("it starts");
    // Read models of another timeline are made anew; until then they answer that they are behind.
    let chat = chat.through(other.client());
    let mut looks = tokio::time::interval(LOOK);
    let caught_up = async {
        while chat.get("/messages").await.status == 503 {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, caught_up).await.expect("they catch up");
    assert_eq!(chat.history().await.len(), 2);
}

#[tokio::test]
async fn an_export_through_a_pipe_goes_in_as_it_comes_out() {
    let server = TestServer::start(PROGRAM).await;
    let request = server.client().request(Method::POST, "/chats").json(&json!({"content": "hello"}));
    let id = server.client().send(request).await.expect("an answer").expect(201).text_of("id");
    ChatClient::of(server.client(), &id).rest().await;
    let other = nowhere_yet(None);
    let mut writing = server.command(&["audit", "export"]).spawn().expect("it starts");
    let pipe: Stdio = writing.stdout.take().expect("a pipe").try_into().expect("a pipe");
    let read = other.command(&["audit", "import", "-"]).stdin(pipe).output().await.expect("it runs");
    assert!(read.status.success(), "{read:?}");
    assert!(writing.wait().await.expect("it ends").success());
    run_clean(&other, &["replay", &id, "--check"]).await;
}
