use std::sync::Arc;

use serde_json::{Value, json};
use verbatim_events::error::ErrorKind;
use verbatim_events::ids::Digest;
use verbatim_events::message::{Message, Role};
use verbatim_events::part::Part;

use crate::anthropic::{Anthropic, AnthropicOptions};
use crate::strict::anthropic::problems;
use crate::testing::{
    accepted, by_provider, call, message, options, prompt, reasoning, request, result, source, tool, user,
};

fn provider() -> Anthropic {
    Anthropic::new(options()).unwrap()
}

/// The messages of the request that a prompt makes.
#[track_caller]
fn check(messages: Vec<Arc<Message>>, expected: Value) {
    let (_, body) = request(&provider(), "claude-opus-4-6", Some(100), None, &prompt(messages));
    assert_eq!(body["messages"], expected);
    accepted(&problems(&body), &body);
}

fn cached(mut block: Value) -> Value {
    block["cache_control"] = json!({ "type": "ephemeral" });
    block
}

fn said(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

#[test]
fn a_request_has_exactly_these_bytes() {
    let mut prompt = prompt(vec![
        user("Hi \"you\"\né"),
        message(
            Role::Assistant,
            vec![
                reasoning(
                    "hm",
                    Some(
                        json!({ "protocol": "anthropic", "provider": "acme", "type": "thinking", "signature": "c2ln" }),
                    ),
                ),
                Part::text("I look."),
                call("c1", "look", json!({ "x": 1 })),
            ],
        ),
        message(Role::Tool, vec![result("c1", json!("found"), false)]),
    ]);
    prompt.system = Some("Be brief.".into());
    prompt.tools = vec![tool("look", json!({ "type": "object" }))];
    let (request, _) = request(&provider(), "claude-sonnet-4-5", Some(3000), Some("high"), &prompt);
    let expected = concat!(
        r#"{"model":"claude-sonnet-4-5","max_tokens":3000,"#,
        r#""system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],"#,
        r#""messages":[{"role":"user","content":[{"type":"text","text":"Hi \"you\"\né"}]},"#,
        r#"{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"c2ln"},"#,
        r#"{"type":"text","text":"I look."},"#,
        r#"{"type":"tool_use","id":"c1","name":"look","input":{"x":1},"cache_control":{"type":"ephemeral"}}]},"#,
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"found","#,
        r#""cache_control":{"type":"ephemeral"}}]}],"#,
        r#""tools":[{"name":"look","description":"Looks.","input_schema":{"type":"object"}}],"#,
        r#""thinking":{"type":"enabled","budget_tokens":2250},"stream":true}"#,
    );
    assert_eq!(std::str::from_utf8(&request.body), Ok(expected));
    assert_eq!(request.digest, Digest::of(expected.as_bytes()));
}

#[test]
fn the_sides_alternate_and_answers_follow_their_calls() {
    check(
        vec![
            user("a"),
            user("b"),
            message(
                Role::Assistant,
                vec![Part::text("I look."), call("c1", "look", json!({})), call("c2", "look", json!("no"))],
            ),
            message(Role::Tool, vec![result("c2", json!({ "why": "bad" }), true)]),
            message(Role::Tool, vec![result("c1", json!(""), false)]),
            user("well?"),
        ],
        json!([
            { "role": "user", "content": [said("a"), said("b")] },
            { "role": "assistant", "content": [
                said("I look."),
                { "type": "tool_use", "id": "c1", "name": "look", "input": {} },
                cached(json!({ "type": "tool_use", "id": "c2", "name": "look", "input": { "arguments": "no" } })),
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "c2", "content": "{\"why\":\"bad\"}", "is_error": true },
                { "type": "tool_result", "tool_use_id": "c1" },
                cached(said("well?")),
            ] },
        ]),
    );
}

