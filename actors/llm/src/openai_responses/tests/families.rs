use serde_json::{Value, json};

use crate::openai_responses::OpenAiResponses;
use crate::testing::{options, prompt, request, user};

/// What the request says about reasoning.
fn told(model: &str, effort: Option<&str>) -> (Value, Value) {
    let provider = OpenAiResponses::new(options()).unwrap();
    let (_, mut body) = request(&provider, model, None, effort, &prompt(vec![user("go")]));
    (body["reasoning"]["effort"].take(), body["include"].take())
}

#[test]
fn an_effort_is_the_nearest_that_the_model_knows() {
    let rows = [
        ("o4-mini", "none", Some("low")),
        ("o3", "max", Some("high")),
        ("gpt-5", "none", Some("minimal")),
        ("openai/gpt-5-mini", "xhigh", Some("high")),
        ("gpt-5-pro", "low", Some("high")),
        ("gpt-5-codex", "minimal", Some("low")),
        ("gpt-5.1", "minimal", Some("low")),
        ("gpt-5.1", "xhigh", Some("high")),
        ("gpt-5.1-codex-max", "max", Some("xhigh")),
        ("gpt-5.1-codex", "max", Some("high")),
        ("gpt-5.2", "none", Some("none")),
        ("GPT-5.5", "max", Some("xhigh")),
        ("gpt-5.3-codex", "none", Some("low")),
        ("gpt-5.6-terra", "max", Some("max")),
        ("gpt-6", "High", Some("high")),
        ("gpt-5.2", "brand new", Some("brand new")),
        ("gpt-oss-120b", "max", Some("max")),
        ("some-model", "High", Some("High")),
        ("gpt-4o", "high", None),
        ("gpt-4.1-mini", "high", None),
        ("gpt-5-chat-latest", "high", None),
    ];
    for (model, effort, expected) in rows {
        assert_eq!(told(model, Some(effort)).0, expected.map_or(Value::Null, Value::from), "{model} {effort}");
    }
}

#[test]
fn models_that_reason_send_their_reasoning_along() {
    for model in ["o3", "gpt-5", "gpt-6", "some-model"] {
        assert_eq!(told(model, None), (Value::Null, json!(["reasoning.encrypted_content"])), "{model}");
    }
    for model in ["gpt-4o", "gpt-3.5-turbo", "chatgpt-4o-latest", "gpt-5-chat-latest"] {
        assert_eq!(told(model, Some("high")), (Value::Null, Value::Null), "{model}");
    }
}
