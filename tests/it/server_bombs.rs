//! Providers and tools that answer with bombs: enormous, nested without end, of the wrong kind. Each is refused or bounded, the
//! turn ends where everybody can see it, the chat goes on, and the server is as well as before.

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::mcp_peer::{Era, McpPeer};
use support::provider::{Piece, Provider, Reply};
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

/// The bytes of an event of a provider's stream, as they come.
const PIECE_BYTES: usize = 256 * 1024;

async fn start(script: impl IntoIterator<Item = Reply>, more: &str) -> (TestServer, Provider) {
    let provider = Provider::start(script).await.expect("it listens");
    let limits = "retry_base_ms = 1\nretry_cap_ms = 1\nattempts_max = 3";
    let options = ServerOptions {
        environment: vec![("SCRIPTED_KEY".to_owned(), "sk-scripted-secret".to_owned())],
        ..ServerOptions::with_config(&format!("{}\n{more}", provider.config(limits)))
    };
    (TestServer::start_with(PROGRAM, options).await, provider)
}

/// A call of the client's tool `look`.
fn calls(arguments: String, bytes_max: usize) -> Reply {
    Reply::Stream(vec![
        Piece::Arguments("call-1", "look", arguments, bytes_max),
        Piece::Finish("tool_calls"),
        Piece::Done,
    ])
}

/// A chat with the client's tool `look`, which takes anything.
async fn begin(server: &TestServer) -> ChatClient {
    let tool = json!({ "name": "look", "description": "Looks.", "parameters": {} });
    ChatClient::create(server.client(), json!({ "content": "Look!", "tools": [tool] })).await
}

/// Everything that shows the chat still shows it, also after a crash.
async fn is_well(server: &mut TestServer, chat: &ChatClient) {
    for round in ["before", "after"] {
        let chat = chat.through(server.client());
        for path in ["", "/messages?limit=200", "/events?limit=200", "/turns", "/queue"] {
            chat.get(path).await.expect(200);
        }
        server.client().get("/chats").await.expect(200);
        assert_eq!(chat.stream(None).await.expect_next().await.event, "snapshot");
        if round == "before" {
            server.kill().await.expect("it can be killed");
            server.start_again().await.expect("it starts again");
        }
    }
    for arguments in [vec!["audit", "verify"], vec!["replay", &chat.id, "--check"], vec!["replay", &chat.id]] {
        let ran = server.run(&arguments).await.expect("it runs");
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stdout));
    }
}

/// The chat in which something happened last.
async fn newest(server: &TestServer) -> String {
    server.client().get("/chats").await.expect(200).items()[0]["id"].as_str().expect("an id").to_owned()
}

/// `levels` arrays in each other.
fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[tokio::test]
async fn arguments_that_are_too_large_fail_the_turn_and_the_chat_goes_on() {
    let large = |bytes: usize| json!({ "text": "x".repeat(bytes) }).to_string();
    // In one event; and in many, together more than an attempt may bring.
    let bombs = [(10 << 20, usize::MAX), (10 << 20, PIECE_BYTES)];
    let script = bombs.map(|(bytes, piece)| [calls(large(bytes), piece), Reply::text("All well.")]);
    let (mut server, _provider) = start(script.into_iter().flatten(), "").await;
    for _ in bombs {
        let chat = begin(&server).await;
        let rested = chat.rest().await;
        assert_eq!(
            (&rested["status"], &rested["last_error"]["retryable"]),
            (&json!("error"), &json!(false)),
            "{rested}"
        );
        chat.send("And now?").await.expect(202);
        chat.rest().await;
        assert_eq!(chat.history().await.pop(), Some(("assistant".to_owned(), "All well.".to_owned())));
    }
    let chat = ChatClient::of(server.client(), &newest(&server).await);
    is_well(&mut server, &chat).await;
}

#[tokio::test]
async fn arguments_of_a_megabyte_are_a_call_like_any_other() {
    let large = json!({ "text": "x".repeat(1 << 20) }).to_string();
    let (mut server, provider) = start([calls(large, PIECE_BYTES), Reply::text("Seen.")], "").await;
    let chat = begin(&server).await;
    chat.until_status("requires_action").await;
    let results = json!({ "results": [{ "call_id": "call-1", "result": "so" }] });
    chat.post("/tool-results", results).await.expect(202);
    chat.rest().await;
    assert_eq!(chat.history().await.pop(), Some(("assistant".to_owned(), "Seen.".to_owned())));
    let asked = &provider.requests(2).await.expect("it is asked again")[1].body;
    assert!(asked["messages"][1]["tool_calls"][0]["function"]["arguments"].as_str().map_or(0, str::len) > 1 << 20);
    is_well(&mut server, &chat).await;
}

