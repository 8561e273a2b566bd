//! Workspaces of a Coder deployment, made and worked in by chats of the real server.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::coder::{AgentMood, StandIn, TOKEN};
use support::events::Frame;
use support::server::{ServerOptions, TestServer};
use tempfile::TempDir;

use crate::PROGRAM;
use crate::workspaces::{call, results, say};

/// An interrupted turn ends within this, whatever it waits for.
const STOPPED_WITHIN: Duration = Duration::from_secs(5);

/// A server that makes workspaces in a deployment.
struct House {
    server: TestServer,
    coder: StandIn,
    home: TempDir,
}

impl House {
    async fn start() -> House {
        let home = tempfile::Builder::new().prefix("verbatim-coder-").tempdir().expect("a directory");
        let coder = StandIn::start(home.path()).await;
        coder.set(|moods| moods.prompt = true);
        let program = coder.program(home.path());
        let config = format!(
            "[coder]\nurl = {:?}\ntoken_env = \"ADAS_TOKEN\"\nprogram = {program:?}\n\
             [templates.good]\nprovisioner = \"coder\"\n\
             [templates.broken]\nprovisioner = \"coder\"\ntemplate = \"docker-broken\"\n",
            coder.url
        );
        let environment = vec![("ADAS_TOKEN".to_owned(), TOKEN.to_owned())];
        let options = ServerOptions { environment, ..ServerOptions::with_config(&config) };
        House { server: TestServer::start_with(PROGRAM, options).await, coder, home }
    }

    async fn chat(&self) -> ChatClient {
        ChatClient::create(self.server.client(), json!({})).await
    }

    /// The directory that the deployment's only workspace works in.
    fn project(&self) -> std::path::PathBuf {
        let names = self.coder.names();
        assert_eq!(names.len(), 1, "{names:?}");
        self.home.path().join("homes").join(&names[0]).join("project")
    }
}

fn good() -> Value {
    json!({"template_id": "good"})
}

/// Begins to make a workspace, and returns once the deployment builds it.
async fn building(house: &House, chat: &ChatClient) {
    let mut stream = chat.stream(None).await;
    chat.send(&call("create_workspace", &good())).await.expect(202);
    let bound = |frame: &Frame| frame.event == "settings_changed" && !frame.data["data"]["workspace"]["id"].is_null();
    stream.until(bound).await;
    assert_eq!(house.coder.asked("POST users/me/workspaces"), 1);
}

#[tokio::test]
async fn a_chat_works_in_a_workspace_of_a_deployment() {
    let house = House::start().await;
    let chat = house.chat().await;
    let mut stream = chat.stream(None).await;
    let (failed, made) = say(&chat, "create_workspace", good()).await;
    assert_eq!((failed, &made["created"], &made["agent_status"]), (false, &json!(true), &json!("ready")), "{made}");
    say(&chat, "write_file", json!({"path": "src/a b.txt", "content": "one\n"})).await;
    let (_, read) = say(&chat, "read_file", json!({"path": "src/a b.txt"})).await;
    assert_eq!(read["content"], "1\tone");
    let edits = json!({"edits": [{"path": "src/a b.txt", "old_text": "one", "new_text": "two"}]});
    say(&chat, "edit_files", edits).await;
    let command = "cat 'a b.txt'; pwd; echo \"${CODER_SESSION_TOKEN:-no token}\"; exit 3";
    let (_, ran) = say(&chat, "execute", json!({"command": command, "workdir": "src"})).await;
    let output = ran["output"].as_str().expect("a text");
    assert!(output.contains("two\n") && output.contains("/project/src\n"), "{output}");
    assert_eq!(ran["exit_code"], 3, "{ran}");
    let (refused, left) = say(&chat, "read_file", json!({"path": "../../../etc/passwd"})).await;
    assert!(refused && left.as_str().is_some_and(|words| words.contains("leaves the workspace")), "{left}");

    let commit = "git init -q -b main . && git add -A && git -c user.name=a -c user.email=a@b commit -qm first && \
                  echo three >> 'src/a b.txt'";
    say(&chat, "execute", json!({ "command": commit })).await;
    let noticed = |frame: &Frame| frame.data["data"]["diff_status"]["insertions"] == 1;
    stream.until(noticed).await;
    let diff = chat.get("/diff").await.expect(200).body;
    assert_eq!((&diff["branch"], &diff["files"][0]["path"]), (&json!("main"), &json!("src/a b.txt")), "{diff}");
    say(&chat, "write_file", json!({"path": "AGENTS.md", "content": "Answer in verse.\n"})).await;
    stream.until(|frame| frame.data["data"]["context_dirty"] == true).await;
    let gone = |frame: &Frame| frame.data["data"].get("diff_status").is_some_and(Value::is_null);
    std::fs::remove_dir_all(house.project().join(".git")).expect("it can be removed");
    chat.send("What now?").await.expect(202);
    stream.until(gone).await;
    std::fs::rename(house.project().join("src"), house.project().join("source")).expect("it can be renamed");
    say(&chat, "execute", json!({"command": "git init -q"})).await;
    stream.until(|frame| frame.data["data"]["diff_status"]["files_changed"] == 2).await;
    let id = chat.get("").await.expect(200).body["workspace"]["id"].as_str().expect("an id").to_owned();
    house.server.client().delete(&format!("/workspaces/{id}")).await.expect(204);
    stream.until(gone).await;
    assert_eq!(house.coder.names().len(), 1);
    let server_log = house.server.log();
    assert!(!server_log.contains(TOKEN), "the token stays where it is");
}

