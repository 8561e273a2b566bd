//! Every reader against bytes that no provider should send. `PROPTEST_CASES` says how many of each kind are tried.
//!
//! Whatever comes, a reader ends with an answer or an error, and with the same one wherever the bytes were cut.

use std::panic::Location;

use chrono::DateTime;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};
use verbatim_events::episode;

use super::{Read, stream};
use crate::answer::EventDecoder;
use crate::anthropic::MessageDecoder;
use crate::classify::{DETAIL_MAX_CHARACTERS, Failure, RetryHeaders, classify};
use crate::http::Decoder;
use crate::openai_chat::ChatDecoder;
use crate::openai_responses::ResponseDecoder;
use crate::secret::Secret;
use crate::sse::{SseDecoder, SseLimits};

const KEY: &str = "sk-hidden-key";

/// Reads a body by one protocol, in pieces.
type Reader = fn(&[u8], &[usize]) -> Read;

const READERS: [Reader; 3] = [
    |body, cuts| pieces(ChatDecoder::new("acme", Some(Secret::new(KEY)), 9), body, cuts),
    |body, cuts| pieces(ResponseDecoder::new("acme", Some(Secret::new(KEY)), 9), body, cuts),
    |body, cuts| pieces(MessageDecoder::new("acme", Some(Secret::new(KEY)), 9), body, cuts),
];

/// Reads a body cut at these places.
fn pieces<A: crate::answer::Answer>(mut decoder: EventDecoder<A>, body: &[u8], cuts: &[usize]) -> Read {
    let mut parts = Vec::new();
    let mut from = 0;
    for &to in cuts.iter().chain([&body.len()]) {
        let to = to.clamp(from, body.len());
        match decoder.feed(&body[from..to], &mut parts) {
            Ok(crate::http::Progress::Over) => break,
            Ok(_) => from = to,
            Err(error) => return Read { parts, end: Err(error) },
        }
    }
    let end = decoder.finish(&mut parts);
    Read { parts, end }
}

/// Reads a body by every protocol and checks what must always hold.
#[track_caller]
fn check(body: &[u8], cuts: &[usize]) {
    let place = Location::caller();
    for reader in READERS {
        let whole = reader(body, &[]);
        assert_eq!(reader(body, cuts), whole, "cut at {cuts:?}: {:?} ({place})", String::from_utf8_lossy(body));
        if let Err(error) = &whole.end {
            assert!(!error.error.message.is_empty() && error.error.provider.as_deref() == Some("acme"), "{error:?}");
            assert!(!format!("{error:?}").contains(KEY), "{error:?}");
        }
        // What was read is fit to become a message, or says why it is not.
        let _ = episode::complete(&whole.parts);
    }
}

fn any_cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..3000_usize, 0..12).prop_map(|mut cuts| {
        cuts.sort_unstable();
        cuts
    })
}