#[tokio::test]
async fn arguments_are_nested_as_deep_as_everybody_can_read_or_are_none() {
    // Much too deep, a little too deep, and as deep as they may be.
    let too_deep = [1_000_000, 127, 65];
    let arguments = |levels: usize| format!("{{\"a\": {}}}", nested(levels - 1));
    let failures = too_deep.iter().flat_map(|levels| {
        let tried = (0..3).map(|_| calls(arguments(*levels), PIECE_BYTES));
        tried.chain([Reply::text("All well.")])
    });
    let script = failures.chain([calls(arguments(64), PIECE_BYTES), Reply::text("All well.")]);
    let (mut server, _provider) = start(script, "").await;
    for levels in too_deep {
        let chat = begin(&server).await;
        let rested = chat.rest().await;
        assert_eq!(rested["status"], "error", "{levels} levels: {rested}");
        chat.send("And now?").await.expect(202);
        chat.rest().await;
        assert_eq!(chat.history().await.pop(), Some(("assistant".to_owned(), "All well.".to_owned())));
    }
    let chat = begin(&server).await;
    chat.until_status("requires_action").await;
    is_well(&mut server, &chat).await;
    let results = json!({ "results": [{ "call_id": "call-1", "result": "so" }] });
    let chat = chat.through(server.client());
    chat.post("/tool-results", results).await.expect(202);
    chat.rest().await;
    assert_eq!(chat.history().await.pop(), Some(("assistant".to_owned(), "All well.".to_owned())));
}

#[tokio::test]
async fn results_of_clients_are_nested_as_deep_as_everybody_can_read_or_are_refused() {
    let (mut server, _provider) = start([calls("{}".to_owned(), 10), Reply::text("Seen.")], "").await;
    let chat = begin(&server).await;
    chat.until_status("requires_action").await;
    for (levels, status) in [(120, 400), (65, 400), (64, 202)] {
        let result: Value = serde_json::from_str(&nested(levels)).expect("it is JSON");
        let results = json!({ "results": [{ "call_id": "call-1", "result": result }] });
        chat.post("/tool-results", results).await.expect(status);
    }
    chat.rest().await;
    is_well(&mut server, &chat).await;
}

#[tokio::test]
async fn an_event_that_is_itself_a_bomb_is_no_answer() {
    let bombs = [
        format!("data: {}\n\n", nested(1_000_000)),
        format!("data: {}\n\n", "[".repeat(1_000_000)),
        format!("data: {}\n\n", "9".repeat(1_000_000)),
        format!("data: {{\"choices\": [{{\"delta\": {{\"tool_calls\": [{}]}}}}]}}\n\n", "{},".repeat(300_000) + "{}"),
        "data: {\"choices\": {\"delta\": [7, null]}}\n\n".to_owned(),
        "\u{0}\u{1b}[2J\n\n".repeat(10_000),
    ];
    let replies = bombs.iter().flat_map(|bomb| {
        let answer = Reply::Stream(vec![Piece::Bytes(bomb.clone()), Piece::Done]);
        [answer.clone(), answer.clone(), answer, Reply::text("All well.")]
    });
    let (mut server, provider) = start(replies, "").await;
    for (number, bomb) in bombs.iter().enumerate() {
        let chat = ChatClient::begin(server.client(), "Look!").await;
        let rested = chat.rest().await;
        let head = &bomb[..bomb.len().min(60)];
        assert_eq!(rested["status"], "error", "{head:?}: {rested}");
        // Whatever of its tries were not needed are used up here.
        while chat.history().await.pop().map(|(_, text)| text) != Some("All well.".to_owned()) {
            chat.send("And now?").await.expect(202);
            chat.rest().await;
        }
        assert_eq!(provider.requests(1).await.expect("it was asked").len(), 4 * (number + 1), "{head:?}");
    }
    let chat = ChatClient::of(server.client(), &newest(&server).await);
    is_well(&mut server, &chat).await;
}

/// A name as every provider takes it.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// No control characters but those that make lines and columns.
fn is_clean(text: &str) -> bool {
    text.chars().all(|letter| !letter.is_control() || matches!(letter, '\n' | '\t'))
}

