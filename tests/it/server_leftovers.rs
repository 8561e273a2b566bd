//! Commands that nobody wants any more end, also where the server knew nothing of them when they became so.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;
use crate::workspaces::{call, say};

/// A wait that only a fault makes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command that ends when it is let go.
const UNTIL_LET_GO: &str = "until [ -e go ]; do sleep 0.02; done";

/// Writes the settings with a template, or takes all workspaces out of the server's sight.
fn configure(server: &TestServer, has_workspaces: bool) {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../templates/blank");
    let config = format!("[templates.blank]\nprovisioner = \"local\"\npath = {template:?}\n");
    let config = if has_workspaces { config } else { String::new() };
    std::fs::write(server.home().join("verbatim.toml"), config).expect("it can be written");
    let (here, away) = (server.data_dir().join("workspaces"), server.home().join("workspaces-away"));
    let (from, to) = if has_workspaces { (away, here) } else { (here, away) };
    if from.exists() {
        std::fs::rename(from, to).expect("they can be moved");
    }
}

async fn restart(server: &mut TestServer, chat: &ChatClient, has_workspaces: bool) -> ChatClient {
    server.kill().await.expect("it can be killed");
    configure(server, has_workspaces);
    server.start_again().await.expect("it starts again");
    chat.through(server.client())
}

/// What a process has come to, as soon as it has ended.
async fn outcome(process: PathBuf) -> Value {
    let waiting = async {
        loop {
            if let Ok(text) = std::fs::read(process.join("outcome.json")) {
                return serde_json::from_slice(&text).expect("it is JSON");
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{} does not end", process.display()))
}

#[tokio::test]
async fn a_command_whose_call_is_gone_ends_with_the_next_start_and_one_that_was_let_run_on_goes_on() {
    let mut server = TestServer::prepare(PROGRAM, ServerOptions::default()).expect("a directory for the server");
    configure(&server, true);
    server.start_again().await.expect("it starts");
    let chat = ChatClient::create(server.client(), json!({})).await;
    say(&chat, "create_workspace", json!({"template_id": "blank"})).await;
    let processes = server.data_dir().join("processes").join(&chat.id);
    let mut wanted = Vec::new();
    for more in [json!({"background": true}), json!({"wait_ms": 1})] {
        let mut args = json!({ "command": UNTIL_LET_GO });
        args.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
        let (_, ran) = say(&chat, "execute", args).await;
        assert_eq!(ran["state"], "running", "{ran}");
        wanted.push(processes.join(ran["process_id"].as_str().expect("an id")));
    }

    let mut stream = chat.stream(None).await;
    let stubborn = "trap '' TERM INT HUP; echo began; while :; do sleep 0.02; done";
    let sent = chat.send(&call("execute", &json!({"command": stubborn, "wait_ms": 600_000}))).await.expect(202);
    stream.until(|frame| frame.data["part"]["type"] == "tool_output_delta").await;
    let is_other = |process: &PathBuf| !wanted.contains(process);
    let all = std::fs::read_dir(&processes).expect("there are processes").flatten().map(|entry| entry.path());
    let stubborn = all.into_iter().find(is_other).expect("the one that is waited for");

    // While it runs on, this server knows of no processes: nobody tells it that its message is taken back.
    let chat = restart(&mut server, &chat, false).await;
    let id = sent.body["message_id"].as_u64().expect("an id");
    chat.client().patch(&chat.path(&format!("/messages/{id}")), json!({"content": "Never mind."})).await.expect(202);
    chat.rest().await;
    assert!(!stubborn.join("outcome.json").exists(), "it runs");

    let chat = restart(&mut server, &chat, true).await;
    assert_eq!(outcome(stubborn).await["state"], "signaled");
    let (_, listed) = say(&chat, "process_list", json!({})).await;
    let running = listed["processes"].as_array().expect("processes").iter().filter(|one| one["state"] == "running");
    assert_eq!(running.count(), 2, "{listed}");
    say(&chat, "write_file", json!({"path": "go", "content": ""})).await;
    for process in wanted {
        let outcome = outcome(process).await;
        assert_eq!((&outcome["state"], &outcome["code"]), (&json!("exited"), &json!(0)), "{outcome}");
    }
}
