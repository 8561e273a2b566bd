//! MCP servers that others made: `server-everything` and `server-filesystem`, over stdio and streamable HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use parking_lot::Mutex;
use serde_json::{Value, json};
use support::mcp::{EverythingOverHttp, processes_with, program, signal};
use tempfile::TempDir;
use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events::chat::{Chat, evolve};
use verbatim_events::envelope::Recorded;
use verbatim_events::event::{ChatCreated, EffectClass, Event};
use verbatim_events::ids::ChatId;
use verbatim_events::tool::{CallKey, ToolAnswer, ToolInvocation};
use verbatim_tools::mcp::{McpConfig, McpServers, McpTransport};

/// A wait that only a fault makes longer.
const PATIENCE: Duration = Duration::from_secs(60);

const CHAT: ChatId = ChatId(Uuid::from_u128(9));

/// A chat that may use the server `s`.
fn chat() -> Chat {
    let created = ChatCreated { mcp_servers: vec!["s".to_owned()], ..ChatCreated::new("ada", CHAT, "Tools") };
    let recorded = Recorded::decided(CHAT, 1, DateTime::UNIX_EPOCH, Event::ChatCreated(created));
    evolve(None, &recorded).expect("a chat can be created")
}

/// The server `s`, tried again at once after it failed, with all the time that a busy machine may need.
fn servers(transport: McpTransport) -> Arc<McpServers> {
    let config = McpConfig { skip_ms: 0, connect_ms: 60_000, ..McpConfig::new(transport) };
    Arc::new(McpServers::new(BTreeMap::from([("s".to_owned(), config)]), |_| None, Handle::current()))
}

/// A server that `node` runs, with an argument that tells its process from all others.
fn stdio(package: &str, args: &[&str]) -> McpTransport {
    let mut all = vec![program(package).unwrap()];
    all.extend(args.iter().map(|arg| (*arg).to_owned()));
    let env = BTreeMap::from([("GREETING".to_owned(), "good morning".to_owned())]);
    McpTransport::Stdio { command: "node".to_owned(), args: all, env, cwd: None }
}

/// Calls a tool; what it reports meanwhile goes into the second.
fn call(
    servers: &McpServers,
    tool: &str,
    args: Value,
) -> (impl Future<Output = ToolAnswer> + 'static, Arc<Mutex<String>>) {
    let invocation = ToolInvocation {
        chat: Arc::new(chat()),
        key: CallKey { chat_id: CHAT, message_id: 4, call_id: "call-1".to_owned() },
        attempt_id: 5,
        name: format!("s__{tool}"),
        args,
        reattach: false,
        trace_id: None,
    };
    let reported = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&reported);
    (servers.run(invocation, Box::new(move |text| into.lock().push_str(&text))), reported)
}

async fn run(servers: &McpServers, tool: &str, args: Value) -> ToolAnswer {
    call(servers, tool, args).0.await
}

async fn until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it never came to be so");
}

/// The process whose command line holds this.
fn the_process(marker: &str) -> u32 {
    let found = processes_with(marker);
    assert_eq!(found.len(), 1, "{found:?}");
    *found.keys().next().unwrap()
}

