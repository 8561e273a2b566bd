//! Models and providers that change while chats stream: the next step of each uses what is set then, and a restart keeps it.

use std::path::Path;

use futures_util::future::join_all;
use serde_json::{Value, json};
use support::chat::ChatClient;
use support::http::Client;
use support::provider::{Gate, Piece, Provider, Reply};
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

/// Two scripted providers, each with a model, and their keys.
async fn two(first: &Provider, second: &Provider) -> TestServer {
    let config = format!(
        "[providers.first]\nkind = \"openai_chat\"\nbase_url = \"{}\"\napi_key_env = \"FIRST_KEY\"\n\
         [providers.second]\nkind = \"openai_chat\"\nbase_url = \"{}\"\napi_key_env = \"SECOND_KEY\"\n\
         [models.one]\nprovider = \"first\"\n[models.two]\nprovider = \"second\"\ndefault = true\n\
         [models.two.prices]\ninput_micros = 1000000\noutput_micros = 2000000\n\
         [limits]\nretry_base_ms = 1\n",
        first.base_url(),
        second.base_url()
    );
    let keys = [("FIRST_KEY", "sk-first"), ("SECOND_KEY", "sk-second"), ("THIRD_KEY", "sk-third")];
    let environment = keys.map(|(name, key)| (name.to_owned(), key.to_owned())).to_vec();
    TestServer::start_with(PROGRAM, ServerOptions { environment, ..ServerOptions::with_config(&config) }).await
}

/// An answer that is under way until the gate opens, and ends in a call of the client's tool.
fn held(gate: &Gate) -> Reply {
    Reply::Stream(vec![
        Piece::Text("Let me see. "),
        Piece::Wait(gate.clone()),
        Piece::Call("call-1", "look", json!({})),
        Piece::Finish("tool_calls"),
        Piece::Done,
    ])
}

/// A user of their own.
async fn owner(server: &TestServer, number: usize) -> Client {
    let key = json!({"name": "test", "owner": format!("owner-{number}"), "roles": ["user"]});
    let made = server.client().post("/keys", key).await.expect(201);
    server.client().with_key(Some(&made.text_of("key")))
}

/// A chat that asks this model, with a tool that its client runs.
async fn asking(client: &Client, model: &str) -> ChatClient {
    let tool = json!({"name": "look", "description": "Looks.", "parameters": {"type": "object"}});
    ChatClient::create(client, json!({"model": model, "tools": [tool], "content": "What is there?"})).await
}

/// Answers the call that a chat waits with, and waits for the turn's end.
async fn answered(chat: &ChatClient) -> Value {
    chat.until_status("requires_action").await;
    let results = json!({"results": [{"call_id": "call-1", "result": "a tree"}]});
    chat.post("/tool-results", results).await.expect(202);
    chat.rest().await
}

/// What the steps of a chat cost, in order.
async fn costs(server: &TestServer, chat: &ChatClient) -> Vec<Option<u64>> {
    let log = server.client().get("/log").await.expect(200).text;
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let steps = events.filter(|event| {
        event["chat_id"] == chat.id.as_str()
            && event["type"] == "message_committed"
            && event["data"]["role"] == "assistant"
    });
    steps.map(|event| event["data"]["cost_micros"].as_u64()).collect()
}

async fn run_clean(server: &TestServer, arguments: &[&str]) -> String {
    let output = server.run(arguments).await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).to_lowercase()
}

/// All files below a folder that hold these bytes.
fn holding(folder: &Path, needle: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            holding(&entry.path(), needle, found);
        } else if std::fs::read(entry.path()).unwrap().windows(needle.len()).any(|bytes| bytes == needle.as_bytes()) {
            found.push(entry.path().display().to_string());
        }
    }
}

