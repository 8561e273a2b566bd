//! The strict reader itself, and prompts of every history before it.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use verbatim_events::chat::KeptResponse;
use verbatim_events::message::{Message, Role};
use verbatim_events::model::{Continuation, ModelSettings, Prompt};

use crate::openai_responses::OpenAiResponses;
use crate::strict::openai_responses::problems;
use crate::testing::{self, accepted, any_prompts, any_provider_tools, options, request_to};

#[test]
fn the_reader_finds_what_is_forbidden() {
    let sound = || {
        json!({ "model": "m", "store": false, "stream": true, "input": [
            { "type": "message", "role": "user", "content": "go" },
            { "type": "reasoning", "summary": [], "encrypted_content": "e" },
            { "type": "function_call", "call_id": "a", "name": "t", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "a", "output": "" },
        ] })
    };
    assert_eq!(problems(&sound()), Vec::<String>::new());
    let spoilt = [
        ("/store", json!(null)),
        ("/input/0/content", json!("")),
        ("/input/1/encrypted_content", json!(null)),
        ("/input/1", json!({ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e" })),
        ("/input/2/arguments", json!("{")),
        ("/input/2/call_id", json!("b")),
        ("/input/2", json!({ "type": "message", "role": "user", "content": "x" })),
        ("/input/3", json!({ "type": "message", "role": "user", "content": "x" })),
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
        model in prop::sample::select(vec!["gpt-4o", "gpt-5.2", "other"]),
        effort in prop::sample::select(vec![None, Some("none"), Some("max")]),
        provider_tools in any_provider_tools(json!({ "type": "web_search" })),
    ) {
        let provider = OpenAiResponses::new(options()).unwrap();
        let model = ModelSettings { provider_tools, ..testing::model(model, None) };
        for prompt in prompts {
            let (_, body) = request_to(&provider, &model, effort, &prompt);
            accepted(&problems(&body), &body);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What a provider knows by an answer and what the next request adds are together what a request without the answer
    /// would tell, whatever the history.
    #[test]
    fn a_continued_answer_and_the_rest_are_the_whole(prompts in any_prompts()) {
        let store = crate::options::ProviderOptions { store: true, ..options() };
        let provider = OpenAiResponses::new(store).unwrap();
        let model = testing::model("gpt-5.2", None);
        let input = |prompt: &Prompt| {
            let (request, mut body) = request_to(&provider, &model, None, prompt);
            let Value::Array(items) = body["input"].take() else { panic!("no list") };
            (request.recipe, items)
        };
        for mut prompt in prompts {
            let is_answer = |message: &Arc<Message>| message.role == Role::Assistant;
            let Some(answered) = prompt.messages.iter().rposition(is_answer) else { continue };
            // Ids that are used again or are not accepted are others in a conversation than in a part of it.
            let ids: Vec<_> = prompt.messages.iter().flat_map(|message| message.open_call_ids()).collect();
            if (1..ids.len()).any(|at| ids[at..].contains(&ids[at - 1])) || ids.iter().any(|id| !["a", "b"].contains(id)) {
                continue;
            }
            let (_, whole) = input(&prompt);
            let known = Prompt { messages: prompt.messages[..=answered].to_vec(), ..Prompt::default() };
            let (_, mut told) = input(&known);
            let response = KeptResponse {
                message_id: 1,
                response_id: "resp_1".to_owned(),
                provider: "acme".to_owned(),
                provider_model: "gpt-5.2".to_owned(),
            };
            prompt.continues = Some(Continuation { response, messages_known: answered + 1 });
            let (recipe, rest) = input(&prompt);
            prop_assert_eq!(recipe.previous_response_id.as_deref(), Some("resp_1"));
            told.extend(rest);
            prop_assert_eq!(told, whole);
        }
    }
}

#[test]
fn only_the_provider_and_the_model_that_made_an_answer_continue_it() {
    let kept = |provider: &str, model: &str| KeptResponse {
        message_id: 1,
        response_id: "resp_1".to_owned(),
        provider: provider.to_owned(),
        provider_model: model.to_owned(),
    };
    let rows = [
        (kept("acme", "m"), true, Some("resp_1"), 1),
        (kept("acme", "m"), false, None, 3),
        (kept("other", "m"), true, None, 3),
        (kept("acme", "other"), true, None, 3),
    ];
    for (response, store, expected, items) in rows {
        let answer = testing::message(Role::Assistant, vec![verbatim_events::part::Part::text("So.")]);
        let mut prompt = testing::prompt(vec![testing::user("go"), answer, testing::user("and?")]);
        prompt.continues = Some(Continuation { response, messages_known: 2 });
        let options = crate::options::ProviderOptions { store, ..options() };
        let provider = OpenAiResponses::new(options).unwrap();
        let (request, body) = request_to(&provider, &testing::model("m", None), None, &prompt);
        assert_eq!(request.recipe.previous_response_id.as_deref(), expected);
        assert_eq!((body["previous_response_id"].as_str(), &body["store"]), (expected, &json!(store)));
        assert_eq!(body["input"].as_array().map(Vec::len), Some(items));
        accepted(&problems(&body), &body);
        // Without the state that the recipe speaks of the bytes are others, and whoever compares digests sees it.
        prompt.continues = None;
        let rebuilt = crate::encode_with(&request.recipe, &prompt).expect("a request");
        assert_eq!(rebuilt.digest == request.digest, expected.is_none());
    }
}
