//! Chats that outgrow their model: they are summarised as they go, on request, and in spite of crashes and failures.

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::events::Frame;
use support::provider::{Gate, Piece, Provider, Reply};
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

/// A demo model with a window that a few messages fill.
const SMALL: &str = "[models.small]\nprovider = \"demo\"\ncontext_window = 1200\ndefault = true\n";

async fn small() -> TestServer {
    TestServer::start_with(PROGRAM, ServerOptions::with_config(SMALL)).await
}

/// A server whose chats answer with the small demo model and whose summaries a scripted one writes.
async fn summarised_by(script: impl IntoIterator<Item = Reply>) -> (TestServer, Provider) {
    let provider = Provider::start(script).await.unwrap();
    let scripted = provider.config("retry_base_ms = 1").replace("default = true\n", "");
    let config = format!("{SMALL}\n[compaction]\nmodel = \"scripted\"\n\n{scripted}");
    let options = ServerOptions {
        environment: vec![("SCRIPTED_KEY".to_owned(), "sk-scripted-secret".to_owned())],
        ..ServerOptions::with_config(&config)
    };
    (TestServer::start_with(PROGRAM, options).await, provider)
}

fn count(frames: &[Frame], event: &str) -> usize {
    frames.iter().filter(|frame| frame.event == event).count()
}

async fn say(chat: &ChatClient, text: &str) -> Value {
    chat.send(text).await.expect(202);
    chat.rest().await
}

/// A message that fills a good part of the small window.
fn long(number: u32) -> String {
    format!("[[tokens 150]] message {number}: {}", "tell me about rivers ".repeat(20))
}

/// A chat that its next message makes too long, unanswered.
async fn grown(server: &TestServer) -> ChatClient {
    let chat = ChatClient::begin(server.client(), &long(1)).await;
    chat.rest().await;
    let rested = say(&chat, &format!("[[tokens 500]] {}", "and lakes ".repeat(300))).await;
    assert_eq!(rested["status"], "waiting", "{rested}");
    chat
}

async fn checked(server: &TestServer, chat: &ChatClient) {
    let replay = server.run(&["replay", &chat.id, "--check"]).await.unwrap();
    assert!(replay.status.success(), "every prompt is made again: {replay:?}");
    let text = String::from_utf8_lossy(&replay.stdout).to_lowercase();
    assert!(!text.contains("not comparable"), "{text}");
}

#[tokio::test]
async fn a_chat_that_compacts_as_it_goes_keeps_answering() {
    let server = small().await;
    let chat = ChatClient::begin(server.client(), &long(1)).await;
    chat.rest().await;
    for number in 2..=20 {
        let rested = say(&chat, &long(number)).await;
        assert_eq!(rested["status"], "waiting", "message {number}: {rested}");
    }
    let frames = chat.replay().await;
    let compacted: Vec<_> = frames.iter().filter(|frame| frame.event == "context_compacted").collect();
    assert!(compacted.len() >= 3, "{}", compacted.len());
    assert_eq!(compacted[0].data["data"]["source"], "automatic");
    assert_eq!(compacted[0].data["data"]["window_tokens"], 1200);
    let history = chat.history().await;
    let said = |role: &str| history.iter().filter(|(spoken, text)| spoken == role && !text.is_empty()).count();
    assert_eq!((said("user"), said("assistant")), (20, 20), "the transcript stays whole: {history:?}");
    checked(&server, &chat).await;
}

#[tokio::test]
async fn a_summary_on_request_is_a_turn_of_its_own() {
    let server = small().await;
    let chat = ChatClient::create(server.client(), json!({})).await;
    chat.post("/compact", json!({})).await.expect_problem(409, "nothing_to_compact");
    say(&chat, "The password is swordfish.").await;
    chat.post("/compact", json!({})).await.expect(202);
    let rested = chat.rest().await;
    assert_eq!(rested["status"], "waiting", "{rested}");
    chat.post("/compact", json!({})).await.expect_problem(409, "nothing_to_compact");
    let frames = chat.replay().await;
    let compacted = frames.iter().find(|frame| frame.event == "context_compacted").unwrap();
    assert_eq!(compacted.data["data"]["source"], "manual");
    let asked =
        frames.iter().find(|frame| frame.event == "attempt_recorded" && frame.data["data"]["action"] == "compact");
    let attempt = asked.unwrap().data["data"]["attempt_id"].clone();
    let words: String = frames
        .iter()
        .filter(|frame| frame.event == "message_committed")
        .map(|frame| frame.data["data"]["content"].to_string())
        .collect();
    assert!(words.contains("chat_summarized") && words.contains("swordfish"), "{words}");
    let events = server.client().get(&chat.path(&format!("/attempts/{attempt}"))).await.expect(200);
    assert!(events.text.contains("Summarise the conversation above"), "what was sent is told: {}", events.text);
    assert!(rested["usage"]["output_tokens"].as_u64().unwrap() > 0);
    say(&chat, "Thanks.").await;
    checked(&server, &chat).await;
}

