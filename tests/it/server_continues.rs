//! A provider that keeps its answers: each request continues the last one, and a lost answer is healed.

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::responses::{Output, Responses, calls, says};
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

async fn start(settings: &str, script: impl IntoIterator<Item = Output>) -> (TestServer, Responses) {
    let provider = Responses::start(script).await.unwrap();
    let options = ServerOptions::with_config(&provider.config(settings, ""));
    (TestServer::start_with(PROGRAM, options).await, provider)
}

/// The newest request: what it continues, and what it says itself.
async fn asked(provider: &Responses, count: usize) -> (Value, Vec<String>) {
    let requests = provider.requests(count).await.unwrap();
    assert_eq!(requests.len(), count, "{requests:?}");
    let body = &requests[count - 1].body;
    let told = body["input"].as_array().unwrap().iter().map(|item| {
        let text = item["content"].as_str().or(item["output"].as_str()).or(item["name"].as_str());
        text.unwrap_or_default().to_owned()
    });
    (body["previous_response_id"].clone(), told.collect())
}

async fn say(chat: &ChatClient, text: &str) {
    chat.send(text).await.expect(202);
    assert_eq!(chat.rest().await["status"], "waiting", "{text}");
}

#[tokio::test]
async fn a_kept_answer_is_continued_and_a_lost_one_healed_by_the_next_attempt() {
    let script = ["One.", "Two.", "Three.", "Four."].map(says);
    let (server, provider) = start("store = true", script).await;
    let chat = ChatClient::begin(server.client(), "First?").await;
    chat.rest().await;
    assert_eq!(asked(&provider, 1).await, (Value::Null, vec!["First?".to_owned()]));
    say(&chat, "Second?").await;
    assert_eq!(asked(&provider, 2).await, (json!("resp_1"), vec!["Second?".to_owned()]));

    provider.forget();
    say(&chat, "Third?").await;
    let requests = provider.requests(4).await.unwrap();
    assert_eq!(requests[2].body["previous_response_id"], "resp_2", "what nobody knows to be lost is tried");
    let whole = ["First?", "One.", "Second?", "Two.", "Third?"].map(str::to_owned).to_vec();
    assert_eq!(asked(&provider, 4).await, (Value::Null, whole));
    let frames = chat.replay().await;
    let retries: Vec<_> = frames.iter().filter(|frame| frame.event == "retry_scheduled").collect();
    assert_eq!(retries.len(), 1, "{retries:?}");
    assert_eq!(retries[0].data["data"]["error"]["kind"], "chain_broken");
    assert_eq!(chat.history().await.last().unwrap().1, "Three.");

    say(&chat, "Fourth?").await;
    assert_eq!(asked(&provider, 5).await, (json!("resp_3"), vec!["Fourth?".to_owned()]));
    let replay = server.run(&["replay", &chat.id, "--check"]).await.unwrap();
    assert!(replay.status.success(), "every prompt is made again: {replay:?}");
}

#[tokio::test]
async fn answers_of_tools_continue_the_call_and_an_edit_goes_back_behind_it() {
    let look = calls("call_a", "look", &json!({ "where": "north" }));
    let (server, provider) = start("store = true", [look, says("A lake."), says("A hill."), says("Fine.")]).await;
    let tools = json!([{ "name": "look", "description": "Looks.", "parameters": { "type": "object" } }]);
    let chat = ChatClient::create(server.client(), json!({ "content": "What is there?", "tools": tools })).await;
    chat.until_status("requires_action").await;
    let results = json!({ "results": [{ "call_id": "call_a", "result": "water" }] });
    chat.post("/tool-results", results).await.expect(202);
    chat.rest().await;
    assert_eq!(asked(&provider, 2).await, (json!("resp_1"), vec!["water".to_owned()]));

    say(&chat, "And behind it?").await;
    assert_eq!(asked(&provider, 3).await, (json!("resp_2"), vec!["And behind it?".to_owned()]));
    let messages = chat.get("/messages").await.expect(200).body;
    let first = messages["items"][0]["id"].clone();
    let edited = server.client().patch(&chat.path(&format!("/messages/{first}")), json!({ "content": "Hello" })).await;
    edited.expect(202);
    chat.rest().await;
    assert_eq!(asked(&provider, 4).await, (Value::Null, vec!["Hello".to_owned()]), "nothing is left to continue");
}

#[tokio::test]
async fn without_the_setting_nothing_is_kept_or_continued() {
    let (server, provider) = start("", [says("One."), says("Two.")]).await;
    let chat = ChatClient::begin(server.client(), "First?").await;
    chat.rest().await;
    say(&chat, "Second?").await;
    let requests = provider.requests(2).await.unwrap();
    assert!(requests.iter().all(|request| request.body["store"] == false), "{requests:?}");
    let whole = ["First?", "One.", "Second?"].map(str::to_owned).to_vec();
    assert_eq!(asked(&provider, 2).await, (Value::Null, whole));
}
