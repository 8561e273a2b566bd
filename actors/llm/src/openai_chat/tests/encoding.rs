use std::sync::Arc;

use serde_json::{Value, json};
use verbatim_events::error::ErrorKind;
use verbatim_events::ids::Digest;
use verbatim_events::message::{Message, Role};
use verbatim_events::model::ModelProvider;
use verbatim_events::part::Part;

use crate::openai_chat::{OpenAiChat, OpenAiChatOptions};
use crate::testing::{
    by_provider, call, message, model, options, prompt, reasoning, request, result, source, tool, user,
};

fn provider() -> OpenAiChat {
    OpenAiChat::new(options()).unwrap()
}

/// What the body of the request says that a prompt makes.
#[track_caller]
fn body(provider_model: &str, messages: Vec<Arc<Message>>) -> Value {
    request(&provider(), provider_model, Some(100), None, &prompt(messages)).1
}

/// The messages of the request that a prompt makes.
#[track_caller]
fn check(provider_model: &str, messages: Vec<Arc<Message>>, expected: Value) {
    assert_eq!(body(provider_model, messages)["messages"], expected);
}

#[test]
fn a_request_has_exactly_these_bytes() {
    let mut prompt = prompt(vec![user("Hi \"you\"\né")]);
    prompt.system = Some("Be brief.".into());
    prompt.tools = vec![tool("look", json!({ "type": "object" }))];
    let (request, _) = request(&provider(), "m-1", Some(100), Some("high"), &prompt);
    let expected = concat!(
        r#"{"model":"m-1","messages":[{"role":"system","content":"Be brief."},"#,
        r#"{"role":"user","content":"Hi \"you\"\né"}],"tools":[{"type":"function","function":"#,
        r#"{"name":"look","description":"Looks.","parameters":{"type":"object"}}}],"max_tokens":100,"#,
        r#""reasoning_effort":"high","stream":true,"stream_options":{"include_usage":true}}"#,
    );
    assert_eq!(std::str::from_utf8(&request.body), Ok(expected));
    assert_eq!(request.digest, Digest::of(expected.as_bytes()));
}

#[test]
fn another_encoders_bytes_are_not_made_again() {
    let prompt = prompt(vec![user("Hi")]);
    let recipe = provider().encode(&prompt, &model("m", Some(100)), None).unwrap().recipe;
    for changed in [("openai_chat", 1), ("openai_responses", 1), ("unheard_of", 1)] {
        let mut recipe = recipe.clone();
        (recipe.protocol, recipe.encoder) = (changed.0.to_owned(), changed.1);
        assert_eq!(crate::encode_with(&recipe, &prompt), None, "{changed:?}");
    }
}

#[test]
fn tools_and_their_answers() {
    let messages = vec![
        message(Role::User, vec![Part::text("a"), Part::text("b")]),
        message(
            Role::Assistant,
            vec![
                reasoning("hm", None),
                Part::text("I look."),
                call("c1", "look", json!({ "x": 1 })),
                call("c2", "look", json!("{bro")),
            ],
        ),
        message(Role::Tool, vec![result("c1", json!("plain"), false), result("c2", json!({ "why": "bad" }), true)]),
        message(Role::Assistant, vec![call("c3", "look", json!({}))]),
        message(Role::Tool, vec![result("c3", json!([1, 2]), false)]),
    ];
    let function = |name: &str, arguments: &str| json!({ "name": name, "arguments": arguments });
    check(
        "gpt-4o",
        messages,
        json!([
            { "role": "user", "content": "a\n\nb" },
            { "role": "assistant", "content": "I look.", "tool_calls": [
                { "id": "c1", "type": "function", "function": function("look", "{\"x\":1}") },
                { "id": "c2", "type": "function", "function": function("look", "\"{bro\"") },
            ] },
            { "role": "tool", "tool_call_id": "c1", "content": "plain" },
            { "role": "tool", "tool_call_id": "c2", "content": "Error: {\"why\":\"bad\"}" },
            { "role": "assistant", "content": null, "tool_calls": [
                { "id": "c3", "type": "function", "function": function("look", "{}") },
            ] },
            { "role": "tool", "tool_call_id": "c3", "content": "[1,2]" },
        ]),
    );
}

