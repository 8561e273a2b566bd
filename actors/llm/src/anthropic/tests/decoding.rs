use proptest::prelude::*;
use serde_json::{Value, json};
use verbatim_events::episode;
use verbatim_events::error::ErrorKind;
use verbatim_events::message::{FinishReason, Usage};
use verbatim_events::model::ModelFinished;
use verbatim_events::part::{LivePart, Part};

use crate::anthropic::MessageDecoder;
use crate::http::{Decoder, Progress};
use crate::testing::{any_body, args, by_provider, call, kept_of, read_every_way, source, stream, text, thought};

pub(super) fn decoder() -> MessageDecoder {
    MessageDecoder::new("acme", None, 7)
}

pub(super) fn started() -> Value {
    json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [], "stop_reason": null, "usage": { "input_tokens": 25, "cache_creation_input_tokens": 7,
            "cache_read_input_tokens": 11, "output_tokens": 1 } } })
}

pub(super) fn delta(index: u64, delta: Value) -> Value {
    json!({ "type": "content_block_delta", "index": index, "delta": delta })
}

pub(super) fn input(json: &str) -> Value {
    json!({ "type": "input_json_delta", "partial_json": json })
}

/// A whole block: its beginning, its deltas, its end.
pub(super) fn block(index: u64, begun: Value, deltas: &[Value]) -> Vec<Value> {
    let begin = json!({ "type": "content_block_start", "index": index, "content_block": begun });
    let deltas = deltas.iter().map(|piece| delta(index, piece.clone()));
    [begin].into_iter().chain(deltas).chain([json!({ "type": "content_block_stop", "index": index })]).collect()
}

pub(super) fn said(index: u64, words: &str) -> Vec<Value> {
    block(index, json!({ "type": "text", "text": "" }), &[json!({ "type": "text_delta", "text": words })])
}

pub(super) fn ended(reason: &str) -> Value {
    json!({ "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null }, "usage": { "output_tokens": 15 } })
}

pub(super) fn stop() -> Value {
    json!({ "type": "message_stop" })
}

fn answer(blocks: &[Vec<Value>], reason: &str) -> String {
    stream(&[&[vec![started()]], blocks, &[vec![ended(reason), stop()]]].concat().concat())
}

fn tool(index: u64, id: &str, name: &str, pieces: &[&str]) -> Vec<Value> {
    let pieces: Vec<_> = pieces.iter().map(|piece| input(piece)).collect();
    block(index, json!({ "type": "tool_use", "id": id, "name": name, "input": {} }), &pieces)
}

fn whole(part: Part) -> LivePart {
    LivePart::Whole(part)
}

fn mark(fields: Value) -> Option<Value> {
    let mut mark = json!({ "protocol": "anthropic", "provider": "acme" });
    mark.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Some(mark)
}

#[track_caller]
fn check(body: &str, parts: &[LivePart], finish_reason: FinishReason) {
    let (finished, came) = read_every_way(decoder, body).finished();
    assert_eq!(came, parts);
    assert_eq!(finished.finish_reason, finish_reason);
}

#[test]
fn an_answer_in_pieces() {
    let words = |text: &str| json!({ "type": "text_delta", "text": text });
    let events = [
        vec![started(), json!({ "type": "ping" })],
        block(0, json!({ "type": "text", "text": "" }), &[words("Grüß"), words(" dich 🦀")]),
        vec![
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "input_tokens": 25,
                "cache_read_input_tokens": 12, "output_tokens": 15, "output_tokens_details": { "thinking_tokens": 4 } } }),
            json!({ "type": "brand_new", "index": 0 }),
            stop(),
        ],
    ]
    .concat();
    let body = stream(&events);
    let expected = ModelFinished {
        finish_reason: FinishReason::Stop,
        usage: Some(Usage {
            input_tokens: 25,
            output_tokens: 15,
            cache_read_tokens: 12,
            cache_write_tokens: 7,
            reasoning_tokens: 4,
        }),
        response_id: Some("msg_1".into()),
        refusal: None,
    };
    let came = vec![text("Grüß"), text(" dich 🦀")];
    for body in
        [body.clone(), body.replace('\n', "\r\n"), format!("{body}data: garbage\n\n"), body.trim_end().to_owned()]
    {
        assert_eq!(read_every_way(decoder, &body).finished(), (expected.clone(), came.clone()));
    }
}

