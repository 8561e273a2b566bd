use chrono::TimeZone;
use proptest::prelude::*;
use serde_json::json;
use verbatim_events::error::ErrorKind::{self, *};

use super::*;

const KEY: &str = "sk-test-0123456789abcdef";

fn at() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 21, 12, 0, 0).unwrap()
}

fn of(status: Option<u16>, body: &str) -> CallError {
    classify(&Failure { provider: "acme", status, body, ..Failure::default() }, at())
}

/// One row per rule and per trap: status, body, expected kind, whether it may be retried.
#[test]
fn the_table() {
    let rows: &[(Option<u16>, &str, ErrorKind, bool)] = &[
        // 2: interrupted, before everything else.
        (None, "chat interrupted", Generic, false),
        (Some(503), "Request interrupted by the user", Generic, false),
        (None, "operation interrupted: overloaded", Generic, false),
        // 3: continuity.
        (Some(400), "No tool output found for function call call_abc123.", Generic, false),
        (
            Some(400),
            "Item 'fc_1' of type 'function_call' was provided without its required 'reasoning' item: 'rs_2'.",
            Generic,
            false,
        ),
        // 5: the chain.
        (Some(400), "Previous response with id 'resp_123' not found.", ChainBroken, true),
        (Some(404), "previous response with id 'resp_1'\nnot found", Generic, false),
        // 6: overloaded.
        // What the Messages protocol says inside a stream, or of a model that it does not know.
        (None, r#"{"type":"error","error":{"type":"api_error","message":"Internal trouble"}}"#, Generic, true),
        (Some(400), r#"{"type":"error","error":{"type":"api_error","message":"Bad block"}}"#, Generic, false),
        (None, r#"{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}"#, RateLimit, true),
        (None, r#"{"type":"error","error":{"type":"timeout_error","message":"Too slow"}}"#, Timeout, true),
        (
            Some(404),
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-x"}}"#,
            Config,
            false,
        ),
        (Some(400), "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", Config, false),
        (Some(529), "", Overloaded, true),
        (None, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, Overloaded, true),
        (Some(503), "The model is overloaded.", Overloaded, true),
        // 7: quotas; at 429 only the one word that cannot mean a rate.
        (
            Some(429),
            r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
            UsageLimit,
            false,
        ),
        (Some(403), "monthly quota exceeded", UsageLimit, false),
        (Some(400), "Your billing is not set up", UsageLimit, false),
        (Some(402), "", UsageLimit, false),
        (None, "402? payment required", UsageLimit, false),
        (Some(429), "Quota exceeded for requests per minute", RateLimit, true),
        (Some(401), "insufficient_quota", UsageLimit, false),
        // 8: the key.
        (Some(401), "", Auth, false),
        (Some(400), "Invalid API key", Auth, false),
        (None, "authentication failed", Auth, false),
        (Some(401), "model not found", Auth, false),
        // 9: forbidden, unless the configuration is to blame.
        (Some(403), "", Auth, false),
        (None, "Forbidden", Auth, false),
        (Some(403), "The model `x` does not exist or you do not have access to it.", Config, false),
        // 10: rates, unless the configuration is to blame.
        (Some(429), "", RateLimit, true),
        (Some(400), "Rate limit reached", RateLimit, true),
        (None, "rate_limit_exceeded", RateLimit, true),
        (None, "you are rate-limited", RateLimit, true),
        (None, "Too Many Requests", RateLimit, true),
        (Some(429), "maximum context length is 8192 tokens", Config, false),
        // 11: switched off, before 12 sees the 503.
        (Some(503), r#"{"code":"provider_disabled","message":"off"}"#, ProviderDisabled, false),
        // 12: transport.
        (Some(408), "", Timeout, true),
        (Some(502), "", Timeout, true),
        (Some(503), "", Timeout, true),
        (Some(504), "", Timeout, true),
        (None, "i/o timeout", Timeout, true),
        (None, "the request timed out", Timeout, true),
        (None, "read: connection reset by peer", Timeout, true),
        (None, "dial tcp 10.0.0.1:8080: connection refused", Timeout, true),
        (None, "unexpected EOF", Timeout, true),
        (None, "write: broken pipe", Timeout, true),
        (Some(500), "Bad Gateway", Timeout, true),
        (None, "http2: server sent GOAWAY", Timeout, true),
        (None, "stream error: stream ID 503; CANCEL; received from peer", Timeout, true),
        (Some(503), "context length exceeded", Config, false),
        (None, "typeof undefined", Generic, false),
        // 13: the configuration.
        (
            Some(404),
            r#"{"error":{"message":"The model `gpt-x` does not exist","code":"model_not_found"}}"#,
            Config,
            false,
        ),
        (Some(404), r#"{"error":"model \"llama9\" not found, try pulling it first"}"#, Config, false),
        (Some(400), "Invalid model: x", Config, false),
        (Some(400), "unsupported model", Config, false),
        (Some(400), "prompt is too long: 250000 tokens > 200000 maximum", Config, false),
        (Some(400), "the request exceeds the available context size", Config, false),
        (Some(400), "malformed configuration", Config, false),
        // 14: the provider's own fault.
        (Some(500), "", Generic, true),
        (None, r#"{"error":{"message":"Oh no","type":"server_error"}}"#, Generic, true),
        (None, "Internal Server Error", Generic, true),
        // 15: anything else.
        (Some(400), "temperature must be at most 2", Generic, false),
        (Some(404), "page not found", Generic, false),
        (Some(301), "", Generic, false),
        (None, "", Generic, false),
        // A status in the text counts like one of the response, a port or a stream's id does not.
        (None, "upstream status 503", Timeout, true),
        (None, "upstream said: HTTP/1.1 429 slow down", RateLimit, true),
        (None, r#"{"error":{"code":429,"message":"Slow down"}}"#, RateLimit, true),
        (None, "dial 10.0.0.1:503", Generic, false),
        (None, "stream id 429 closed oddly", Generic, false),
        // The response's own status wins over the text's.
        (Some(400), "upstream status 503 …", Generic, false),
        // What the request said and a validator repeats is not what went wrong.
        (Some(422), r#"{"detail":[{"msg":"Field required","input":"my quota is overloaded"}]}"#, Generic, false),
    ];
    for (status, body, kind, retryable) in rows {
        let error = of(*status, body).error;
        assert_eq!((error.kind, error.retryable), (*kind, *retryable), "{status:?} {body}");
    }
}

#[test]
fn the_first_rule_keeps_what_is_classified_already() {
    let known = ChatError::retryable(HookFailed, "as it was");
    let headers = RetryHeaders { retry_after: Some("3".into()), ..RetryHeaders::default() };
    let failure = Failure {
        classified: Some(known.clone()),
        status: Some(401),
        body: "overloaded",
        headers,
        ..Failure::default()
    };
    assert_eq!(classify(&failure, at()), CallError { retry_after_ms: Some(3000), ..known.into() });
}

#[test]
fn what_the_transport_knows() {
    let rows = [
        (Fault::EndedEarly, "", Timeout, true),
        (Fault::EndedEarly, "overloaded", Timeout, true),
        (Fault::EndedEarly, "operation interrupted", Generic, false),
        (Fault::Connect, "connection refused", Timeout, true),
        (Fault::Connect, "name not found", Timeout, true),
        (Fault::Reset, "connection closed", Timeout, true),
        (Fault::Deadline, "timed out", Timeout, false),
        (Fault::Certificate, "the certificate is not trusted", Generic, false),
    ];
    for (fault, body, kind, retryable) in rows {
        let failure = Failure { provider: "acme", fault: Some(fault), body, ..Failure::default() };
        let error = classify(&failure, at()).error;
        assert_eq!((error.kind, error.retryable, error.status_code), (kind, retryable, None), "{fault:?} {body}");
    }
}

#[test]
fn the_status_is_found_in_the_text() {
    let rows = [
        ("status 503", Some(503)),
        ("status code 429 and http 500", Some(429)),
        ("status: 418", Some(418)),
        (r#""status_code":502"#, Some(502)),
        ("status=404", Some(404)),
        ("http/1.1 200 ok, then 529", Some(529)),
        ("http/2 503", Some(503)),
        ("http 5031", None),
        ("error 500", Some(500)),
        ("(503)", Some(503)),
        ("418 i am a teapot", None),
        ("host:503", None),
        ("host: 503", Some(503)),
        ("stream id 503", None),
        ("stream id=401; then 408", Some(408)),
        ("1.503 s", None),
        ("503.5 ms", None),
        ("took 1,500 steps", None),
        ("503.", Some(503)),
        ("x503 503x 5030 0503", None),
        ("", None),
    ];
    for (text, expected) in rows {
        assert_eq!(text::status_in(text), expected, "{text:?}");
    }
}

#[test]
fn the_wait_is_read_in_each_form() {
    let rows: [(Option<&str>, Option<&str>, Option<u64>); 14] = [
        (Some("1500"), Some("9"), Some(1500)),
        (Some("0.4"), None, Some(1)),
        (Some("nonsense"), Some("2"), Some(2000)),
        (Some("-1"), Some("2"), Some(2000)),
        (None, Some("7"), Some(7000)),
        (None, Some(" 1.25 "), Some(1250)),
        (None, Some("0"), None),
        (None, Some("NaN"), None),
        (None, Some("inf"), None),
        (None, Some("Sat, 21 Nov 2026 12:00:30 GMT"), Some(30_000)),
        (None, Some("Sat, 21 Nov 2026 11:59:30 GMT"), None),
        (None, Some("soon"), None),
        (None, Some("1e300"), Some(u64::MAX)),
        (None, None, None),
    ];
    for (in_ms, plain, expected) in rows {
        let headers = RetryHeaders { retry_after_ms: in_ms.map(str::to_owned), retry_after: plain.map(str::to_owned) };
        assert_eq!(retry_after_ms(&headers, at()), expected, "{headers:?}");
    }
}

#[test]
fn only_what_may_be_retried_has_a_wait() {
    let headers = RetryHeaders { retry_after: Some("7".into()), ..RetryHeaders::default() };
    let wait = |status| {
        let failure = Failure { status: Some(status), headers: headers.clone(), ..Failure::default() };
        classify(&failure, at()).retry_after_ms
    };
    assert_eq!([wait(429), wait(503), wait(401), wait(400)], [Some(7000), Some(7000), None, None]);
}

#[test]
fn the_detail_is_the_providers_message() {
    let rows = [
        (r#"{"error":{"message":"Too\nhot","type":"x"},"message":"outer"}"#, Some("Too hot")),
        (r#"{"message":"outer"}"#, Some("outer")),
        (r#"{"error":"plain"}"#, Some("plain")),
        (r#"[{"error":{"message":"in a list"}}]"#, Some("in a list")),
        (r#"{"detail":"fast"}"#, Some("fast")),
        (r#"POST "https://api/v1": 400 Bad {"error":{"message":"wrapped"}}"#, Some("wrapped")),
        ("  plain   text\r\non lines\u{0}", Some("plain text on lines")),
        ("see https://api.example.com/v1 for more", None),
        (r#"{"error":{"message":"see https://docs.example.com/x."}}"#, Some("see [link].")),
        (r#"{"error":{"message":"go (ftp://a/b) or 'http://c?d'"}}"#, Some("go ([link]) or '[link]'")),
        (
            r#"{"error":{"message":"bad key sk-abcdefghijklmnop, Bearer tokentoken"}}"#,
            Some("bad key [key], Bearer [key]"),
        ),
        (r#"{"error":{}}"#, Some(r#"{"error":{}}"#)),
        ("", None),
        ("   ", None),
    ];
    for (body, expected) in rows {
        assert_eq!(of(Some(400), body).error.detail.as_deref(), expected, "{body}");
    }
}

#[test]
fn the_detail_is_short() {
    let exact = "é".repeat(DETAIL_MAX_CHARACTERS);
    assert_eq!(of(Some(400), &exact).error.detail.as_deref(), Some(exact.as_str()));
    let detail = of(Some(400), &format!("{exact}x")).error.detail.unwrap_or_default();
    assert_eq!(detail.chars().count(), DETAIL_MAX_CHARACTERS);
    assert!(detail.ends_with("é…"));
}

#[test]
fn ids_of_a_broken_conversation_are_scrubbed() {
    let error = of(Some(400), "No tool output found for function call call_a1b2c3d4e5.").error;
    assert_eq!(error.detail.as_deref(), Some("No tool output found for function call [id]."));
}

#[test]
fn a_sentence_for_a_person() {
    let error = of(Some(429), "slow down").error;
    assert_eq!(error.message, "The provider acme limits how much may be asked at once. Try again in a moment.");
    assert_eq!((error.provider.as_deref(), error.status_code), (Some("acme"), Some(429)));
    assert!(of(Some(404), "page not found").error.message.ends_with("Check its base_url."));
    let failure = Failure { provider: "acme", fault: Some(Fault::EndedEarly), ..Failure::default() };
    assert_eq!(classify(&failure, at()).error.message, "The answer of the provider acme broke off before its end.");
}

/// A key, a header or an address in what a provider says does not get out, whatever the status.
#[test]
fn nothing_secret_gets_out() {
    let secret = Secret::new(KEY);
    let bodies = [
        json!({ "error": { "message": format!("Incorrect API key provided: {KEY}. See https://x.example/keys.") } })
            .to_string(),
        json!({ "message": format!("header Authorization: Bearer {KEY} at https://x.example/v1/chat") }).to_string(),
        format!("refused {KEY}"),
        format!("POST https://x.example/v1?key={KEY}"),
        format!("{{\"error\":{{\"message\":\"upstream https://user:{KEY}@x.example failed\"}}}}"),
    ];
    for body in &bodies {
        for status in [None, Some(400), Some(401), Some(403), Some(404), Some(429), Some(500), Some(503)] {
            let failure = Failure { provider: "acme", secret: Some(&secret), status, body, ..Failure::default() };
            let error = classify(&failure, at()).error;
            let shown = serde_json::to_string(&error).unwrap();
            assert!(!shown.contains(KEY) && !shown.contains("x.example") && !shown.contains("://"), "{shown}");
            assert!(error.kind != Auth || error.detail.is_none(), "{shown}");
        }
    }
    assert!(!format!("{secret:?}").contains("0123"));
}

proptest! {
    #[test]
    fn any_text_is_judged(status in prop::option::of(100u16..600), body in "(?s).{0,200}") {
        let error = of(status, &body).error;
        prop_assert!(error.detail.unwrap_or_default().chars().count() <= DETAIL_MAX_CHARACTERS);
        prop_assert!(error.message.contains("acme"));
    }

    #[test]
    fn links_in_messages_never_show(before in "[ a-zé(\"]{0,9}", after in "[ a-zé)\"./:]{0,20}") {
        let body = json!({ "error": { "message": format!("{before}https://h{after}://{before}") } }).to_string();
        let detail = of(Some(400), &body).error.detail.unwrap_or_default();
        prop_assert!(!detail.contains("://"), "{detail}");
    }
}
