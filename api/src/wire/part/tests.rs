use serde_json::{Value, json};

use super::*;

fn shown(part: &Part) -> Value {
    serde_json::to_value(PartView::from(part)).unwrap()
}

#[test]
fn every_part_has_its_shape_and_hides_what_is_for_others() {
    let secret = Some(json!({"signature": "for the provider alone"}));
    let cases = [
        (Part::text("hello"), json!({"type": "text", "text": "hello"})),
        (Part::Reasoning { text: "hm".into(), metadata: secret.clone() }, json!({"type": "reasoning", "text": "hm"})),
        (
            Part::ToolCall {
                call_id: "c1".into(),
                name: "look".into(),
                args: json!({"at": 1}),
                provider_executed: false,
                metadata: secret.clone(),
            },
            json!({"type": "tool_call", "call_id": "c1", "name": "look", "args": {"at": 1}}),
        ),
        (
            Part::ToolCall {
                call_id: "c2".into(),
                name: "web_search".into(),
                args: json!({}),
                provider_executed: true,
                metadata: None,
            },
            json!({
                "type": "tool_call", "call_id": "c2", "name": "web_search", "args": {}, "provider_executed": true
            }),
        ),
        (
            Part::ToolResult {
                call_id: "c1".into(),
                name: "look".into(),
                result: json!("nothing"),
                is_error: false,
                provider_executed: false,
                metadata: secret,
            },
            json!({"type": "tool_result", "call_id": "c1", "name": "look", "result": "nothing", "is_error": false}),
        ),
        (
            Part::Source { url: "https://example.org".into(), title: "Example".into() },
            json!({"type": "source", "url": "https://example.org", "title": "Example"}),
        ),
        (
            Part::File { file_id: "f1".into(), media_type: "image/png".into(), name: "a.png".into(), content: None },
            json!({"type": "file", "file_id": "f1", "media_type": "image/png", "name": "a.png"}),
        ),
        (
            Part::ContextFile { path: "AGENTS.md".into(), text: "for the model alone".into() },
            json!({"type": "context_file", "path": "AGENTS.md"}),
        ),
    ];
    for (part, expected) in cases {
        assert_eq!(shown(&part), expected);
    }
}

fn framed(n: u64, part: LivePart) -> Value {
    serde_json::to_value(PartFrameView::new(42, &NumberedPart { n, after_version: 43, part })).unwrap()
}

#[test]
fn every_live_part_has_its_shape_and_role() {
    let cases = [
        (
            LivePart::TextDelta { text: "he".into() },
            json!({"attempt": 42, "n": 1, "role": "assistant", "part": {"type": "text_delta", "text": "he"}}),
        ),
        (
            LivePart::ReasoningDelta { text: "hm".into() },
            json!({"attempt": 42, "n": 1, "role": "assistant", "part": {"type": "reasoning_delta", "text": "hm"}}),
        ),
        (
            LivePart::ToolArgsDelta { call_id: "c1".into(), name: "look".into(), args: "{\"a".into() },
            json!({
                "attempt": 42, "n": 1, "role": "assistant",
                "part": {"type": "tool_args_delta", "call_id": "c1", "name": "look", "args": "{\"a"},
            }),
        ),
        (
            LivePart::ToolOutputDelta { call_id: "c1".into(), output: "line".into() },
            json!({
                "attempt": 42, "n": 1, "role": "tool",
                "part": {"type": "tool_output_delta", "call_id": "c1", "output": "line"},
            }),
        ),
        (
            LivePart::Whole(Part::text("whole")),
            json!({"attempt": 42, "n": 1, "role": "assistant", "part": {"type": "text", "text": "whole"}}),
        ),
        (
            LivePart::Whole(Part::ToolResult {
                call_id: "c1".into(),
                name: "look".into(),
                result: json!(1),
                is_error: true,
                provider_executed: false,
                metadata: None,
            }),
            json!({
                "attempt": 42, "n": 1, "role": "tool",
                "part": {"type": "tool_result", "call_id": "c1", "name": "look", "result": 1, "is_error": true},
            }),
        ),
    ];
    for (part, expected) in cases {
        assert_eq!(framed(1, part), expected);
    }
}
