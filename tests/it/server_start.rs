//! Starts, stops and what outlives them.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use support::chat::ChatClient;
use support::events::Frame;
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

#[tokio::test]
async fn a_first_chat() {
    let server = TestServer::start(PROGRAM).await;
    let client = server.client();
    client.with_key(None).get("//healthz").await.expect(200);
    client.with_key(None).get("//readyz").await.expect(200);
    let created = client.post("/chats", json!({ "content": "Which rivers cross Vienna?" })).await.expect(201);
    let id = created.text_of("id");
    assert_eq!(created.header("location"), Some(format!("/api/v1/chats/{id}").as_str()));
    assert_eq!(created.body["owner"], "admin");
    assert_eq!(created.body["title"], "Which rivers cross Vienna?");
    assert_eq!(created.body["status"], "running");
    assert_eq!(created.body["model"], "demo");
    assert!(created.header("verbatim-position").is_some());
    let chat = ChatClient::begin(client, "Hello again").await;
    let first = ChatClient::of(client, &id);
    let rested = first.rest().await;
    assert_eq!(rested["status"], "waiting");
    assert!(rested["usage"]["output_tokens"].as_u64() > Some(0), "{rested}");
    let history = first.history().await;
    assert_eq!(history.len(), 2);
    assert_eq!(history[0], ("user".to_owned(), "Which rivers cross Vienna?".to_owned()));
    assert_eq!(history[1].0, "assistant");
    assert!(history[1].1.starts_with("Good question about rivers"), "{history:?}");

    let sent = first.send("And which bridges?").await.expect(202);
    assert_eq!(sent.text_of("chat_id"), first.id);
    assert_eq!(sent.text_of("status"), "running");
    assert!(sent.number("message_id") <= sent.number("version") && sent.number("turn_id") > 0, "{}", sent.text);
    assert_eq!(Some(sent.text_of("position").as_str()), sent.header("verbatim-position"));
    first.rest().await;
    chat.rest().await;
    assert_eq!(first.history().await.len(), 4);
    let list = client.get("/chats").await.expect(200);
    let ids: Vec<_> = list.items().iter().map(|chat| chat["id"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&chat.id) && ids.contains(&first.id), "{ids:?}");
    let turns = first.get("/turns").await.expect(200);
    assert_eq!(turns.items().len(), 2);
    assert!(turns.items().iter().all(|turn| turn["outcome"] == "complete"), "{}", turns.text);
}

#[tokio::test]
async fn the_command_line_beside_the_server_and_without_it() {
    let mut server = TestServer::start(PROGRAM).await;
    let output = server.run(&["chat", "[[say a clear word]]"]).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("a clear word"), "{output:?}");
    let id = server.client().get("/chats").await.expect(200).items()[0]["id"].as_str().unwrap().to_owned();
    for arguments in [&["replay", &id][..], &["replay", &id, "--check"], &["audit", "verify"], &["projections", "list"]]
    {
        let output = server.run(arguments).await.unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{arguments:?}: {output:?}");
    }
    let output = server.run(&["chat", "--chat", &id, "[[fail 401]]"]).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "a failed turn is a failure: {output:?}");
    assert!(server.terminate().await.unwrap().success());
    let output = server.run(&["chat", "--chat", &id, "[[say still here]]"]).await.unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("still here"), "{output:?}");
    let output = server.run(&["replay", &id, "--json"]).await.unwrap();
    let lines: Vec<serde_json::Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let versions: Vec<u64> = lines.iter().filter_map(|line| line["version"].as_u64()).collect();
    assert_eq!(versions, (1..=lines.len() as u64).collect::<Vec<_>>());
    assert_eq!(lines.iter().filter(|line| line["type"] == "turn_finished").count(), 3);
    let output = server.run(&["audit", "verify", "--json"]).await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let mut server = TestServer::start(PROGRAM).await;
    let labels = json!({ "team": "blue" });
    let chat =
        ChatClient::create(server.client(), json!({ "content": "[[say one]]", "title": "First", "labels": labels }))
            .await;
    chat.rest().await;
    let failed = ChatClient::begin(server.client(), "[[fail 401]]").await;
    assert_eq!(failed.rest().await["status"], "error");
    let before = (chat.get("").await.body, chat.replay().await, failed.get("").await.body, failed.replay().await);
    for graceful in [true, false] {
        if graceful {
            assert!(server.terminate().await.unwrap().success());
        } else {
            server.kill().await.unwrap();
        }
        server.start_again().await.unwrap();
        let (chat, failed) = (chat.through(server.client()), failed.through(server.client()));
        let after = (chat.get("").await.body, chat.replay().await, failed.get("").await.body, failed.replay().await);
        assert_eq!(before, after);
        assert_eq!(failed.get("").await.body["last_error"]["kind"], "auth");
    }
}