/// What providers say, by protocol: texts, thoughts, calls, searches, refusals, ends and errors.
fn transcripts() -> Vec<String> {
    let chat = |chunks: &[Value]| -> String {
        chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).chain(["data: [DONE]\n\n".to_owned()]).collect()
    };
    let delta = |delta: Value| json!({ "id": "c", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] });
    let call = |index: u64, id: &str, args: &str| {
        delta(
            json!({ "tool_calls": [{ "index": index, "id": id, "function": { "name": "look", "arguments": args } }] }),
        )
    };
    let end = |reason: &str| {
        json!({ "choices": [{ "delta": {}, "finish_reason": reason }],
            "usage": { "prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": { "cached_tokens": 2 } } })
    };
    let item =
        |index: u64, item: Value| json!({ "type": "response.output_item.done", "output_index": index, "item": item });
    let search = json!({ "id": "ws_1", "type": "web_search_call", "status": "completed", "action": { "query": "q" } });
    let thought = json!({ "id": "rs_1", "type": "reasoning", "encrypted_content": "ENC",
        "summary": [{ "type": "summary_text", "text": "Hm." }] });
    let function =
        json!({ "id": "fc_1", "type": "function_call", "call_id": "c1", "name": "look", "arguments": "{\"x\":1}" });
    let block = |index: u64, block: Value, deltas: &[Value]| {
        let begin = json!({ "type": "content_block_start", "index": index, "content_block": block });
        let deltas =
            deltas.iter().map(|delta| json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        let end = json!({ "type": "content_block_stop", "index": index });
        [vec![begin], deltas.collect(), vec![end]].concat()
    };
    vec![
        chat(&[delta(json!({ "reasoning_content": "Hm" })), delta(json!({ "content": "Grüße" })), end("stop")]),
        chat(&[call(0, "c1", "{\"x\":"), call(1, "c2", ""), call(0, "", "1}"), end("tool_calls")]),
        chat(&[delta(json!({ "content": [{ "type": "text", "text": "a" }] })), delta(json!({ "refusal": "No" })), end("content_filter")]),
        chat(&[json!({ "error": { "message": "Overloaded", "code": 529 } })]),
        stream(&[
            json!({ "type": "response.created", "response": { "id": "resp_1" } }),
            item(0, thought.clone()),
            item(1, search.clone()),
            json!({ "type": "response.output_item.added", "output_index": 2, "item": { "id": "m", "type": "message" } }),
            json!({ "type": "response.output_text.delta", "output_index": 2, "item_id": "m", "content_index": 0, "delta": "So" }),
            json!({ "type": "response.output_text.annotation.added", "output_index": 2, "annotation": { "url": "https://a", "title": "A" } }),
            json!({ "type": "response.function_call_arguments.delta", "output_index": 3, "item_id": "fc_1", "delta": "{\"x\"" }),
            item(3, function.clone()),
            json!({ "type": "response.completed", "response": { "id": "resp_1", "status": "completed",
                "output": [thought, search, function], "usage": { "input_tokens": 3, "output_tokens": 5 } } }),
        ]),
        stream(&[json!({ "type": "response.incomplete", "response": { "status": "incomplete",
            "incomplete_details": { "reason": "max_output_tokens" }, "output": [] } })]),
        stream(
            &[
                vec![json!({ "type": "message_start", "message": { "id": "msg_1", "usage": { "input_tokens": 3 } } })],
                block(
                    0,
                    json!({ "type": "thinking", "thinking": "", "signature": "" }),
                    &[json!({ "type": "thinking_delta", "thinking": "Hm" }), json!({ "type": "signature_delta", "signature": "U0" })],
                ),
                block(
                    1,
                    json!({ "type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {} }),
                    &[json!({ "type": "input_json_delta", "partial_json": "{\"query\":\"q\"}" })],
                ),
                block(2, json!({ "type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [] }), &[]),
                block(
                    3,
                    json!({ "type": "text", "text": "" }),
                    &[
                        json!({ "type": "text_delta", "text": "Grüße" }),
                        json!({ "type": "citations_delta", "citation": { "url": "https://a", "title": "A" } }),
                    ],
                ),
                block(4, json!({ "type": "tool_use", "id": "toolu_1", "name": "look", "input": {} }), &[]),
                vec![
                    json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 5 } }),
                    json!({ "type": "message_stop" }),
                ],
            ]
            .concat(),
        ),
    ]
}

/// Damage on the way.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
    Insert(Index, Vec<u8>),
    Cut(Index),
}

fn any_damage() -> impl Strategy<Value = Damage> {
    let noise = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..8),
        prop::sample::select(vec![
            "\n\n",
            "\r",
            "data: ",
            "event: error\n",
            "null",
            "\"",
            "{",
            "}",
            "\\u0000",
            "[DONE]",
            "1e999",
            "-1"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Flip(at, byte)),
        (any::<Index>(), 1..80_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        (any::<Index>(), 1..400_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        (any::<Index>(), noise).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        any::<Index>().prop_map(Damage::Cut),
    ]
}

fn damaged(text: &str, damages: &[Damage]) -> Vec<u8> {
    let mut body = text.as_bytes().to_vec();
    for damage in damages {
        if body.is_empty() {
            break;
        }
        let end = |at: usize, length: usize| (at + length).min(body.len());
        match damage {
            Damage::Flip(at, byte) => {
                let at = at.index(body.len());
                body[at] ^= byte;
            }
            Damage::Remove(at, length) => {
                let at = at.index(body.len());
                body.drain(at..end(at, *length));
            }
            Damage::Repeat(at, length) => {
                let at = at.index(body.len());
                let again = body[at..end(at, *length)].to_vec();
                body.splice(at..at, again);
            }
            Damage::Insert(at, bytes) => {
                let at = at.index(body.len());
                body.splice(at..at, bytes.iter().copied());
            }
            Damage::Cut(at) => body.truncate(at.index(body.len())),
        }
    }
    body
}

/// JSON of the words that the protocols know, in places where they do not belong.
fn any_event() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "",
        "text",
        "thinking",
        "tool_use",
        "server_tool_use",
        "web_search_tool_result",
        "function_call",
        "reasoning",
        "message",
        "web_search_call",
        "mcp_call",
        "stop",
        "tool_calls",
        "length",
        "error",
        "completed",
        "incomplete",
        "failed",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_start",
        "message_delta",
        "message_stop",
        "text_delta",
        "input_json_delta",
        "signature_delta",
        "citations_delta",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.refusal.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.completed",
        "a",
        "{}",
    ]);
    let leaf = prop_oneof![
        4 => word.prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        2 => prop_oneof![Just(0_u64), Just(1), Just(u64::MAX), any::<u64>()].prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "type",
        "index",
        "output_index",
        "content_index",
        "item_id",
        "id",
        "item",
        "response",
        "delta",
        "content_block",
        "message",
        "content",
        "text",
        "thinking",
        "signature",
        "partial_json",
        "citation",
        "citations",
        "url",
        "title",
        "name",
        "call_id",
        "arguments",
        "function",
        "tool_calls",
        "choices",
        "finish_reason",
        "stop_reason",
        "usage",
        "input_tokens",
        "output_tokens",
        "prompt_tokens",
        "input",
        "output",
        "status",
        "summary",
        "encrypted_content",
        "action",
        "annotation",
        "refusal",
        "error",
        "incomplete_details",
        "reason",
        "tool_use_id",
        "data",
        "reasoning_content",
        "extra_content",
        "stop_details",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            5 => prop::collection::vec((name.clone(), inner), 0..6).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..600), cuts in any_cuts()) {
        check(&body, &cuts);
    }

    #[test]
    fn damaged_answers_are_survived(
        which in any::<Index>(),
        damages in prop::collection::vec(any_damage(), 0..6),
        cuts in any_cuts(),
    ) {
        check(&damaged(which.get::<String>(&transcripts()), &damages), &cuts);
    }

    #[test]
    fn events_in_the_wrong_places_are_survived(events in prop::collection::vec(any_event(), 0..12), cuts in any_cuts()) {
        check(stream(&events).as_bytes(), &cuts);
        let end = json!({ "type": "message_stop", "choices": [{ "finish_reason": "stop" }] });
        let completed = json!({ "type": "response.completed", "response": { "status": "completed" } });
        check(stream(&[events, vec![end, completed]].concat()).as_bytes(), &cuts);
    }

    #[test]
    fn any_document_in_place_of_a_stream_is_survived(document in any_event(), noise in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut decoders: [Box<dyn Decoder>; 3] = [
            Box::new(ChatDecoder::new("acme", None, 9)),
            Box::new(ResponseDecoder::new("acme", None, 9)),
            Box::new(MessageDecoder::new("acme", None, 9)),
        ];
        for decoder in &mut decoders {
            for body in [document.to_string().into_bytes(), noise.clone()] {
                let mut parts = Vec::new();
                let fed = decoder.feed_whole(&body, &mut parts);
                let finished = decoder.finish(&mut parts);
                prop_assert!(fed.is_ok() || finished.is_err(), "a failure stays");
            }
        }
    }

    #[test]
    fn events_are_the_same_wherever_their_bytes_are_cut(
        lines in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec!["data: x", "data:", "data", "event: e", ": c", "", "\u{feff}data: b", "id: 1", "data: é"])
                    .prop_map(|line| line.as_bytes().to_vec()),
                prop::collection::vec(any::<u8>(), 0..12),
            ],
            0..20,
        ),
        ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r", "\r\n"]), 20),
        cuts in any_cuts(),
        limits in prop::sample::select(vec![(8 << 20, 8 << 20), (20, 100), (100, 60)]),
    ) {
        let body: Vec<u8> = lines.iter().zip(&ends).flat_map(|(line, end)| [line.as_slice(), end.as_bytes()].concat()).collect();
        let read = |cuts: &[usize]| {
            let mut decoder = SseDecoder::new(SseLimits { event_bytes_max: limits.0, body_bytes_max: limits.1 });
            let (mut events, mut from) = (Vec::new(), 0);
            for &to in cuts.iter().chain([&body.len()]) {
                let to = to.clamp(from, body.len());
                if let Err(overflow) = decoder.feed(&body[from..to], &mut events) {
                    return (events, Some(overflow));
                }
                from = to;
            }
            events.extend(decoder.finish());
            (events, None)
        };
        prop_assert_eq!(read(&cuts), read(&[]));
    }

    #[test]
    fn any_refusal_is_classified_and_shows_no_key(
        status in prop::option::of(any::<u16>()),
        words in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![KEY, "Bearer ", "{\"error\":{\"message\":\"", "\"}}", "quota", "model ", "not found", "529", "é", "\u{0}"])
                    .prop_map(str::to_owned),
                any::<String>(),
            ],
            0..12,
        ),
        retry_after in prop::option::of(any::<String>()),
        retry_after_ms in prop::option::of(prop_oneof![any::<String>(), any::<f64>().prop_map(|number| number.to_string())]),
    ) {
        let (body, secret) = (words.concat(), Secret::new(KEY));
        let headers = RetryHeaders { retry_after_ms, retry_after };
        let failure = Failure { provider: "acme", secret: Some(&secret), status, body: &body, headers, ..Failure::default() };
        let error = classify(&failure, DateTime::UNIX_EPOCH).error;
        prop_assert!(!error.message.is_empty() && error.provider.as_deref() == Some("acme"));
        let detail = error.detail.unwrap_or_default();
        prop_assert!(detail.chars().count() <= DETAIL_MAX_CHARACTERS && !detail.contains(KEY), "{detail}");
    }
}

/// The transcripts are sound as they are: damage is measured against something.
#[test]
fn undamaged_answers_are_read() {
    let read_by = [0, 0, 0, 0, 1, 1, 2].map(|reader| READERS[reader]);
    let is_read: Vec<_> =
        transcripts().iter().zip(read_by).map(|(body, reader)| reader(body.as_bytes(), &[]).end.is_ok()).collect();
    assert_eq!(is_read, [true, true, true, false, true, true, true], "all but the one that tells of an error");
}
