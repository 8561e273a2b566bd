//! No tool with effects runs twice, and nobody is told something untrue: the server is killed while calls run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::events::Frame;
use support::postgres::Postgres;
use support::random::Random;
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

/// How often the server is killed, unless this variable says otherwise.
const KILLS: (&str, u64) = ("VERBATIM_TEST_KILLS", 10);

/// The calls of one batch.
const BATCH: u64 = 4;

/// More frames than a turn with one batch has: a kill at the last ones comes after its end.
const FRAMES: u64 = 24;

/// What the model is told of a call that had effects, perhaps.
const UNKNOWN: &str = "outcome unknown";

/// A wait that only a fault makes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An MCP server with tools that write a line before all else. They answer once the file `go` is there, never before.
const COUNTER: &str = r#"
const fs = require('fs'), [, home] = process.argv;
const answer = (id, result) => console.log(JSON.stringify({ jsonrpc: '2.0', id, result }));
const tool = (name, annotations) => ({ name, description: name, inputSchema: { type: 'object' }, annotations });
const run = (id, name) => {
  fs.appendFileSync(`${home}/${name}`, 'x\n');
  const look = () => fs.existsSync(`${home}/go`) && (clearInterval(timer), answer(id, { content: [{ type: 'text', text: `${name} done` }] }));
  const timer = setInterval(look, 5);
};
require('readline').createInterface({ input: process.stdin }).on('close', () => process.exit()).on('line', line => {
  const { id, method, params } = JSON.parse(line);
  if (method === 'initialize') answer(id, { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'counter', version: '1' } });
  else if (method === 'tools/list') answer(id, { tools: [tool('charge', {}), tool('look', { readOnlyHint: true })] });
  else if (method === 'tools/call') run(id, params.name);
  else if (id !== undefined) console.log(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no such method' } }));
});
"#;

/// Where the log lives.
#[derive(Clone, Copy, Debug)]
enum Home {
    Sqlite,
    Postgres,
}

/// Runs each of these tests with the log in either database.
macro_rules! in_both_homes {
    ($($name:ident)+) => {
        $(mod $name {
            #[tokio::test]
            async fn on_sqlite() {
                super::$name(super::Home::Sqlite).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                super::$name(super::Home::Postgres).await;
            }
        })+
    };
}

in_both_homes! {
    no_line_is_written_twice_however_often_the_server_is_killed
    a_command_that_ends_while_no_server_runs_gives_its_real_output
    a_call_that_may_have_had_effects_is_not_made_again_and_its_outcome_is_said_to_be_unknown
    a_call_without_effects_is_made_again_once_its_server_is_known_again
}

async fn start(home: Home, more: &str) -> TestServer {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../templates/blank");
    let config = format!("[templates.blank]\nprovisioner = \"local\"\npath = {template:?}\n{more}");
    let database = match home {
        Home::Sqlite => None,
        Home::Postgres => {
            let server = Postgres::shared().await.expect("a database server");
            Some(server.database().await.expect("a database"))
        }
    };
    TestServer::start_with(PROGRAM, ServerOptions { database, ..ServerOptions::with_config(&config) }).await
}

fn call(name: &str, args: &Value) -> String {
    format!("[[tool {name} {args}]]")
}

/// The results of the calls after a version, by call, in order, with whether they are errors.
async fn results_after(chat: &ChatClient, version: u64) -> Vec<(bool, Value)> {
    let answer = chat.get(&format!("/messages?after={version}&limit=200")).await.expect(200);
    let parts = answer.items().iter().flat_map(|message| message["content"].as_array().cloned().unwrap_or_default());
    let mut results: Vec<Value> = parts.filter(|part| part["type"] == "tool_result").collect();
    results.sort_by_key(|part| part["call_id"].to_string());
    results.iter().map(|part| (part["is_error"] == true, part["result"].clone())).collect()
}

/// How often each line stands in a file; a file that is not there has none.
fn lines(path: &Path) -> BTreeMap<String, usize> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => panic!("{}: {error}", path.display()),
    };
    let mut counts = BTreeMap::new();
    text.lines().for_each(|line| *counts.entry(line.to_owned()).or_default() += 1);
    counts
}

async fn make_workspace(server: &TestServer, chat: &ChatClient) -> PathBuf {
    chat.send(&call("create_workspace", &json!({"template_id": "blank"}))).await.expect(202);
    chat.rest().await;
    let listed = server.client().get("/workspaces").await.expect(200);
    server.data_dir().join("workspaces").join(listed.items()[0]["id"].as_str().expect("an id")).join("files")
}

async fn again(server: &mut TestServer, chat: &ChatClient) -> ChatClient {
    server.kill().await.expect("it can be killed");
    server.start_again().await.expect("it starts again");
    chat.through(server.client())
}

