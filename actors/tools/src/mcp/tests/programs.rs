//! Servers that are programs: what they get, what is said of them, and what is left of them. The programs are small
//! shell scripts that speak just enough of the protocol.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use verbatim_events::event::EffectClass;
use verbatim_events::tool::ToolAnswer;

use super::{chat, invocation, output, until};
use crate::mcp::{McpConfig, McpServers, McpTransport};

/// A server with four tools: `env` and `pids` tell about its process, `crash` and `look` end it in mid-call.
const SCRIPT: &str = r#"
sleep 1000 & grandchild=$!
echo "ready" >&2
text() { printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"}]}}\n' "$id" "$1"; }
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *server/discover*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"unknown"}}\n' "$id" ;;
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"script","version":"1"}}}\n' "$id" ;;
    *tools/list*) printf '{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"env","inputSchema":{"type":"object"}},{"name":"pids","inputSchema":{"type":"object"}},{"name":"crash","inputSchema":{"type":"object"}},{"name":"look","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}]}}\n' "$id" ;;
    *'"name":"env"'*) text "$(env | cut -d= -f1 | sort | tr '\n' ' ')$VALUE" ;;
    *'"name":"pids"'*) text "$$ $grandchild" ;;
    *'"name":"crash"'* | *'"name":"look"'*) exit 3 ;;
  esac
done
"#;

fn program(script: &str, skip_ms: u64) -> McpConfig {
    let transport = McpTransport::Stdio {
        command: "sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: BTreeMap::from([("VALUE".to_owned(), "<${SECRET}>".to_owned())]),
        cwd: None,
    };
    McpConfig { skip_ms, ..McpConfig::new(transport) }
}

fn servers(configured: &[(&str, McpConfig)]) -> McpServers {
    let configured = configured.iter().map(|(name, config)| ((*name).to_owned(), config.clone())).collect();
    let lookup = |name: &str| (name == "SECRET").then(|| "hidden".to_owned());
    McpServers::new(configured, lookup, Handle::current())
}

async fn run(servers: &McpServers, tool: &str) -> ToolAnswer {
    servers.run(invocation(&chat(&["script"]), tool, json!({})), output().0).await
}

fn words(answer: &ToolAnswer) -> &str {
    answer.result.as_str().expect("the answer is text")
}

fn is_running(pid: &str) -> bool {
    // A process that nobody waited for yet is dead all the same.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with(['Z', 'X'])))
}

#[tokio::test]
async fn a_program_gets_its_own_environment_and_none_of_ours() {
    let servers = servers(&[("script", program(SCRIPT, 0))]);
    let answer = run(&servers, "script__env").await;
    // What the shell itself sets is no leak.
    let allowed = ["VALUE", "PWD", "OLDPWD", "SHLVL", "_"];
    let (names, value) = words(&answer).rsplit_once(' ').expect("names and the value");
    assert_eq!(value, "<hidden>");
    for name in names.split(' ') {
        assert!(allowed.contains(&name) || crate::mcp::INHERITED_VARIABLES.contains(&name), "{name} leaked: {names}");
    }
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "there is something to leak");
    servers.close().await;
}

#[tokio::test]
async fn nothing_of_a_program_is_left_after_the_end() {
    for is_closed in [true, false] {
        let servers = servers(&[("script", program(SCRIPT, 0))]);
        let answer = run(&servers, "script__pids").await;
        let pids: Vec<String> = words(&answer).split(' ').map(str::to_owned).collect();
        assert!(pids.iter().all(|pid| is_running(pid)), "{pids:?}");
        if is_closed {
            servers.close().await;
            assert_eq!(servers.states()[0].connected, None);
            assert!(servers.prepare(&chat(&["script"])).is_none(), "no other is started");
        }
        drop(servers);
        until(|| !pids.iter().any(|pid| is_running(pid))).await;
    }
}

#[tokio::test]
async fn a_crash_in_mid_call_says_what_is_known_and_the_server_comes_back() {
    let servers = servers(&[("script", program(SCRIPT, 0))]);
    let chat = chat(&["script"]);
    servers.prepare(&chat).expect("it is not connected").await;
    assert_eq!(servers.effect_class(&chat, "script__crash"), Some(EffectClass::AtMostOnce));
    assert_eq!(servers.effect_class(&chat, "script__look"), Some(EffectClass::Idempotent));

    let answer = run(&servers, "script__crash").await;
    assert!(answer.is_error && words(&answer).contains("outcome unknown"), "{answer:?}");
    assert_eq!(servers.definitions(&chat), vec![], "what is not there is not offered");
    assert_eq!(servers.effect_class(&chat, "script__crash"), Some(EffectClass::AtMostOnce), "but still known");

    servers.prepare(&chat).expect("it is to be tried again").await;
    assert_eq!(servers.definitions(&chat).len(), 4);
    let answer = run(&servers, "script__look").await;
    assert!(answer.is_error && words(&answer).contains("may be made again"), "{answer:?}");
    let answer = run(&servers, "script__pids").await;
    assert!(!answer.is_error, "a call finds the server again by itself: {answer:?}");
    servers.close().await;
}

