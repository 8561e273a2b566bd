use std::sync::Arc;

use serde_json::{Value, json};
use verbatim_events::error::ErrorKind;
use verbatim_events::ids::Digest;
use verbatim_events::message::{Message, Role};
use verbatim_events::part::Part;

use crate::openai_responses::{OpenAiResponses, OpenAiResponsesOptions};
use crate::strict::openai_responses::problems;
use crate::testing::{
    accepted, by_provider, call, message, options, prompt, reasoning, request, result, source, tool, user,
};

fn provider() -> OpenAiResponses {
    OpenAiResponses::new(options()).unwrap()
}

/// The input of the request that a prompt makes.
#[track_caller]
fn check(messages: Vec<Arc<Message>>, expected: Value) {
    let (_, body) = request(&provider(), "gpt-5.2", Some(100), None, &prompt(messages));
    assert_eq!(body["input"], expected);
    accepted(&problems(&body), &body);
}

fn said(role: &str, content: &str) -> Value {
    json!({ "type": "message", "role": role, "content": content })
}

#[test]
fn a_request_has_exactly_these_bytes() {
    let mark = json!({ "protocol": "openai_responses", "provider": "acme", "id": "rs_1", "encrypted_content": "ENC" });
    let mut prompt = prompt(vec![
        message(Role::System, vec![Part::text("Rules.")]),
        user("Hi \"you\"\né"),
        message(
            Role::Assistant,
            vec![reasoning("hm", Some(mark)), Part::text("I look."), call("c1", "look", json!({ "x": 1 }))],
        ),
        message(Role::Tool, vec![result("c1", json!("gone"), true)]),
    ]);
    prompt.system = Some("Be brief.".into());
    prompt.tools = vec![tool("look", json!({ "type": "object" }))];
    let (request, _) = request(&provider(), "gpt-5.2", Some(100), Some("high"), &prompt);
    let expected = concat!(
        r#"{"model":"gpt-5.2","instructions":"Be brief.","input":["#,
        r#"{"type":"message","role":"system","content":"Rules."},"#,
        r#"{"type":"message","role":"user","content":"Hi \"you\"\né"},"#,
        r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"ENC"},"#,
        r#"{"type":"message","role":"assistant","content":"I look."},"#,
        r#"{"type":"function_call","call_id":"c1","name":"look","arguments":"{\"x\":1}"},"#,
        r#"{"type":"function_call_output","call_id":"c1","output":"Error: gone"}],"#,
        r#""tools":[{"type":"function","name":"look","description":"Looks.","parameters":{"type":"object"},"strict":false}],"#,
        r#""max_output_tokens":100,"reasoning":{"effort":"high","summary":"auto"},"#,
        r#""include":["reasoning.encrypted_content"],"store":false,"stream":true}"#,
    );
    assert_eq!(std::str::from_utf8(&request.body), Ok(expected));
    assert_eq!(request.digest, Digest::of(expected.as_bytes()));
}

#[test]
fn tools_and_their_answers() {
    let function = |id: &str, arguments: &str| json!({ "type": "function_call", "call_id": id, "name": "look", "arguments": arguments });
    let output = |id: &str, output: &str| json!({ "type": "function_call_output", "call_id": id, "output": output });
    check(
        vec![
            message(Role::User, vec![Part::text("a"), Part::text("b")]),
            message(
                Role::Assistant,
                vec![Part::text("I look."), call("c1", "look", json!({})), call("c2", "look", json!("no"))],
            ),
            message(Role::Tool, vec![result("c2", json!({ "why": "bad" }), true)]),
            message(Role::Tool, vec![result("c1", json!(""), false)]),
            user("well?"),
        ],
        json!([
            said("user", "a\n\nb"),
            said("assistant", "I look."),
            function("c1", "{}"),
            function("c2", "\"no\""),
            output("c2", "Error: {\"why\":\"bad\"}"),
            output("c1", ""),
            said("user", "well?"),
        ]),
    );
}

#[test]
fn what_another_provider_made_becomes_text() {
    let mark = |protocol: &str, provider: &str| {
        json!({ "protocol": protocol, "provider": provider,
        "encrypted_content": "ENC", "item": { "type": "web_search_call", "status": "completed", "action": {} } })
    };
    for foreign in [mark("anthropic", "acme"), mark("openai_responses", "other"), json!(null), json!("x")] {
        check(
            vec![
                user("go"),
                message(
                    Role::Assistant,
                    vec![
                        reasoning("hm", Some(foreign.clone())),
                        by_provider(call("w", "web_search", json!({ "query": "q" })), Some(foreign.clone())),
                        by_provider(result("w", json!([1]), true), Some(foreign.clone())),
                        source("https://a", "A"),
                        Part::text("So."),
                    ],
                ),
                user("and?"),
            ],
            json!([
                said("user", "go"),
                said("assistant", "[web_search was called with {\"query\":\"q\"}]"),
                said("assistant", "[look answered: Error: [1]]"),
                said("assistant", "So."),
                said("user", "and?"),
            ]),
        );
    }
}

#[test]
fn ids_are_made_acceptable_alike_in_call_and_answer_and_are_used_once() {
    let step = |id: &str| {
        [
            message(Role::Assistant, vec![call(id, "look up!", json!({}))]),
            message(Role::Tool, vec![result(id, json!("r"), false)]),
        ]
    };
    let steps: Vec<_> = ["a", "a", "functions.look:0", &"x".repeat(65)].into_iter().flat_map(step).collect();
    let (_, body) = request(&provider(), "m", None, None, &prompt([vec![user("go")], steps].concat()));
    accepted(&problems(&body), &body);
    let ids = |from: usize| -> Vec<_> { (0..4).map(|at| body["input"][from + 2 * at]["call_id"].clone()).collect() };
    assert_eq!(ids(1), ids(2));
    assert_eq!(ids(1)[0], "a");
    assert_eq!(body["input"][1]["name"], "look_up_");
}

#[test]
fn no_summary_is_asked_for_without_an_effort() {
    let summary = |effort| {
        let (_, body) = request(&provider(), "gpt-5.2", None, effort, &prompt(vec![user("go")]));
        body["reasoning"]["summary"].clone()
    };
    assert_eq!([summary(None), summary(Some("none")), summary(Some("low"))], [Value::Null, Value::Null, json!("auto")]);
}

#[test]
fn another_encoders_bytes_are_not_made_again() {
    let prompt = prompt(vec![user("Hi")]);
    let mut recipe = request(&provider(), "m", None, None, &prompt).0.recipe;
    recipe.encoder += 1;
    assert_eq!(crate::encode_with(&recipe, &prompt), None);
}

#[test]
fn an_address_that_cannot_be_used_is_said_at_once_and_a_key_does_not_show() {
    let error = OpenAiResponses::new(OpenAiResponsesOptions { base_url: "ftp://x".into(), ..options() }).unwrap_err();
    assert_eq!((error.kind, error.provider.as_deref()), (ErrorKind::Config, Some("acme")));
    assert!(!format!("{:?}", provider()).contains("hidden"));
}
