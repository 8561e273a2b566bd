use proptest::prelude::*;
use serde_json::{Value, json};
use verbatim_events::episode;
use verbatim_events::error::ErrorKind;
use verbatim_events::message::{FinishReason, Usage};
use verbatim_events::model::ModelFinished;
use verbatim_events::part::{LivePart, Part};

use crate::http::{Decoder, Progress};
use crate::openai_responses::ResponseDecoder;
use crate::testing::{any_body, args, by_provider, call, kept_of, read_every_way, source, stream, text, thought};

pub(super) fn decoder() -> ResponseDecoder {
    ResponseDecoder::new("acme", None, 7)
}

pub(super) fn done(index: u64, item: Value) -> Value {
    json!({ "type": "response.output_item.done", "output_index": index, "item": item })
}

fn added(index: u64, item: Value) -> Value {
    json!({ "type": "response.output_item.added", "output_index": index, "item": item })
}

/// An event about a piece of an item.
fn piece(kind: &str, index: u64, fields: Value) -> Value {
    let mut event =
        json!({ "type": format!("response.{kind}"), "output_index": index, "item_id": format!("item_{index}") });
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    event
}

fn words(content: &[Value]) -> Value {
    json!({ "type": "message", "role": "assistant", "status": "completed", "content": content })
}

fn output_text(text: &str, annotations: &[Value]) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": annotations })
}

/// A message that is streamed in these pieces.
pub(super) fn said(index: u64, pieces: &[&str]) -> Vec<Value> {
    let deltas =
        pieces.iter().map(|delta| piece("output_text.delta", index, json!({ "content_index": 0, "delta": delta })));
    let whole = pieces.concat();
    [added(index, words(&[]))]
        .into_iter()
        .chain(deltas)
        .chain([
            piece("output_text.done", index, json!({ "content_index": 0, "text": whole })),
            done(index, words(&[output_text(&whole, &[])])),
        ])
        .collect()
}

/// Reasoning with a summary in these texts.
pub(super) fn reasoned(index: u64, summaries: &[&str], encrypted: Option<&str>) -> Vec<Value> {
    let mut events = vec![added(index, json!({ "type": "reasoning", "id": format!("rs_{index}"), "summary": [] }))];
    for (at, words) in (0_u64..).zip(summaries) {
        let (head, tail) = words.split_at(2);
        for delta in [head, tail] {
            events.push(piece("reasoning_summary_text.delta", index, json!({ "summary_index": at, "delta": delta })));
        }
        events.push(piece("reasoning_summary_text.done", index, json!({ "summary_index": at, "text": words })));
    }
    let summary: Value = summaries.iter().map(|text| json!({ "type": "summary_text", "text": text })).collect();
    let item =
        json!({ "type": "reasoning", "id": format!("rs_{index}"), "summary": summary, "encrypted_content": encrypted });
    events.push(done(index, item));
    events
}

/// A function call whose arguments come in these pieces.
pub(super) fn function(index: u64, call_id: &str, name: &str, pieces: &[&str]) -> Vec<Value> {
    let item = |arguments: &str, status: &str| json!({ "type": "function_call", "id": format!("fc_{index}"), "call_id": call_id, "name": name, "arguments": arguments, "status": status });
    let deltas = pieces.iter().map(|delta| piece("function_call_arguments.delta", index, json!({ "delta": delta })));
    let whole = pieces.concat();
    [added(index, item("", "in_progress"))]
        .into_iter()
        .chain(deltas)
        .chain([
            piece("function_call_arguments.done", index, json!({ "arguments": whole })),
            done(index, item(&whole, "completed")),
        ])
        .collect()
}

/// The end of a response, with these fields beside its id.
pub(super) fn completed(fields: Value) -> Value {
    ended("completed", fields)
}

fn ended(status: &str, fields: Value) -> Value {
    let mut response = json!({ "id": "resp_1", "object": "response", "status": status, "error": null, "output": [] });
    response.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({ "type": format!("response.{status}"), "response": response })
}

fn incomplete(reason: &str) -> Value {
    ended("incomplete", json!({ "incomplete_details": { "reason": reason } }))
}

fn mark(fields: Value) -> Option<Value> {
    let mut mark = json!({ "protocol": "openai_responses", "provider": "acme" });
    mark.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Some(mark)
}

fn whole(part: Part) -> LivePart {
    LivePart::Whole(part)
}

#[track_caller]
fn check(events: &[Value], parts: &[LivePart], finish_reason: FinishReason) {
    let (finished, came) = read_every_way(decoder, &stream(events)).finished();
    assert_eq!(came, parts);
    assert_eq!(finished.finish_reason, finish_reason);
}

