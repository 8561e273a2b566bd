use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::net::TcpListener;
use uuid::Uuid;
use verbatim_events::error::{CallError, ErrorKind};
use verbatim_events::ids::ChatId;
use verbatim_events::message::FinishReason;
use verbatim_events::model::{
    CallIdentity, EncodedRequest, Meter, ModelFinished, ModelProvider, ModelSettings, PartSink, Prompt,
};
use verbatim_events::part::LivePart;
use verbatim_llm::{OpenAiChat, OpenAiChatOptions, Secret};

use crate::stand_in::{Act, PATIENCE, StandIn, chunk, head};

const KEY: &str = "sk-test-0123456789abcdef";

fn provider(address: &str, options: impl FnOnce(&mut OpenAiChatOptions)) -> OpenAiChat {
    let mut all = OpenAiChatOptions {
        name: "acme".into(),
        base_url: format!("http://{address}/v1/"),
        api_key: Some(Secret::new(KEY)),
        api_key_expected_in: None,
        store: false,
        files: None,
    };
    options(&mut all);
    OpenAiChat::new(all).unwrap()
}

fn request(provider: &OpenAiChat) -> EncodedRequest {
    let prompt =
        Prompt { system: Some("Be brief.".into()), messages: Vec::new(), tools: Vec::new(), ..Prompt::default() };
    let model = ModelSettings {
        name: "m".into(),
        provider: "acme".into(),
        provider_model: "m-1".into(),
        context_window: None,
        max_output_tokens: None,
        ..ModelSettings::default()
    };
    provider.encode(&prompt, &model, None).unwrap()
}

fn identity() -> CallIdentity {
    CallIdentity { chat_id: ChatId(Uuid::from_u128(1)), attempt_id: 9, request_id: Uuid::from_u128(0xabc) }
}

type Outcome = (Vec<LivePart>, Result<ModelFinished, CallError>);

/// Calls a provider; takes `wanted` parts before it wants no more.
async fn call(provider: &OpenAiChat, stand_in: Option<&StandIn>, wanted: usize) -> Outcome {
    let parts = Arc::new(Mutex::new(Vec::new()));
    let (kept, taken) = (Arc::clone(&parts), stand_in.map(|stand_in| stand_in.taken.clone()));
    let sink: PartSink = Box::new(move |part| {
        let mut kept = kept.lock().unwrap();
        kept.push(part);
        // A stand-in that has played its script listens no more.
        let _ = taken.as_ref().map(|taken| taken.try_send(()));
        kept.len() < wanted
    });
    let call = provider.call(request(provider), identity(), sink, Meter::default());
    let end = tokio::time::timeout(PATIENCE, call).await.expect("the call ends");
    let parts = parts.lock().unwrap().clone();
    (parts, end)
}

/// Plays a script and calls it.
async fn against(script: Vec<Act>) -> Outcome {
    let stand_in = StandIn::play(vec![script]).await;
    call(&provider(&stand_in.address.to_string(), |_| {}), Some(&stand_in), usize::MAX).await
}

async fn error_of(script: Vec<Act>) -> CallError {
    against(script).await.1.unwrap_err()
}

fn stream_head() -> Act {
    head("200 OK", &["Content-Type: text/event-stream", "Transfer-Encoding: chunked"])
}

