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

pub fn call(name: &str, args: &Value) -> String {
    format!("[[tool {name} {args}]]")
}

/// The results of a chat's calls so far, with whether they are errors.
pub async fn results(chat: &ChatClient) -> Vec<(bool, Value)> {
    let answer = chat.get("/messages?limit=200").await.expect(200);
    let parts = answer.items().iter().flat_map(|message| message["content"].as_array().cloned().unwrap_or_default());
    let results = parts.filter(|part| part["type"] == "tool_result");
    results.map(|part| (part["is_error"] == true, part["result"].clone())).collect()
}

pub async fn say(chat: &ChatClient, name: &str, args: Value) -> (bool, Value) {
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

#[tokio::test]
async fn a_chat_made_with_a_template_works_in_its_workspace_and_shows_a_file_of_it() {
    let server = start().await;
    let client = server.client();
    let asked = json!({"workspace": {"template_id": "blank", "parameters": {"title": "Proof"}}});
    let chat = ChatClient::create(client, asked).await;
    let (_, read) = say(&chat, "read_file", json!({"path": "README.md"})).await;
    assert_eq!(read["content"], "1\t# Proof", "it was made when it was needed: {read}");
    let (failed, same) = say(&chat, "create_workspace", json!({})).await;
    assert_eq!((failed, &same["created"]), (false, &json!(false)), "{same}");

    let (failed, attached) = say(&chat, "attach_file", json!({"path": "README.md"})).await;
    assert!(!failed, "{attached}");
    let id = attached["file_id"].as_str().expect("an id").to_owned();
    let content = client.get(&format!("/files/{id}")).await.expect(200);
    assert_eq!(
        (content.text.trim_end(), content.header("content-type")),
        ("# Proof", Some("text/markdown; charset=utf-8"))
    );
    for (path, problem) in [("nowhere", "there is no such file"), (".", "it is a directory")] {
        let (failed, refused) = say(&chat, "attach_file", json!({"path": path})).await;
        assert!(failed && refused.as_str().is_some_and(|words| words.contains(problem)), "{path}: {refused}");
    }
    let messages = chat.get("/messages?limit=200").await.expect(200);
    let part = json!({"type": "file", "file_id": id, "media_type": "text/markdown", "name": "README.md"});
    let shows = |message: &Value| message["content"].as_array().is_some_and(|parts| parts.contains(&part));
    assert!(messages.items().iter().any(|message| message["role"] == "tool" && shows(message)), "{}", messages.text);

    let workspace = client.get("/workspaces").await.expect(200).items()[0]["id"].clone();
    let second = ChatClient::create(client, json!({"workspace": {"id": workspace}})).await;
    let (_, read) = say(&second, "read_file", json!({"path": "README.md"})).await;
    assert_eq!(read["content"], "1\t# Proof");
    let made = json!({"name": "bob", "owner": "bob", "roles": ["user"]});
    let key = client.post("/keys", made).await.expect(201).text_of("key");
    for (wrong, pointer) in [
        (json!({"id": workspace}), "/workspace/id"),
        (json!({"id": "local-nothing"}), "/workspace/id"),
        (json!({"template_id": "nothing"}), "/workspace/template_id"),
        (json!({"template_id": "blank", "parameters": {"colour": "red"}}), "/workspace/parameters"),
    ] {
        let refused = client.with_key(Some(&key)).post("/chats", json!({"workspace": wrong})).await;
        let refused = refused.expect_problem(400, "invalid_request");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
    }
}
