//! A reader of chat completions requests that refuses what servers of the protocol refuse.

use std::collections::BTreeSet;

use serde_json::Value;

use super::reader::{Reader, is_data, is_said};

/// Everything that some server would refuse in a request.
pub(crate) fn problems(body: &Value) -> Vec<String> {
    let mut reader = Reader::<()>::default();
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
    reader.check_fields(body, &known);
    let mut check = |holds: bool, problem: String| reader.check(holds, problem);
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    check(!messages.is_empty(), "no messages".to_owned());
    let mut open: BTreeSet<String> = BTreeSet::new();
    for message in &messages {
        let content = &message["content"];
        let role = message["role"].as_str().unwrap_or_default();
        if role != "tool" {
            check(open.is_empty(), format!("{open:?} open before {message}"));
            open.clear();
        }
        match role {
            "user" if content.is_array() => {
                let parts = content.as_array().cloned().unwrap_or_default();
                check(!parts.is_empty() && parts.iter().all(is_part), format!("the parts of {message}"));
            }
            "system" | "user" => check(is_said(content), format!("a blank message {message}")),
            "assistant" => {
                let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
                check(is_said(content) || !calls.is_empty(), format!("an empty answer {message}"));
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
                check(open.remove(id) && content.is_string(), format!("the answer {message}"));
            }
            other => check(false, format!("the role {other}")),
        }
    }
    check(open.is_empty(), format!("no answers to {open:?}"));
    let last = messages.last().map(|message| message["role"].clone()).unwrap_or_default();
    check(last == "user" || last == "tool", format!("nothing to answer after {last}"));
    reader.into_problems()
}

/// A part of what a user shows.
fn is_part(part: &Value) -> bool {
    match part["type"].as_str() {
        Some("text") => is_said(&part["text"]),
        Some("image_url") => is_data(&part["image_url"]["url"], "image/"),
        Some("file") => is_data(&part["file"]["file_data"], "application/pdf;") && part["file"]["filename"].is_string(),
        _ => false,
    }
}