async fn no_line_is_written_twice_however_often_the_server_is_killed(home: Home) {
    let kills = std::env::var(KILLS.0).ok().map_or(KILLS.1, |text| text.parse().expect("a number of kills"));
    let seed = Random::seed();
    println!("VERBATIM_SEED={seed}");
    let mut random = Random::new(seed);
    let mut server = start(home, "").await;
    let mut chat = ChatClient::create(server.client(), json!({})).await;
    let files = make_workspace(&server, &chat).await;
    for kill in 0..kills {
        let version = chat.version().await;
        let names: Vec<String> = (0..BATCH).map(|number| format!("{kill}-{number}")).collect();
        let command = |name: &String| call("execute", &json!({"command": format!("echo {name} >> lines")}));
        let mut stream = chat.stream(None).await;
        chat.send(&names.iter().map(command).collect::<String>()).await.expect(202);
        let mut left = random.between(1, FRAMES);
        let moment = |frame: &Frame| {
            left -= 1;
            left == 0 || frame.event == "turn_finished"
        };
        stream.until(moment).await;
        chat = again(&mut server, &chat).await;
        assert_eq!(chat.rest().await["status"], "waiting", "seed {seed}, kill {kill}");
        let results = results_after(&chat, version).await;
        assert_eq!(results.len(), names.len(), "seed {seed}, kill {kill}: {results:?}");
        let written = lines(&files.join("lines"));
        for (name, (failed, result)) in names.iter().zip(results) {
            let times = written.get(name).copied().unwrap_or_default();
            if failed {
                assert!(result.as_str().is_some_and(|words| words.contains(UNKNOWN)), "seed {seed}, {name}: {result}");
                assert!(times <= 1, "seed {seed}, {name}: written {times} times");
            } else {
                assert_eq!(result["exit_code"], 0, "seed {seed}, {name}: {result}");
                assert_eq!(times, 1, "seed {seed}, {name}: {result}");
            }
        }
    }
    let audit = server.run(&["audit", "verify"]).await.expect("it runs");
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}

async fn a_command_that_ends_while_no_server_runs_gives_its_real_output(home: Home) {
    let mut server = start(home, "").await;
    let chat = ChatClient::create(server.client(), json!({})).await;
    let files = make_workspace(&server, &chat).await;
    let version = chat.version().await;
    let mut stream = chat.stream(None).await;
    let command = "echo began; until [ -e go ]; do sleep 0.02; done; echo done; touch ended";
    chat.send(&call("execute", &json!({"command": command, "wait_ms": 60_000}))).await.expect(202);
    stream.until(|frame| frame.data["part"]["type"] == "tool_output_delta").await;
    server.kill().await.expect("it can be killed");
    std::fs::write(files.join("go"), "").expect("it can be written");
    until_exists(&files.join("ended")).await;
    server.start_again().await.expect("it starts again");
    let chat = chat.through(server.client());
    chat.rest().await;
    let (failed, ran) = results_after(&chat, version).await.pop().expect("the call has a result");
    assert_eq!((failed, &ran["output"], &ran["exit_code"]), (false, &json!("began\ndone\n"), &json!(0)), "{ran}");
}

async fn until_exists(path: &Path) {
    let waiting = async {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{} never came", path.display()));
}

/// A server that knows the counter, a chat that may use it, and the directory that the counter writes to.
async fn start_with_counter(log: Home) -> (TestServer, ChatClient, PathBuf) {
    let home = tempfile::Builder::new().prefix("verbatim-counter-").tempdir().expect("a directory").keep();
    let node = Path::new("/usr/bin/env");
    let args = json!(["node", "-e", COUNTER, home]);
    let server = start(log, &format!("[mcp.counter]\ncommand = {node:?}\nargs = {args}\n")).await;
    let chat = ChatClient::create(server.client(), json!({"mcp_servers": ["counter"]})).await;
    (server, chat, home)
}

async fn a_call_that_may_have_had_effects_is_not_made_again_and_its_outcome_is_said_to_be_unknown(home: Home) {
    let (mut server, chat, home) = start_with_counter(home).await;
    let version = chat.version().await;
    chat.send(&call("counter__charge", &json!({}))).await.expect(202);
    until_exists(&home.join("charge")).await;
    let chat = again(&mut server, &chat).await;
    chat.rest().await;
    let (failed, result) = results_after(&chat, version).await.pop().expect("the call has a result");
    assert!(failed && result.as_str().is_some_and(|words| words.contains(UNKNOWN)), "{result}");
    assert_eq!(lines(&home.join("charge")), BTreeMap::from([("x".to_owned(), 1)]));
    let replay = server.run(&["replay", &chat.id]).await.expect("it runs");
    let told = String::from_utf8_lossy(&replay.stdout).into_owned();
    assert!(told.lines().any(|line| line.contains("tool: counter__charge (outcome unknown)")), "{told}");
}

async fn a_call_without_effects_is_made_again_once_its_server_is_known_again(home: Home) {
    let (mut server, chat, home) = start_with_counter(home).await;
    let version = chat.version().await;
    chat.send(&call("counter__look", &json!({}))).await.expect(202);
    until_exists(&home.join("look")).await;
    std::fs::write(home.join("go"), "").expect("it can be written");
    let chat = again(&mut server, &chat).await;
    chat.rest().await;
    let (failed, result) = results_after(&chat, version).await.pop().expect("the call has a result");
    assert!(!failed && result.to_string().contains("look done"), "{result}");
}
