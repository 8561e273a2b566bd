//! Prompts that every protocol takes, and prompts that it does not.

use serde_json::json;
use verbatim_events::message::Role;
use verbatim_events::part::Part;

use super::refusals;
use crate::testing::{call, message, prompt, result, tool, user};

#[test]
fn a_sound_prompt_is_refused_by_nobody() {
    let called = message(Role::Assistant, vec![Part::text("I look."), call("a", "look", json!({}))]);
    let answered = message(Role::Tool, vec![result("a", json!("seen"), false)]);
    let mut prompt = prompt(vec![user("go"), called, answered]);
    prompt.tools = vec![tool("look", json!({ "type": "object" }))];
    assert_eq!(refusals(&prompt, None), Vec::<String>::new());
}

#[test]
fn every_protocol_refuses_what_does_not_fit_together() {
    let open = message(Role::Assistant, vec![call("a", "look", json!({}))]);
    let stray = message(Role::Tool, vec![result("b", json!("seen"), false)]);
    for messages in [vec![user("go"), open.clone(), user("well?")], vec![user("go"), open, stray]] {
        let mut prompt = prompt(messages);
        prompt.tools = vec![tool("look", json!({ "type": "object" }))];
        let refusals = refusals(&prompt, None).join("\n");
        for protocol in [crate::anthropic::PROTOCOL, crate::openai_chat::PROTOCOL, crate::openai_responses::PROTOCOL] {
            assert!(refusals.contains(protocol), "{protocol} takes it: {refusals}");
        }
    }
}
