use chrono::TimeDelta;
use serde_json::json;
use verbatim_events::chat::PendingAction;
use verbatim_events::error::ErrorKind;
use verbatim_events::event::Event;

use super::*;
use crate::wire::samples::{chat_id, created, json_of, moment, outline_after, said, turn_started};

#[test]
fn a_resting_chat() {
    let outline = outline_after([created()]);
    assert_eq!(
        json_of(&ChatView::of(&outline, Some("demo"))),
        json!({
            "id": chat_id(),
            "owner": "ada",
            "root": chat_id(),
            "title": "Engines",
            "model": "demo",
            "status": "waiting",
            "archived": false,
            "pinned": false,
            "labels": {"team": "engines"},
            "version": 1,
            "history_version": 1,
            "queue_length": 0,
            "usage": {
                "input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0,
                "reasoning_tokens": 0,
            },
            "cost_micros": 0,
            "created_at": "2026-09-21T14:13:20.123456Z",
            "updated_at": "2026-09-21T14:13:20.123456Z",
        })
    );
}

#[test]
fn a_chat_that_waits_for_a_retry_says_when() {
    let mut outline = outline_after([created(), turn_started(), Event::MessageCommitted(said("hello"))]);
    outline.retry = Some(PendingRetry {
        attempt_id: 4,
        attempt: 2,
        delay_ms: 2000,
        retry_at: moment() + TimeDelta::seconds(2),
        error: ChatError::retryable(ErrorKind::Overloaded, "busy"),
    });
    let shown = json_of(&ChatView::of(&outline, None));
    assert_eq!(
        shown["retry"],
        json!({
            "attempt": 2,
            "delay_ms": 2000,
            "retry_at": "2026-09-21T14:13:22.123456Z",
            "error": {"kind": "overloaded", "message": "busy", "retryable": true},
        })
    );
    assert_eq!((&shown["status"], &shown["turn_id"], &shown["model"]), (&json!("running"), &json!(2), &json!(null)));
}

#[test]
fn a_chat_that_waits_for_somebody_says_for_what() {
    let mut outline = outline_after([created()]);
    outline.action = Some(PendingAction {
        calls: vec![PendingCall {
            call_id: "c1".into(),
            name: "look".into(),
            args: json!({"at": 1}),
            needs: CallNeed::Approval,
        }],
        deadline: moment(),
    });
    assert_eq!(
        json_of(&ChatView::of(&outline, None))["action"],
        json!({
            "calls": [{"call_id": "c1", "name": "look", "args": {"at": 1}, "needs": "approval"}],
            "deadline": "2026-09-21T14:13:20.123456Z",
        })
    );
}
