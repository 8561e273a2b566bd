//! The README's samples, run as they are written; only the server's place is another.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::json;
use support::chat::ChatClient;
use support::server::{ServerOptions, TestServer};
use tokio::process::Command;

use crate::PROGRAM;

/// A sample may take this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads a stream to the end of a turn and hangs up, which a person does by Ctrl-C.
const CURL: &str = r#"curl() {
    case "$*" in
    */stream*)
        mkfifo stream
        command curl "$@" > stream &
        reader=$!
        sed '/^event: turn_finished/q' < stream
        kill "$reader"
        ;;
    *) command curl "$@" ;;
    esac
}
"#;

/// The samples of one language, in order.
fn samples(language: &str) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").join("README.md");
    let text = std::fs::read_to_string(readme).expect("the README can be read");
    let begin = format!("```{language}\n");
    let blocks = text.split(&begin).skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// A sample that talks to this server instead of the usual one.
fn placed(sample: &str, server: &TestServer) -> String {
    let key = server.data_dir().join("admin.key");
    let placed = sample.replace("http://127.0.0.1:8080", server.client().url());
    placed.replace("verbatim-data/admin.key", &key.to_string_lossy())
}

async fn run(program: &str, sample: &str, server: &TestServer) -> Output {
    let file: PathBuf = server.home().join("sample");
    std::fs::write(&file, sample).expect("the sample can be written");
    let mut command = Command::new(program);
    command.arg(&file).current_dir(server.home()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("the sample ends");
    output.unwrap_or_else(|error| panic!("{program} cannot be run: {error}"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn programs_in_python() {
    let samples = samples("python");
    let expected = [
        &["user [{'type': 'text', 'text': 'Hello!'}]", "assistant [{"][..],
        &["'celsius': 21", "The tool weather answered"],
    ];
    assert_eq!(samples.len(), expected.len());
    for (sample, words) in samples.iter().zip(expected) {
        let server = TestServer::start(PROGRAM).await;
        let output = run("python3", &placed(sample, &server), &server).await;
        assert!(output.status.success(), "{sample}\n{output:?}");
        for word in words {
            assert!(text(&output).contains(word), "{word}: {output:?}");
        }
    }
}

#[tokio::test]
async fn a_first_chat_by_curl() {
    let sample = samples("sh").into_iter().find(|sample| sample.contains("curl -sN")).expect("the sample by curl");
    let server = TestServer::start(PROGRAM).await;
    let output = run("sh", &format!("{CURL}{}", placed(&sample, &server)), &server).await;
    assert!(output.status.success(), "{output:?}");
    let told = text(&output);
    for word in ["event: chat_created", "event: message_committed", "event: turn_finished", "\"message_id\":"] {
        assert!(told.contains(word), "{word}: {output:?}");
    }
}

/// The server that the samples on tools are written for.
async fn with_templates() -> TestServer {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../templates/blank");
    let config = format!("[templates.blank]\nprovisioner = \"local\"\npath = {template:?}\n");
    TestServer::start_with(PROGRAM, ServerOptions::with_config(&config)).await
}

/// `verbatim` as a command that means this server.
fn verbatim(server: &TestServer) -> String {
    let data_dir = server.data_dir();
    let (url, data_dir) = (server.client().url(), data_dir.display());
    format!(
        "verbatim() {{\n    case $1 in\n    chat) {PROGRAM} \"$@\" --server {url} --key \"$KEY\" ;;\n    \
         *) {PROGRAM} \"$@\" --data-dir {data_dir} ;;\n    esac\n}}\n"
    )
}

#[tokio::test]
async fn a_chat_that_works() {
    let sample = samples("sh").into_iter().find(|sample| sample.contains("create_workspace")).expect("the sample");
    let server = with_templates().await;
    let output = run("sh", &format!("{}{}", verbatim(&server), placed(&sample, &server)), &server).await;
    assert!(output.status.success(), "{output:?}");
    let told = text(&output);
    for word in [
        "create_workspace answered: {\"agent_status\":\"ready\",\"created\":true",
        "write_file answered: {\"bytes\":42,\"path\":\"count.sh\"}",
        "\"output\":\"1\\n2\\n3\\n\"",
        "\"content\":\"1\\t1\\n2\\t2\\n3\\t3\"",
        "You said: Yes.",
        "), resumable",
        "stop_after_tool, 2 steps",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
}

#[tokio::test]
async fn a_call_that_is_approved() {
    let sample = samples("sh").into_iter().find(|sample| sample.contains("tool_policy")).expect("the sample");
    let server = with_templates().await;
    let making = sample.split("\n\n").next().unwrap_or_default();
    let output = run("sh", &format!("{}\necho \"$CHAT\"\n", placed(making, &server)), &server).await;
    assert!(output.status.success(), "{output:?}");
    let chat = ChatClient::of(server.client(), text(&output).trim());
    chat.until_status("requires_action").await;
    let waiting = chat.get("").await.expect(200).body;
    assert_eq!(
        (&waiting["status"], &waiting["action"]["calls"][0]["needs"]),
        (&json!("requires_action"), &json!("approval"))
    );
    let call_id = waiting["action"]["calls"][0]["call_id"].clone();
    let asking = format!("CHAT={}\nKEY=$(cat verbatim-data/admin.key)\n{}", chat.id, &sample[making.len()..]);
    let output = run("sh", &placed(&asking, &server), &server).await;
    assert_eq!(text(&output).trim(), format!("\"call_id\":{call_id}"), "{output:?}");
    let decisions = json!({"decisions": [{"call_id": call_id, "decision": "approve"}]});
    server.client().post(&chat.path("/approvals"), decisions).await.expect(202);
    let rested = chat.rest().await;
    assert_eq!(rested["status"], "waiting", "{rested}");
    let ran = chat.get("/messages").await.expect(200);
    assert!(ran.text.contains("\"created\":true"), "{ran:?}");
}

#[tokio::test]
async fn models_that_change() {
    let sample = samples("sh").into_iter().find(|sample| sample.contains("/providers")).expect("the sample");
    let server = TestServer::start(PROGRAM).await;
    let output = run("sh", &placed(&sample, &server), &server).await;
    let said: Vec<serde_json::Value> =
        text(&output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((said.len(), &said[0]["has_key"], &said[1]["default"]), (4, &json!(true), &json!(true)), "{said:?}");
    assert_eq!((&said[2]["enabled"], &said[3]["enabled"]), (&json!(false), &json!(false)), "{said:?}");
}

#[tokio::test]
async fn settings() {
    let samples = samples("toml");
    assert!(samples.len() >= 2, "{samples:?}");
    for sample in samples {
        let server = TestServer::prepare(PROGRAM, ServerOptions::with_config(&sample)).expect("a directory");
        for folder in ["templates", "templates/blank"] {
            std::fs::create_dir_all(server.home().join(folder)).expect("a folder for templates");
        }
        let output = server.run(&["serve", "--check-config"]).await.expect("it runs");
        assert!(output.status.success(), "{sample}\n{output:?}");
    }
}