#[tokio::test]
async fn a_dead_server_is_skipped_and_costs_no_other_chat_anything() {
    let servers = servers(&[
        (
            "absent",
            McpConfig::new(McpTransport::Stdio {
                command: "/nowhere/program".to_owned(),
                args: Vec::new(),
                env: BTreeMap::new(),
                cwd: None,
            }),
        ),
        ("dead", program("echo 'cannot work like this' >&2; exit 1", 30_000)),
        (
            "unset",
            McpConfig::new(McpTransport::Http {
                url: "http://127.0.0.1:9/".to_owned(),
                headers: BTreeMap::from([("authorization".to_owned(), "Bearer ${UNSET}".to_owned())]),
            }),
        ),
        ("script", program(SCRIPT, 0)),
    ]);
    assert!(servers.prepare(&chat(&[])).is_none() && servers.prepare(&chat(&["unknown"])).is_none());
    let chat = chat(&["dead", "absent", "unset", "script", "script"]);
    servers.prepare(&chat).expect("nothing is connected").await;
    assert!(servers.prepare(&chat).is_none(), "those that failed are left alone");
    let names: Vec<String> = servers.definitions(&chat).iter().map(|definition| definition.name.clone()).collect();
    assert_eq!(names, ["script__env", "script__pids", "script__crash", "script__look"]);

    let states = servers.states();
    let problem = |name: &str| {
        let state = states.iter().find(|state| state.name == name).expect("it is configured");
        state.problem.clone().unwrap_or_default()
    };
    assert!(problem("absent").contains("cannot be started"), "{}", problem("absent"));
    assert_eq!(problem("unset"), "the variable UNSET is not set");
    assert_eq!(problem("dead"), "the handshake failed: it closed the connection");
    assert_eq!(problem("script"), "");
    servers.close().await;
}

#[tokio::test]
async fn a_server_that_takes_offence_at_the_newer_handshake_gets_the_older_one() {
    let script = SCRIPT.replace("*server/discover*) printf", "*server/discover*) exit 1 ;; *never*) printf");
    let servers = servers(&[("script", program(&script, 30_000))]);
    let answer = run(&servers, "script__pids").await;
    assert!(!answer.is_error, "{answer:?}");
    assert_eq!(servers.states()[0].connected.as_deref(), Some("2025-06-18"));
    servers.close().await;
}

#[tokio::test]
async fn a_chat_reaches_only_the_servers_that_it_names() {
    let servers = servers(&[("script", program(SCRIPT, 0)), ("other", program(SCRIPT, 0))]);
    let chat = chat(&["other"]);
    servers.prepare(&chat).expect("it is not connected").await;
    assert!(servers.owns("script__pids") && !servers.owns("pids") && !servers.owns("foreign__pids"));
    assert_eq!(servers.effect_class(&chat, "script__pids"), None);
    for name in ["script__pids", "other__none", "pids", "__", "http://127.0.0.1/__x"] {
        let answer = servers.run(invocation(&chat, name, json!({})), output().0).await;
        assert_eq!(answer, ToolAnswer::error(format!("there is no tool named {name:?}")));
    }
    let answer = servers.run(invocation(&chat, "other__pids", Value::from("text")), output().0).await;
    assert_eq!(answer, ToolAnswer::error("the arguments are no object"));
    assert_eq!(servers.states()[1].connected, None, "nobody needed the other one");
    servers.close().await;
}

#[tokio::test]
async fn a_tool_of_a_server_that_is_away_is_not_said_not_to_exist() {
    let servers = servers(&[("dead", program("exit 1", 30_000)), ("other", program("exit 1", 30_000))]);
    let chat = chat(&["dead"]);
    servers.prepare(&chat).expect("it is not connected").await;
    let told = servers.absence(&chat, "dead__pids").expect("its server cannot be reached");
    assert!(told.contains("\"dead\" cannot be reached") && told.contains("not run"), "{told}");
    assert_eq!(servers.absence(&chat, "other__pids"), None, "the chat does not name it");
    assert_eq!(servers.absence(&chat, "pids"), None);
    servers.close().await;
}
