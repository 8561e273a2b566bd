//! What came from the provider goes back as it came.

use serde_json::{Value, json};
use verbatim_events::episode;
use verbatim_events::message::Role;
use verbatim_events::model::ModelSettings;

use super::decoding::{block, decoder, ended, input, started, stop};
use crate::anthropic::Anthropic;
use crate::strict::anthropic::problems;
use crate::testing::{accepted, message, model, options, prompt, read_every_way, request_to, result, stream, user};

/// The answer that a stream gives, as the next request has it.
fn returned(events: &[Value]) -> Value {
    let (_, parts) = read_every_way(decoder, &stream(events)).finished();
    let parts = episode::complete(&parts).unwrap();
    let answers: Vec<_> =
        parts.iter().filter_map(|part| part.open_call_id()).map(|id| result(id, json!("r"), false)).collect();
    let mut messages = vec![user("go"), message(Role::Assistant, parts)];
    messages.extend((!answers.is_empty()).then(|| message(Role::Tool, answers)));
    messages.push(user("and?"));
    let search = json!({ "type": "web_search_20250305", "name": "web_search" });
    let model = ModelSettings { provider_tools: vec![search], ..model("claude-opus-5-5", None) };
    let (_, mut body) = request_to(&Anthropic::new(options()).unwrap(), &model, None, &prompt(messages));
    accepted(&problems(&body), &body);
    for block in body["messages"][1]["content"].as_array_mut().unwrap() {
        block.as_object_mut().unwrap().remove("cache_control");
    }
    body["messages"][1]["content"].take()
}

#[test]
fn thinking_calls_and_searches_go_back_unchanged() {
    let found = json!([{ "type": "web_search_result", "url": "https://a", "title": "A", "encrypted_content": "ENC", "page_age": null }]);
    let events = [
        vec![started()],
        block(
            0,
            json!({ "type": "thinking", "thinking": "", "signature": "" }),
            &[
                json!({ "type": "thinking_delta", "thinking": "Let me " }),
                json!({ "type": "thinking_delta", "thinking": "see." }),
                json!({ "type": "signature_delta", "signature": "U0lH" }),
            ],
        ),
        block(1, json!({ "type": "redacted_thinking", "data": "UkVE" }), &[]),
        // Thinking that is kept from view has a signature alone.
        block(
            2,
            json!({ "type": "thinking", "thinking": "", "signature": "" }),
            &[json!({ "type": "signature_delta", "signature": "SElE" })],
        ),
        block(
            3,
            json!({ "type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}, "caller": { "type": "direct" } }),
            &[input("{\"query\":"), input(" \"q\"}")],
        ),
        block(
            4,
            json!({ "type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": found, "cache_control": null }),
            &[],
        ),
        block(5, json!({ "type": "text", "text": "" }), &[json!({ "type": "text_delta", "text": "So." })]),
        block(
            6,
            json!({ "type": "tool_use", "id": "toolu_1", "name": "look", "input": {}, "caller": { "type": "direct" } }),
            &[input("{}")],
        ),
        vec![ended("tool_use"), stop()],
    ];
    assert_eq!(
        returned(&events.concat()),
        json!([
            { "type": "thinking", "thinking": "Let me see.", "signature": "U0lH" },
            { "type": "redacted_thinking", "data": "UkVE" },
            { "type": "thinking", "thinking": "", "signature": "SElE" },
            { "type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": { "query": "q" }, "caller": { "type": "direct" } },
            { "type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": found },
            { "type": "text", "text": "So." },
            { "type": "tool_use", "id": "toolu_1", "name": "look", "input": {}, "caller": { "type": "direct" } },
        ])
    );
}

#[test]
fn a_search_that_the_provider_left_without_result_goes_back_as_words() {
    let events = [
        vec![started()],
        block(
            0,
            json!({ "type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": { "query": "q" } }),
            &[],
        ),
        vec![ended("pause_turn"), stop()],
    ];
    assert_eq!(
        returned(&events.concat()),
        json!([{ "type": "text", "text": "[web_search was called with {\"query\":\"q\"}]" }])
    );
}
