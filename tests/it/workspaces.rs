//! Chats that work: a workspace, its files and commands, over the real server and across its end.

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

async fn start() -> TestServer {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../templates/blank");
    let config = format!("[templates.blank]\nprovisioner = \"local\"\npath = {template:?}\n");
    TestServer::start_with(PROGRAM, ServerOptions::with_config(&config)).await
}

fn call(name: &str, args: &Value) -> String {
    format!("[[tool {name} {args}]]")
}

/// The results of a chat's calls so far, with whether they are errors.
async fn results(chat: &ChatClient) -> Vec<(bool, Value)> {
    let answer = chat.get("/messages?limit=200").await.expect(200);
    let parts = answer.items().iter().flat_map(|message| message["content"].as_array().cloned().unwrap_or_default());
    let results = parts.filter(|part| part["type"] == "tool_result");
    results.map(|part| (part["is_error"] == true, part["result"].clone())).collect()
}

async fn say(chat: &ChatClient, name: &str, args: Value) -> (bool, Value) {
    chat.send(&call(name, &args)).await.expect(202);
    chat.rest().await;
    results(chat).await.pop().expect("the call has a result")
}

#[tokio::test]
async fn a_chat_makes_a_workspace_writes_a_file_and_runs_it() {
    let server = start().await;
    let chat = ChatClient::create(server.client(), json!({})).await;
    let args = json!({"template_id": "blank", "parameters": {"title": "Proof"}});
    let (failed, made) = say(&chat, "create_workspace", args).await;
    assert_eq!((failed, &made["created"], &made["agent_status"]), (false, &json!(true), &json!("ready")), "{made}");
    let (_, read) = say(&chat, "read_file", json!({"path": "README.md"})).await;
    assert_eq!(read["content"], "1\t# Proof");
    say(&chat, "write_file", json!({"path": "bin/go.sh", "content": "echo went; exit 3"})).await;
    let (failed, ran) = say(&chat, "execute", json!({"command": "sh go.sh", "workdir": "bin"})).await;
    assert_eq!((failed, &ran["output"], &ran["exit_code"]), (false, &json!("went\n"), &json!(3)), "{ran}");
    let key = server.data_dir().join("admin.key");
    let (_, peeked) = say(&chat, "execute", json!({"command": format!("cat {}", key.display())})).await;
    assert_ne!(peeked["exit_code"], json!(0), "the server's key is out of reach: {peeked}");
    let (failed, left) = say(&chat, "execute", json!({"command": "true", "workdir": "../.."})).await;
    assert!(failed && left.as_str().is_some_and(|words| words.contains("leaves the workspace")), "{left}");

    let listed = server.client().get("/workspaces").await.expect(200);
    assert_eq!(listed.items()[0]["chat_id"], json!(chat.id));
    let id = listed.items()[0]["id"].as_str().expect("an id").to_owned();
    let (_, runs) = say(&chat, "execute", json!({"command": "sleep 600", "background": true})).await;
    assert_eq!(runs["state"], "running");
    server.client().delete(&format!("/workspaces/{id}")).await.expect(204);
    let (_, none) = say(&chat, "process_list", json!({})).await;
    assert_eq!(none["processes"], json!([]), "nothing is left of it");
    server.client().delete(&format!("/workspaces/{id}")).await.expect_problem(404, "workspace_not_found");
}

#[tokio::test]
async fn a_command_outlives_the_server_and_is_run_once() {
    let mut server = start().await;
    let chat = ChatClient::create(server.client(), json!({})).await;
    say(&chat, "create_workspace", json!({"template_id": "blank"})).await;
    let command = "echo run >> runs; echo began; sleep 2; cat runs; echo done";
    let mut stream = chat.stream(None).await;
    chat.send(&call("execute", &json!({"command": command, "wait_ms": 60_000}))).await.expect(202);
    stream.until(|frame| frame.data["part"]["type"] == "tool_output_delta").await;
    server.kill().await.expect("it can be killed");
    server.start_again().await.expect("it starts again");
    let chat = chat.through(server.client());
    chat.rest().await;
    let (failed, ran) = results(&chat).await.pop().expect("the call has a result");
    assert_eq!((failed, &ran["output"]), (false, &json!("began\nrun\ndone\n")), "{ran}");
}
