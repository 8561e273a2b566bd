//! An answer that Anthropic pauses while its own tools are at work: it is given back as it came, and goes on.

use std::sync::{Arc, Mutex};

use chrono::DateTime;
use serde_json::{Value, json};
use uuid::Uuid;
use verbatim_events::error::CallError;
use verbatim_events::ids::ChatId;
use verbatim_events::message::{FinishReason, Message, Origin, Role};
use verbatim_events::model::{CallIdentity, Meter, ModelFinished, ModelProvider, ModelSettings, PartSink, Prompt};
use verbatim_events::part::{LivePart, Part};
use verbatim_llm::{Anthropic, ProviderOptions, Secret};

use crate::stand_in::{Act, PATIENCE, Request, StandIn, head};

/// A user's words that look like a request's own.
const TRICKY: &str = "\"messages\":[{\"a\\\": ]}";

fn answer(events: &[Value]) -> Vec<Act> {
    let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let length = format!("Content-Length: {}", body.len());
    vec![head("200 OK", &["Content-Type: text/event-stream", &length]), Act::Send(body.into_bytes())]
}

/// An answer of these blocks, each with its deltas, that ends for this reason.
fn blocks(blocks: &[(Value, &[Value])], reason: &str) -> Vec<Act> {
    let mut events = vec![json!({"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 100}}})];
    for (index, (begun, deltas)) in blocks.iter().enumerate() {
        events.push(json!({"type": "content_block_start", "index": index, "content_block": begun}));
        let more = deltas.iter().map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta}));
        events.extend(more);
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}}));
    events.push(json!({"type": "message_stop"}));
    answer(&events)
}

fn text(words: &str) -> (Value, [Value; 1]) {
    (json!({"type": "text", "text": ""}), [json!({"type": "text_delta", "text": words})])
}

/// A search that has not been answered when the answer is paused.
fn paused() -> Vec<Act> {
    let thinking = [
        json!({"type": "thinking_delta", "thinking": "hm"}),
        json!({"type": "signature_delta", "signature": "SIGNED"}),
    ];
    let (look, looks) = text("I look.");
    let query = [json!({"type": "input_json_delta", "partial_json": "{\"query\": \"wien\"}"})];
    let search = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}});
    let thought = json!({"type": "thinking", "thinking": "", "signature": ""});
    blocks(&[(thought, &thinking), (look, &looks), (search, &query)], "pause_turn")
}

fn found() -> Value {
    json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
        {"type": "web_search_result", "url": "https://e.x/a", "title": "T", "encrypted_content": "ENC"}]})
}

fn refused() -> Vec<Act> {
    let body = "{\"error\": {\"type\": \"invalid_request_error\", \"message\": \"no prefill\"}}";
    let length = format!("Content-Length: {}", body.len());
    vec![head("400 Bad Request", &["Content-Type: application/json", &length]), Act::Send(body.into())]
}

type Outcome = (Vec<LivePart>, Result<ModelFinished, CallError>, Vec<Request>);

async fn call(scripts: Vec<Vec<Act>>, provider_tools: Vec<Value>) -> Outcome {
    let stand_in = StandIn::play(scripts).await;
    let provider = Anthropic::new(ProviderOptions {
        name: "acme".into(),
        base_url: format!("http://{}", stand_in.address),
        api_key: Some(Secret::new("sk-test-0123456789abcdef")),
        api_key_expected_in: None,
        store: false,
        files: None,
    });
    let provider = provider.unwrap();
    let message = Message::new(1, Role::User, vec![Part::text(TRICKY)], Origin::User, DateTime::UNIX_EPOCH);
    let prompt = Prompt { messages: vec![Arc::new(message)], ..Prompt::default() };
    let model = ModelSettings { provider_model: "claude-opus-5-5".into(), provider_tools, ..ModelSettings::default() };
    let request = provider.encode(&prompt, &model, None).unwrap();
    let parts = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&parts);
    let sink: PartSink = Box::new(move |part| {
        kept.lock().unwrap().push(part);
        true
    });
    let identity = CallIdentity { chat_id: ChatId(Uuid::from_u128(1)), attempt_id: 9, request_id: Uuid::from_u128(2) };
    let end = tokio::time::timeout(PATIENCE, provider.call(request, identity, sink, Meter::default()))
        .await
        .expect("the call ends");
    let parts = parts.lock().unwrap().clone();
    (parts, end, stand_in.requests().await)
}