#[test]
fn the_ends_of_the_instructions_and_of_the_last_two_messages_are_cached() {
    let mut prompt = prompt(vec![
        message(Role::System, vec![Part::text("Rules.")]),
        user("a"),
        message(Role::Assistant, vec![Part::text("b")]),
        user("c"),
        message(
            Role::Assistant,
            vec![Part::text("d"), reasoning("e", Some(json!({ "protocol": "anthropic", "signature": "s" })))],
        ),
        user("f"),
    ]);
    prompt.system = Some("Be brief.".into());
    let (_, body) = request(&provider(), "claude-opus-4-6", None, None, &prompt);
    assert_eq!(body["system"], json!([said("Be brief."), cached(said("Rules."))]));
    let marked = |turn: usize, block: usize| !body["messages"][turn]["content"][block]["cache_control"].is_null();
    let marks: Vec<_> =
        [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (4, 0)].into_iter().filter(|at| marked(at.0, at.1)).collect();
    assert_eq!(marks, [(3, 0), (4, 0)], "thinking bears no mark");
}

#[test]
fn what_another_provider_made_becomes_text() {
    let mark = |protocol: &str, provider: &str| {
        json!({ "protocol": protocol, "provider": provider, "signature": "s",
        "block": { "type": "server_tool_use", "id": "srvtoolu_1", "tool_use_id": "srvtoolu_1" } })
    };
    for foreign in [mark("openai_responses", "acme"), mark("anthropic", "other"), json!(null), json!("x")] {
        check(
            vec![
                user("go"),
                message(
                    Role::Assistant,
                    vec![
                        reasoning("hm", Some(foreign.clone())),
                        by_provider(call("w", "web_search", json!({ "query": "q" })), Some(foreign.clone())),
                        by_provider(result("w", json!("found"), false), Some(foreign.clone())),
                        source("https://a", "A"),
                        Part::text("So."),
                    ],
                ),
                user("and?"),
            ],
            json!([
                { "role": "user", "content": [said("go")] },
                { "role": "assistant", "content": [
                    said("[web_search was called with {\"query\":\"q\"}]"),
                    said("[look answered: found]"),
                    cached(said("So.")),
                ] },
                { "role": "user", "content": [cached(said("and?"))] },
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
    let ids: Vec<_> = [1, 3, 5, 7].map(|at: usize| body["messages"][at]["content"][0]["id"].clone()).into();
    assert_eq!(ids[0], "a");
    assert_eq!(
        ids.iter().collect::<Vec<_>>(),
        [2, 4, 6, 8].map(|at: usize| &body["messages"][at]["content"][0]["tool_use_id"])
    );
    assert_eq!(body["messages"][1]["content"][0]["name"], "look_up_");
    // The tools that the history names are defined, and may not be called.
    assert_eq!(
        body["tools"],
        json!([{ "name": "look_up_", "description": "No longer available.", "input_schema": { "type": "object" } }])
    );
    assert_eq!(body["tool_choice"], json!({ "type": "none" }));
}

#[test]
fn schemas_are_of_objects() {
    let mut prompt = prompt(vec![user("go")]);
    let schemas = [json!({}), json!({ "properties": { "a": {} } }), json!(true), json!({ "type": "object", "x": 1 })];
    prompt.tools = (0..).zip(&schemas).map(|(index, schema)| tool(&format!("t{index}"), schema.clone())).collect();
    let (_, body) = request(&provider(), "m", None, None, &prompt);
    let sent: Vec<_> = (0..4).map(|at: usize| body["tools"][at]["input_schema"].clone()).collect();
    let object = || json!({ "type": "object" });
    assert_eq!(sent, [object(), json!({ "type": "object", "properties": { "a": {} } }), object(), schemas[3].clone()]);
}

#[test]
fn files_are_named_and_blank_words_left_out() {
    let file = Part::File { file_id: "f".into(), media_type: "image/png".into(), name: "a.png".into(), content: None };
    let context = Part::ContextFile { path: "AGENTS.md".into(), text: "Rules.".into() };
    check(
        vec![message(Role::User, vec![Part::text(" "), Part::text("see"), file, context])],
        json!([{ "role": "user", "content": [
            said("see"), said("[attached file \"a.png\", image/png]"), cached(said("[file \"AGENTS.md\"]\nRules.")),
        ] }]),
    );
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
    let error = Anthropic::new(AnthropicOptions { base_url: "api.anthropic.com".into(), ..options() }).unwrap_err();
    assert_eq!((error.kind, error.provider.as_deref()), (ErrorKind::Config, Some("acme")));
    assert!(!format!("{:?}", provider()).contains("hidden"));
}
