use serde_json::json;

use super::*;

fn metadata() -> Option<Value> {
    Some(json!({"signature": "c2ln", "index": 3, "share": 0.1, "nothing": null}))
}

/// Every kind of part, with all its fields and with as few as it can have.
fn parts() -> Vec<(Part, Value)> {
    let call = |provider_executed, metadata| Part::ToolCall {
        call_id: "call_1".to_owned(),
        name: "read_file".to_owned(),
        args: json!({"path": "a.txt"}),
        provider_executed,
        metadata,
    };
    let result = |provider_executed, metadata| Part::ToolResult {
        call_id: "call_1".to_owned(),
        name: "read_file".to_owned(),
        result: json!("text"),
        is_error: false,
        provider_executed,
        metadata,
    };
    let call_json = json!({"type": "tool_call", "call_id": "call_1", "name": "read_file", "args": {"path": "a.txt"}});
    let result_json = json!({
        "type": "tool_result", "call_id": "call_1", "name": "read_file", "result": "text", "is_error": false
    });
    let extended = |mut value: Value| {
        value["provider_executed"] = json!(true);
        value["metadata"] = json!(metadata());
        value
    };
    let file = Part::File {
        file_id: "f".to_owned(),
        media_type: "image/png".to_owned(),
        name: "cat.png".to_owned(),
        content: None,
    };
    vec![
        (Part::text("hello"), json!({"type": "text", "text": "hello"})),
        (
            Part::Reasoning { text: "hm".to_owned(), metadata: metadata() },
            json!({"type": "reasoning", "text": "hm", "metadata": metadata()}),
        ),
        (Part::Reasoning { text: String::new(), metadata: None }, json!({"type": "reasoning", "text": ""})),
        (
            Part::Reasoning { text: String::new(), metadata: Some(Value::Null) },
            json!({"type": "reasoning", "text": "", "metadata": null}),
        ),
        (call(false, None), call_json.clone()),
        (call(true, metadata()), extended(call_json)),
        (result(false, None), result_json.clone()),
        (result(true, metadata()), extended(result_json)),
        (
            Part::Source { url: "https://example.org".to_owned(), title: "Example".to_owned() },
            json!({"type": "source", "url": "https://example.org", "title": "Example"}),
        ),
        (file, json!({"type": "file", "file_id": "f", "media_type": "image/png", "name": "cat.png"})),
        (
            Part::ContextFile { path: "AGENTS.md".to_owned(), text: "be kind".to_owned() },
            json!({"type": "context_file", "path": "AGENTS.md", "text": "be kind"}),
        ),
        (
            Part::ContextFile { path: "AGENTS.md".to_owned(), text: String::new() },
            json!({"type": "context_file", "path": "AGENTS.md"}),
        ),
    ]
}

fn deltas() -> Vec<(LivePart, Value)> {
    vec![
        (LivePart::TextDelta { text: "he".to_owned() }, json!({"type": "text_delta", "text": "he"})),
        (LivePart::ReasoningDelta { text: "h".to_owned() }, json!({"type": "reasoning_delta", "text": "h"})),
        (
            LivePart::ToolArgsDelta { call_id: "c".to_owned(), name: "t".to_owned(), args: "{\"a".to_owned() },
            json!({"type": "tool_args_delta", "call_id": "c", "name": "t", "args": "{\"a"}),
        ),
        (
            LivePart::ToolOutputDelta { call_id: "c".to_owned(), output: "ok\n".to_owned() },
            json!({"type": "tool_output_delta", "call_id": "c", "output": "ok\n"}),
        ),
    ]
}

#[test]
fn a_part_keeps_its_json_and_reads_back() {
    for (part, value) in parts() {
        assert_eq!(serde_json::to_value(&part).unwrap(), value);
        assert_eq!(serde_json::from_value::<Part>(value.clone()).unwrap(), part);
        assert_eq!(serde_json::from_str::<Part>(&value.to_string()).unwrap(), part);
    }
}

#[test]
fn a_live_part_is_a_delta_or_a_whole_part_with_the_same_json() {
    let wholes = parts().into_iter().map(|(part, value)| (LivePart::Whole(part), value));
    for (live, value) in deltas().into_iter().chain(wholes) {
        assert_eq!(serde_json::to_value(&live).unwrap(), value);
        let text = serde_json::to_string(&live).unwrap();
        assert_eq!(serde_json::from_str::<LivePart>(&text).unwrap(), live, "{text}");
        assert_eq!(serde_json::from_value::<LivePart>(value).unwrap(), live, "{text}");
    }
}

#[test]
fn a_numbered_part_reads_back() {
    for (part, _) in parts() {
        let numbered = NumberedPart { n: 7, after_version: 42, part: LivePart::Whole(part) };
        let text = serde_json::to_string(&numbered).unwrap();
        assert_eq!(serde_json::from_str::<NumberedPart>(&text).unwrap(), numbered, "{text}");
    }
}

#[test]
fn what_is_no_part_is_refused() {
    let refused = [
        json!({"type": "smell", "text": "roses"}),
        json!({"text": "no type"}),
        json!({"type": "text", "text": "a", "colour": "red"}),
        json!({"type": "text"}),
        json!("text"),
    ];
    for value in refused {
        assert!(serde_json::from_value::<Part>(value.clone()).is_err(), "{value}");
        assert!(serde_json::from_value::<LivePart>(value.clone()).is_err(), "{value}");
    }
}

#[test]
fn sizes_count_what_is_carried() {
    let sizes: Vec<usize> = deltas().iter().map(|(live, _)| live.size_bytes()).collect();
    assert_eq!(sizes, [2, 1, 5, 4]);
    let whole = LivePart::Whole(Part::text("0123456789"));
    assert!(whole.size_bytes() >= 10);
}
