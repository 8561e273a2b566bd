//! A model provider over the network, with all its moods.

use std::time::Duration;

use serde_json::json;
use support::chat::ChatClient;
use support::events::Frame;
use support::provider::{Gate, Piece, Provider, Reply};
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

async fn start(limits: &str, script: impl IntoIterator<Item = Reply>) -> (TestServer, Provider) {
    let provider = Provider::start(script).await.unwrap();
    let options = ServerOptions {
        environment: vec![("SCRIPTED_KEY".to_owned(), "sk-scripted-secret".to_owned())],
        ..ServerOptions::with_config(&provider.config(limits))
    };
    (TestServer::start_with(PROGRAM, options).await, provider)
}

#[tokio::test]
async fn an_answer_is_streamed_as_it_comes() {
    let gate = Gate::default();
    let (server, provider) = start(
        "",
        [Reply::Stream(vec![
            Piece::Text("Hello"),
            Piece::Wait(gate.clone()),
            Piece::Text(", world"),
            Piece::Finish("stop"),
            Piece::Done,
        ])],
    )
    .await;
    let request = json!({ "content": "Say hello.", "system_prompt": "You are brief." });
    let chat = ChatClient::create(server.client(), request).await;
    let mut stream = chat.stream(Some("0")).await;
    let first = stream.until_event("part").await.pop().unwrap();
    assert_eq!(first.text_delta(), Some("Hello"), "the first words are there while the rest is still to be said");
    gate.open();
    let rest = stream.until_event("turn_finished").await;
    assert_eq!(rest[0].text_delta(), Some(", world"));
    assert_eq!(chat.history().await[1].1, "Hello, world");
    let chat_body = chat.get("").await.body;
    assert_eq!(chat_body["usage"]["input_tokens"], 11);
    assert_eq!(chat_body["usage"]["output_tokens"], 7);
    let request = &provider.requests(1).await.unwrap()[0];
    assert_eq!(request.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(request.header("authorization"), Some("Bearer sk-scripted-secret"));
    assert_eq!((&request.body["model"], &request.body["stream"]), (&json!("script-1"), &json!(true)));
    let messages = request.body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(messages[0]["content"], "You are brief.");
    assert_eq!(messages[1]["role"], "user");
    let told: String = chat.replay().await.iter().map(|frame| frame.raw.clone()).collect();
    assert!(!told.contains("sk-scripted") && !told.contains("You are brief."), "{told}");
    assert!(!server.log().contains("sk-scripted") && !server.log().contains("Say hello"), "the log keeps secrets");
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let limited = Reply::Status(429, vec![("retry-after", "1.2")], "{\"error\": {\"message\": \"slow down\"}}");
    let (server, provider) = start("retry_base_ms = 10", [limited, Reply::text("Now.")]).await;
    let chat = ChatClient::begin(server.client(), "Hurry!").await;
    let frames = chat.stream(Some("0")).await.until_event("turn_finished").await;
    let retry = &frames.iter().find(|frame| frame.event == "retry_scheduled").unwrap().data["data"];
    assert_eq!((&retry["attempt"], &retry["error"]["kind"]), (&json!(1), &json!("rate_limit")));
    assert_eq!((&retry["error"]["status_code"], &retry["error"]["retryable"]), (&json!(429), &json!(true)));
    assert!(retry["delay_ms"].as_u64() >= Some(1200), "{retry}");
    let requests = provider.requests(2).await.unwrap();
    let waited = requests[1].at - requests[0].at;
    assert!(waited >= Duration::from_millis(1200), "the provider was asked again after {waited:?}");
    assert_eq!(chat.history().await[1].1, "Now.");
}

#[tokio::test]
async fn a_wait_that_is_too_long_fails_the_turn() {
    let limited = Reply::Status(429, vec![("retry-after", "3600")], "{\"error\": {\"message\": \"come tomorrow\"}}");
    let (server, provider) = start("", [limited]).await;
    let chat = ChatClient::begin(server.client(), "Hurry!").await;
    let rested = chat.rest().await;
    assert_eq!((&rested["status"], &rested["last_error"]["kind"]), (&json!("error"), &json!("rate_limit")));
    assert_eq!(rested["last_error"]["retryable"], false);
    assert_eq!(provider.requests(1).await.unwrap().len(), 1);
}

/// Failures that are worth another try, each with the kind of error it is told as.
#[tokio::test]
async fn what_can_pass_is_tried_again() {
    let cases = [
        (Reply::Status(503, vec![], "{\"error\": {\"message\": \"busy\"}}"), "timeout"),
        (Reply::Status(500, vec![], "not even JSON"), "generic"),
        (Reply::Status(529, vec![], ""), "overloaded"),
        (Reply::Stream(vec![Piece::Text("half an ans"), Piece::Cut]), "timeout"),
        (Reply::Stream(vec![Piece::Text("ended, but not ")]), "timeout"),
        (Reply::Stream(vec![Piece::Cut]), "timeout"),
        (Reply::Stream(vec![Piece::Finish("tool_calls"), Piece::Done]), "generic"),
    ];
    let script = cases.iter().flat_map(|(reply, _)| [reply.clone(), Reply::text("All well.")]);
    let (server, provider) = start("retry_base_ms = 10", script).await;
    for (number, (reply, kind)) in cases.iter().enumerate() {
        let chat = ChatClient::begin(server.client(), &format!("Question {number}")).await;
        let frames = chat.stream(Some("0")).await.until_event("turn_finished").await;
        let retry = frames.iter().find(|frame| frame.event == "retry_scheduled");
        let retry = retry.unwrap_or_else(|| panic!("{reply:?}: {frames:?}"));
        assert_eq!(retry.data["data"]["error"]["kind"], *kind, "{reply:?}");
        assert_eq!(frames.last().unwrap().data["data"]["outcome"], "complete", "{reply:?}");
        let history = chat.history().await;
        assert_eq!(history[1..], [("assistant".to_owned(), "All well.".to_owned())], "{reply:?}");
        let events = chat.get("/events").await.expect(200).text;
        assert!(!events.contains("127.0.0.1"), "an address of the provider was told: {events}");
    }
    // The same words were sent again: what failed is not part of the conversation.
    let requests = provider.requests(2 * cases.len()).await.unwrap();
    assert!(requests.chunks(2).all(|pair| pair[0].body == pair[1].body));
}

#[tokio::test]
async fn what_cannot_pass_is_told() {
    let cases = [
        (Reply::Status(401, vec![], "{\"error\": {\"message\": \"key sk-scripted-secret is wrong\"}}"), "auth"),
        (Reply::Status(404, vec![], "{\"error\": {\"message\": \"model not found\"}}"), "config"),
        (
            Reply::Status(429, vec![], "{\"error\": {\"code\": \"insufficient_quota\", \"message\": \"pay\"}}"),
            "usage_limit",
        ),
        (Reply::Status(400, vec![], "{\"error\": {\"message\": \"what?\"}}"), "generic"),
        (Reply::Stream(vec![Piece::Finish("content_filter"), Piece::Done]), "content_filter"),
    ];
    let (server, provider) = start("retry_base_ms = 10", cases.iter().map(|(reply, _)| reply.clone())).await;
    for (reply, kind) in &cases {
        let chat = ChatClient::begin(server.client(), "Hello").await;
        let rested = chat.rest().await;
        assert_eq!((&rested["status"], &rested["last_error"]["kind"]), (&json!("error"), &json!(kind)), "{reply:?}");
        assert_eq!(rested["last_error"]["retryable"], false, "{reply:?}");
        let events = chat.get("/events").await.expect(200).text;
        assert!(!events.contains("scripted-secret"), "a key was told: {events}");
    }
    assert_eq!(provider.requests(cases.len()).await.unwrap().len(), cases.len());
}

#[tokio::test]
async fn rubbish_in_the_stream_is_no_answer() {
    for rubbish in ["data: {not json}\n\n", "data: {\"choices\": 7}\n\n"] {
        let script = [Reply::Stream(vec![Piece::Text("so far"), Piece::Raw(rubbish)]), Reply::text("All well.")];
        let (server, provider) = start("retry_base_ms = 10", script).await;
        let chat = ChatClient::begin(server.client(), "Hello").await;
        let rested = chat.rest().await;
        let asked = provider.requests(1).await.unwrap().len();
        let history = chat.history().await;
        // Either it was worth another try, or the chat says that it was not; never half an answer as if it were whole.
        match rested["status"].as_str() {
            Some("waiting") => assert_eq!((asked, history[1].1.as_str()), (2, "All well."), "{rubbish}"),
            _ => assert_eq!((asked, history.len()), (1, 1), "{rubbish}: {history:?}"),
        }
    }
}

#[tokio::test]
async fn silence_is_not_waited_for_for_ever() {
    let script = [Reply::Stream(vec![Piece::Text("Well"), Piece::Stall]), Reply::text("All well.")];
    let (server, _provider) = start("silence_ms = 400\nretry_base_ms = 10", script).await;
    let chat = ChatClient::begin(server.client(), "Hello").await;
    let frames = chat.stream(Some("0")).await.until_event("turn_finished").await;
    let retry = frames.iter().find(|frame| frame.event == "retry_scheduled").unwrap();
    assert_eq!(retry.data["data"]["error"]["kind"], "stream_silence_timeout");
    assert_eq!(chat.history().await[1].1, "All well.");
}

#[tokio::test]
async fn a_client_runs_the_tools_that_the_model_calls() {
    let script = [
        Reply::Stream(vec![
            Piece::Text("Let me look."),
            Piece::Call("call_a", "look", json!({ "where": "north" })),
            Piece::Call("call_b", "look", json!({ "where": "south" })),
            Piece::Finish("tool_calls"),
            Piece::Done,
        ]),
        Reply::text("A lake and a hill."),
    ];
    let (server, provider) = start("", script).await;
    let parameters = json!({ "type": "object", "properties": { "where": { "type": "string" } } });
    let tools = json!([{ "name": "look", "description": "Looks somewhere.", "parameters": parameters }]);
    let chat = ChatClient::create(server.client(), json!({ "content": "What is there?", "tools": tools })).await;
    let mut stream = chat.stream(Some("0")).await;
    let required = stream.until_event("action_required").await.pop().unwrap();
    let calls = &required.data["data"]["calls"];
    assert_eq!(
        calls[0],
        json!({ "call_id": calls[0]["call_id"], "name": "look", "args": { "where": "north" }, "needs": "result" })
    );
    assert_eq!((calls.as_array().unwrap().len(), &calls[1]["args"]["where"]), (2, &json!("south")));
    let results = json!({ "results": [
        { "call_id": calls[1]["call_id"], "result": "a hill" },
        { "call_id": calls[0]["call_id"], "result": { "seen": ["a lake"] } },
    ] });
    chat.post("/tool-results", results).await.expect(202);
    stream.until(|frame: &Frame| frame.event == "turn_finished").await;
    assert_eq!(chat.history().await.last().unwrap().1, "A lake and a hill.");
    let requests = provider.requests(2).await.unwrap();
    assert_eq!(requests[0].body["tools"][0]["function"]["name"], "look");
    let messages = requests[1].body["messages"].as_array().unwrap();
    let called: Vec<_> = messages.iter().filter_map(|message| message["tool_calls"].as_array()).flatten().collect();
    let answered: Vec<_> = messages.iter().filter(|message| message["role"] == "tool").collect();
    assert_eq!((called.len(), answered.len()), (2, 2), "{messages:?}");
    for (call, answer) in called.iter().zip(&answered) {
        assert_eq!(call["id"], answer["tool_call_id"]);
    }
    assert!(answered[0]["content"].to_string().contains("a lake"), "in the order of the calls: {answered:?}");
    assert!(answered[1]["content"].to_string().contains("a hill"), "in the order of the calls: {answered:?}");
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_tried_again() {
    let options = ServerOptions::with_config(
        "[providers.gone]\nkind = \"openai_chat\"\nbase_url = \"http://127.0.0.1:1/v1\"\n\
         [models.gone]\nprovider = \"gone\"\n[limits]\nretry_base_ms = 10\nattempts_max = 3\n",
    );
    let server = TestServer::start_with(PROGRAM, options).await;
    let chat = ChatClient::begin(server.client(), "Hello").await;
    let rested = chat.rest().await;
    assert_eq!((&rested["status"], &rested["last_error"]["kind"]), (&json!("error"), &json!("timeout")));
    let attempts = chat.replay().await.iter().filter(|frame| frame.event == "attempt_recorded").count();
    assert_eq!(attempts, 3);
}

#[tokio::test]
async fn a_missing_key_is_told_without_a_request() {
    let provider = Provider::start([Reply::text("not for you")]).await.unwrap();
    let server = TestServer::start_with(PROGRAM, ServerOptions::with_config(&provider.config(""))).await;
    let chat = ChatClient::begin(server.client(), "Hello").await;
    let rested = chat.rest().await;
    assert_eq!(rested["last_error"]["kind"], "missing_key");
    assert!(rested["last_error"]["message"].as_str().unwrap().contains("SCRIPTED_KEY"), "{rested}");
    assert_eq!(provider.requests(0).await.unwrap().len(), 0);
}