#[tokio::test]
async fn twenty_chats_that_stream_use_the_new_settings_for_their_next_step() {
    let gate = Gate::default();
    let first = Provider::start((0..10).map(|_| held(&gate))).await.unwrap();
    let second = Provider::start((0..10).map(|_| held(&gate))).await.unwrap();
    let mut server = two(&first, &second).await;
    // Five chats for each of four owners, which is what an owner may have at work at once.
    let owners = join_all((0..4).map(|number| owner(&server, number))).await;
    let ones = join_all((0..10).map(|number| asking(&owners[number % 4], "one"))).await;
    let twos = join_all((0..10).map(|number| asking(&owners[(number + 2) % 4], "two"))).await;
    first.requests(10).await.unwrap();
    second.requests(10).await.unwrap();

    let admin = server.client();
    admin.patch("/models/one", json!({"enabled": false})).await.expect(200);
    admin.patch("/providers/second", json!({"api_key_env": "THIRD_KEY"})).await.expect(200);
    let prices = json!({"input_micros": 3_000_000, "output_micros": 5_000_000});
    admin.patch("/models/two", json!({"prices": prices})).await.expect(200);
    for _ in 0..20 {
        second.push(Reply::text("There is a tree."));
        gate.open();
    }
    for rested in join_all(ones.iter().chain(&twos).map(answered)).await {
        assert_eq!(rested["status"], "waiting", "{rested}");
    }
    assert_eq!(first.requests(10).await.unwrap().len(), 10, "nobody talks to a disabled model any more");
    let asked = second.requests(30).await.unwrap();
    let keys = |range: std::ops::Range<usize>| {
        asked[range].iter().map(|request| request.header("authorization")).collect::<Vec<_>>()
    };
    assert_eq!(keys(0..10), [Some("Bearer sk-second"); 10]);
    assert_eq!(keys(10..30), [Some("Bearer sk-third"); 20]);
    // 11 tokens in and 7 out, at each step's own price.
    assert_eq!(costs(&server, &twos[0]).await, [Some(11 + 2 * 7), Some(3 * 11 + 5 * 7)]);
    assert_eq!(costs(&server, &ones[0]).await, [None, Some(3 * 11 + 5 * 7)]);

    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    let models = server.client().get("/models").await.expect(200);
    let one = models.items().iter().find(|model| model["name"] == "one").unwrap();
    assert_eq!((&one["enabled"], &one["source"]), (&json!(false), &json!("api")));
    let provider = server.client().get("/providers/second").await.expect(200);
    assert_eq!((&provider.body["api_key_env"], &provider.body["has_key"]), (&json!("THIRD_KEY"), &json!(true)));
    for chat in [&ones[0], &twos[0]] {
        let replay = run_clean(&server, &["replay", &chat.id, "--check"]).await;
        assert!(!replay.contains("not comparable"), "{replay}");
    }
    run_clean(&server, &["audit", "verify"]).await;
    run_clean(&server, &["projections", "rebuild", "--verify"]).await;
    assert_eq!(server.client().get("/chats").await.items().len(), 20, "the settings are no chat");
}

#[tokio::test]
async fn a_provider_that_is_switched_off_fails_the_next_step_and_back_on_goes_on() {
    let gate = Gate::default();
    let (first, second) = (Provider::start([held(&gate)]).await.unwrap(), Provider::start([]).await.unwrap());
    let server = two(&first, &second).await;
    let chat = asking(server.client(), "one").await;
    first.requests(1).await.unwrap();
    server.client().patch("/providers/first", json!({"enabled": false})).await.expect(200);
    gate.open();
    let failed = answered(&chat).await;
    assert_eq!((&failed["status"], &failed["last_error"]["kind"]), (&json!("error"), &json!("provider_disabled")));
    assert_eq!(failed["last_error"]["provider"], "first");
    server.client().patch("/providers/first", json!({"enabled": true, "api_key_env": "NO_SUCH_KEY"})).await.expect(200);
    chat.send("And now?").await.expect(202);
    assert_eq!(chat.rest().await["last_error"]["kind"], "missing_key");
    server.client().delete("/providers/first").await.expect(204);
    first.push(Reply::text("A tree."));
    chat.send("And now?").await.expect(202);
    assert_eq!(chat.rest().await["status"], "waiting");
    let asked = first.requests(2).await.unwrap();
    assert_eq!(asked[1].header("authorization"), Some("Bearer sk-first"), "the file's provider is back");
}

#[tokio::test]
async fn a_key_that_is_set_is_used_kept_over_restarts_and_stands_nowhere() {
    const KEY: &str = "sk-set-over-http-0815";
    let script = || [Reply::text("Yes."), Reply::text("Still.")];
    let (first, second) = (Provider::start([]).await.unwrap(), Provider::start(script()).await.unwrap());
    let mut server = two(&first, &second).await;
    let admin = server.client();
    let made = json!({"name": "mine", "kind": "openai_chat", "base_url": second.base_url(), "api_key": KEY});
    let made = admin.post("/providers", made).await.expect(201);
    assert_eq!((&made.body["has_key"], made.text.contains(KEY)), (&json!(true), false));
    admin.post("/models", json!({"name": "m", "provider": "mine", "default": true})).await.expect(201);
    let chat = ChatClient::begin(admin, "Are you there?").await;
    assert_eq!(chat.rest().await["status"], "waiting");
    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    let chat = chat.through(server.client());
    chat.send("And now?").await.expect(202);
    assert_eq!(chat.rest().await["status"], "waiting");
    for request in second.requests(2).await.unwrap() {
        assert_eq!(request.header("authorization").unwrap(), format!("Bearer {KEY}"));
    }
    for path in ["/providers", "/providers/mine", "/models", "/log"] {
        assert!(!server.client().get(path).await.expect(200).text.contains(KEY), "{path}");
    }
    assert!(!server.log().contains(KEY));
    let mut found = Vec::new();
    holding(&server.data_dir(), KEY, &mut found);
    assert_eq!(found, [] as [String; 0]);
}
