//! What a chat knows of its workspace: its context files, and how its files differ from what was committed.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::events::{EventStream, Frame};
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;
use crate::workspaces::say;

/// A server with a template of these files, each a path and its content.
async fn start(files: &[(&str, &str)]) -> TestServer {
    let server = TestServer::prepare(PROGRAM, ServerOptions::default()).expect("a directory for the server");
    let template = server.home().join("template");
    for (path, content) in files {
        let path = template.join(path);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
        std::fs::write(path, content).expect("it can be written");
    }
    std::fs::create_dir_all(&template).expect("it can be made");
    let config = format!("[templates.own]\nprovisioner = \"local\"\npath = {template:?}\n");
    std::fs::write(server.home().join("verbatim.toml"), config).expect("it can be written");
    let mut server = server;
    server.start_again().await.expect("it starts");
    server
}

async fn chat_of(server: &TestServer) -> ChatClient {
    let chat = ChatClient::create(server.client(), json!({"workspace": {"template_id": "own"}})).await;
    say(&chat, "read_file", json!({"path": "."})).await;
    chat
}

/// Waits for settings that fit.
async fn until_settings(stream: &mut EventStream, fits: impl Fn(&Value) -> bool) -> Value {
    let fits = |frame: &Frame| frame.event == "settings_changed" && fits(&frame.data["data"]);
    stream.until(fits).await.pop().expect("the frame that fits").data["data"].clone()
}

/// The attempts of a chat that did this, and what the newest of them sent.
async fn attempts(chat: &ChatClient, action: &str) -> (usize, String) {
    let frames = chat.replay().await;
    let of_action = |frame: &&Frame| frame.event == "attempt_recorded" && frame.data["data"]["action"] == action;
    let ids: Vec<u64> = frames.iter().filter(of_action).filter_map(|frame| frame.data["version"].as_u64()).collect();
    let sent = match ids.last() {
        Some(id) => chat.get(&format!("/attempts/{id}")).await.expect(200).body.to_string(),
        None => String::new(),
    };
    (ids.len(), sent)
}

fn workspace_files(server: &TestServer) -> PathBuf {
    let spaces = std::fs::read_dir(server.data_dir().join("workspaces")).expect("there are workspaces");
    let mut homes: Vec<PathBuf> = spaces.flatten().map(|entry| entry.path()).collect();
    assert_eq!(homes.len(), 1, "{homes:?}");
    homes.remove(0).join("files")
}

#[tokio::test]
async fn context_files_are_in_prompts_and_a_change_is_said_until_they_are_read_anew() {
    let skill = "---\nname: make-tea\ndescription: How tea is made\n---\n";
    let files = [("AGENTS.md", "Answer in verse.\n"), (".agents/skills/make-tea/SKILL.md", skill)];
    let mut server = start(&files).await;
    let chat = chat_of(&server).await;
    let (loaded, _) = attempts(&chat, "load_context").await;
    let (_, sent) = attempts(&chat, "generate").await;
    assert_eq!(loaded, 1);
    for words in ["Answer in verse.", "make-tea: How tea is made"] {
        assert!(sent.contains(words), "{words}: {sent}");
    }
    let told = chat.client().get(&chat.path("/messages?limit=200")).await.expect(200).body.to_string();
    assert!(told.contains("AGENTS.md") || !told.contains("context"), "the path may be seen: {told}");
    assert!(!told.contains("in verse"), "its words are for the model alone: {told}");

    let mut stream = chat.stream(None).await;
    say(&chat, "write_file", json!({"path": "AGENTS.md", "content": "Answer in prose.\n"})).await;
    until_settings(&mut stream, |data| data["context_dirty"] == true).await;
    assert_eq!(chat.get("").await.expect(200).body["context_dirty"], true);
    say(&chat, "read_file", json!({"path": "AGENTS.md"})).await;
    assert!(attempts(&chat, "generate").await.1.contains("Answer in verse."), "prompts keep what was read");

    let reloaded = chat.client().call(reqwest::Method::PUT, &chat.path("/context"), None, &[]).await.expect(200);
    assert_eq!(reloaded.body["context_dirty"], Value::Null, "{}", reloaded.body);
    server.kill().await.expect("it can be killed");
    server.start_again().await.expect("it starts again");
    let chat = chat.through(server.client());
    chat.send("And now?").await.expect(202);
    chat.rest().await;
    let (generated, sent) = attempts(&chat, "generate").await;
    assert!(generated > 2 && !sent.contains("Answer in verse."), "{sent}");
    let last = sent.matches("Answer in prose.").count();
    assert!(last >= 2, "as a context file, and as what read_file said: {sent}");
    assert_eq!(attempts(&chat, "load_context").await.0, 2);

    let replay = server.run(&["replay", &chat.id, "--check"]).await.expect("it runs");
    assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stdout));
    std::fs::remove_file(workspace_files(&server).join("AGENTS.md")).expect("it can be removed");
    let mut stream = chat.stream(None).await;
    chat.send("Still there?").await.expect(202);
    until_settings(&mut stream, |data| data["context_dirty"] == true).await;
}

/// Settings that say that nothing is known of the workspace's files any more.
fn is_gone(data: &Value) -> bool {
    data.get("diff_status").is_some_and(Value::is_null)
}

