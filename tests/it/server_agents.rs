//! Tools of the conversation through the real server: questions, plans, agents, advice; and what is not run at all.

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::events::Frame;
use support::provider::{Provider, Reply};
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

/// The results of all tool calls so far: tool, result, whether it is an error.
async fn results(chat: &ChatClient) -> Vec<(String, Value, bool)> {
    let answer = chat.get("/messages?limit=200").await.expect(200);
    let parts = answer.items().iter().filter_map(|message| message["content"].as_array().cloned()).flatten();
    let results = parts.filter(|part| part["type"] == "tool_result");
    results
        .map(|part| {
            let name = part["name"].as_str().unwrap_or_default().to_owned();
            (name, part["result"].clone(), part["is_error"] == true)
        })
        .collect()
}

async fn last_result(chat: &ChatClient) -> Value {
    results(chat).await.pop().expect("a result").1
}

async fn last_outcome(chat: &ChatClient) -> Value {
    let turns = chat.get("/turns").await.expect(200);
    turns.items().iter().max_by_key(|turn| turn["id"].as_u64()).expect("a turn")["outcome"].clone()
}

fn tool(name: &str, args: &Value) -> String {
    format!("[[tool {name} {args}]]")
}

fn question() -> Value {
    json!({ "questions": [{ "question": "Which?", "options": [{ "label": "this" }, { "label": "that" }] }] })
}

#[tokio::test]
async fn a_question_ends_the_turn_and_the_next_message_answers_it() {
    let server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::begin(server.client(), &tool("ask_user_question", &question())).await;
    assert_eq!(chat.rest().await["status"], "waiting");
    assert_eq!(last_outcome(&chat).await, "stop_after_tool");
    assert_eq!(
        results(&chat).await,
        [("ask_user_question".to_owned(), json!({"status": "asked", "questions": 1}), false)]
    );
    chat.send("this").await.expect(202);
    chat.rest().await;
    assert_eq!(last_outcome(&chat).await, "complete");
}