#[test]
fn an_answer_in_pieces() {
    let usage = json!({ "input_tokens": 100, "input_tokens_details": { "cached_tokens": 60 }, "output_tokens": 30,
        "output_tokens_details": { "reasoning_tokens": 10 }, "total_tokens": 130 });
    let events = [
        vec![
            json!({ "type": "response.created", "response": { "id": "resp_1", "status": "in_progress", "error": null } }),
        ],
        said(0, &["Grüß", " dich 🦀"]),
        vec![json!({ "type": "response.brand_new", "output_index": 0 }), json!({ "type": "keepalive" })],
        vec![completed(json!({ "usage": usage, "output": [words(&[output_text("Grüß dich 🦀", &[])])] }))],
    ];
    let body = stream(&events.concat());
    let expected = ModelFinished {
        finish_reason: FinishReason::Stop,
        usage: Some(Usage {
            input_tokens: 40,
            output_tokens: 30,
            cache_read_tokens: 60,
            cache_write_tokens: 0,
            reasoning_tokens: 10,
        }),
        response_id: Some("resp_1".into()),
        refusal: None,
    };
    let came = vec![text("Grüß"), text(" dich 🦀")];
    for body in
        [body.clone(), body.replace('\n', "\r\n"), format!("{body}data: [DONE]\n\n"), body.trim_end().to_owned()]
    {
        assert_eq!(read_every_way(decoder, &body).finished(), (expected.clone(), came.clone()));
    }
}

#[test]
fn reasoning_keeps_what_the_provider_encrypted() {
    let events = [
        reasoned(0, &["One.", "Two."], Some("ENC")),
        reasoned(1, &[], Some("ENC1")),
        reasoned(2, &[], None),
        reasoned(3, &["Three."], None),
        said(4, &["So."]),
        vec![completed(json!({}))],
    ]
    .concat();
    let (_, parts) = read_every_way(decoder, &stream(&events)).finished();
    assert_eq!(parts[..5], [thought("On"), thought("e."), thought("\n\n"), thought("Tw"), thought("o.")]);
    let reasoning = |text: &str, fields: Value| Part::Reasoning { text: text.into(), metadata: mark(fields) };
    assert_eq!(
        episode::complete(&parts).unwrap(),
        [
            reasoning("One.\n\nTwo.", json!({ "id": "rs_0", "encrypted_content": "ENC", "summary": ["One.", "Two."] })),
            reasoning("", json!({ "id": "rs_1", "encrypted_content": "ENC1" })),
            reasoning("Three.", json!({ "id": "rs_3" })),
            Part::text("So."),
        ]
    );
}

#[test]
fn reasoning_in_the_open_is_reasoning_too() {
    let content = json!([{ "type": "reasoning_text", "text": "Hm." }]);
    let item =
        json!({ "type": "reasoning", "id": "rs_0", "summary": [], "content": content, "encrypted_content": "ENC" });
    let streamed =
        [piece("reasoning_text.delta", 0, json!({ "content_index": 0, "delta": "Hm." })), done(0, item.clone())];
    for events in [&streamed[..], &[done(0, item)]] {
        let events = [events, &said(1, &["So."]), &[completed(json!({}))]].concat();
        let (_, parts) = read_every_way(decoder, &stream(&events)).finished();
        let metadata = mark(json!({ "id": "rs_0", "encrypted_content": "ENC", "summary": [] }));
        let expected = [Part::Reasoning { text: "Hm.".into(), metadata }, Part::text("So.")];
        assert_eq!(episode::complete(&parts).unwrap(), expected);
    }
}

#[test]
fn calls_that_interleave() {
    let (first, second) = (function(0, "a", "look", &["{\"x\"", ":1}"]), function(1, "b", "find", &["{\"é\":", "[]}"]));
    let mixed: Vec<Value> = first.into_iter().zip(second).flat_map(|(one, two)| [one, two]).collect();
    let parts = [
        args("a", "look", "{\"x\""),
        args("b", "find", "{\"é\":"),
        args("a", "look", ":1}"),
        args("b", "find", "[]}"),
        whole(call("a", "look", json!({ "x": 1 }))),
        whole(call("b", "find", json!({ "é": [] }))),
    ];
    check(&[mixed, vec![completed(json!({}))]].concat(), &parts, FinishReason::ToolCalls);
}

