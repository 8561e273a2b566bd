use serde_json::json;

use super::*;

fn event(follow: &mut Follow, name: &str, version: u64, data: Value) -> Vec<Show> {
    follow.feed(name, &json!({ "version": version, "type": name, "status": "running", "data": data }))
}

fn text(follow: &mut Follow, text: &str) -> Vec<Show> {
    let part = json!({ "type": "text_delta", "text": text });
    follow.feed("part", &json!({ "attempt": 3, "n": 1, "role": "assistant", "part": part }))
}

fn answer(id: u64, text: &str) -> Value {
    json!({ "id": id, "role": "assistant", "turn_id": 2, "content": [{ "type": "text", "text": text }] })
}

fn begun() -> Follow {
    let mut follow = Follow::new(Ours::Turn(2));
    assert_eq!(event(&mut follow, "turn_started", 2, json!({ "reason": "message" })), []);
    assert_eq!(event(&mut follow, "attempt_recorded", 4, json!({ "attempt": 1 })), []);
    follow
}

#[test]
fn an_answer_is_streamed_and_then_final() {
    let mut follow = begun();
    assert_eq!(text(&mut follow, "Hel"), [Show::Text("Hel".to_owned())]);
    assert_eq!(text(&mut follow, "lo"), [Show::Text("lo".to_owned())]);
    let shown = event(&mut follow, "message_committed", 5, answer(5, "Hello"));
    assert_eq!(shown, [Show::Answer { text: "Hello".to_owned(), streamed: 5 }]);
    let shown = event(&mut follow, "turn_finished", 6, json!({ "turn_id": 2, "outcome": "complete" }));
    assert_eq!(shown, [Show::End(End::Complete)]);
}

#[test]
fn a_retry_makes_what_was_shown_void() {
    let mut follow = begun();
    text(&mut follow, "Hel");
    let error = json!({ "kind": "overloaded", "message": "busy", "detail": "try later" });
    let data = json!({ "attempt_id": 4, "attempt": 1, "delay_ms": 900, "retry_at": "x", "error": error });
    let retry = Show::Retry { attempt: 1, delay_ms: 900, error: "busy (try later)".to_owned() };
    assert_eq!(event(&mut follow, "retry_scheduled", 5, data), [Show::Void, retry]);
    assert_eq!(event(&mut follow, "attempt_recorded", 6, json!({ "attempt": 2 })), []);
    let shown = event(&mut follow, "message_committed", 7, answer(7, "Hello"));
    assert_eq!(shown, [Show::Answer { text: "Hello".to_owned(), streamed: 0 }]);
}

#[test]
fn a_failed_turn_says_why() {
    let mut follow = begun();
    let error = json!({ "kind": "auth", "message": "the key is wrong" });
    let data = json!({ "turn_id": 2, "outcome": "failed", "error": error });
    let failed = End::Failed { message: "the key is wrong".to_owned() };
    assert_eq!(event(&mut follow, "turn_finished", 6, data), [Show::End(failed)]);
}

#[test]
fn a_queued_message_waits_for_its_own_turn() {
    let mut follow = Follow::new(Ours::Queued(9));
    event(&mut follow, "turn_started", 2, json!({}));
    assert_eq!(text(&mut follow, "another answer"), [Show::Waits]);
    assert_eq!(text(&mut follow, "more of it"), []);
    assert_eq!(event(&mut follow, "message_committed", 10, answer(10, "another answer")), []);
    assert_eq!(event(&mut follow, "turn_finished", 11, json!({ "turn_id": 2, "outcome": "complete" })), []);
    event(&mut follow, "turn_started", 13, json!({}));
    let mine = json!({ "id": 14, "role": "user", "turn_id": 13, "queued_id": 9, "content": [] });
    assert_eq!(event(&mut follow, "message_committed", 14, mine), []);
    assert_eq!(text(&mut follow, "mine"), [Show::Text("mine".to_owned())]);
    let shown = event(&mut follow, "turn_finished", 16, json!({ "turn_id": 13, "outcome": "interrupted" }));
    assert_eq!(shown, [Show::Void, Show::End(End::Interrupted)]);
}

#[test]
fn a_deleted_message_is_not_waited_for() {
    let mut follow = Follow::new(Ours::Queued(9));
    assert_eq!(event(&mut follow, "queued_message_deleted", 10, json!({ "queued_id": 8 })), []);
    assert_eq!(
        event(&mut follow, "queued_message_deleted", 11, json!({ "queued_id": 9 })),
        [Show::End(End::Withdrawn)]
    );
}

#[test]
fn tools_are_shown_once() {
    let mut follow = begun();
    let part = json!({ "type": "tool_args_delta", "call_id": "c", "name": "weather", "args": "{" });
    assert_eq!(follow.feed("part", &json!({ "part": part })), [Show::ToolCall { name: "weather".to_owned() }]);
    let call = json!({ "type": "tool_call", "call_id": "c", "name": "weather", "args": {} });
    let message = json!({ "id": 5, "role": "assistant", "turn_id": 2, "content": [call] });
    assert_eq!(event(&mut follow, "message_committed", 5, message), []);
    let calls = json!({ "calls": [{ "call_id": "c", "name": "weather", "args": {}, "needs": "result" }] });
    let required = End::ActionRequired { tools: vec!["weather".to_owned()] };
    assert_eq!(event(&mut follow, "action_required", 6, calls), [Show::End(required)]);
}

#[test]
fn a_snapshot_catches_up() {
    let mut follow = begun();
    text(&mut follow, "Hel");
    let snapshot = json!({
        "chat": { "status": "waiting" },
        "messages": [
            { "id": 3, "role": "user", "turn_id": 2, "content": [] },
            answer(5, "Hello"),
            { "id": 9, "role": "user", "turn_id": 8, "content": [] },
        ],
        "queue": [], "parts": [],
    });
    let answer = Show::Answer { text: "Hello".to_owned(), streamed: 0 };
    assert_eq!(follow.feed("snapshot", &snapshot), [Show::Void, answer, Show::End(End::Complete)]);
}