/// What holds over every transport.
async fn everything_works(servers: &McpServers) {
    let chat = chat();
    servers.prepare(&chat).expect("it is not connected").await;
    assert!(servers.prepare(&chat).is_none(), "the connection is kept: {:?}", servers.states());
    let definitions = servers.definitions(&chat);
    let names: Vec<&str> = definitions.iter().map(|definition| definition.name.as_str()).collect();
    assert!(names.contains(&"s__echo") && names.contains(&"s__get-sum"), "{names:?}");
    assert!(definitions.iter().all(|definition| definition.parameters["type"] == "object"), "{definitions:?}");
    assert_eq!(servers.effect_class(&chat, "s__echo"), Some(EffectClass::Idempotent));

    assert_eq!(run(servers, "echo", json!({ "message": "hello" })).await, ToolAnswer::ok("Echo: hello"));
    let violation = servers.violation(&chat, "s__echo", &json!({ "message": 1 })).expect("a number is no text");
    assert!(violation.contains("/message"), "{violation}");

    let answer = run(servers, "get-structured-content", json!({ "location": "Chicago" })).await;
    assert!(!answer.is_error && answer.result["temperature"].is_number(), "{answer:?}");
    let answer = run(servers, "get-tiny-image", json!({})).await;
    let text = answer.result.as_str().expect("it is described");
    assert!(text.contains("[image: image/png, ") && text.len() < 1_000, "{text}");

    let (answer, reported) = call(servers, "trigger-long-running-operation", json!({ "duration": 0.3, "steps": 3 }));
    assert!(answer.await.result.as_str().is_some_and(|text| text.contains("completed")));
    assert!(reported.lock().starts_with("1/3\n"), "{reported:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_over_stdio() {
    let marker = Uuid::new_v4().to_string();
    let servers = servers(stdio("server-everything", &["stdio", &marker]));
    everything_works(&servers).await;

    let answer = run(&servers, "get-env", json!({})).await;
    let environment = answer.result.as_str().expect("it is text").to_owned();
    assert!(environment.contains("good morning") && environment.contains("PATH"), "{environment}");
    assert!(!environment.contains("CARGO"), "our own environment leaked: {environment}");

    // Killed in mid-call.
    let (answer, reported) =
        call(&servers, "trigger-long-running-operation", json!({ "duration": 600, "steps": 6000 }));
    let answer = tokio::spawn(answer);
    until(|| !reported.lock().is_empty()).await;
    signal(the_process(&marker), "KILL").unwrap();
    let answer = answer.await.unwrap();
    let text = answer.result.as_str().expect("it is text");
    // The server says of this tool that running it twice does no harm.
    assert!(answer.is_error && text.contains("gave no answer") && text.contains("may be made again"), "{text}");
    assert!(servers.definitions(&chat()).is_empty());

    // The next step has it back.
    servers.prepare(&chat()).expect("it is gone").await;
    assert_eq!(run(&servers, "echo", json!({ "message": "again" })).await, ToolAnswer::ok("Echo: again"));
    servers.close().await;
    until(|| processes_with(&marker).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_over_http() {
    let server = EverythingOverHttp::start(None).await.unwrap();
    let port = server.port();
    let servers = servers(McpTransport::Http { url: server.url(), headers: BTreeMap::new() });
    everything_works(&servers).await;

    let (answer, reported) =
        call(&servers, "trigger-long-running-operation", json!({ "duration": 600, "steps": 6000 }));
    let answer = tokio::spawn(answer);
    until(|| !reported.lock().is_empty()).await;
    // A call that nobody waits for any more leaves the connection as good as it was.
    answer.abort();
    assert_eq!(run(&servers, "echo", json!({ "message": "still" })).await, ToolAnswer::ok("Echo: still"));

    server.kill().await.unwrap();
    let answer = run(&servers, "echo", json!({ "message": "nobody" })).await;
    let text = answer.result.as_str().expect("it is text");
    assert!(answer.is_error && text.contains("gave no answer"), "{text}");
    servers.prepare(&chat()).expect("it is gone").await;
    assert!(servers.states()[0].problem.is_some(), "{:?}", servers.states());

    let _server = EverythingOverHttp::start(Some(port)).await.unwrap();
    servers.prepare(&chat()).expect("it is to be tried again").await;
    assert_eq!(run(&servers, "echo", json!({ "message": "again" })).await, ToolAnswer::ok("Echo: again"));
    servers.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_written_at_most_once_and_only_where_they_may_be() {
    let folder = TempDir::new().unwrap();
    let folder_path = folder.path().canonicalize().unwrap().to_string_lossy().into_owned();
    let servers = servers(stdio("server-filesystem", &[&folder_path]));
    let chat = chat();
    servers.prepare(&chat).expect("it is not connected").await;
    let file = format!("{folder_path}/note.txt");
    let answer = run(&servers, "write_file", json!({ "path": file, "content": "once" })).await;
    assert!(!answer.is_error, "{answer:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "once");
    let answer = run(&servers, "read_text_file", json!({ "path": file })).await;
    assert!(!answer.is_error && answer.result.to_string().contains("once"), "{answer:?}");
    let answer = run(&servers, "read_text_file", json!({ "path": "/etc/passwd" })).await;
    assert!(answer.is_error && !answer.result.to_string().contains("root:"), "{answer:?}");

    // A tool of whose repetition nothing good is known, killed while it runs.
    assert_eq!(servers.effect_class(&chat, "s__move_file"), Some(EffectClass::AtMostOnce));
    let process = the_process(&folder_path);
    signal(process, "STOP").unwrap();
    let (answer, _) = call(&servers, "move_file", json!({ "source": file, "destination": format!("{file}.old") }));
    let mut answer = std::pin::pin!(answer);
    assert!(futures_util::poll!(answer.as_mut()).is_pending(), "a stopped process answers nothing");
    signal(process, "KILL").unwrap();
    let answer = answer.await;
    let text = answer.result.as_str().expect("it is text");
    assert!(answer.is_error && text.contains("outcome unknown: the call may or may not have run"), "{text}");

    let answer = run(&servers, "list_directory", json!({ "path": folder_path })).await;
    assert!(answer.result.to_string().contains("[FILE] note.txt"), "{answer:?}");
    drop(servers);
    until(|| processes_with(&folder_path).is_empty()).await;
}
