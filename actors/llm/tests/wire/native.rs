//! The protocols of Anthropic and of OpenAI's Responses over raw bytes: headers, addresses, streams that end as they
//! should or break, and refusals.

use std::sync::{Arc, Mutex};

use chrono::DateTime;
use serde_json::Value;
use uuid::Uuid;
use verbatim_events::error::{CallError, ErrorKind};
use verbatim_events::ids::ChatId;
use verbatim_events::message::{FinishReason, Message, Origin, Role, Usage};
use verbatim_events::model::{
    CallIdentity, EncodedRequest, Meter, ModelFinished, ModelProvider, ModelSettings, PartSink, Prompt, Reading,
};
use verbatim_events::part::{LivePart, Part};
use verbatim_llm::{Anthropic, OpenAiResponses, ProviderOptions, Secret};

use crate::stand_in::{Act, PATIENCE, Request, StandIn, chunk, head};

const KEY: &str = "sk-test-0123456789abcdef";

/// A protocol's words for "Grüße dich", in two pieces, and for the end.
#[derive(Clone, Copy)]
struct Speech {
    name: &'static str,
    model: &'static str,
    begin: &'static str,
    pieces: [&'static str; 2],
    end: &'static str,
    overloaded: &'static str,
}

const ANTHROPIC: Speech = Speech {
    name: "anthropic",
    model: "claude-opus-5-5",
    begin: "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":3}}}\n\n",
    pieces: [
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Grüße\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" dich\"}}\n\n",
    ],
    end: "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    overloaded: "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
};

const RESPONSES: Speech = Speech {
    name: "openai_responses",
    model: "gpt-5.2",
    begin: "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n",
    pieces: [
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"item_id\":\"m\",\"delta\":\"Grüße\"}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"item_id\":\"m\",\"delta\":\" dich\"}\n\n",
    ],
    end: "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}}\n\n",
    overloaded: "event: error\ndata: {\"type\":\"error\",\"code\":\"server_is_overloaded\",\"message\":\"Our servers are overloaded\"}\n\n",
};

fn provider(speech: Speech, base_url: &str, api_key: Option<&str>) -> Box<dyn ModelProvider> {
    let options = ProviderOptions {
        name: "acme".into(),
        base_url: base_url.into(),
        api_key: api_key.map(Secret::new),
        api_key_expected_in: Some("ACME_KEY".into()),
        store: false,
        files: None,
    };
    match speech.name {
        "anthropic" => Box::new(Anthropic::new(options).unwrap()),
        _ => Box::new(OpenAiResponses::new(options).unwrap()),
    }
}

fn request(provider: &dyn ModelProvider, provider_model: &str) -> EncodedRequest {
    let message = Message::new(1, Role::User, vec![Part::text("Hallo")], Origin::User, DateTime::UNIX_EPOCH);
    let prompt = Prompt {
        system: Some("Be brief.".into()),
        messages: vec![Arc::new(message)],
        tools: Vec::new(),
        ..Prompt::default()
    };
    let model = ModelSettings {
        name: "m".into(),
        provider: "acme".into(),
        provider_model: provider_model.into(),
        context_window: None,
        max_output_tokens: Some(64),
        ..ModelSettings::default()
    };
    provider.encode(&prompt, &model, None).unwrap()
}

type Outcome = (Vec<LivePart>, Result<ModelFinished, CallError>);

async fn call(speech: Speech, provider: &dyn ModelProvider, stand_in: Option<&StandIn>) -> Outcome {
    call_metered(speech, provider, stand_in, &Meter::default()).await
}

async fn call_metered(
    speech: Speech,
    provider: &dyn ModelProvider,
    stand_in: Option<&StandIn>,
    meter: &Meter,
) -> Outcome {
    let parts = Arc::new(Mutex::new(Vec::new()));
    let (kept, taken) = (Arc::clone(&parts), stand_in.map(|stand_in| stand_in.taken.clone()));
    let sink: PartSink = Box::new(move |part| {
        kept.lock().unwrap().push(part);
        // A stand-in that has played its script listens no more.
        let _ = taken.as_ref().map(|taken| taken.try_send(()));
        true
    });
    let identity =
        CallIdentity { chat_id: ChatId(Uuid::from_u128(1)), attempt_id: 9, request_id: Uuid::from_u128(0xabc) };
    let call = provider.call(request(provider, speech.model), identity, sink, meter.clone());
    let end = tokio::time::timeout(PATIENCE, call).await.expect("the call ends");
    let parts = parts.lock().unwrap().clone();
    (parts, end)
}