#[tokio::test]
async fn a_summary_streams_survives_a_crash_and_the_message_that_waits_for_it_is_answered() {
    let gate = Gate::default();
    let half = vec![Piece::Text("Summary of "), Piece::Wait(gate), Piece::Finish("stop"), Piece::Done];
    let (mut server, provider) = summarised_by([Reply::Stream(half), Reply::text("They spoke of rivers.")]).await;
    let chat = grown(&server).await;
    chat.send("And the sea?").await.expect(202);
    let mut stream = chat.stream(None).await;
    let seen = stream.until(|frame| frame.text_delta().is_some() || frame.data["parts"].get(0).is_some()).await;
    assert!(!seen.is_empty());
    provider.requests(1).await.unwrap();
    server.kill().await.unwrap();
    server.start_again().await.unwrap();
    let chat = chat.through(server.client());
    let rested = chat.rest().await;
    assert_eq!(rested["status"], "waiting", "{rested}");
    let frames = chat.replay().await;
    assert_eq!((count(&frames, "attempt_abandoned"), count(&frames, "context_compacted")), (1, 1));
    let history = chat.history().await;
    assert!(history.last().unwrap().1.contains("sea"), "{history:?}");
    assert!(history.iter().all(|(_, text)| text != "Summary of"), "half a summary is no answer: {history:?}");
    checked(&server, &chat).await;
}

#[tokio::test]
async fn summaries_that_fail_leave_a_usable_chat() {
    let empty = || Reply::Stream(vec![Piece::Finish("stop"), Piece::Done]);
    let cut = || Reply::Stream(vec![Piece::Text("Summary of"), Piece::Finish("length"), Piece::Done]);
    let (server, provider) = summarised_by([empty(), cut(), empty()]).await;
    let chat = grown(&server).await;
    let rested = say(&chat, "And the sea?").await;
    assert_eq!(rested["status"], "error", "{rested}");
    let message = rested["last_error"]["message"].as_str().unwrap();
    assert!(message.contains("could not be summarised") && message.contains("tried 3 times"), "{message}");
    assert_eq!(provider.requests(3).await.unwrap().len(), 3, "nobody tries again until the user acts");
    provider.push(Reply::text("They spoke of rivers."));
    let rested = say(&chat, "Once more?").await;
    assert_eq!(rested["status"], "waiting", "{rested}");
    let frames = chat.replay().await;
    assert_eq!(count(&frames, "context_compacted"), 1);
    let (role, text) = chat.history().await.pop().unwrap();
    assert_eq!(role, "assistant");
    assert!(text.contains("once") || text.contains("Once"), "{text}");
    checked(&server, &chat).await;
}

#[tokio::test]
async fn what_is_refused_as_too_long_is_tried_without_tools_and_the_own_model_is_named() {
    let refusal = r#"{"error":{"message":"This model's maximum context length is 8192 tokens."}}"#;
    let refused = Reply::Status(400, vec![("content-type", "application/json")], refusal);
    let (server, provider) = summarised_by([refused, Reply::text("They spoke of rivers.")]).await;
    let tools = json!([{ "name": "look", "description": "Looks.", "parameters": { "type": "object" } }]);
    let chat = ChatClient::create(server.client(), json!({ "content": "Hello", "tools": tools })).await;
    chat.rest().await;
    chat.post("/compact", json!({})).await.expect(202);
    assert_eq!(chat.rest().await["status"], "waiting");
    let requests = provider.requests(2).await.unwrap();
    let names = |at: usize| requests[at].body["tools"].as_array().map_or(0, Vec::len);
    assert!(names(0) > 0 && names(1) == 0, "{requests:?}");
    let frames = chat.replay().await;
    let models: Vec<_> = frames
        .iter()
        .filter(|frame| frame.event == "attempt_recorded" && frame.data["data"]["action"] == "compact")
        .map(|frame| frame.data["data"]["model"].clone())
        .collect();
    assert_eq!(models, [json!("scripted"), json!("scripted")]);
    checked(&server, &chat).await;
}
