//! A reader of requests that refuses what servers of the protocol refuse, and prompts of every history before it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::openai_chat::OpenAiChat;
use crate::testing::{accepted, any_prompts, options, request};

/// Everything that some server would refuse in a request.
fn problems(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |holds: bool, problem: String| found.extend((!holds).then_some(problem));
    let known = [
        "model",
        "messages",
        "tools",
        "max_tokens",
        "max_completion_tokens",
        "reasoning_effort",
        "stream",
        "stream_options",
    ];
    for field in body.as_object().expect("an object").keys() {
        check(known.contains(&field.as_str()), format!("unknown field {field}"));
    }
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    check(!messages.is_empty(), "no messages".to_owned());
    let mut open: BTreeSet<String> = BTreeSet::new();
    for message in &messages {
        let content = message["content"].as_str();
        let is_said = content.is_some_and(|text| !text.trim().is_empty());
        let role = message["role"].as_str().unwrap_or_default();
        if role != "tool" {
            check(open.is_empty(), format!("{open:?} open before {message}"));
            open.clear();
        }
        match role {
            "system" | "user" => check(is_said, format!("a blank message {message}")),
            "assistant" => {
                let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
                check(is_said || !calls.is_empty(), format!("an empty answer {message}"));
                for call in &calls {
                    let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
                    check(serde_json::from_str::<Value>(arguments).is_ok(), format!("the arguments of {call}"));
                    check(
                        call["type"] == "function" && call["function"]["name"].is_string(),
                        format!("the call {call}"),
                    );
                    let id = call["id"].as_str().unwrap_or_default().to_owned();
                    check(id.len() <= 40, format!("the id {id}"));
                    check(open.insert(id), format!("the same id twice in {message}"));
                }
            }
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                check(open.remove(id) && content.is_some(), format!("the answer {message}"));
            }
            other => check(false, format!("the role {other}")),
        }
    }
    check(open.is_empty(), format!("no answers to {open:?}"));
    let last = messages.last().map(|message| message["role"].clone()).unwrap_or_default();
    check(last == "user" || last == "tool", format!("nothing to answer after {last}"));
    found
}

#[test]
fn the_reader_finds_what_is_forbidden() {
    let call = json!({ "id": "a", "type": "function", "function": { "name": "t", "arguments": "{}" } });
    let sound = || {
        json!({ "model": "m", "stream": true, "messages": [
            { "role": "user", "content": "go" },
            { "role": "assistant", "content": null, "tool_calls": [call] },
            { "role": "tool", "tool_call_id": "a", "content": "" },
        ] })
    };
    assert_eq!(problems(&sound()), Vec::<String>::new());
    let spoilt = [
        ("/messages/0/content", json!(" ")),
        ("/messages/0/role", json!("agent")),
        ("/messages/1/tool_calls", json!([])),
        ("/messages/1/tool_calls/0/function/arguments", json!("{")),
        ("/messages/1/tool_calls/0/id", json!("b")),
        ("/messages/2", json!({ "role": "user", "content": "x" })),
        ("/messages/2/content", json!(null)),
    ];
    for (pointer, value) in spoilt {
        let mut body = sound();
        *body.pointer_mut(pointer).expect(pointer) = value;
        assert_ne!(problems(&body), Vec::<String>::new(), "{pointer}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_prompt_is_accepted(
        prompts in any_prompts(),
        model in prop::sample::select(vec!["gpt-4o", "gpt-5.2", "deepseek-reasoner", "other"]),
    ) {
        let provider = OpenAiChat::new(options()).unwrap();
        for prompt in prompts {
            let (_, body) = request(&provider, model, Some(9), None, &prompt);
            accepted(&problems(&body), &body);
        }
    }
}
