//! The strict reader itself, and prompts of every history before it.

use proptest::prelude::*;
use serde_json::json;

use crate::openai_chat::OpenAiChat;
use crate::strict::openai_chat::problems;
use crate::testing::{accepted, any_prompts, options, request};

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
