use actix_web::test::TestRequest;

use super::*;
use crate::error::Code;

fn with_key(key: &str) -> TestRequest {
    TestRequest::post().uri("/api/v1/chats").insert_header((IDEMPOTENCY_KEY, key.as_bytes()))
}

#[test]
fn a_key_is_visible_ascii_of_bounded_length() {
    let longest = "k".repeat(IDEMPOTENCY_KEY_MAX_BYTES);
    for key in ["a", "!~", &longest] {
        let found = key_of(&with_key(key).to_http_request(), "ada", b"{}").unwrap().unwrap();
        assert_eq!((found.owner.as_str(), found.key.as_str()), ("ada", key));
    }
    for key in ["", "a b", "ä", &"k".repeat(IDEMPOTENCY_KEY_MAX_BYTES + 1)] {
        let problem = key_of(&with_key(key).to_http_request(), "ada", b"{}").unwrap_err();
        assert_eq!(problem.code, Code::InvalidRequest, "{key:?} is no key");
    }
    assert_eq!(key_of(&TestRequest::post().to_http_request(), "ada", b"{}").unwrap(), None);
    let twice = with_key("a").append_header((IDEMPOTENCY_KEY, "b")).to_http_request();
    assert_eq!(key_of(&twice, "ada", b"{}").unwrap_err().code, Code::InvalidRequest);
}

#[test]
fn the_same_request_has_the_same_hash_and_any_change_another() {
    let base = request_hash("POST", "/chats/{chat}/messages", &["one"], b"{}");
    assert_eq!(base, request_hash("POST", "/chats/{chat}/messages", &["one"], b"{}"));
    let others = [
        request_hash("PATCH", "/chats/{chat}/messages", &["one"], b"{}"),
        request_hash("POST", "/chats/{chat}/approvals", &["one"], b"{}"),
        request_hash("POST", "/chats/{chat}/messages", &["two"], b"{}"),
        request_hash("POST", "/chats/{chat}/messages", &["one"], b"{ }"),
        request_hash("POST", "/chats/{chat}/messages", &["one", ""], b"{}"),
        // Bytes that move from one field to the next change the hash, too.
        request_hash("POST", "/chats/{chat}/messages", &["one{}"], b""),
    ];
    for other in others {
        assert_ne!(base, other);
    }
}

#[test]
fn the_hash_is_frozen() {
    // A receipt outlives the program that wrote it: another hash would refuse every retry over an upgrade.
    let hash = request_hash("POST", "/api/v1/chats/{chat}/messages", &["c"], b"{\"content\":\"hello\"}");
    assert_eq!(hash.to_string(), "3cd64f7f7ccb0912877132b149155f31814e96e6d1bcab71a38ae2ef8c34f0cb");
}