fn search() -> Vec<Value> {
    vec![json!({"type": "web_search_20250305", "name": "web_search"})]
}

/// What the provider's own tools did, in order.
fn of_provider(parts: &[LivePart]) -> Vec<(&str, &str)> {
    let told = parts.iter().filter_map(|part| match part {
        LivePart::Whole(Part::ToolCall { call_id, provider_executed: true, .. }) => Some(("call", call_id.as_str())),
        LivePart::Whole(Part::ToolResult { call_id, provider_executed: true, result, .. }) => {
            Some((if result == "" { "nothing" } else { "result" }, call_id.as_str()))
        }
        _ => None,
    });
    told.collect()
}

#[tokio::test]
async fn it_goes_on_with_what_it_said() {
    let (said, says) = text("Vienna.");
    let scripts = vec![paused(), blocks(&[(found(), &[]), (said, &says)], "end_turn")];
    let (parts, end, asked) = call(scripts, search()).await;
    let finished = end.unwrap();
    assert_eq!(finished.finish_reason, FinishReason::Stop);
    let usage = finished.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens), (200, 10), "both requests are paid for");
    assert_eq!(of_provider(&parts), [("call", "srvtoolu_1"), ("result", "srvtoolu_1")]);
    assert_eq!(parts.last(), Some(&LivePart::TextDelta { text: "Vienna.".into() }));

    let bodies: Vec<Value> = asked.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect();
    let mut next = bodies[1].clone();
    let given_back = next["messages"].as_array_mut().unwrap().pop().unwrap();
    assert_eq!(next, bodies[0], "the rest of the request is the same");
    let content = json!([
        {"type": "thinking", "thinking": "hm", "signature": "SIGNED"},
        {"type": "text", "text": "I look."},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "wien"}},
    ]);
    assert_eq!(given_back, json!({"role": "assistant", "content": content}));
}

#[tokio::test]
async fn an_answer_that_is_not_taken_back_ends_where_it_was_paused() {
    let (parts, end, _) = call(vec![paused(), refused()], search()).await;
    assert_eq!(end.unwrap().finish_reason, FinishReason::Length);
    assert_eq!(of_provider(&parts), [("call", "srvtoolu_1"), ("nothing", "srvtoolu_1")]);
}

#[tokio::test]
async fn a_failure_that_passes_is_for_the_next_try() {
    let overloaded =
        answer(&[json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})]);
    let (_, end, _) = call(vec![paused(), overloaded], search()).await;
    assert!(end.unwrap_err().error.retryable);
}

#[tokio::test]
async fn it_is_not_taken_up_for_ever() {
    let (looks, said) = text("Still looking.");
    let pause = || blocks(&[(looks.clone(), &said)], "pause_turn");
    let (parts, end, asked) = call((0..9).map(|_| pause()).collect(), search()).await;
    assert_eq!(end.unwrap().finish_reason, FinishReason::Length);
    assert_eq!((parts.len(), asked.len()), (9, 9));
    let last: Value = serde_json::from_slice(&asked[8].body).unwrap();
    assert_eq!(last["messages"].as_array().map(Vec::len), Some(2), "one message holds all that was said");
    assert_eq!(last["messages"][1]["content"].as_array().map(Vec::len), Some(8));
}

#[tokio::test]
async fn a_request_without_such_tools_is_sent_once() {
    let (_, end, asked) = call(vec![paused()], Vec::new()).await;
    assert_eq!((end.unwrap().finish_reason, asked.len()), (FinishReason::Length, 1));
}