#[tokio::test]
async fn a_stop_in_mid_answer_is_no_interrupt() {
    let mut server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::begin(server.client(), "[[slow 40]] [[tokens 25]]").await;
    let queued = chat.send("[[say and then]]").await.expect(202);
    assert_eq!(queued.text_of("status"), "running");
    let mut stream = chat.stream(Some("0")).await;
    let seen = stream.until(|frame| frame.event == "part" && frame.data["n"] == 3).await;
    let last_id = seen.last().and_then(|frame| frame.id.clone());
    let begun = Instant::now();
    assert!(server.terminate().await.unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "the stop took {:?}", begun.elapsed());
    let rest = stream.to_the_end().await;
    assert!(rest.iter().all(|frame| frame.event == "part" || frame.event == "heartbeat"), "{rest:?}");

    // The next start goes on by itself: nobody asks for the chat before its turns are over.
    server.start_again().await.unwrap();
    let chat = chat.through(server.client());
    let frames = chat.stream(last_id.as_deref()).await.until(|frame| frame.rests() && frame.is_chat_event()).await;
    let names: Vec<&str> = frames.iter().map(|frame| frame.event.as_str()).filter(|name| *name != "part").collect();
    assert!(names.contains(&"attempt_abandoned") && !names.contains(&"interrupt_requested"), "{names:?}");
    let outcomes: Vec<_> = frames.iter().filter(|frame| frame.event == "turn_finished").collect();
    assert!(outcomes.iter().all(|frame| frame.data["data"]["outcome"] == "complete"), "{outcomes:?}");
    let history = chat.history().await;
    assert_eq!(history.len(), 4, "{history:?}");
    assert_eq!(history[1].1.split_whitespace().count(), 25);
    assert_eq!(history[3].1, "and then");
}

#[tokio::test]
async fn unfinished_turns_go_on_though_nobody_asks() {
    let mut server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::begin(server.client(), "[[slow 30]] [[tokens 20]]").await;
    let mut list = server.client().get("/chats?status=running").await.expect(200);
    assert_eq!(list.items().len(), 1);
    chat.stream(Some("0")).await.until_event("part").await;
    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    // The list comes from the read models and wakes no chat.
    let client = server.client().clone();
    let patience = Instant::now();
    while list.items().iter().any(|chat| chat["status"] != "waiting") {
        assert!(patience.elapsed() < Duration::from_secs(20), "{}", list.text);
        list = client.get("/chats").await.expect(200);
    }
    assert_eq!(chat.through(&client).history().await[1].1.split_whitespace().count(), 20);
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let server = TestServer::start(PROGRAM).await;
    let output = server.run(&["serve", "--listen", "127.0.0.1:0"]).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(server.client().url()) && text.contains(&server.pid().to_string()), "{text}");
    server.client().get("/chats").await.expect(200);
}

#[tokio::test]
async fn broken_settings_are_named_with_their_line() {
    let cases = [
        ("listen = \"127.0.0.1:0\"\n\nunknown_key = 1\n", "verbatim.toml:3", "unknown_key"),
        ("[limits]\nqueue_max = \"many\"\n", "verbatim.toml:2", "whole number"),
        ("[limits]\nqueue_maximum = 3\n", "verbatim.toml:2", "queue_maximum"),
        ("[models.x]\nprovider = \"nobody\"\n", "verbatim.toml:2", "nobody"),
        ("listen = \n", "verbatim.toml:1", ""),
    ];
    for (config, place, word) in cases {
        let server = TestServer::prepare(PROGRAM, ServerOptions::with_config(config)).unwrap();
        for arguments in [&["serve"][..], &["serve", "--check-config"], &["audit", "verify"]] {
            let output = server.run(arguments).await.unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{config:?}: {output:?}");
            assert!(text.contains(place) && text.contains(word), "{config:?}: {text}");
            assert!(!Path::exists(&server.data_dir().join("events.db")));
        }
    }
}

#[tokio::test]
async fn the_settings_in_force_are_shown_without_secrets() {
    let config = "[providers.own]\nkind = \"openai_chat\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
                  api_key_env = \"OWN_KEY\"\n[models.m]\nprovider = \"own\"\n";
    let options = ServerOptions {
        environment: vec![
            ("OWN_KEY".to_owned(), "sk-very-secret".to_owned()),
            ("VERBATIM_LIMITS__QUEUE_MAX".to_owned(), "7".to_owned()),
        ],
        ..ServerOptions::with_config(config)
    };
    let server = TestServer::prepare(PROGRAM, options).unwrap();
    let output = server.run(&["serve", "--check-config"]).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("queue_max = 7") && text.contains("own"), "{output:?}");
    assert!(!text.contains("very-secret"), "{text}");
    assert!(!server.data_dir().exists(), "nothing was made");
}

#[tokio::test]
async fn a_model_call_that_waits_for_its_retry_waits_on_after_a_restart() {
    let config = "[limits]\nretry_base_ms = 1500\n";
    let mut server = TestServer::start_with(PROGRAM, ServerOptions::with_config(config)).await;
    let chat = ChatClient::begin(server.client(), "[[fail 503]]").await;
    let scheduled = chat.stream(Some("0")).await.until_event("retry_scheduled").await.pop().unwrap();
    let retry_at = scheduled.data["data"]["retry_at"].as_str().unwrap().to_owned();
    let shown = chat.get("").await.expect(200).body;
    assert_eq!(shown["retry"]["retry_at"], retry_at.as_str());
    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    let chat = chat.through(server.client());
    let second = |frame: &Frame| frame.event == "attempt_recorded" && frame.data["data"]["attempt"] == 2;
    let frames = chat.stream(Some("0")).await.until(second).await;
    let began = frames.last().and_then(|frame| frame.data["at"].as_str()).unwrap();
    assert!(began >= retry_at.as_str(), "the second attempt began at {began}, before {retry_at}");
    chat.post("/interrupt", json!({})).await.expect(202);
    assert_eq!(chat.rest().await["status"], "waiting");
}