/// Plays a script and calls it at this path below its address.
async fn against(speech: Speech, path: &str, script: Vec<Act>) -> (Outcome, Request) {
    let stand_in = StandIn::play(vec![script]).await;
    let provider = provider(speech, &format!("http://{}{path}", stand_in.address), Some(KEY));
    let outcome = call(speech, provider.as_ref(), Some(&stand_in)).await;
    let request = stand_in.requests().await.remove(0);
    (outcome, request)
}

fn stream_head() -> Act {
    head("200 OK", &["Content-Type: text/event-stream; charset=utf-8", "Transfer-Encoding: chunked"])
}

fn text(text: &str) -> LivePart {
    LivePart::TextDelta { text: text.into() }
}

#[tokio::test]
async fn an_answer_comes_as_it_is_made() {
    let rows = [
        (ANTHROPIC, "", "post /v1/messages http/1.1"),
        // An address that names the version already does no harm, and a query is kept.
        (ANTHROPIC, "/v1/", "post /v1/messages http/1.1"),
        (ANTHROPIC, "/proxy?key=1", "post /proxy/v1/messages?key=1 http/1.1"),
        (RESPONSES, "/v1", "post /v1/responses http/1.1"),
    ];
    for (speech, path, line) in rows {
        let script = vec![
            stream_head(),
            chunk(speech.begin),
            chunk(speech.pieces[0]),
            // The first part is out before the second is on its way.
            Act::AwaitParts(1),
            chunk(speech.pieces[1]),
            Act::AwaitParts(2),
            chunk(speech.end),
            // Nothing can follow: the client does not wait for the body's end.
            Act::AwaitHangUp,
        ];
        let ((parts, end), asked) = against(speech, path, script).await;
        assert_eq!(parts, [text("Grüße"), text(" dich")]);
        let finished = end.unwrap();
        assert_eq!(finished.finish_reason, FinishReason::Stop);
        let usage = finished.usage.unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (3, 2));
        assert!(finished.response_id.is_some_and(|id| id.ends_with("_1")));
        assert_eq!(asked.head.lines().next(), Some(line));
        let key = format!("authorization: bearer {KEY}");
        let own_key = format!("x-api-key: {KEY}");
        let beta = "anthropic-beta: thinking-binding-controls-2026-08-01";
        let expected: &[&str] = match speech.name {
            "anthropic" => &[&own_key, "anthropic-version: 2023-06-01", beta],
            _ => &[&key],
        };
        let known = [key.as_str(), &own_key, "anthropic-version: 2023-06-01", beta];
        let sent: Vec<_> = known.into_iter().filter(|header| asked.head.lines().any(|line| line == *header)).collect();
        assert_eq!(sent, expected, "{}", asked.head);
        assert!(asked.head.lines().any(|line| line == "accept: text/event-stream"));
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!((&body["stream"], &body["model"]), (&Value::Bool(true), &Value::from(speech.model)));
        assert_eq!(asked.body, request(provider(speech, "http://a", None).as_ref(), speech.model).body);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_may_be_tried_again_and_keeps_what_came() {
    for speech in [ANTHROPIC, RESPONSES] {
        let half = || vec![stream_head(), chunk(speech.begin), chunk(speech.pieces[0]), Act::AwaitParts(1)];
        let endings = [vec![], vec![Act::Reset], vec![chunk("")]];
        for (index, ending) in endings.into_iter().enumerate() {
            let script = half().into_iter().chain(ending).collect();
            let ((parts, end), _) = against(speech, "", script).await;
            let error = end.unwrap_err().error;
            assert_eq!(parts, [text("Grüße")], "{} {index}", speech.name);
            assert_eq!((error.kind, error.retryable, error.status_code), (ErrorKind::Timeout, true, None));
        }
    }
}

#[tokio::test]
async fn an_error_in_mid_stream_is_classified_and_keeps_what_came() {
    for speech in [ANTHROPIC, RESPONSES] {
        let script = vec![
            stream_head(),
            chunk(speech.begin),
            chunk(speech.pieces[0]),
            chunk(speech.overloaded),
            Act::AwaitHangUp,
        ];
        let ((parts, end), _) = against(speech, "", script).await;
        let error = end.unwrap_err().error;
        assert_eq!(parts, [text("Grüße")]);
        assert_eq!(
            (error.kind, error.retryable, error.provider.as_deref()),
            (ErrorKind::Overloaded, true, Some("acme"))
        );
    }
}

#[tokio::test]
async fn a_refusal_says_when_to_come_back_and_shows_no_key() {
    let body =
        format!(r#"{{"type":"error","error":{{"type":"rate_limit_error","message":"Slow down, Bearer {KEY}"}}}}"#);
    for speech in [ANTHROPIC, RESPONSES] {
        let length = format!("Content-Length: {}", body.len());
        let headers = ["Content-Type: application/json", "Retry-After: 7", &length];
        let script = vec![head("429 Too Many Requests", &headers), Act::Send(body.clone().into())];
        let ((_, end), _) = against(speech, "", script).await;
        let error = end.unwrap_err();
        assert_eq!((error.error.kind, error.error.status_code), (ErrorKind::RateLimit, Some(429)));
        assert_eq!(error.retry_after_ms, Some(7000));
        assert!(!format!("{error:?}").contains("sk-test"), "{error:?}");
    }
}

#[tokio::test]
async fn without_its_key_nothing_is_sent() {
    for speech in [ANTHROPIC, RESPONSES] {
        let provider = provider(speech, "http://127.0.0.1:1", Some(" "));
        let error = call(speech, provider.as_ref(), None).await.1.unwrap_err().error;
        assert_eq!((error.kind, error.retryable), (ErrorKind::MissingKey, false));
        assert!(error.message.contains("ACME_KEY"), "{}", error.message);
    }
}

#[tokio::test]
async fn a_meter_shows_what_was_reported_whatever_cut_the_call_off() {
    let length = "Content-Length: 2";
    let refusal =
        || vec![head("503 Service Unavailable", &["Content-Type: application/json", length]), Act::Send("{}".into())];
    let cut = |speech: Speech| {
        vec![stream_head(), chunk(speech.begin), chunk(speech.pieces[0]), Act::AwaitParts(1), Act::Reset]
    };
    let whole = |speech: Speech| vec![stream_head(), chunk(speech.begin), chunk(speech.pieces[0]), chunk(speech.end)];
    let usage =
        |input_tokens, output_tokens| Reading::Reported(Usage { input_tokens, output_tokens, ..Usage::default() });
    for (speech, script, wanted) in [
        (ANTHROPIC, cut(ANTHROPIC), usage(3, 0)),
        (ANTHROPIC, whole(ANTHROPIC), usage(3, 2)),
        (ANTHROPIC, refusal(), Reading::Nothing),
        (RESPONSES, cut(RESPONSES), Reading::Unknown),
        (RESPONSES, whole(RESPONSES), usage(3, 2)),
        (RESPONSES, refusal(), Reading::Nothing),
    ] {
        let stand_in = StandIn::play(vec![script]).await;
        let provider = provider(speech, &format!("http://{}", stand_in.address), Some(KEY));
        let meter = Meter::default();
        let _ = call_metered(speech, provider.as_ref(), Some(&stand_in), &meter).await;
        assert_eq!(meter.read(), wanted, "{}", speech.name);
    }
    // Nobody listens there: nothing was sent.
    let meter = Meter::default();
    let provider = provider(ANTHROPIC, "http://127.0.0.1:1", Some(KEY));
    assert!(call_metered(ANTHROPIC, provider.as_ref(), None, &meter).await.1.is_err());
    assert_eq!(meter.read(), Reading::Nothing);
}
