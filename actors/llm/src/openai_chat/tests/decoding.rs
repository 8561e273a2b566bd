use proptest::prelude::*;
use serde_json::{Value, json};
use verbatim_events::error::{CallError, ErrorKind};
use verbatim_events::message::{FinishReason, Usage};
use verbatim_events::model::ModelFinished;
use verbatim_events::part::{LivePart, Part};

use crate::http::{Decoder, Progress};
use crate::openai_chat::ChatDecoder;

/// What came of a body.
#[derive(Clone, Debug, PartialEq)]
struct Read {
    parts: Vec<LivePart>,
    end: Result<ModelFinished, CallError>,
}

/// Reads a body in pieces of `size` bytes, the first of which has `first` bytes.
fn read(body: &[u8], first: usize, size: usize) -> Read {
    let mut decoder = ChatDecoder::new("acme", None, 7);
    let mut parts = Vec::new();
    let (head, tail) = body.split_at(first.min(body.len()));
    for piece in [head].into_iter().chain(tail.chunks(size.max(1))) {
        match decoder.feed(piece, &mut parts) {
            Ok(Progress::Over) => break,
            Ok(_) => {}
            Err(error) => {
                assert_eq!(decoder.finish(&mut parts), Err(error.clone()), "a failure stays");
                return Read { parts, end: Err(error) };
            }
        }
    }
    let end = decoder.finish(&mut parts);
    Read { parts, end }
}

/// Reads a body, and checks that no cut between its bytes changes what is read.
#[track_caller]
fn read_every_way(body: &[u8]) -> Read {
    let whole = read(body, body.len(), 1);
    for cut in 0..body.len() {
        assert_eq!(read(body, cut, body.len()), whole, "cut at {cut}");
    }
    assert_eq!(read(body, 1, 1), whole, "byte by byte");
    whole
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

fn text(text: &str) -> LivePart {
    LivePart::TextDelta { text: text.into() }
}

fn thought(text: &str) -> LivePart {
    LivePart::ReasoningDelta { text: text.into() }
}

fn args(call_id: &str, name: &str, args: &str) -> LivePart {
    LivePart::ToolArgsDelta { call_id: call_id.into(), name: name.into(), args: args.into() }
}

fn whole(call_id: &str, name: &str, args: Value) -> LivePart {
    let (call_id, name) = (call_id.into(), name.into());
    LivePart::Whole(Part::ToolCall { call_id, name, args, provider_executed: false, metadata: None })
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
    let read = read_every_way(stream(chunks).as_bytes());
    assert_eq!(read.parts, parts);
    assert_eq!(read.end.map(|finished| finished.finish_reason), Ok(finish_reason));
}

#[track_caller]
fn check_failure(body: &str, kind: ErrorKind, retryable: bool) -> CallError {
    let error = read_every_way(body.as_bytes()).end.unwrap_err();
    assert_eq!((error.error.kind, error.error.retryable), (kind, retryable), "{error:?}");
    assert_eq!(error.error.provider.as_deref(), Some("acme"));
    error
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
    assert_eq!(read_every_way(body.as_bytes()), expected);
    assert_eq!(read_every_way(body.replace('\n', "\r\n").as_bytes()), expected);
    assert_eq!(read_every_way(body.replace('\n', "\r").as_bytes()), expected);
    let commented =
        format!("\u{FEFF}: ping\n\n{}", body.replace("data: ", ": keep-alive\nevent: chunk\nid: 1\nfoo: bar\ndata:"));
    assert_eq!(read_every_way(commented.as_bytes()), expected);
    // A server that ends without its mark, without a blank line, or without either.
    assert_eq!(read_every_way(body.replace("data: [DONE]\n\n", "").as_bytes()), expected);
    assert_eq!(read_every_way(body.replace("\n\ndata: [DONE]\n\n", "").as_bytes()), expected);
    assert_eq!(read_every_way(body.trim_end().as_bytes()), expected);
    // What follows the mark is not read.
    assert_eq!(read_every_way(format!("{body}data: {{\"error\":\"late\"}}\n\n").as_bytes()), expected);
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
    let read = read_every_way(stream(&[calls(&[fragment]), end("tool_calls")]).as_bytes());
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
        let usage = read_every_way(stream(&chunks).as_bytes()).end.unwrap().usage;
        let flat = usage
            .map(|u| (u.input_tokens, u.output_tokens, u.cache_read_tokens, u.cache_write_tokens, u.reasoning_tokens));
        assert_eq!(flat, expected, "{figures}");
    }
    let inside = json!({ "choices": [{ "delta": {}, "finish_reason": "stop", "usage": { "prompt_tokens": 3 } }] });
    let read = read_every_way(stream(&[delta(json!({ "content": "x" })), inside]).as_bytes());
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
    assert_eq!(read_every_way(started.as_bytes()).parts, [text("half")]);
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
        assert_eq!(read_every_way(body.as_bytes()).parts, [text("half")], "{event}");
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
    let finished = read_every_way(stream(&chunks).as_bytes()).end.unwrap();
    assert_eq!(finished.refusal.as_deref(), Some("No."));
}

#[test]
fn a_body_that_is_no_stream() {
    let body = json!({ "id": "w", "choices": [{ "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": "Look:", "tool_calls": [{ "id": "a", "function": { "name": "t", "arguments": "{}" } }],
    } }], "usage": { "prompt_tokens": 1, "completion_tokens": 2 } });
    let mut parts = Vec::new();
    let mut decoder = ChatDecoder::new("acme", None, 7);
    assert_eq!(decoder.feed_whole(body.to_string().as_bytes(), &mut parts), Ok(Progress::Answered));
    let finished = decoder.finish(&mut parts).unwrap();
    assert_eq!(parts, [text("Look:"), args("a", "t", "{}"), whole("a", "t", json!({}))]);
    assert_eq!((finished.finish_reason, finished.response_id.as_deref()), (FinishReason::ToolCalls, Some("w")));
    let mut decoder = ChatDecoder::new("acme", None, 7);
    let error = decoder.feed_whole(br#"{"error":{"message":"Overloaded"}}"#, &mut parts).unwrap_err();
    assert_eq!(error.error.kind, ErrorKind::Overloaded);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_break_it(
        pieces in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            Just(b"data: ".to_vec()),
            Just(b"\n\n".to_vec()),
            Just(stream(&[calls(&[call(0, "a", "t", "{")])]).into_bytes()),
            Just(format!("data: {}\n\n", calls(&[more(0, "é"), json!({}), json!(7)])).into_bytes()),
            Just(format!("data: {}\n\n", delta(json!({ "content": "é" }))).into_bytes()),
            Just(format!("data: {}\n\n", end("stop")).into_bytes()),
        ], 0..12),
        size in 1usize..40,
    ) {
        let body = pieces.concat();
        prop_assert_eq!(read(&body, size, size), read(&body, body.len(), 1));
    }
}