fn says(text: &str) -> String {
    format!("data: {{\"id\":\"r1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

fn text(text: &str) -> LivePart {
    LivePart::TextDelta { text: text.into() }
}

#[tokio::test]
async fn an_answer_comes_as_it_is_made() {
    let (first, second) =
        says("Grüße").into_bytes().split_at_checked(60).map(|(a, b)| (a.to_vec(), b.to_vec())).unwrap();
    let script = vec![
        head("200 OK", &["Content-Type: text/event-stream; charset=utf-8"]),
        Act::Send(first),
        Act::Send(second),
        // The first part is out before the second is on its way.
        Act::AwaitParts(1),
        Act::Send(says(" dich").into_bytes()),
        Act::AwaitParts(2),
        Act::Send(format!("{FINISH}data: [DONE]\n\n").into_bytes()),
        Act::AwaitHangUp,
    ];
    let stand_in = StandIn::play(vec![script]).await;
    let provider = provider(&stand_in.address.to_string(), |_| {});
    let (parts, end) = call(&provider, Some(&stand_in), usize::MAX).await;
    assert_eq!(parts, [text("Grüße"), text(" dich")]);
    assert_eq!(end.unwrap().finish_reason, FinishReason::Stop);
    let requests = stand_in.requests().await;
    let asked = &requests[0];
    assert!(asked.head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{}", asked.head);
    for header in [
        &format!("authorization: bearer {KEY}"),
        "content-type: application/json",
        "accept: text/event-stream",
        "x-client-request-id: 00000000-0000-0000-0000-000000000abc",
    ] {
        assert!(asked.head.lines().any(|line| line == header), "{header} is not in {}", asked.head);
    }
    assert_eq!(asked.body, request(&provider).body);
}

#[tokio::test]
async fn a_cut_connection_may_be_tried_again_and_keeps_what_came() {
    let endings = [
        // The chunked body ends without its last chunk.
        vec![stream_head(), chunk(&says("half")), Act::AwaitParts(1)],
        vec![stream_head(), chunk(&says("half")), Act::AwaitParts(1), Act::Reset],
        // The body ends well, the protocol does not.
        vec![stream_head(), chunk(&says("half")), chunk("")],
        vec![head("200 OK", &["Content-Type: text/event-stream"]), Act::Send(says("half").into_bytes())],
        vec![
            head("200 OK", &["Content-Type: text/event-stream", "Content-Length: 9999"]),
            Act::Send(says("half").into_bytes()),
        ],
    ];
    for (index, script) in endings.into_iter().enumerate() {
        let (parts, end) = against(script).await;
        let error = end.unwrap_err().error;
        assert_eq!(parts, [text("half")], "ending {index}");
        assert_eq!(
            (error.kind, error.retryable, error.status_code),
            (ErrorKind::Timeout, true, None),
            "ending {index}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer() {
    for script in [vec![], vec![Act::Reset], vec![Act::Send(b"\x16\x03\x01 no http\r\n\r\n".to_vec())]] {
        let error = error_of(script).await.error;
        assert_eq!((error.kind, error.retryable), (ErrorKind::Timeout, true), "{error:?}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = call(&provider(&address, |_| {}), None, usize::MAX).await.1.unwrap_err().error;
    assert_eq!((error.kind, error.retryable), (ErrorKind::Timeout, true));
    assert_eq!(error.detail.as_deref(), Some("connection refused"));
    assert!(error.message.contains("base_url") && !error.message.contains("127.0.0.1"), "{}", error.message);
}

#[tokio::test]
async fn a_complete_answer_is_not_spoilt_by_what_breaks_after_it() {
    let answered = format!("{}{FINISH}", says("all"));
    let endings = [
        vec![stream_head(), chunk(&answered), Act::AwaitParts(1)],
        vec![stream_head(), chunk(&answered), Act::AwaitParts(1), Act::Reset],
        vec![stream_head(), chunk(&answered), Act::AwaitParts(1), Act::LetTimePass, Act::AwaitHangUp],
    ];
    for (index, script) in endings.into_iter().enumerate() {
        let (parts, end) = against(script).await;
        assert_eq!(parts, [text("all")], "ending {index}");
        assert_eq!(end.map(|finished| finished.finish_reason), Ok(FinishReason::Stop), "ending {index}");
    }
}

#[tokio::test]
async fn a_refusal_says_when_to_come_back() {
    let body = r#"{"error":{"message":"Slow down","type":"tokens"}}"#;
    let refused = |headers: &[&str]| {
        let length = format!("Content-Length: {}", body.len());
        let headers: Vec<&str> = headers.iter().copied().chain(["Content-Type: application/json", &length]).collect();
        vec![head("429 Too Many Requests", &headers), Act::Send(body.into())]
    };
    let error = error_of(refused(&["Retry-After: 7"])).await;
    assert_eq!((error.error.kind, error.error.status_code), (ErrorKind::RateLimit, Some(429)));
    assert_eq!(error.error.detail.as_deref(), Some("Slow down"));
    assert_eq!(error.retry_after_ms, Some(7000));
    let error = error_of(refused(&["retry-after-ms: 250", "Retry-After: 7"])).await;
    assert_eq!(error.retry_after_ms, Some(250));
    // A date counts by the server's own clock.
    let dates = ["Date: Sat, 01 Jan 2000 00:00:00 GMT", "Retry-After: Sat, 01 Jan 2000 00:01:30 GMT"];
    assert_eq!(error_of(refused(&dates)).await.retry_after_ms, Some(90_000));
    assert_eq!(error_of(refused(&[])).await.retry_after_ms, None);
}

#[tokio::test]
async fn an_error_shows_neither_key_nor_address() {
    let body = format!("Bearer {KEY} refused at http://127.0.0.1/v1");
    for status in ["401 Unauthorized", "400 Bad Request", "500 Internal Server Error"] {
        let error = error_of(vec![head(status, &[]), Act::Send(body.clone().into_bytes())]).await;
        let shown = format!("{error:?}");
        assert!(!shown.contains("sk-test") && !shown.contains("127.0.0.1"), "{shown}");
    }
}

#[tokio::test]
async fn an_error_without_end_is_judged_by_its_beginning() {
    let endless = vec![head("503 Service Unavailable", &[]), Act::SendForEver(b"busy ".repeat(1000))];
    let error = error_of(endless).await.error;
    assert_eq!((error.kind, error.status_code), (ErrorKind::Timeout, Some(503)));
    assert!(error.detail.unwrap_or_default().starts_with("busy busy"));
    let silent = vec![
        head("529 Overloaded", &["Content-Length: 100"]),
        Act::Send(b"half a sen".to_vec()),
        Act::LetTimePass,
        Act::AwaitHangUp,
    ];
    let error = error_of(silent).await.error;
    assert_eq!((error.kind, error.detail.as_deref()), (ErrorKind::Overloaded, Some("half a sen")));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let stand_in =
        StandIn::play(vec![vec![head("307 Temporary Redirect", &["Location: /elsewhere", "Content-Length: 0"])]]).await;
    let provider = provider(&stand_in.address.to_string(), |_| {});
    let error = call(&provider, Some(&stand_in), usize::MAX).await.1.unwrap_err().error;
    assert_eq!((error.kind, error.retryable, error.status_code), (ErrorKind::Generic, false, Some(307)));
    assert_eq!(stand_in.requests().await.len(), 1);
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let garbage = vec![stream_head(), chunk("data: {\"choices\":[{\"del\n\n"), chunk("")];
    let error = error_of(garbage).await.error;
    assert_eq!((error.kind, error.retryable), (ErrorKind::Generic, true));
    let page = vec![head("200 OK", &["Content-Type: text/html"]), Act::Send(b"<html>\xFF\x00 hello</html>".to_vec())];
    assert_eq!(error_of(page).await.error.kind, ErrorKind::Timeout);
}

#[tokio::test]
async fn a_server_that_does_not_stream() {
    let body = r#"{"choices":[{"message":{"content":"whole"},"finish_reason":"length"}],"usage":{"prompt_tokens":5}}"#;
    let (parts, end) = against(vec![head("200 OK", &["Content-Type: application/json"]), Act::Send(body.into())]).await;
    assert_eq!(parts, [text("whole")]);
    assert_eq!(end.unwrap().finish_reason, FinishReason::Length);
    let body = r#"{"error":{"message":"The model is overloaded"}}"#;
    let error = error_of(vec![head("200 OK", &["Content-Type: application/json"]), Act::Send(body.into())]).await.error;
    assert_eq!((error.kind, error.status_code), (ErrorKind::Overloaded, None));
}

#[tokio::test]
async fn the_connection_ends_when_nobody_wants_more() {
    let stand_in = StandIn::play(vec![vec![stream_head(), chunk(&says("a")), Act::AwaitHangUp]]).await;
    let provider = provider(&stand_in.address.to_string(), |_| {});
    let (parts, end) = call(&provider, Some(&stand_in), 1).await;
    assert_eq!(parts, [text("a")]);
    assert!(end.is_err());
    // The script ends only because the client hung up.
    assert_eq!(stand_in.requests().await.len(), 1);
}

#[tokio::test]
async fn a_dropped_call_hangs_up() {
    let stand_in = StandIn::play(vec![vec![stream_head(), chunk(&says("a")), Act::AwaitHangUp]]).await;
    let provider = provider(&stand_in.address.to_string(), |_| {});
    let (came, first) = tokio::sync::oneshot::channel();
    let mut came = Some(came);
    let sink: PartSink = Box::new(move |_| came.take().is_some_and(|came| came.send(()).is_ok()));
    let running = tokio::spawn(provider.call(request(&provider), identity(), sink, Meter::default()));
    first.await.unwrap();
    running.abort();
    assert_eq!(stand_in.requests().await.len(), 1);
}

#[tokio::test]
async fn without_its_key_nothing_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let provider = provider(&address, |options| {
        options.api_key = Some(Secret::new(" "));
        options.api_key_expected_in = Some("ACME_KEY".into());
    });
    let error = call(&provider, None, usize::MAX).await.1.unwrap_err().error;
    assert_eq!((error.kind, error.retryable), (ErrorKind::MissingKey, false));
    assert!(error.message.contains("ACME_KEY"), "{}", error.message);
    assert!(std::future::poll_fn(|context| std::task::Poll::Ready(listener.poll_accept(context))).await.is_pending());
}

#[tokio::test]
async fn a_server_of_ones_own_needs_no_key_and_keeps_its_query() {
    let script = vec![stream_head(), chunk(&format!("{}{FINISH}data: [DONE]\n\n", says("hi"))), chunk("")];
    let stand_in = StandIn::play(vec![script]).await;
    let provider = provider("unused", |options| {
        options.base_url = format!("http://{}/openai?api-version=2", stand_in.address);
        options.api_key = None;
    });
    let (parts, end) = call(&provider, Some(&stand_in), usize::MAX).await;
    assert_eq!((parts.len(), end.is_ok()), (1, true));
    let requests = stand_in.requests().await;
    assert!(
        requests[0].head.starts_with("post /openai/chat/completions?api-version=2 http/1.1"),
        "{}",
        requests[0].head
    );
    assert!(!requests[0].head.contains("authorization"));
    let body: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(body["stream"], Value::Bool(true));
}