#[test]
fn thinking_keeps_its_signature() {
    let begun = json!({ "type": "thinking", "thinking": "", "signature": "" });
    let blocks = [
        block(
            0,
            begun.clone(),
            &[
                json!({ "type": "thinking_delta", "thinking": "Let me " }),
                json!({ "type": "thinking_delta", "thinking": "see." }),
                json!({ "type": "signature_delta", "signature": "U0" }),
                json!({ "type": "signature_delta", "signature": "lH" }),
            ],
        ),
        block(1, json!({ "type": "redacted_thinking", "data": "UkVE" }), &[]),
        block(2, begun.clone(), &[json!({ "type": "thinking_delta", "thinking": "More." })]),
        block(3, begun, &[]),
        said(4, "So."),
    ];
    let body = answer(&blocks, "end_turn");
    let (_, parts) = read_every_way(decoder, &body).finished();
    let reasoning = |text: &str, fields: Value| Part::Reasoning { text: text.into(), metadata: mark(fields) };
    assert_eq!(parts[0], thought("Let me "), "it shows as it comes");
    assert_eq!(
        episode::complete(&parts).unwrap(),
        [
            reasoning("Let me see.", json!({ "type": "thinking", "signature": "U0lH" })),
            reasoning("", json!({ "type": "redacted_thinking", "data": "UkVE" })),
            reasoning("More.", json!({ "type": "thinking", "signature": "" })),
            Part::text("So."),
        ]
    );
}

#[test]
fn calls_and_their_arguments() {
    let blocks = [
        said(0, "I look."),
        tool(1, "toolu_1", "look", &["", "{\"x\"", ": 1}"]),
        tool(2, "toolu_2", "find", &[]),
        tool(3, "toolu_2", "find", &["{\"é\":[]}"]),
        tool(4, "", "find", &["null"]),
    ];
    let parts = [
        text("I look."),
        args("toolu_1", "look", "{\"x\""),
        args("toolu_1", "look", ": 1}"),
        whole(call("toolu_1", "look", json!({ "x": 1 }))),
        whole(call("toolu_2", "find", json!({}))),
        args("call_7_2", "find", "{\"é\":[]}"),
        whole(call("call_7_2", "find", json!({ "é": [] }))),
        args("call_7_3", "find", "null"),
        whole(call("call_7_3", "find", json!({}))),
    ];
    check(&answer(&blocks, "tool_use"), &parts, FinishReason::ToolCalls);
}

#[test]
fn arguments_that_are_incomplete() {
    let broken = |reason: &str, pieces: &[&str]| answer(&[said(0, "x"), tool(1, "a", "t", pieces)], reason);
    check(&broken("max_tokens", &["{\"x\":"]), &[text("x"), args("a", "t", "{\"x\":")], FinishReason::Length);
    check(&broken("tool_use", &["{\"x\":"]), &[text("x"), args("a", "t", "{\"x\":")], FinishReason::ToolCalls);
    // In an answer that was cut, arguments that did not come are not an empty object.
    check(&broken("max_tokens", &[]), &[text("x")], FinishReason::Length);
    check(&broken("tool_use", &[]), &[text("x"), whole(call("a", "t", json!({})))], FinishReason::ToolCalls);
    // A call that never ended is whole if it can be read.
    let unended = [&[started()], &tool(0, "a", "t", &["{}"])[..2], &[ended("tool_use"), stop()]].concat();
    check(&stream(&unended), &[args("a", "t", "{}"), whole(call("a", "t", json!({})))], FinishReason::ToolCalls);
}

