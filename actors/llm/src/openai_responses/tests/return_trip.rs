//! What came from the provider goes back as it came, without its ids.

use serde_json::{Value, json};
use verbatim_events::episode;
use verbatim_events::message::Role;
use verbatim_events::model::ModelSettings;

use super::decoding::{completed, decoder, done, function, reasoned, said};
use crate::openai_responses::OpenAiResponses;
use crate::strict::openai_responses::problems;
use crate::testing::{accepted, message, model, options, prompt, read_every_way, request_to, result, stream, user};

/// The answer that a stream gives, as the next request has it.
fn returned(events: &[Value]) -> Vec<Value> {
    let (_, parts) = read_every_way(decoder, &stream(events)).finished();
    let parts = episode::complete(&parts).unwrap();
    let answers: Vec<_> =
        parts.iter().filter_map(|part| part.open_call_id()).map(|id| result(id, json!("r"), false)).collect();
    let mut messages = vec![user("go"), message(Role::Assistant, parts)];
    messages.extend((!answers.is_empty()).then(|| message(Role::Tool, answers)));
    messages.push(user("and?"));
    let model = ModelSettings { provider_tools: vec![json!({ "type": "web_search" })], ..model("gpt-5.2", None) };
    let (_, mut body) = request_to(&OpenAiResponses::new(options()).unwrap(), &model, None, &prompt(messages));
    accepted(&problems(&body), &body);
    let Value::Array(mut items) = body["input"].take() else { panic!("no list") };
    items.retain(|item| item["role"] != "user" && item["type"] != "function_call_output");
    items
}

#[test]
fn reasoning_calls_and_searches_go_back_unchanged() {
    let action = json!({ "type": "search", "query": "q", "sources": [{ "type": "url", "url": "https://a" }] });
    let search = json!({ "id": "ws_1", "type": "web_search_call", "status": "completed", "action": action });
    let events = [
        reasoned(0, &["Let me see."], Some("ENC0")),
        vec![done(1, search)],
        reasoned(2, &["First.", "Second."], Some("ENC2")),
        reasoned(3, &[], Some("ENC3")),
        said(4, &["So", "."]),
        function(5, "call_1", "look", &["{\"x\":", "1}"]),
        vec![completed(json!({}))],
    ];
    let summary = |texts: &[&str]| -> Value {
        texts.iter().map(|text| json!({ "type": "summary_text", "text": text })).collect()
    };
    let reasoning = |texts: &[&str], content: &str| json!({ "type": "reasoning", "summary": summary(texts), "encrypted_content": content });
    assert_eq!(
        returned(&events.concat()),
        [
            reasoning(&["Let me see."], "ENC0"),
            json!({ "type": "web_search_call", "status": "completed", "action": action }),
            reasoning(&["First.", "Second."], "ENC2"),
            reasoning(&[], "ENC3"),
            json!({ "type": "message", "role": "assistant", "content": "So." }),
            json!({ "type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{\"x\":1}" }),
        ]
    );
}

#[test]
fn reasoning_that_was_not_encrypted_stays_here() {
    let events = [reasoned(0, &["Hm."], None), said(1, &["So."]), vec![completed(json!({}))]];
    assert_eq!(returned(&events.concat()), [json!({ "type": "message", "role": "assistant", "content": "So." })]);
}
