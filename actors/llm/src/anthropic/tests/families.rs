use serde_json::{Value, json};

use crate::anthropic::Anthropic;
use crate::anthropic::family::Family;
use crate::testing::{call, message, options, prompt, reasoning, request, result, user};
use verbatim_events::message::Role;

/// The request's words about thinking, and its output limit.
fn thought(model: &str, limit: Option<u64>, effort: Option<&str>) -> (Value, Value, Value) {
    let provider = Anthropic::new(options()).unwrap();
    let (_, mut body) = request(&provider, model, limit, effort, &prompt(vec![user("go")]));
    (body["thinking"].take(), body["output_config"].take(), body["max_tokens"].take())
}

#[test]
fn older_models_think_within_a_budget() {
    let rows = [
        (None, None, None),
        (None, Some("none"), None),
        (None, Some("unheard of"), None),
        (None, Some("minimal"), Some(1024)),
        (None, Some("low"), Some(2048)),
        (None, Some("Medium"), Some(8192)),
        (None, Some("high"), Some(16_384)),
        (None, Some("xhigh"), Some(27_904)),
        (None, Some("max"), Some(27_904)),
        (Some(64_000), Some("max"), Some(59_904)),
        (Some(128_000), Some("max"), Some(65_536)),
        (Some(4096), Some("high"), Some(3072)),
        (Some(1366), Some("high"), Some(1025)),
        (Some(1364), Some("high"), None),
        (Some(0), Some("high"), None),
    ];
    for (limit, effort, budget) in rows {
        let (thinking, config, max_tokens) = thought("claude-sonnet-4-5-20250929", limit, effort);
        let expected = budget.map_or(Value::Null, |tokens: u64| json!({ "type": "enabled", "budget_tokens": tokens }));
        assert_eq!((thinking, config), (expected, Value::Null), "{limit:?} {effort:?}");
        assert_eq!(max_tokens, json!(limit.unwrap_or(32_000)));
    }
}

#[test]
fn newer_models_are_told_an_effort() {
    let adaptive = json!({ "type": "adaptive", "display": "summarized" });
    let bound = json!({ "type": "adaptive", "display": "summarized",
        "block_binding": { "prefix_mismatch_behavior": "drop_block" } });
    let rows = [
        ("claude-opus-4-6", None, &Value::Null, None),
        ("claude-opus-4-6", Some("none"), &Value::Null, None),
        ("claude-opus-4-6", Some("minimal"), &adaptive, Some("low")),
        ("claude-opus-4-6", Some("xhigh"), &adaptive, Some("high")),
        ("claude-opus-4-6", Some("max"), &adaptive, Some("max")),
        ("anthropic/claude-4.7-opus", Some("xhigh"), &adaptive, Some("xhigh")),
        ("claude-opus-5", Some("none"), &Value::Null, Some("low")),
        ("claude-mythos-preview", Some("medium"), &adaptive, Some("medium")),
        ("claude-fable-5-1", None, &bound, None),
        ("claude-fable-5-1", Some("none"), &bound, Some("low")),
        ("us.anthropic.claude-sonnet-5-5-v1:0", Some("high"), &bound, Some("high")),
    ];
    for (model, effort, expected, told) in rows {
        let (thinking, config, _) = thought(model, None, effort);
        let told = told.map_or(Value::Null, |effort| json!({ "effort": effort }));
        assert_eq!((&thinking, config), (expected, told), "{model} {effort:?}");
    }
}

#[test]
fn models_that_do_not_think_are_not_told_to() {
    for (model, max_tokens) in
        [("claude-3-5-sonnet-20241022", 8192), ("claude-3-opus-20240229", 4096), ("claude-2.1", 4096)]
    {
        assert_eq!(thought(model, None, Some("high")), (Value::Null, Value::Null, json!(max_tokens)), "{model}");
    }
    assert_eq!(thought("claude-3-7-sonnet-latest", None, Some("low")).0["budget_tokens"], 2048);
    assert_eq!(thought("some-other-model", None, Some("low")).0["budget_tokens"], 2048);
}

#[test]
fn only_models_that_bind_their_thinking_need_a_header() {
    for (model, expected) in
        [("claude-opus-4-8", false), ("claude-opus-5", false), ("claude-opus-5-5", true), ("other", false)]
    {
        assert_eq!(Family::of(model).beta().is_some(), expected, "{model}");
    }
}

#[test]
fn an_answer_under_way_that_did_not_begin_with_thinking_goes_on_without() {
    let signed = reasoning("hm", Some(json!({ "protocol": "anthropic", "signature": "s" })));
    let turn = |first: Vec<_>, asked_again: bool| {
        let mut parts = first;
        parts.push(call("c", "look", json!({})));
        let mut messages = vec![user("go"), message(Role::Assistant, parts)];
        messages.push(message(Role::Tool, vec![result("c", json!("r"), false)]));
        messages.extend(asked_again.then(|| user("and?")));
        prompt(messages)
    };
    let thinks = |model: &str, prompt| {
        let (_, body) = request(&Anthropic::new(options()).unwrap(), model, None, Some("low"), &prompt);
        body.get("thinking").is_some()
    };
    assert!(thinks("claude-sonnet-4-5", turn(vec![signed.clone()], false)));
    assert!(!thinks("claude-sonnet-4-5", turn(vec![], false)));
    assert!(!thinks("claude-sonnet-4-5", turn(vec![verbatim_events::part::Part::text("so"), signed], false)));
    assert!(thinks("claude-sonnet-4-5", turn(vec![], true)));
    assert!(thinks("claude-opus-4-7", turn(vec![], false)));
}