#[tokio::test]
async fn a_build_that_fails_or_vanishes_is_said_so_and_another_takes_its_place() {
    let house = House::start().await;
    let chat = house.chat().await;
    let (failed, broken) = say(&chat, "create_workspace", json!({"template_id": "broken"})).await;
    assert_eq!((failed, &broken["status"]), (true, &json!("failed")), "{broken}");
    house.coder.set(|moods| moods.vanish = true);
    let (failed, gone) = say(&chat, "create_workspace", good()).await;
    assert_eq!(
        (failed, &gone["status"], &gone["replaced"]),
        (true, &json!("deleted"), &broken["workspace_id"]),
        "{gone}"
    );
    house.coder.set(|moods| moods.vanish = false);
    let (failed, made) = say(&chat, "create_workspace", good()).await;
    assert_eq!((failed, &made["replaced"]), (false, &gone["workspace_id"]), "{made}");
    let (_, ran) = say(&chat, "execute", json!({"command": "echo works"})).await;
    assert!(ran["output"].as_str().is_some_and(|output| output.contains("works")), "{ran}");
}

#[tokio::test]
async fn a_server_that_is_killed_during_a_build_makes_no_second_workspace() {
    let mut house = House::start().await;
    let chat = house.chat().await;
    house.coder.set(|moods| moods.hang = true);
    building(&house, &chat).await;
    house.server.kill().await.expect("it can be killed");
    house.coder.set(|moods| moods.hang = false);
    house.server.start_again().await.expect("it starts again");
    let chat = chat.through(house.server.client());
    chat.rest().await;
    let (failed, made) = results(&chat).await.pop().expect("the call has a result");
    assert_eq!((failed, &made["created"], &made["status"]), (false, &json!(true), &json!("running")), "{made}");
    let (_, ran) = say(&chat, "execute", json!({"command": "echo once >> runs; cat runs"})).await;
    assert!(ran["output"].as_str().is_some_and(|output| output.ends_with("once\n")), "{ran}");
    assert_eq!(house.coder.asked("POST users/me/workspaces"), 1, "it was asked for once");
    assert_eq!(std::fs::read_to_string(house.project().join("runs")).expect("it is there"), "once\n");
}

#[tokio::test]
async fn a_build_that_hangs_can_be_stopped_and_is_found_later() {
    let house = House::start().await;
    let chat = house.chat().await;
    house.coder.set(|moods| moods.hang = true);
    building(&house, &chat).await;
    let stopped = Instant::now();
    chat.post("/interrupt", json!({})).await.expect(202);
    chat.rest().await;
    assert!(stopped.elapsed() < STOPPED_WITHIN, "{:?}", stopped.elapsed());
    house.coder.set(|moods| moods.hang = false);
    let (failed, found) = say(&chat, "create_workspace", good()).await;
    assert_eq!((failed, &found["created"], &found["status"]), (false, &json!(false), &json!("running")), "{found}");
    assert_eq!(house.coder.names().len(), 1);
}