#[test]
fn calls_with_missing_or_doubled_ids_or_arguments() {
    let bare = json!({ "type": "function_call", "call_id": "", "name": "t" });
    let events = [
        function(0, "a", "t", &[]),
        function(1, "a", "t", &["{}"]),
        vec![
            added(2, bare.clone()),
            piece("function_call_arguments.delta", 2, json!({ "delta": "{\"x\":1}" })),
            done(2, bare),
        ],
        vec![completed(json!({}))],
    ];
    let parts = [
        whole(call("a", "t", json!({}))),
        args("call_7_1", "t", "{}"),
        whole(call("call_7_1", "t", json!({}))),
        args("call_7_2", "t", "{\"x\":1}"),
        whole(call("call_7_2", "t", json!({ "x": 1 }))),
    ];
    check(&events.concat(), &parts, FinishReason::ToolCalls);
}

#[test]
fn arguments_that_are_incomplete() {
    let broken = |end: Value| [&said(0, &["x"]), &function(1, "a", "t", &["{\"x\":"])[..2], &[end]].concat();
    let parts = [text("x"), args("a", "t", "{\"x\":")];
    check(&broken(incomplete("max_output_tokens")), &parts, FinishReason::Length);
    check(&broken(completed(json!({}))), &parts, FinishReason::ToolCalls);
    // An item that says itself that it is incomplete is none, even if what it has can be read.
    let cut =
        json!({ "type": "function_call", "call_id": "a", "name": "t", "arguments": "{}", "status": "incomplete" });
    let events = [said(0, &["x"]), vec![done(1, cut), incomplete("max_output_tokens")]].concat();
    check(&events, &[text("x")], FinishReason::Length);
}

#[test]
fn a_search_stays_in_its_place_with_an_empty_result() {
    let action = json!({ "type": "search", "query": "q" });
    let search = |status: &str| json!({ "id": "ws_1", "type": "web_search_call", "status": status, "action": action });
    let cited = json!({ "type": "url_citation", "url": "https://a", "title": "A", "start_index": 0, "end_index": 2 });
    let annotation = piece("output_text.annotation.added", 2, json!({ "content_index": 0, "annotation": cited }));
    let mut answer = said(2, &["So", "."]);
    answer.insert(2, annotation);
    let again = words(&[output_text(
        "So.",
        &[cited, json!({ "url": "https://b", "title": "B" }), json!({ "type": "file_citation" })],
    )]);
    *answer.last_mut().unwrap() = done(2, again);
    let failed = json!({ "id": "ws_2", "type": "web_search_call", "status": "failed", "action": {} });
    let events = [
        said(0, &["I search."]),
        vec![
            added(1, search("in_progress")),
            piece("web_search_call.searching", 1, json!({})),
            done(1, search("completed")),
        ],
        answer,
        vec![done(3, failed.clone()), completed(json!({}))],
    ]
    .concat();
    let run = |id: &str, args: Value, is_error: bool, item: Value| {
        let answered = Part::ToolResult {
            call_id: id.into(),
            name: "web_search".into(),
            result: json!(""),
            is_error,
            provider_executed: true,
            metadata: mark(json!({})),
        };
        [whole(by_provider(call(id, "web_search", args), mark(json!({ "item": item })))), whole(answered)]
    };
    let parts = [
        vec![text("I search.")],
        run("ws_1", action.clone(), false, search("completed")).into(),
        vec![text("So"), text("."), whole(source("https://a", "A")), whole(source("https://b", "B"))],
        run("ws_2", json!({}), true, failed).into(),
    ];
    check(&events, &parts.concat(), FinishReason::Stop);
}