#[tokio::test]
async fn an_exclusive_tool_in_a_larger_batch_keeps_all_from_running() {
    let server = TestServer::start(PROGRAM).await;
    let batch = format!("{} {}", tool("ask_user_question", &question()), tool("list_agents", &json!({})));
    let chat = ChatClient::begin(server.client(), &batch).await;
    chat.rest().await;
    let results = results(&chat).await;
    assert_eq!(results.len(), 2);
    for (name, result, is_error) in results {
        assert!(is_error && result.as_str().is_some_and(|text| text.contains("called alone")), "{name}: {result}");
    }
    assert_eq!(last_outcome(&chat).await, "complete", "the model reads the error and goes on");
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_answered_with_their_place() {
    let server = TestServer::start(PROGRAM).await;
    let one_option = json!({ "questions": [{ "question": "Which?", "options": [{ "label": "this" }] }] });
    let parameters = json!({ "type": "object", "required": ["city"], "properties": { "city": { "type": "string" } } });
    let request = json!({
        "content": format!("{} {}", tool("weather", &json!({ "city": 1 })), tool("nobody", &json!({}))),
        "tools": [{ "name": "weather", "description": "Tells the weather.", "parameters": parameters }],
    });
    let asked = ChatClient::begin(server.client(), &tool("ask_user_question", &one_option)).await;
    asked.rest().await;
    let problem = last_result(&asked).await;
    assert!(problem.as_str().is_some_and(|text| text.contains("/questions/0/options")), "{problem}");
    let client = ChatClient::create(server.client(), request).await;
    assert_eq!(client.rest().await["status"], "waiting", "no client is asked to run what does not fit");
    let results = results(&client).await;
    assert!(results[0].1.as_str().is_some_and(|text| text.contains("/city")), "{results:?}");
    assert!(results[1].1.as_str().is_some_and(|text| text.contains("no tool named \"nobody\"")), "{results:?}");
}

#[tokio::test]
async fn a_chat_that_plans_acts_on_nothing() {
    let server = TestServer::start(PROGRAM).await;
    let spawn = tool("spawn_agent", &json!({ "prompt": "go" }));
    let chat = ChatClient::create(server.client(), json!({ "content": spawn, "plan_mode": true })).await;
    chat.rest().await;
    let refused = last_result(&chat).await;
    assert!(refused.as_str().is_some_and(|text| text.contains("only a plan is made now")), "{refused}");
    chat.send(&tool("propose_plan", &json!({ "plan": "1. Look\n2. Leap" }))).await.expect(202);
    chat.rest().await;
    assert_eq!(last_outcome(&chat).await, "stop_after_tool");
    server.client().patch(&chat.path(""), json!({ "plan_mode": false })).await.expect(200);
    chat.send(&tool("propose_plan", &json!({ "plan": "again" }))).await.expect(202);
    chat.rest().await;
    let refused = last_result(&chat).await;
    assert!(refused.as_str().is_some_and(|text| text.contains("no tool named")), "{refused}");
}

/// Lets a chat spawn an agent, and returns the agent.
async fn spawn(chat: &ChatClient, prompt: &str) -> ChatClient {
    chat.send(&tool("spawn_agent", &json!({ "prompt": prompt, "title": "Helper" }))).await.expect(202);
    chat.rest().await;
    let answer = last_result(chat).await;
    ChatClient::of(chat.client(), answer["agent_id"].as_str().expect("an agent's id"))
}

#[tokio::test]
async fn an_agent_works_by_itself_and_answers_its_maker() {
    let server = TestServer::start(PROGRAM).await;
    let request = json!({
        "system_prompt": "Be brief.", "labels": { "team": "x" },
        "tools": [{ "name": "weather", "description": "", "parameters": { "type": "object" } }],
    });
    let chat = ChatClient::create(server.client(), request).await;
    let agent = spawn(&chat, "[[say 42]]").await;
    let seen = agent.rest().await;
    assert_eq!((&seen["parent"], &seen["root"], &seen["title"]), (&json!(chat.id), &json!(chat.id), &json!("Helper")));
    let wait = json!({ "agent_id": agent.id });
    chat.send(&tool("wait_agent", &wait)).await.expect(202);
    chat.rest().await;
    let waited = last_result(&chat).await;
    assert_eq!((&waited["status"], &waited["answer"]), (&json!("waiting"), &json!("42")));
    chat.send(&tool("message_agent", &json!({ "agent_id": agent.id, "text": "[[say 43]]" }))).await.expect(202);
    chat.rest().await;
    chat.send(&tool("wait_agent", &wait)).await.expect(202);
    chat.rest().await;
    assert_eq!(last_result(&chat).await["answer"], "43");
    chat.send(&tool("list_agents", &json!({}))).await.expect(202);
    chat.rest().await;
    let listed = last_result(&chat).await;
    assert_eq!((&listed["total"], &listed["agents"][0]["agent_id"]), (&json!(1), &json!(agent.id)));
    // Agents have none of their own, nor their maker's client's tools.
    for name in ["spawn_agent", "ask_user_question", "weather"] {
        agent.send(&tool(name, &json!({}))).await.expect(202);
        agent.rest().await;
        let refused = last_result(&agent).await;
        assert!(refused.as_str().is_some_and(|text| text.contains("no tool named")), "{name}: {refused}");
    }
}

#[tokio::test]
async fn another_chats_agent_is_nobodys_here() {
    let server = TestServer::start(PROGRAM).await;
    let stranger = ChatClient::begin(server.client(), "hello").await;
    let chat = ChatClient::create(server.client(), json!({})).await;
    for (name, args) in [
        ("wait_agent", json!({ "agent_id": stranger.id })),
        ("message_agent", json!({ "agent_id": stranger.id, "text": "hi" })),
        ("interrupt_agent", json!({ "agent_id": stranger.id })),
        ("wait_agent", json!({ "agent_id": "../../etc" })),
    ] {
        chat.send(&tool(name, &args)).await.expect(202);
        chat.rest().await;
        let refused = last_result(&chat).await;
        assert!(refused.as_str().is_some_and(|text| text.contains("has no agent")), "{name}: {refused}");
    }
    assert_eq!(stranger.history().await.len(), 2, "nobody spoke to it");
}

#[tokio::test]
async fn stopping_the_maker_stops_its_agents() {
    let server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::create(server.client(), json!({})).await;
    let agent = spawn(&chat, "[[slow 200]] [[tokens 1000]]").await;
    chat.send(&tool("wait_agent", &json!({ "agent_id": agent.id }))).await.expect(202);
    let mut stream = chat.stream(None).await;
    stream.until(|frame| frame.data["type"] == "tool_call_started" || frame.data["chat"]["status"] == "running").await;
    chat.post("/interrupt", json!({})).await.expect(202);
    chat.rest().await;
    assert_eq!(last_outcome(&chat).await, "interrupted");
    agent.rest().await;
    assert_eq!(last_outcome(&agent).await, "interrupted");
}

#[tokio::test]
async fn stopping_the_maker_that_waits_for_its_client_stops_its_agents() {
    let server = TestServer::start(PROGRAM).await;
    let own = json!({ "name": "ask_me", "description": "Asks.", "parameters": { "type": "object" } });
    let chat = ChatClient::create(server.client(), json!({ "tools": [own] })).await;
    let agent = spawn(&chat, "[[slow 60000]] [[tokens 2]]").await;
    chat.send(&tool("ask_me", &json!({}))).await.expect(202);
    chat.stream(Some("0")).await.until_event("action_required").await;
    chat.post("/interrupt", json!({})).await.expect(202);
    assert_eq!(last_outcome(&chat).await, "interrupted");
    agent.rest().await;
    assert_eq!(last_outcome(&agent).await, "interrupted");
}

#[tokio::test]
async fn taking_back_the_message_that_waits_for_an_agent_stops_that_agent_alone() {
    let server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::create(server.client(), json!({})).await;
    let other = spawn(&chat, "[[slow 60000]] [[tokens 2]]").await;
    let agent = spawn(&chat, "[[slow 60000]] [[tokens 3]]").await;
    let sent = chat.send(&tool("wait_agent", &json!({ "agent_id": agent.id }))).await.expect(202);
    let mut stream = chat.stream(Some("0")).await;
    let waits = |frame: &Frame| {
        frame.event == "tool_call_started" && frame.data["version"].as_u64() > sent.body["version"].as_u64()
    };
    stream.until(waits).await;
    let edit = json!({ "content": "Never mind." });
    chat.client().patch(&chat.path(&format!("/messages/{}", sent.body["message_id"])), edit).await.expect(202);
    chat.rest().await;
    agent.rest().await;
    assert_eq!(last_outcome(&agent).await, "interrupted");
    // First the agent, then the word that its call is gone: no crash in between leaves it at work.
    let log = server.client().get("/log").await.expect(200).text;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let place = |chat: &ChatClient, event: &str| {
        lines.iter().position(|line| line["chat_id"] == chat.id.as_str() && line["type"] == event).expect("an event")
    };
    assert!(place(&agent, "interrupt_requested") < place(&chat, "messages_withdrawn"));
    assert_eq!(other.get("").await.expect(200).body["status"], "running", "nothing that was said of it is taken back");

    let first = chat.get("/messages?limit=200").await.expect(200).items()[0]["id"].clone();
    let edit = json!({ "content": "Forget it all." });
    chat.client().patch(&chat.path(&format!("/messages/{first}")), edit).await.expect(202);
    other.rest().await;
    assert_eq!(last_outcome(&other).await, "interrupted");
}

#[tokio::test]
async fn an_agent_that_is_not_done_in_time_goes_on() {
    let server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::create(server.client(), json!({})).await;
    let agent = spawn(&chat, "[[slow 60000]] [[tokens 2]]").await;
    chat.send(&tool("wait_agent", &json!({ "agent_id": agent.id, "wait_ms": 0 }))).await.expect(202);
    chat.rest().await;
    let waited = last_result(&chat).await;
    assert_eq!((&waited["timed_out"], &waited["status"]), (&json!(true), &json!("running")));
    chat.send(&tool("interrupt_agent", &json!({ "agent_id": agent.id }))).await.expect(202);
    chat.rest().await;
    assert_eq!(last_result(&chat).await["interrupted"], true);
    assert_eq!(agent.rest().await["status"], "waiting");
}

#[tokio::test]
async fn an_agent_that_was_erased_is_not_said_to_be_done() {
    let server = TestServer::start(PROGRAM).await;
    let chat = ChatClient::create(server.client(), json!({})).await;
    let agent = spawn(&chat, "[[slow 60000]] [[tokens 2]]").await;
    let named = json!({ "agent_id": agent.id });
    let mut stream = chat.stream(None).await;
    chat.send(&tool("wait_agent", &named)).await.expect(202);
    stream.until(|frame| frame.event == "tool_call_started").await;
    server.client().delete(&format!("/chats/{}", agent.id)).await.expect(204);
    chat.rest().await;
    let (_, waited, is_error) = results(&chat).await.pop().expect("a result");
    assert!(is_error && waited.as_str().is_some_and(|text| text.contains("was erased")), "{waited}");
    chat.send(&tool("interrupt_agent", &named)).await.expect(202);
    chat.rest().await;
    let (_, interrupted, is_error) = results(&chat).await.pop().expect("a result");
    assert!(is_error && interrupted.as_str().is_some_and(|text| text.contains("was erased")), "{interrupted}");
}

#[tokio::test]
async fn advice_is_given_until_the_budget_of_the_turn_is_used_up() {
    let provider = Provider::start([Reply::text("Measure twice.")]).await.expect("a provider");
    let config = format!("{}\n[advisor]\nmodel = \"scripted\"\nuses_max = 1\n", provider.config(""));
    let options = ServerOptions {
        environment: vec![("SCRIPTED_KEY".to_owned(), "sk-scripted-secret".to_owned())],
        ..ServerOptions::with_config(&config)
    };
    let server = TestServer::start_with(PROGRAM, options).await;
    let ask = tool("advisor", &json!({ "question": "Cut now?" }));
    let chat = ChatClient::create(server.client(), json!({ "model": "demo", "content": ask })).await;
    chat.rest().await;
    let advice = last_result(&chat).await;
    let expected = json!({
        "type": "advice", "advice": "Measure twice.", "advisor_model": "scripted", "remaining_uses": 0,
    });
    assert_eq!(advice, expected);
    let asked = &provider.requests(1).await.expect("the advisor was asked")[0].body;
    let text = asked["messages"][1]["content"].to_string();
    assert!(
        text.contains("Cut now?") && asked["tools"].is_null(),
        "it reads the conversation and has no tools: {asked}"
    );
    // A failure is told and costs nothing of the budget: the provider has no more answers.
    chat.send(&ask).await.expect(202);
    chat.rest().await;
    let failed = last_result(&chat).await;
    assert_eq!((&failed["type"], &failed["remaining_uses"]), (&json!("error"), &json!(1)), "{failed}");
    let agent = spawn(&chat, &ask).await;
    agent.rest().await;
    let refused = last_result(&agent).await;
    assert!(refused.as_str().is_some_and(|text| text.contains("no tool named")), "an agent has no advisor: {refused}");
    // Every prompt is made again from the log, guidance and tools included.
    let audit = server.run(&["replay", &chat.id, "--check"]).await.expect("the audit runs");
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}
