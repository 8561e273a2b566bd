//! The README's samples, run as they are written; only the server's place is another.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

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