#[test]
fn what_the_protocol_has_no_place_for() {
    let provider_call = by_provider(call("p", "web", json!({})), None);
    let source = source("https://a", "A");
    let file = Part::File { file_id: "f".into(), media_type: "image/png".into(), name: "a.png".into(), content: None };
    let context = Part::ContextFile { path: "AGENTS.md".into(), text: "Rules.".into() };
    let messages = vec![
        message(Role::User, vec![Part::text("see"), file, context]),
        message(Role::Assistant, vec![reasoning("only this", None), provider_call, source]),
        message(Role::User, vec![]),
    ];
    check(
        "gpt-4o",
        messages,
        json!([
            { "role": "user", "content": "see\n\n[attached file \"a.png\", image/png]\n\n[file \"AGENTS.md\"]\nRules." },
            { "role": "assistant", "content": "[web was called with {}]" },
            { "role": "user", "content": "" },
        ]),
    );
}

#[test]
fn a_long_id_is_shortened_alike_in_call_and_answer() {
    let long = "x".repeat(41);
    let messages = vec![
        message(Role::Assistant, vec![call(&long, "look", json!({}))]),
        message(Role::Tool, vec![result(&long, json!("r"), false)]),
    ];
    let body = body("m", messages);
    let id = body["messages"][1]["tool_call_id"].as_str().unwrap();
    assert_eq!((id, id.len()), (body["messages"][0]["tool_calls"][0]["id"].as_str().unwrap(), 37));
}

#[test]
fn a_calls_extra_content_goes_back() {
    let extra = json!({ "google": { "thought_signature": "abc" } });
    let signed = Part::ToolCall {
        call_id: "c".into(),
        name: "look".into(),
        args: json!({}),
        provider_executed: false,
        metadata: Some(json!({ "extra_content": extra })),
    };
    check(
        "gemini",
        vec![message(Role::Assistant, vec![signed])],
        json!([{ "role": "assistant", "content": null, "tool_calls": [{
            "id": "c", "type": "function", "function": { "name": "look", "arguments": "{}" }, "extra_content": extra,
        }] }]),
    );
}

#[test]
fn reasoning_goes_back_within_a_turn_where_it_is_demanded() {
    let turn = |thought: &str, id: &str| {
        vec![
            user("go"),
            message(Role::Assistant, vec![reasoning(thought, None), call(id, "look", json!({}))]),
            message(Role::Tool, vec![result(id, json!("r"), false)]),
        ]
    };
    let sent = |provider_model: &str| -> Vec<Value> {
        let body = body(provider_model, [turn("old", "1"), turn("new", "2")].concat());
        [1, 4].map(|at: usize| body["messages"][at]["reasoning_content"].clone()).into()
    };
    assert_eq!(sent("deepseek/DeepSeek-V3.2"), [Value::Null, json!("new")]);
    assert_eq!(sent("gpt-4o"), [Value::Null, Value::Null]);
}

#[test]
fn the_output_limit_has_the_name_that_the_model_accepts() {
    let rows = [
        ("gpt-4o", "max_tokens"),
        ("openai/gpt-4.1", "max_tokens"),
        ("olmo", "max_tokens"),
        ("llama3", "max_tokens"),
        ("o1", "max_completion_tokens"),
        ("openai/o4-mini", "max_completion_tokens"),
        ("gpt-5", "max_completion_tokens"),
        ("GPT-5.1-mini", "max_completion_tokens"),
        ("gpt-10", "max_completion_tokens"),
    ];
    for (name, expected) in rows {
        let body = body(name, Vec::new());
        let fields = ["max_tokens", "max_completion_tokens"].map(|field| body.get(field).is_some().then_some(field));
        assert_eq!(fields.into_iter().flatten().collect::<Vec<_>>(), [expected], "{name}");
    }
}

#[test]
fn an_address_that_cannot_be_used_is_said_at_once() {
    for base_url in ["", "api.openai.com/v1", "ftp://x/v1", "mailto:a"] {
        let options = OpenAiChatOptions { base_url: base_url.into(), ..options() };
        let error = OpenAiChat::new(options).unwrap_err();
        assert_eq!((error.kind, error.provider.as_deref()), (ErrorKind::Config, Some("acme")), "{base_url}");
    }
}

#[test]
fn a_key_does_not_show() {
    assert!(!format!("{:?}", provider()).contains("hidden"));
}
