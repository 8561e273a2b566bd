use std::collections::HashSet;

use actix_web::body::to_bytes;
use serde_json::{Value, json};
use verbatim_events::chat::Status;

use super::*;

/// The whole contract: whoever changes a line here changes what clients see.
const TABLE: &str = "\
400 invalid_request
400 empty_content
400 not_a_user_message
400 duplicate_call
400 unknown_call
400 missing_call
400 invalid_result
401 unauthorized
403 forbidden
404 not_found
404 chat_not_found
404 message_not_found
404 queued_message_not_found
404 version_not_found
404 attempt_not_found
404 projection_not_found
404 notification_not_found
404 webhook_not_found
404 key_not_found
404 file_not_found
404 template_not_found
404 workspace_not_found
404 provider_not_found
404 model_not_found
404 budget_not_found
405 method_not_allowed
409 not_allowed
409 archived
409 family_too_large
409 not_sealed
409 nothing_to_compact
409 nothing_to_clear
409 no_repository
409 already_running
409 already_exists
409 provider_in_use
409 model_is_default
409 set_in_file
409 too_many_settings
409 usage_limit
410 erased
410 file_expired
413 body_too_large
415 unsupported_media_type
422 idempotency_mismatch
429 queue_full
429 rate_limited
500 internal_error
500 chat_damaged
502 model_failed
503 busy
503 keys_unavailable
503 log_unavailable
503 reads_unavailable
503 reads_behind
503 chat_unavailable
503 workspaces_unavailable
503 stopping
504 model_timeout
504 diff_timeout
";

#[test]
fn the_table_of_codes_is_stable() {
    let lines: String = Code::ALL.iter().map(|code| format!("{} {}\n", code.status(), code.name())).collect();
    assert_eq!(lines, TABLE);
}

#[test]
fn no_two_codes_share_a_name_or_a_title() {
    let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
    let titles: HashSet<_> = Code::ALL.iter().map(|code| code.title()).collect();
    assert_eq!((names.len(), titles.len()), (Code::ALL.len(), Code::ALL.len()));
}

async fn answer(problem: Problem) -> (HttpResponse<()>, Value) {
    let (head, body) = problem.error_response().into_parts();
    let bytes = to_bytes(body).await.expect("an error's body is in memory");
    (head, serde_json::from_slice(&bytes).expect("an error's body is JSON"))
}

#[actix_web::test]
async fn a_problem_follows_rfc_9457() {
    let (head, body) = answer(Problem::field("/content/0/text", "must be a string")).await;
    assert_eq!(head.status().as_u16(), 400);
    assert_eq!(head.headers().get("content-type").unwrap(), "application/problem+json");
    assert_eq!(
        body,
        json!({
            "type": "/problems/invalid_request",
            "title": "The request is not valid",
            "status": 400,
            "detail": "/content/0/text: must be a string",
            "code": "invalid_request",
            "errors": [{"pointer": "/content/0/text", "detail": "must be a string"}],
        })
    );
}

#[actix_web::test]
async fn waiting_is_said_in_whole_seconds() {
    let (head, body) = answer(SendError::Busy { retry_after_ms: 1200 }.into()).await;
    assert_eq!(head.headers().get("retry-after").unwrap(), "2");
    assert_eq!(body["code"], "busy");
    let (head, _) = answer(Rejection::QueueFull { max: 20 }.into()).await;
    assert_eq!((head.status().as_u16(), head.headers().get("retry-after").unwrap().to_str().unwrap()), (429, "1"));
}

#[actix_web::test]
async fn a_missing_key_says_how_to_send_one() {
    let (head, _) = answer(Problem::new(Code::Unauthorized, "send a key")).await;
    assert_eq!(head.headers().get("www-authenticate").unwrap(), "Bearer");
}

#[test]
fn rejections_keep_their_words_and_get_their_codes() {
    let cases = [
        (Rejection::ChatNotFound, "chat_not_found"),
        (Rejection::Erased, "erased"),
        (Rejection::Archived, "archived"),
        (Rejection::FamilyArchived, "archived"),
        (Rejection::NotAllowed { command: "Interrupt", state: Status::Waiting.name() }, "not_allowed"),
        (Rejection::EmptyContent, "empty_content"),
        (Rejection::QueueFull { max: 1 }, "queue_full"),
        (Rejection::QueuedMessageNotFound { queued_id: 7 }, "queued_message_not_found"),
        (Rejection::MessageNotFound { message_id: 7 }, "message_not_found"),
        (Rejection::NotAUserMessage { message_id: 7 }, "not_a_user_message"),
        (Rejection::DuplicateCall { call_id: "a".into() }, "duplicate_call"),
        (Rejection::UnknownCall { call_id: "a".into() }, "unknown_call"),
        (Rejection::MissingCall { call_id: "a".into() }, "missing_call"),
        (Rejection::InvalidResult { call_id: "a".into(), problem: "missing".into() }, "invalid_result"),
        (Rejection::NothingToCompact, "nothing_to_compact"),
        (Rejection::NothingToClear, "nothing_to_clear"),
        (Rejection::Fenced, "internal_error"),
    ];
    for (rejection, code) in cases {
        let words = rejection.to_string();
        let problem = Problem::from(rejection);
        assert_eq!((problem.code.name(), problem.detail), (code, words));
    }
}

#[test]
fn what_the_database_said_stays_inside() {
    let problem = Problem::from(SendError::LogUnavailable { problem: "postgres://user:secret@host".into() });
    assert!(!format!("{problem} {problem:?}").contains("secret"), "{problem:?}");
}