#[test]
fn a_search_stays_in_its_place_with_its_result() {
    let found = json!([{ "type": "web_search_result", "url": "https://a", "title": "A", "encrypted_content": "ENC", "page_age": "1 day" }]);
    let result_block = json!({ "type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": found });
    let cited = |url: &str| {
        json!({ "type": "citations_delta", "citation": { "type": "web_search_result_location", "url": url, "title": "A",
            "cited_text": "c", "encrypted_index": "E" } })
    };
    let blocks = [
        said(0, "I search."),
        block(
            1,
            json!({ "type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {} }),
            &[input("{\"query\": \"q\"}")],
        ),
        block(2, result_block.clone(), &[]),
        said(3, "It is "),
        block(
            4,
            json!({ "type": "text", "text": "", "citations": [] }),
            &[
                cited("https://a"),
                json!({ "type": "text_delta", "text": "so" }),
                cited("https://a"),
                cited("https://b"),
            ],
        ),
        said(5, "."),
        tool(6, "toolu_1", "look", &["{}"]),
    ];
    let searched = call("srvtoolu_1", "web_search", json!({ "query": "q" }));
    let answered = Part::ToolResult {
        call_id: "srvtoolu_1".into(),
        name: "web_search".into(),
        result: json!([{ "type": "web_search_result", "url": "https://a", "title": "A", "page_age": "1 day" }]),
        is_error: false,
        provider_executed: true,
        metadata: mark(json!({ "block": result_block })),
    };
    let parts = [
        text("I search."),
        whole(by_provider(
            searched,
            mark(json!({ "block": { "type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search" } })),
        )),
        whole(answered),
        text("It is "),
        text("so"),
        text("."),
        whole(source("https://a", "A")),
        whole(source("https://b", "A")),
        args("toolu_1", "look", "{}"),
        whole(call("toolu_1", "look", json!({}))),
    ];
    let body = answer(&blocks, "tool_use");
    check(&body, &parts, FinishReason::ToolCalls);
    let (_, parts) = read_every_way(decoder, &body).finished();
    assert!(
        episode::complete(&parts).unwrap().contains(&Part::text("It is so.")),
        "citations do not cut a text in two"
    );
}

#[test]
fn a_search_that_failed_or_has_no_result() {
    let search = |index: u64, id: &str| {
        block(
            index,
            json!({ "type": "server_tool_use", "id": id, "name": "web_search", "input": { "query": "q" } }),
            &[],
        )
    };
    let failed = json!({ "type": "web_search_tool_result", "tool_use_id": "srvtoolu_1",
        "content": { "type": "web_search_tool_result_error", "error_code": "max_uses_exceeded" } });
    let stray = json!({ "type": "web_search_tool_result", "tool_use_id": "srvtoolu_9", "content": [] });
    let body = answer(
        &[search(0, "srvtoolu_1"), block(1, failed, &[]), block(2, stray, &[]), search(3, "srvtoolu_2")],
        "pause_turn",
    );
    let (finished, parts) = read_every_way(decoder, &body).finished();
    assert_eq!(finished.finish_reason, FinishReason::Length);
    let told: Vec<_> = parts
        .iter()
        .filter_map(|part| match part {
            LivePart::Whole(Part::ToolCall { call_id, .. }) => Some((call_id.as_str(), "called".into(), false)),
            LivePart::Whole(Part::ToolResult { call_id, result, is_error, .. }) => {
                Some((call_id, result.clone(), *is_error))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        [
            ("srvtoolu_1", json!("called"), false),
            ("srvtoolu_1", json!("max_uses_exceeded"), true),
            ("srvtoolu_2", json!("called"), false),
            ("srvtoolu_2", json!(""), false),
        ]
    );
}

#[test]
fn every_finish_reason() {
    let rows = [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("pause_turn", FinishReason::Length),
        ("tool_use", FinishReason::ToolCalls),
        ("refusal", FinishReason::ContentFilter),
        ("brand_new", FinishReason::Unknown),
    ];
    for (name, expected) in rows {
        check(&answer(&[said(0, "x")], name), &[text("x")], expected);
    }
    let without = stream(&[vec![started()], said(0, "x"), vec![stop()]].concat());
    check(&without, &[text("x")], FinishReason::Unknown);
}

#[test]
fn a_refusal_keeps_the_providers_words() {
    let refusal = json!({ "type": "message_delta", "delta": { "stop_reason": "refusal",
        "stop_details": { "type": "refusal", "category": "cyber", "explanation": "I may not." } }, "usage": { "output_tokens": 3 } });
    let refused = |blocks: Vec<Value>| stream(&[vec![started()], blocks, vec![refusal.clone(), stop()]].concat());
    let error = read_every_way(decoder, &refused(vec![])).failed(ErrorKind::ContentFilter, false);
    assert_eq!(error.error.detail.as_deref(), Some("I may not."));
    let (finished, _) = read_every_way(decoder, &refused(said(0, "Well"))).finished();
    assert_eq!(
        (finished.finish_reason, finished.refusal.as_deref()),
        (FinishReason::ContentFilter, Some("I may not."))
    );
}

#[test]
fn nothing_usable() {
    let silent = |reason: &str| {
        let begun = json!({ "type": "thinking", "thinking": "hm", "signature": "s" });
        answer(&[block(0, begun, &[]), said(1, " \n")], reason)
    };
    for reason in ["tool_use", "brand_new"] {
        read_every_way(decoder, &silent(reason)).failed(ErrorKind::Generic, true);
    }
    read_every_way(decoder, &silent("refusal")).failed(ErrorKind::ContentFilter, false);
    // Whether silence is a failure here is for the caller to say.
    for (reason, expected) in [("end_turn", FinishReason::Stop), ("max_tokens", FinishReason::Length)] {
        check(&answer(&[], reason), &[], expected);
    }
    // A call that a refusal cut leaves nothing.
    read_every_way(decoder, &answer(&[tool(0, "a", "t", &["{"])], "refusal")).failed(ErrorKind::ContentFilter, false);
}

#[test]
fn a_stream_that_ends_early_may_be_tried_again() {
    let whole = answer(&[said(0, "half")], "end_turn");
    let before_stop = whole.find("event: message_stop").unwrap();
    for body in ["", ": ping\n\n", &whole[..before_stop], &whole[..before_stop + 40]] {
        let error = read_every_way(decoder, body).failed(ErrorKind::Timeout, true);
        assert_eq!(error.error.message, "The answer of the provider acme broke off before its end.");
    }
    assert_eq!(read_every_way(decoder, &whole[..before_stop]).parts, [text("half")]);
}

#[test]
fn an_error_inside_a_stream_is_classified_and_keeps_what_came_before() {
    let rows = [
        ("overloaded_error", "Overloaded", ErrorKind::Overloaded, true),
        ("rate_limit_error", "Slow down", ErrorKind::RateLimit, true),
        ("api_error", "Internal trouble", ErrorKind::Generic, true),
        ("timeout_error", "Too slow", ErrorKind::Timeout, true),
        ("authentication_error", "invalid x-api-key", ErrorKind::Auth, false),
        ("billing_error", "No credit", ErrorKind::UsageLimit, false),
        ("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", ErrorKind::Config, false),
        ("invalid_request_error", "messages: bad", ErrorKind::Generic, false),
    ];
    for (kind, words, expected, retryable) in rows {
        let error = json!({ "type": "error", "error": { "type": kind, "message": words } });
        let body = stream(&[vec![started()], said(0, "half"), vec![error], said(1, "never")].concat());
        let read = read_every_way(decoder, &body);
        assert_eq!(read.parts, [text("half")], "{kind}");
        read.failed(expected, retryable);
    }
    read_every_way(decoder, "data: <html>bad gateway</html>\n\n").failed(ErrorKind::Timeout, true);
    read_every_way(decoder, "data: <html>garbage</html>\n\n").failed(ErrorKind::Generic, true);
}

#[test]
fn a_body_that_is_no_stream() {
    let body = json!({ "id": "msg_w", "type": "message", "role": "assistant", "stop_reason": "tool_use",
        "content": [
            { "type": "thinking", "thinking": "hm", "signature": "s" },
            { "type": "text", "text": "Look:", "citations": [{ "url": "https://a", "title": "A" }] },
            { "type": "tool_use", "id": "a", "name": "t", "input": { "x": 1 } },
            { "type": "brand_new" },
        ],
        "usage": { "input_tokens": 1, "output_tokens": 2 } });
    let mut parts = Vec::new();
    let mut reader = decoder();
    assert_eq!(reader.feed_whole(body.to_string().as_bytes(), &mut parts), Ok(Progress::Over));
    let finished = reader.finish(&mut parts).unwrap();
    assert_eq!(
        episode::complete(&parts).unwrap(),
        [
            Part::Reasoning { text: "hm".into(), metadata: mark(json!({ "type": "thinking", "signature": "s" })) },
            Part::text("Look:"),
            source("https://a", "A"),
            call("a", "t", json!({ "x": 1 })),
        ]
    );
    assert_eq!((finished.finish_reason, finished.response_id.as_deref()), (FinishReason::ToolCalls, Some("msg_w")));
    let mut reader = decoder();
    let error = reader.feed_whole(br#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#, &mut parts);
    assert_eq!(error.unwrap_err().error.kind, ErrorKind::Overloaded);
    let mut reader = decoder();
    assert_eq!(reader.feed_whole(b"{\"hello\":1}", &mut parts), Ok(Progress::Open));
    assert_eq!(reader.finish(&mut parts).unwrap_err().error.kind, ErrorKind::Timeout);
}

fn any_event() -> impl Strategy<Value = Vec<u8>> {
    let index = 0..3_u64;
    let begun = prop::sample::select(vec![
        json!({ "type": "text", "text": "é" }),
        json!({ "type": "thinking" }),
        json!({ "type": "redacted_thinking", "data": 7 }),
        json!({ "type": "tool_use", "id": "a", "name": "t" }),
        json!({ "type": "server_tool_use", "id": "s", "name": "web_search" }),
        json!({ "type": "web_search_tool_result", "tool_use_id": "s", "content": [{ "encrypted_content": "x" }] }),
        json!({ "type": 7 }),
        json!(null),
    ]);
    let piece = prop::sample::select(vec![
        json!({ "type": "text_delta", "text": "é" }),
        json!({ "type": "thinking_delta", "thinking": "hm" }),
        json!({ "type": "signature_delta", "signature": "s" }),
        json!({ "type": "citations_delta", "citation": { "url": "u" } }),
        input("{"),
        input("}"),
        json!({}),
    ]);
    prop_oneof![
        (index.clone(), begun).prop_map(
            |(index, begun)| json!({ "type": "content_block_start", "index": index, "content_block": begun })
        ),
        (index.clone(), piece).prop_map(|(index, piece)| delta(index, piece)),
        index.prop_map(|index| json!({ "type": "content_block_stop", "index": index })),
        prop::sample::select(vec![
            started(),
            ended("tool_use"),
            ended("max_tokens"),
            stop(),
            json!([]),
            json!({ "type": "ping" })
        ]),
    ]
    .prop_map(|event| format!("data: {event}\n\n").into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_break_it(body in any_body(any_event()), size in 1usize..40) {
        let kept = kept_of(decoder, &body, size);
        let is_called = |id: &str| {
            kept.iter().any(|call| matches!(call, Part::ToolCall { call_id, .. } if call_id == id))
        };
        let are_called = kept.iter().all(|part| part.answered_call_id().is_none_or(is_called));
        prop_assert!(are_called, "a result without its call");
    }
}
