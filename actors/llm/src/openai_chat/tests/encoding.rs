use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Value, json};
use verbatim_events::error::ErrorKind;
use verbatim_events::event::ToolDefinition;
use verbatim_events::ids::Digest;
use verbatim_events::message::{Message, Origin, Role, Visibility};
use verbatim_events::model::{ModelProvider, ModelSettings, Prompt};
use verbatim_events::part::Part;

use crate::openai_chat::{OpenAiChat, OpenAiChatOptions};
use crate::secret::Secret;

fn provider() -> OpenAiChat {
    let options = OpenAiChatOptions {
        name: "acme".into(),
        base_url: "http://127.0.0.1:9/v1".into(),
        api_key: Some(Secret::new("sk-hidden-key")),
        api_key_expected_in: None,
        store: false,
        files: None,
    };
    OpenAiChat::new(options).unwrap()
}

fn model(provider_model: &str) -> ModelSettings {
    ModelSettings {
        name: "configured".into(),
        provider: "acme".into(),
        provider_model: provider_model.into(),
        context_window: None,
        max_output_tokens: Some(100),
        ..ModelSettings::default()
    }
}

fn message(role: Role, parts: Vec<Part>) -> Arc<Message> {
    Arc::new(Message {
        id: 1,
        role,
        parts,
        visibility: Visibility::Both,
        origin: Origin::User,
        author: None,
        model: None,
        effort: None,
        usage: None,
        finish_reason: None,
        response_id: None,
        compressed: false,
        created_at: DateTime::UNIX_EPOCH,
        turn_id: None,
        queued_id: None,
        form: Default::default(),
    })
}

fn call(call_id: &str, args: Value) -> Part {
    Part::ToolCall { call_id: call_id.into(), name: "look".into(), args, provider_executed: false, metadata: None }
}

fn result(call_id: &str, result: Value, is_error: bool) -> Part {
    let (call_id, name) = (call_id.into(), "look".into());
    Part::ToolResult { call_id, name, result, is_error, provider_executed: false, metadata: None }
}

fn reasoning(text: &str) -> Part {
    Part::Reasoning { text: text.into(), metadata: None }
}

fn prompt(messages: Vec<Arc<Message>>) -> Prompt {
    Prompt { system: None, messages, tools: Vec::new(), ..Prompt::default() }
}

/// The messages of the request that a prompt makes.
#[track_caller]
fn check(provider_model: &str, messages: Vec<Arc<Message>>, expected: Value) {
    let request = provider().encode(&prompt(messages), &model(provider_model), None).unwrap();
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["messages"], expected);
}

#[test]
fn a_request_has_exactly_these_bytes() {
    let mut prompt = prompt(vec![message(Role::User, vec![Part::text("Hi \"you\"\né")])]);
    prompt.system = Some("Be brief.".into());
    prompt.tools = vec![ToolDefinition {
        name: "look".into(),
        description: "Looks.".into(),
        parameters: json!({ "type": "object" }),
    }];
    let request = provider().encode(&prompt, &model("m-1"), Some("high")).unwrap();
    let expected = concat!(
        r#"{"model":"m-1","messages":[{"role":"system","content":"Be brief."},"#,
        r#"{"role":"user","content":"Hi \"you\"\né"}],"tools":[{"type":"function","function":"#,
        r#"{"name":"look","description":"Looks.","parameters":{"type":"object"}}}],"max_tokens":100,"#,
        r#""reasoning_effort":"high","stream":true,"stream_options":{"include_usage":true}}"#,
    );
    assert_eq!(std::str::from_utf8(&request.body), Ok(expected));
    assert_eq!(request.digest, Digest::of(expected.as_bytes()));
    assert_eq!(crate::encode_with(&request.recipe, &prompt), Some(request));
}

#[test]
fn another_encoders_bytes_are_not_made_again() {
    let prompt = prompt(vec![message(Role::User, vec![Part::text("Hi")])]);
    let recipe = provider().encode(&prompt, &model("m"), None).unwrap().recipe;
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
            vec![reasoning("hm"), Part::text("I look."), call("c1", json!({ "x": 1 })), call("c2", json!("{bro"))],
        ),
        message(Role::Tool, vec![result("c1", json!("plain"), false), result("c2", json!({ "why": "bad" }), true)]),
        message(Role::Assistant, vec![call("c3", json!({}))]),
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
    let provider_call = Part::ToolCall {
        call_id: "p".into(),
        name: "web".into(),
        args: json!({}),
        provider_executed: true,
        metadata: None,
    };
    let source = Part::Source { url: "https://a".into(), title: "A".into() };
    let file = Part::File { file_id: "f".into(), media_type: "image/png".into(), name: "a.png".into(), content: None };
    let context = Part::ContextFile { path: "AGENTS.md".into(), text: "Rules.".into() };
    let messages = vec![
        message(Role::User, vec![Part::text("see"), file, context]),
        message(Role::Assistant, vec![reasoning("only this"), provider_call, source]),
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
    let prompt = prompt(vec![
        message(Role::Assistant, vec![call(&long, json!({}))]),
        message(Role::Tool, vec![result(&long, json!("r"), false)]),
    ]);
    let request = provider().encode(&prompt, &model("m"), None).unwrap();
    let body: Value = serde_json::from_slice(&request.body).unwrap();
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
            message(Role::User, vec![Part::text("go")]),
            message(Role::Assistant, vec![reasoning(thought), call(id, json!({}))]),
            message(Role::Tool, vec![result(id, json!("r"), false)]),
        ]
    };
    let sent = |provider_model: &str| -> Vec<Value> {
        let messages = [turn("old", "1"), turn("new", "2")].concat();
        let request = provider().encode(&prompt(messages), &model(provider_model), None).unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
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
        let request = provider().encode(&prompt(Vec::new()), &model(name), None).unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let fields = ["max_tokens", "max_completion_tokens"].map(|field| body.get(field).is_some().then_some(field));
        assert_eq!(fields.into_iter().flatten().collect::<Vec<_>>(), [expected], "{name}");
    }
}

#[test]
fn an_address_that_cannot_be_used_is_said_at_once() {
    for base_url in ["", "api.openai.com/v1", "ftp://x/v1", "mailto:a"] {
        let options = OpenAiChatOptions {
            name: "acme".into(),
            base_url: base_url.into(),
            api_key: None,
            api_key_expected_in: None,
            store: false,
            files: None,
        };
        let error = OpenAiChat::new(options).unwrap_err();
        assert_eq!((error.kind, error.provider.as_deref()), (ErrorKind::Config, Some("acme")), "{base_url}");
    }
}

#[test]
fn a_key_does_not_show() {
    assert!(!format!("{:?}", provider()).contains("hidden"));
}