#[test]
fn other_tools_of_the_provider_tell_their_results() {
    let code = json!({ "id": "ci_1", "type": "code_interpreter_call", "status": "completed", "code": "1+1", "container_id": "c",
        "outputs": [{ "type": "logs", "logs": "2" }] });
    let remote = json!({ "id": "mcp_1", "type": "mcp_call", "name": "roll", "arguments": "{}", "output": null, "error": "broken" });
    let unknown = json!({ "id": "x_1", "type": "brand_new_call" });
    let events = [done(0, code), done(1, remote), done(2, unknown), completed(json!({}))];
    let (_, parts) = read_every_way(decoder, &stream(&events)).finished();
    let told: Vec<_> = parts
        .iter()
        .map(|part| match part {
            LivePart::Whole(Part::ToolCall { name, args, provider_executed: true, .. }) => {
                (name.as_str(), args.clone(), false)
            }
            LivePart::Whole(Part::ToolResult { name, result, is_error, provider_executed: true, .. }) => {
                (name.as_str(), result.clone(), *is_error)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            ("code_interpreter", json!({ "code": "1+1", "container_id": "c" }), false),
            ("code_interpreter", json!([{ "type": "logs", "logs": "2" }]), false),
            ("mcp", json!({ "name": "roll", "arguments": "{}" }), false),
            ("mcp", json!("broken"), true),
        ]
    );
}

#[test]
fn two_messages_in_a_row_become_one_text() {
    let events = [said(0, &["I look."]), said(1, &["Here", " it is."]), vec![completed(json!({}))]].concat();
    check(&events, &[text("I look."), text("\n\n"), text("Here"), text(" it is.")], FinishReason::Stop);
}

#[test]
fn what_was_not_streamed_is_read_from_the_end() {
    let output = json!([
        { "type": "reasoning", "id": "rs_0", "summary": [{ "type": "summary_text", "text": "Hm." }], "encrypted_content": "ENC" },
        words(&[output_text("So.", &[])]),
        { "type": "function_call", "call_id": "a", "name": "t", "arguments": "{}" },
    ]);
    let metadata = mark(json!({ "id": "rs_0", "encrypted_content": "ENC" }));
    let parts =
        [whole(Part::Reasoning { text: "Hm.".into(), metadata }), text("So."), whole(call("a", "t", json!({})))];
    check(&[completed(json!({ "output": output }))], &parts, FinishReason::ToolCalls);
    // The same from a server that does not stream at all.
    let body = json!({ "id": "resp_w", "object": "response", "status": "completed", "error": null, "output": output });
    let (mut reader, mut came) = (decoder(), Vec::new());
    assert_eq!(reader.feed_whole(body.to_string().as_bytes(), &mut came), Ok(Progress::Over));
    let finished = reader.finish(&mut came).unwrap();
    assert_eq!(came, parts);
    assert_eq!((finished.finish_reason, finished.response_id.as_deref()), (FinishReason::ToolCalls, Some("resp_w")));
    let failed =
        json!({ "object": "response", "status": "failed", "error": { "code": "rate_limit_exceeded", "message": "x" } });
    let error = decoder().feed_whole(failed.to_string().as_bytes(), &mut came).unwrap_err();
    assert_eq!(error.error.kind, ErrorKind::RateLimit);
}

#[test]
fn every_end() {
    let rows = [
        (completed(json!({})), FinishReason::Stop),
        (incomplete("max_output_tokens"), FinishReason::Length),
        (incomplete("content_filter"), FinishReason::ContentFilter),
        (incomplete("brand_new"), FinishReason::Unknown),
        (ended("cancelled", json!({})), FinishReason::Unknown),
    ];
    for (end, expected) in rows {
        check(&[said(0, &["x"]), vec![end]].concat(), &[text("x")], expected);
    }
}

#[test]
fn a_refusal_keeps_the_providers_words() {
    let refused = words(&[json!({ "type": "refusal", "refusal": "I can't do that." })]);
    let deltas =
        ["I can't ", "do that."].map(|delta| piece("refusal.delta", 0, json!({ "content_index": 0, "delta": delta })));
    for pieces in [&deltas[..], &[]] {
        let events = [pieces, &[done(0, refused.clone()), completed(json!({}))]].concat();
        let error = read_every_way(decoder, &stream(&events)).failed(ErrorKind::ContentFilter, false);
        assert_eq!(error.error.detail.as_deref(), Some("I can't do that."));
    }
    let events = [said(0, &["Well"]), vec![done(1, refused), completed(json!({}))]].concat();
    let (finished, _) = read_every_way(decoder, &stream(&events)).finished();
    assert_eq!(finished.refusal.as_deref(), Some("I can't do that."));
}

#[test]
fn nothing_usable() {
    let silent = |end: Value| stream(&[reasoned(0, &["Hm."], Some("ENC")), said(1, &[" \n"]), vec![end]].concat());
    read_every_way(decoder, &silent(incomplete("brand_new"))).failed(ErrorKind::Generic, true);
    read_every_way(decoder, &silent(incomplete("content_filter"))).failed(ErrorKind::ContentFilter, false);
    // Whether silence is a failure here is for the caller to say.
    check(&[completed(json!({}))], &[], FinishReason::Stop);
    check(&[incomplete("max_output_tokens")], &[], FinishReason::Length);
}

#[test]
fn a_stream_that_ends_early_may_be_tried_again() {
    let started = stream(&said(0, &["half"])[..2]);
    let end = stream(&[completed(json!({}))]);
    for body in ["", ": ping\n\n", &started, &format!("{started}data: [DONE]\n\n"), &format!("{started}{}", &end[..40])]
    {
        let error = read_every_way(decoder, body).failed(ErrorKind::Timeout, true);
        assert_eq!(error.error.message, "The answer of the provider acme broke off before its end.");
    }
    assert_eq!(read_every_way(decoder, &started).parts, [text("half")]);
}

#[test]
fn an_error_inside_a_stream_is_classified_and_keeps_what_came_before() {
    let failed = |code: &str, message: &str| ended("failed", json!({ "error": { "code": code, "message": message } }));
    let rows = [
        (failed("rate_limit_exceeded", "Slow down"), ErrorKind::RateLimit, true),
        (failed("server_error", "The server had an error"), ErrorKind::Generic, true),
        (ended("failed", json!({})), ErrorKind::Generic, true),
        (failed("invalid_prompt", "No"), ErrorKind::Generic, false),
        (
            failed("context_length_exceeded", "Your input exceeds the context window of this model."),
            ErrorKind::Config,
            false,
        ),
        (json!({ "type": "error", "code": "server_error", "message": "Oh", "param": null }), ErrorKind::Generic, true),
        (
            json!({ "type": "error", "error": { "type": "tokens", "code": "insufficient_quota", "message": "x" } }),
            ErrorKind::UsageLimit,
            false,
        ),
        (json!({ "type": "error", "code": "x", "message": "Our servers are overloaded" }), ErrorKind::Overloaded, true),
        (
            json!({ "type": "error", "code": "previous_response_not_found", "message": "Previous response with id 'resp_1' not found." }),
            ErrorKind::ChainBroken,
            true,
        ),
    ];
    for (event, kind, retryable) in rows {
        let read =
            read_every_way(decoder, &stream(&[said(0, &["half"]), vec![event.clone()], said(1, &["never"])].concat()));
        assert_eq!(read.parts, [text("half")], "{event}");
        read.failed(kind, retryable);
    }
    read_every_way(decoder, "data: <html>garbage</html>\n\n").failed(ErrorKind::Generic, true);
}

#[test]
fn events_without_an_index_are_placed_by_id_or_belong_to_the_last_item() {
    let mut events = [said(0, &["a"]), function(1, "a", "t", &["{}"]), vec![completed(json!({}))]].concat();
    let parts = [text("a"), args("a", "t", "{}"), whole(call("a", "t", json!({})))];
    for event in &mut events {
        event.as_object_mut().unwrap().remove("output_index");
        event.as_object_mut().unwrap().remove("item_id");
        if let Some(item) = event.get_mut("item") {
            item["id"] = json!(if item["type"] == "message" { "msg" } else { "fc" });
        }
    }
    check(&events, &parts, FinishReason::ToolCalls);
}

fn any_event() -> impl Strategy<Value = Vec<u8>> {
    let item = prop::sample::select(vec![
        words(&[output_text("é", &[json!({ "url": "u" })]), json!({ "type": "refusal", "refusal": "no" })]),
        json!({ "type": "reasoning", "summary": [{ "text": "hm" }], "encrypted_content": "E" }),
        json!({ "type": "function_call", "call_id": "a", "name": "t", "arguments": "{}" }),
        json!({ "type": "function_call", "call_id": "a", "name": "t", "arguments": 7 }),
        json!({ "type": "web_search_call", "id": "ws", "action": 7 }),
        json!({ "type": 7 }),
        json!([]),
    ]);
    let kind = prop::sample::select(vec![
        "output_text.delta",
        "output_text.done",
        "refusal.delta",
        "reasoning_summary_text.delta",
        "reasoning_text.delta",
        "function_call_arguments.delta",
        "output_text.annotation.added",
        "brand_new",
    ]);
    prop_oneof![
        (0..3_u64, item.clone(), any::<bool>()).prop_map(|(index, item, is_done)| if is_done {
            done(index, item)
        } else {
            added(index, item)
        }),
        (0..3_u64, kind, prop::sample::select(vec!["é", "{", "}", ""])).prop_map(|(index, kind, delta)| {
            piece(kind, index, json!({ "delta": delta, "text": delta, "content_index": index }))
        }),
        prop::collection::vec(item, 0..3).prop_map(|items| completed(json!({ "output": items }))),
        prop::sample::select(vec![incomplete("max_output_tokens"), json!([]), json!({ "type": "response.completed" })]),
    ]
    .prop_map(|event| format!("data: {event}\n\n").into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_break_it(body in any_body(any_event()), size in 1usize..40) {
        kept_of(decoder, &body, size);
    }
}
