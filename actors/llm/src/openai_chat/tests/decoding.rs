use proptest::prelude::*;
use serde_json::{Value, json};
use verbatim_events::error::{CallError, ErrorKind};
use verbatim_events::message::{FinishReason, Usage};
use verbatim_events::model::ModelFinished;
use verbatim_events::part::{LivePart, Part};

use crate::http::{Decoder, Progress};
use crate::openai_chat::ChatDecoder;
use crate::testing::{self, Read, any_body, args, kept_of, read_every_way, text, thought};

fn decoder() -> ChatDecoder {
    ChatDecoder::new("acme", None, 7)
}

/// The body of a stream with these chunks and an end mark.
fn stream(chunks: &[Value]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).chain(["data: [DONE]\n\n".to_owned()]).collect()
}

fn delta(delta: Value) -> Value {
    json!({ "id": "r1", "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
}

fn end(reason: &str) -> Value {
    json!({ "id": "r1", "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
}

fn whole(call_id: &str, name: &str, args: Value) -> LivePart {
    LivePart::Whole(testing::call(call_id, name, args))
}

fn call(index: u64, id: &str, name: &str, arguments: &str) -> Value {
    json!({ "index": index, "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
}

fn more(index: u64, arguments: &str) -> Value {
    json!({ "index": index, "function": { "arguments": arguments } })
}

fn calls(fragments: &[Value]) -> Value {
    delta(json!({ "tool_calls": fragments }))
}

#[track_caller]
fn check(chunks: &[Value], parts: &[LivePart], finish_reason: FinishReason) {
    let read = read_every_way(decoder, &stream(chunks));
    assert_eq!(read.parts, parts);
    assert_eq!(read.end.map(|finished| finished.finish_reason), Ok(finish_reason));
}

#[track_caller]
fn check_failure(body: &str, kind: ErrorKind, retryable: bool) -> CallError {
    read_every_way(decoder, body).failed(kind, retryable)
}

#[test]
fn an_answer_in_pieces() {
    let usage = json!({ "id": "r1", "choices": [], "usage": {
        "prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130,
        "prompt_tokens_details": { "cached_tokens": 60 }, "completion_tokens_details": { "reasoning_tokens": 10 },
    } });
    let chunks = [
        delta(json!({ "role": "assistant", "content": "" })),
        delta(json!({ "content": "Grüß" })),
        delta(json!({ "content": " dich 🦀" })),
        end("stop"),
        usage,
    ];
    let expected = Read {
        parts: vec![text("Grüß"), text(" dich 🦀")],
        end: Ok(ModelFinished {
            finish_reason: FinishReason::Stop,
            usage: Some(Usage {
                input_tokens: 40,
                output_tokens: 30,
                cache_read_tokens: 60,
                cache_write_tokens: 0,
                reasoning_tokens: 10,
            }),
            response_id: Some("r1".into()),
            refusal: None,
        }),
    };
    let body = stream(&chunks);
    assert_eq!(read_every_way(decoder, &body), expected);
    assert_eq!(read_every_way(decoder, &body.replace('\n', "\r\n")), expected);
    assert_eq!(read_every_way(decoder, &body.replace('\n', "\r")), expected);
    let commented =
        format!("\u{FEFF}: ping\n\n{}", body.replace("data: ", ": keep-alive\nevent: chunk\nid: 1\nfoo: bar\ndata:"));
    assert_eq!(read_every_way(decoder, &commented), expected);
    // A server that ends without its mark, without a blank line, or without either.
    assert_eq!(read_every_way(decoder, &body.replace("data: [DONE]\n\n", "")), expected);
    assert_eq!(read_every_way(decoder, &body.replace("\n\ndata: [DONE]\n\n", "")), expected);
    assert_eq!(read_every_way(decoder, body.trim_end()), expected);
    // What follows the mark is not read.
    assert_eq!(read_every_way(decoder, &format!("{body}data: {{\"error\":\"late\"}}\n\n")), expected);
}

#[test]
fn calls_that_interleave() {
    let chunks = [
        calls(&[call(0, "a", "look", ""), call(1, "b", "find", "")]),
        calls(&[more(0, "{\"x\"")]),
        calls(&[more(1, "{\"é\":")]),
        calls(&[more(0, ":1}"), more(1, "[]}")]),
        end("tool_calls"),
    ];
    let parts = [
        args("a", "look", "{\"x\""),
        args("b", "find", "{\"é\":"),
        args("a", "look", ":1}"),
        args("b", "find", "[]}"),
        whole("a", "look", json!({ "x": 1 })),
        whole("b", "find", json!({ "é": [] })),
    ];
    check(&chunks, &parts, FinishReason::ToolCalls);
}

#[test]
fn calls_with_missing_or_doubled_ids() {
    let nameless = json!({ "index": 0, "function": { "arguments": "{" } });
    let chunks = [
        calls(&[nameless]),
        calls(&[call(0, "", "look", "}")]),
        calls(&[call(1, "d", "look", "{}"), call(2, "d", "find", "{}")]),
        end("tool_calls"),
    ];
    let parts = [
        args("call_7_0", "look", "{}"),
        args("d", "look", "{}"),
        args("call_7_2", "find", "{}"),
        whole("call_7_0", "look", json!({})),
        whole("d", "look", json!({})),
        whole("call_7_2", "find", json!({})),
    ];
    check(&chunks, &parts, FinishReason::ToolCalls);
}

#[test]
fn calls_without_an_index_or_with_the_same() {
    let unindexed = |id: &str, name: &str, arguments: &str| json!({ "id": id, "function": { "name": name, "arguments": arguments } });
    let chunks = [
        calls(&[unindexed("a", "look", "{")]),
        calls(&[json!({ "function": { "arguments": "}" } })]),
        calls(&[unindexed("b", "find", "{}")]),
        end("tool_calls"),
    ];
    let parts = [
        args("a", "look", "{"),
        args("a", "look", "}"),
        args("b", "find", "{}"),
        whole("a", "look", json!({})),
        whole("b", "find", json!({})),
    ];
    check(&chunks, &parts, FinishReason::ToolCalls);
    // Every call has the index 0, and every fragment repeats id and name.
    let chunks = [
        calls(&[call(0, "a", "look", "{")]),
        calls(&[call(0, "a", "look", "}")]),
        calls(&[call(0, "b", "find", "{}")]),
        end("tool_calls"),
    ];
    check(&chunks, &parts, FinishReason::ToolCalls);
}

#[test]
fn arguments_that_are_no_object() {
    let object = json!({ "index": 2, "id": "c", "function": { "name": "t", "arguments": { "k": [1] } } });
    let chunks = [calls(&[call(0, "a", "t", ""), call(1, "b", "t", "null"), object]), end("tool_calls")];
    let parts = [
        args("b", "t", "null"),
        args("c", "t", "{\"k\":[1]}"),
        whole("a", "t", json!({})),
        whole("b", "t", json!({})),
        whole("c", "t", json!({ "k": [1] })),
    ];
    check(&chunks, &parts, FinishReason::ToolCalls);
}

#[test]
fn arguments_that_are_incomplete() {
    let chunks = |arguments: &str, reason: &str| {
        let first = call(0, "a", "t", "");
        [delta(json!({ "content": "x" })), calls(&[first, call(1, "b", "t", arguments)]), end(reason)]
    };
    let (said, first) = (text("x"), whole("a", "t", json!({})));
    let broken = [said.clone(), args("b", "t", "{\"x\":"), first.clone()];
    check(&chunks("{\"x\":", "tool_calls"), &broken, FinishReason::ToolCalls);
    check(&chunks("{\"x\":", "length"), &broken, FinishReason::Length);
    // In an answer that was cut, arguments that did not come are not an empty object.
    check(&chunks("", "length"), &[said.clone(), first.clone()], FinishReason::Length);
    check(&chunks("", "stop"), &[said, first, whole("b", "t", json!({}))], FinishReason::Stop);
    // A filter that stops a call in the middle leaves nothing.
    let filtered = stream(&[calls(&[call(0, "a", "t", "{")]), end("content_filter")]);
    check_failure(&filtered, ErrorKind::ContentFilter, false);
}

#[test]
fn a_calls_extra_content_is_kept() {
    let mut fragment = call(0, "a", "t", "{}");
    fragment["extra_content"] = json!({ "google": { "thought_signature": "s" } });
    let read = read_every_way(decoder, &stream(&[calls(&[fragment]), end("tool_calls")]));
    let Some(LivePart::Whole(Part::ToolCall { metadata, .. })) = read.parts.last() else { panic!("{read:?}") };
    let extra = json!({ "google": { "thought_signature": "s" } });
    assert_eq!(*metadata, Some(json!({ "protocol": "openai_chat", "provider": "acme", "extra_content": extra })));
}

#[test]
fn reasoning_in_each_dialect() {
    let blocks = json!({ "content": [
        { "type": "thinking", "thinking": [{ "type": "text", "text": "c" }] },
        { "type": "text", "text": "d" },
    ] });
    let chunks = [
        delta(json!({ "reasoning_content": "a", "content": null })),
        delta(json!({ "reasoning": "b", "reasoning_content": null, "reasoning_details": [] })),
        delta(json!({ "reasoning": "twin", "reasoning_content": "once" })),
        delta(blocks),
        end("stop"),
    ];
    check(&chunks, &[thought("a"), thought("b"), thought("once"), thought("c"), text("d")], FinishReason::Stop);
}

#[test]
fn every_finish_reason() {
    let rows = [
        ("stop", FinishReason::Stop),
        ("length", FinishReason::Length),
        ("tool_calls", FinishReason::ToolCalls),
        ("function_call", FinishReason::ToolCalls),
        ("content_filter", FinishReason::ContentFilter),
        ("error", FinishReason::Unknown),
        ("brand_new", FinishReason::Unknown),
    ];
    for (name, expected) in rows {
        check(&[delta(json!({ "content": "x" })), end(name)], &[text("x")], expected);
    }
    // An end mark alone is an end, of a kind nobody knows.
    check(&[delta(json!({ "content": "x" }))], &[text("x")], FinishReason::Unknown);
}

#[test]
fn usage_in_each_dialect() {
    let rows = [
        (json!({ "prompt_tokens": 10, "completion_tokens": 4 }), Some((10, 4, 0, 0, 0))),
        (json!({ "prompt_tokens": 10, "completion_tokens": 4, "prompt_cache_hit_tokens": 8 }), Some((2, 4, 8, 0, 0))),
        (json!({ "prompt_tokens": 10, "completion_tokens": 4, "cached_tokens": 99 }), Some((0, 4, 10, 0, 0))),
        (
            json!({ "prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": { "cached_tokens": 3, "cache_write_tokens": 5 } }),
            Some((2, 4, 3, 5, 0)),
        ),
        (
            json!({ "prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 20, "completion_tokens_details": { "reasoning_tokens": 6 } }),
            Some((10, 10, 0, 0, 6)),
        ),
        (
            json!({ "prompt_tokens": u64::MAX, "completion_tokens": u64::MAX, "total_tokens": 1, "reasoning_tokens": 1 }),
            Some((u64::MAX, u64::MAX, 0, 0, 1)),
        ),
        (json!({ "prompt_tokens": "many" }), None),
        (json!({}), None),
        (Value::Null, None),
    ];
    for (figures, expected) in rows {
        let chunks = [delta(json!({ "content": "x" })), end("stop"), json!({ "choices": [], "usage": figures })];
        let usage = read_every_way(decoder, &stream(&chunks)).end.unwrap().usage;
        let flat = usage
            .map(|u| (u.input_tokens, u.output_tokens, u.cache_read_tokens, u.cache_write_tokens, u.reasoning_tokens));
        assert_eq!(flat, expected, "{figures}");
    }
    let inside = json!({ "choices": [{ "delta": {}, "finish_reason": "stop", "usage": { "prompt_tokens": 3 } }] });
    let read = read_every_way(decoder, &stream(&[delta(json!({ "content": "x" })), inside]));
    assert_eq!(read.end.unwrap().usage.map(|usage| usage.input_tokens), Some(3));
}

#[test]
fn other_choices_and_unknown_things_are_ignored() {
    let chunks = [
        json!({ "choices": [{ "index": 1, "delta": { "content": "no" }, "finish_reason": "length" }] }),
        json!({ "choices": "none", "error": null, "brand": { "new": [] } }),
        json!(["no object"]),
        json!("words"),
        json!({ "choices": [{ "delta": { "content": 7, "tool_calls": "x", "reasoning": {} } }] }),
        delta(json!({ "content": "yes", "audio": {} })),
        end("stop"),
    ];
    check(&chunks, &[text("yes")], FinishReason::Stop);
}

#[test]
fn a_stream_that_ends_early_may_be_tried_again() {
    let started = format!("data: {}\n\n", delta(json!({ "content": "half" })));
    for body in ["", ": ping\n\n", &started, &format!("{started}data: {{\"choices\":[{{\"del")] {
        let error = check_failure(body, ErrorKind::Timeout, true);
        assert_eq!(error.error.message, "The answer of the provider acme broke off before its end.");
    }
    assert_eq!(read_every_way(decoder, &started).parts, [text("half")]);
}

#[test]
fn an_error_inside_a_stream_is_classified_and_keeps_what_came_before() {
    let before = format!("data: {}\n\n", delta(json!({ "content": "half" })));
    let rows = [
        (r#"data: {"error":{"message":"Overloaded","type":"overloaded_error"}}"#, ErrorKind::Overloaded, true),
        (r#"data: {"error":{"code":429,"message":"Slow down"},"choices":[]}"#, ErrorKind::RateLimit, true),
        (r#"data: {"error":{"message":"The server had an error","type":"server_error"}}"#, ErrorKind::Generic, true),
        (r#"data: {"error":"model gone"}"#, ErrorKind::Generic, false),
        ("event: error\ndata: {\"message\":\"request timed out\"}", ErrorKind::Timeout, true),
        (r#"data: {"object":"error","message":"Invalid model: x","code":400}"#, ErrorKind::Config, false),
        ("data: upstream connect error: connection refused", ErrorKind::Timeout, true),
        ("data: <html>garbage</html>", ErrorKind::Generic, true),
    ];
    for (event, kind, retryable) in rows {
        let body = format!("{before}{event}\n\ndata: {}\n\n", delta(json!({ "content": "never" })));
        check_failure(&body, kind, retryable);
        assert_eq!(read_every_way(decoder, &body).parts, [text("half")], "{event}");
    }
}

#[test]
fn nothing_usable() {
    let silent = |reason: &str| stream(&[delta(json!({ "reasoning": "hm", "content": " \n" })), end(reason)]);
    check_failure(&silent("tool_calls"), ErrorKind::Generic, true);
    check_failure(&silent("brand_new"), ErrorKind::Generic, true);
    check_failure("data: [DONE]\n\n", ErrorKind::Generic, true);
    check_failure(&silent("content_filter"), ErrorKind::ContentFilter, false);
    // Whether silence is a failure here is for the caller to say.
    for (reason, expected) in [("stop", FinishReason::Stop), ("length", FinishReason::Length)] {
        check(&[delta(json!({ "content": "" })), end(reason)], &[], expected);
    }
}

#[test]
fn a_refusal_keeps_the_providers_words() {
    let refused = [delta(json!({ "refusal": "I can't " })), delta(json!({ "refusal": "do that." })), end("stop")];
    let error = check_failure(&stream(&refused), ErrorKind::ContentFilter, false);
    assert_eq!(error.error.detail.as_deref(), Some("I can't do that."));
    let chunks = [delta(json!({ "content": "Well", "refusal": "No." })), end("stop")];
    let finished = read_every_way(decoder, &stream(&chunks)).end.unwrap();
    assert_eq!(finished.refusal.as_deref(), Some("No."));
}

#[test]
fn a_body_that_is_no_stream() {
    let body = json!({ "id": "w", "choices": [{ "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": "Look:", "tool_calls": [{ "id": "a", "function": { "name": "t", "arguments": "{}" } }],
    } }], "usage": { "prompt_tokens": 1, "completion_tokens": 2 } });
    let mut parts = Vec::new();
    let mut whole_body = decoder();
    assert_eq!(whole_body.feed_whole(body.to_string().as_bytes(), &mut parts), Ok(Progress::Answered));
    let finished = whole_body.finish(&mut parts).unwrap();
    assert_eq!(parts, [text("Look:"), args("a", "t", "{}"), whole("a", "t", json!({}))]);
    assert_eq!((finished.finish_reason, finished.response_id.as_deref()), (FinishReason::ToolCalls, Some("w")));
    let error = decoder().feed_whole(br#"{"error":{"message":"Overloaded"}}"#, &mut parts).unwrap_err();
    assert_eq!(error.error.kind, ErrorKind::Overloaded);
}

fn any_piece() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![
        "data: ".to_owned(),
        "\n\n".to_owned(),
        stream(&[calls(&[call(0, "a", "t", "{")])]),
        format!("data: {}\n\n", calls(&[more(0, "é"), json!({}), json!(7)])),
        format!("data: {}\n\n", delta(json!({ "content": "é" }))),
        format!("data: {}\n\n", end("stop")),
    ])
    .prop_map(String::into_bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_break_it(body in any_body(any_piece()), size in 1usize..40) {
        kept_of(decoder, &body, size);
    }
}