#[tokio::test]
async fn a_chat_goes_on_without_an_agent_and_reads_its_files_once_there_is_one() {
    let house = House::start().await;
    let chat = house.chat().await;
    house.coder.set(|moods| moods.agent = AgentMood::Never);
    building(&house, &chat).await;
    chat.post("/interrupt", json!({})).await.expect(202);
    chat.rest().await;
    let project = house.project();
    std::fs::create_dir_all(&project).expect("it can be made");
    std::fs::write(project.join("AGENTS.md"), "Answer in verse.\n").expect("it can be written");
    chat.send("Are you there?").await.expect(202);
    chat.rest().await;
    assert_eq!(loads(&chat).await, 1, "a marker, and the turn went on");
    assert!(!last_prompt(&chat).await.contains("Answer in verse."), "nobody could read it");

    house.coder.set(|moods| moods.agent = AgentMood::Quick);
    let mut stream = chat.stream(None).await;
    chat.send("And now?").await.expect(202);
    // Noticed beside the turn: read before the next answer, whether that is this turn's or the next's.
    stream.until(|frame| frame.event == "settings_changed" && !frame.data["data"]["context_dirty"].is_null()).await;
    chat.rest().await;
    chat.send("So?").await.expect(202);
    chat.rest().await;
    assert_eq!(loads(&chat).await, 2);
    assert!(last_prompt(&chat).await.contains("Answer in verse."));
}

async fn loads(chat: &ChatClient) -> usize {
    let frames = chat.replay().await;
    let is_load = |frame: &&Frame| frame.event == "attempt_recorded" && frame.data["data"]["action"] == "load_context";
    frames.iter().filter(is_load).count()
}

async fn last_prompt(chat: &ChatClient) -> String {
    let frames = chat.replay().await;
    let is_call = |frame: &&Frame| frame.event == "attempt_recorded" && frame.data["data"]["action"] == "generate";
    let id = frames.iter().rfind(is_call).and_then(|frame| frame.data["version"].as_u64()).expect("a call");
    chat.get(&format!("/attempts/{id}")).await.expect(200).body.to_string()
}

#[tokio::test]
async fn a_name_that_is_taken_gets_another() {
    let house = House::start().await;
    house.coder.take("dev");
    let chat = house.chat().await;
    let (failed, made) = say(&chat, "create_workspace", json!({"template_id": "good", "name": "dev"})).await;
    let name = made["name"].as_str().unwrap_or_default().to_owned();
    assert!(!failed && name.starts_with("dev-"), "{made}");
    assert_eq!(house.coder.names(), ["dev", &name]);
}

/// Erases the chat; whoever asks afterwards is told so.
async fn erase(house: &House, chat: &ChatClient) {
    house.server.client().delete(&format!("/chats/{}", chat.id)).await.expect(204);
    chat.get("").await.expect_problem(410, "erased");
}

#[tokio::test]
async fn what_was_made_for_an_erased_chat_goes_with_it() {
    let house = House::start().await;
    let chat = house.chat().await;
    say(&chat, "create_workspace", good()).await;
    say(&chat, "write_file", json!({"path": "secret.txt", "content": "plans"})).await;
    assert_eq!(house.coder.existing().len(), 1);
    erase(&house, &chat).await;
    assert_eq!(house.coder.existing(), Vec::<String>::new());
    assert_eq!(house.coder.bodies().last().map(|body| &body["transition"]), Some(&json!("delete")));
}

#[tokio::test]
async fn a_workspace_whose_deployment_is_away_goes_once_it_is_back() {
    let mut house = House::start().await;
    let chat = house.chat().await;
    say(&chat, "create_workspace", good()).await;
    house.coder.set(|moods| moods.down = true);
    erase(&house, &chat).await;
    house.server.terminate().await.expect("it stops");
    assert_eq!(house.coder.existing().len(), 1, "nobody could be told");
    house.coder.set(|moods| moods.down = false);
    house.server.start_again().await.expect("it starts again");
    house.coder.until_gone().await;
}

#[tokio::test]
async fn a_workspace_that_nobody_came_to_write_down_goes_too() {
    let mut house = House::start().await;
    let chat = house.chat().await;
    // It is made, but the answer never comes.
    house.coder.set(|moods| moods.failures = vec![("POST", true); 20]);
    let asked = chat.post("/messages", json!({"content": call("create_workspace", &good())})).await;
    asked.expect(202);
    house.coder.until_asked("POST users/me/workspaces").await;
    house.server.kill().await.expect("it can be killed");
    assert_eq!(house.coder.existing().len(), 1);
    house.coder.set(|moods| moods.failures = Vec::new());
    house.coder.set(|moods| moods.down = true);
    house.server.start_again().await.expect("it starts again");
    let chat = chat.through(house.server.client());
    erase(&house, &chat).await;
    house.server.terminate().await.expect("it stops");
    house.coder.set(|moods| moods.down = false);
    house.server.start_again().await.expect("it starts again");
    house.coder.until_gone().await;
}
