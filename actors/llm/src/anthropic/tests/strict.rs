//! The strict reader itself, and prompts of every history before it.

use proptest::prelude::*;
use serde_json::{Value, json};
use verbatim_events::model::ModelSettings;

use crate::anthropic::Anthropic;
use crate::strict::anthropic::problems;
use crate::testing::{self, accepted, any_prompts, any_provider_tools, options, request_to};

#[test]
fn the_reader_finds_what_is_forbidden() {
    let sound = || {
        json!({ "model": "m", "max_tokens": 9, "stream": true, "tools": [{ "name": "t", "input_schema": { "type": "object" } }],
            "messages": [
                { "role": "user", "content": [{ "type": "text", "text": "go" }] },
                { "role": "assistant", "content": [
                    { "type": "thinking", "thinking": "", "signature": "s" },
                    { "type": "tool_use", "id": "a", "name": "t", "input": {} },
                ] },
                { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "a" }] },
            ] })
    };
    assert_eq!(problems(&sound()), Vec::<String>::new());
    let spoilt: [(&str, Value); 10] = [
        ("/max_tokens", json!(0)),
        ("/tools", json!([])),
        ("/messages/0/role", json!("assistant")),
        ("/messages/0/content/0/text", json!(" ")),
        ("/messages/1/content/0/signature", json!("")),
        ("/messages/1/content/1/id", json!("a:b")),
        ("/messages/1/content/1/input", json!("x")),
        ("/messages/1/content", json!([{ "type": "thinking", "thinking": "", "signature": "s" }])),
        ("/messages/2/content/0/tool_use_id", json!("b")),
        ("/messages/2/content", json!([])),
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
        model in prop::sample::select(vec!["claude-3-5-haiku-latest", "claude-sonnet-4-5", "claude-opus-4-7", "claude-opus-5-5", "other"]),
        effort in prop::sample::select(vec![None, Some("none"), Some("low"), Some("max")]),
        limit in prop::sample::select(vec![None, Some(1), Some(1500), Some(64_000)]),
        provider_tools in any_provider_tools(json!({ "type": "web_search_20250305", "name": "web_search" })),
    ) {
        let provider = Anthropic::new(options()).unwrap();
        let model = ModelSettings { provider_tools, ..testing::model(model, limit) };
        for prompt in prompts {
            let (_, body) = request_to(&provider, &model, effort, &prompt);
            accepted(&problems(&body), &body);
        }
    }
}