#[tokio::test]
async fn hostile_tools_are_offered_under_clean_names_and_within_bounds_or_not_at_all() {
    let deep: Value = serde_json::from_str(&nested(100)).expect("it is JSON");
    let tool = |name: &str, schema: Value| {
        let description = format!("\u{1b}]0;owned\u{7}\u{0}{name}").repeat(200);
        json!({ "name": name, "description": description, "inputSchema": schema })
    };
    let mut tools = vec![
        tool(&"x".repeat(10_000), json!({})),
        tool("\u{1b}[2J\u{0}rm -rf /", json!({})),
        tool("deep", json!({ "enum": deep })),
        tool("large", json!({ "$comment": "x".repeat(1 << 20) })),
        tool("elsewhere", json!({ "properties": { "a": { "$ref": "file:///etc/passwd" } } })),
        tool("number", json!({ "type": "number" })),
        tool("good", json!({ "type": "object" })),
    ];
    tools.extend((0..1_000).map(|number| tool(&format!("t{number}"), json!({}))));
    let peer =
        McpPeer::start(Era::Newer, json!(tools), Box::new(|_| json!({ "content": [] }))).await.expect("it listens");
    let (mut server, provider) = start([Reply::text("Well.")], &peer.config("far")).await;
    let request = json!({ "content": "Look!", "mcp_servers": ["far"] });
    let chat = ChatClient::create(server.client(), request).await;
    assert_eq!(chat.rest().await["status"], "waiting");
    let asked = &provider.requests(1).await.expect("it is asked")[0].body;
    let offered: Vec<&Value> = asked["tools"].as_array().expect("tools").iter().map(|tool| &tool["function"]).collect();
    let names: Vec<&str> = offered.iter().filter_map(|tool| tool["name"].as_str()).collect();
    let foreign = names.iter().filter(|name| name.starts_with("far__")).count();
    assert!(names.contains(&"far__good") && (2..=128).contains(&foreign), "{names:?}");
    assert!(names.iter().all(|name| is_name(name)), "{names:?}");
    for refused in ["far__deep", "far__large", "far__elsewhere", "far__number"] {
        assert!(!names.contains(&refused), "{names:?}");
    }
    assert!(offered.iter().all(|tool| is_clean(tool["description"].as_str().unwrap_or_default())));
    assert!(asked["tools"].to_string().len() < 1 << 20, "{}", asked["tools"].to_string().len());
    assert!(is_clean(&server.log()), "the log is for eyes: {:?}", server.log());
    is_well(&mut server, &chat).await;
}

#[tokio::test]
async fn a_list_of_tools_that_is_none_leaves_the_chat_alone() {
    for tools in [json!("none"), json!([{ "name": 7, "inputSchema": "x" }]), json!({ "a": [] }), Value::Null] {
        for era in [Era::Older, Era::Newer] {
            let peer = McpPeer::start(era, tools.clone(), Box::new(|_| Value::Null)).await.expect("it listens");
            let (server, provider) = start([Reply::text("Well.")], &peer.config("far")).await;
            let request = json!({ "content": "Look!", "mcp_servers": ["far"] });
            let chat = ChatClient::create(server.client(), request).await;
            assert_eq!(chat.rest().await["status"], "waiting", "{tools}");
            let asked = provider.requests(1).await.expect("it is asked")[0].body.to_string();
            assert!(!asked.contains("far__"), "{tools}: {asked}");
        }
    }
}

#[tokio::test]
async fn results_of_hostile_tools_are_clean_and_bounded() {
    let deep: Value = serde_json::from_str(&nested(120)).expect("it is JSON");
    let text = |text: &str| json!([{ "type": "text", "text": text }]);
    let results = [
        json!({ "content": 5 }),
        json!({ "content": text(&format!("\u{1b}[2J\u{0}{}", "x".repeat(2 << 20))) }),
        json!({ "content": [], "structuredContent": { "deep": deep } }),
        json!({ "content": [], "structuredContent": vec![7; 1 << 17] }),
        json!({ "content": text("no"), "isError": "yes" }),
        json!({ "content": vec![json!({ "type": "text", "text": "\u{7}" }); 10_000] }),
        json!({ "content": [{ "type": "image", "data": "\u{0}not base64", "mimeType": "x\u{1b}" }] }),
        json!({ "content": [{ "type": "resource_link", "uri": "javascript:alert(1)", "name": "\u{1b}[2J" }] }),
        json!([1, 2, 3]),
        json!("done"),
        Value::Null,
    ];
    let count = results.len();
    let tools = json!([{ "name": "good", "inputSchema": {}, "annotations": { "readOnlyHint": true } }]);
    let result = move |params: &Value| {
        let number = params["arguments"]["number"].as_u64().and_then(|number| usize::try_from(number).ok());
        number.and_then(|number| results.get(number)).cloned().unwrap_or_default()
    };
    let peer = McpPeer::start(Era::Newer, tools, Box::new(result)).await.expect("it listens");
    peer.answer();
    let config = format!("{}skip_ms = 0\n", peer.config("far"));
    let mut server = TestServer::start_with(PROGRAM, ServerOptions::with_config(&config)).await;
    let chat = ChatClient::create(server.client(), json!({ "mcp_servers": ["far"] })).await;
    for number in 0..count {
        let version = chat.version().await;
        chat.send(&format!("[[tool far__good {{\"number\": {number}}}]]")).await.expect(202);
        assert_eq!(chat.rest().await["status"], "waiting", "result {number}");
        let said = chat.get(&format!("/messages?after={version}&limit=200")).await.expect(200);
        let parts = said.items().iter().flat_map(|message| message["content"].as_array().into_iter().flatten());
        let results: Vec<&Value> = parts.filter(|part| part["type"] == "tool_result").collect();
        assert_eq!(results.len(), 1, "result {number}: {results:?}");
        let told = &results[0]["result"];
        let size = told.to_string().len();
        assert!(size < 256 * 1024, "result {number} has {size} bytes");
        assert!(told.as_str().is_none_or(is_clean), "result {number}: {told:?}");
    }
    assert_eq!(peer.calls_of("good"), count, "each call was made once");
    assert!(is_clean(&server.log()), "the log is for eyes: {:?}", server.log());
    is_well(&mut server, &chat).await;
}