#[tokio::test]
async fn what_is_known_of_a_repository_goes_with_it() {
    let server = start(&[("a.txt", "one\n")]).await;
    let chat = chat_of(&server).await;
    let mut stream = chat.stream(None).await;
    let id = chat.get("").await.expect(200).body["workspace"]["id"].clone();
    let other = ChatClient::create(server.client(), json!({"workspace": {"id": id}})).await;
    let mut others = other.stream(None).await;
    let knows = |data: &Value| data["diff_status"]["files_changed"] == 1;
    let run = async |chat: &ChatClient, command: &str| {
        let (_, ran) = say(chat, "execute", json!({ "command": command })).await;
        assert_eq!(ran["exit_code"], 0, "{ran}");
    };
    run(&chat, "git init -q").await;
    until_settings(&mut stream, knows).await;
    run(&chat, "rm -rf .git").await;
    until_settings(&mut stream, is_gone).await;
    assert_eq!(chat.get("").await.expect(200).body.get("diff_status"), None);
    chat.get("/diff").await.expect_problem(409, "no_repository");
    run(&chat, "git init -q").await;
    until_settings(&mut stream, knows).await;
    run(&other, "true").await;
    until_settings(&mut others, knows).await;

    // Both chats work in it, and only one was made with it; nobody says another word.
    let id = id.as_str().expect("an id");
    server.client().delete(&format!("/workspaces/{id}")).await.expect(204);
    until_settings(&mut stream, is_gone).await;
    until_settings(&mut others, is_gone).await;
    let replay = server.run(&["replay", &chat.id, "--check"]).await.expect("it runs");
    assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stdout));

    // A directory that is gone never comes back; the next turn finds that out.
    let chat = chat_of(&server).await;
    let mut stream = chat.stream(None).await;
    run(&chat, "git init -q").await;
    until_settings(&mut stream, knows).await;
    std::fs::remove_dir_all(workspace_files(&server)).expect("it can be removed");
    chat.get("/diff").await.expect_problem(404, "workspace_not_found");
    chat.send("Still there?").await.expect(202);
    until_settings(&mut stream, is_gone).await;
}

#[tokio::test]
async fn what_changed_in_a_repository_is_told_and_noticed() {
    let server = start(&[("a.txt", "one\ntwo\n")]).await;
    let mut watch = EventStream::open(server.client(), "/watch", None).await.expect("the stream opens");
    let chat = ChatClient::create(server.client(), json!({})).await;
    chat.get("/diff").await.expect_problem(404, "workspace_not_found");
    say(&chat, "create_workspace", json!({"template_id": "own"})).await;
    chat.get("/diff").await.expect_problem(409, "no_repository");
    let mut stream = chat.stream(None).await;
    let commit = "git init -q -b main && git add -A && git -c user.name=a -c user.email=a@b commit -qm first && \
                  printf 'one\\n2\\n' > a.txt && echo new > new.txt && git status --short";
    let (_, ran) = say(&chat, "execute", json!({ "command": commit })).await;
    assert_eq!(ran["output"], " M a.txt\n?? new.txt\n", "{ran}");
    let noticed = until_settings(&mut stream, |data| data["diff_status"]["files_changed"] == 2).await;
    let status = json!({"branch": "main", "files_changed": 2, "insertions": 2, "deletions": 1});
    assert_eq!(noticed["diff_status"], status);
    let before = chat.get("").await.expect(200).body;
    assert_eq!(before["diff_status"], status);
    let diff = chat.get("/diff").await.expect(200).body;
    let expected = json!([
        {"path": "a.txt", "status": "modified", "insertions": 1, "deletions": 1},
        {"path": "new.txt", "status": "added", "insertions": 1, "deletions": 0},
    ]);
    assert_eq!((&diff["files"], &diff["branch"], &diff["insertions"]), (&expected, &json!("main"), &json!(2)));
    let text = diff["diff"].as_str().expect("a text");
    assert!(text.contains("\n-two\n+2\n") && text.contains("+++ b/new.txt\n"), "{text}");

    // Nobody asks what becomes of it, and its end is noticed all the same.
    let (_, runs) = say(&chat, "execute", json!({"command": "sleep 1; echo three >> a.txt", "background": true})).await;
    assert_eq!(runs["state"], "running");
    until_settings(&mut stream, |data| data["diff_status"]["insertions"] == 3).await;
    let after = chat.get("").await.expect(200).body;
    assert_eq!(after["status"], "waiting", "nothing of it is a turn");

    let id = after["workspace"]["id"].as_str().expect("an id").to_owned();
    server.client().delete(&format!("/workspaces/{id}")).await.expect(204);
    chat.get("/diff").await.expect_problem(404, "workspace_not_found");
    let left = |place: &Path| std::fs::read_dir(place).map_or(0, |entries| entries.count());
    assert_eq!(left(&server.data_dir().join("workspaces")), 0);
    for owner in std::fs::read_dir(server.data_dir().join("processes")).expect("it is there").flatten() {
        assert_eq!(left(&owner.path()), 0, "{:?} has processes", owner.path());
    }
    let is_noticed = |frame: &Frame| frame.event == "diff_status_changed" && frame.data["chat_id"] == chat.id.as_str();
    let told = watch.until(is_noticed).await.pop().expect("the watcher is told");
    assert_eq!(told.data["chat"]["diff_status"]["branch"], "main");
    until_settings(&mut stream, is_gone).await;
    let is_gone = |frame: &Frame| is_noticed(frame) && frame.data["chat"]["diff_status"].is_null();
    watch.until(is_gone).await;
    let audit = server.run(&["audit", "verify"]).await.expect("it runs");
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}
