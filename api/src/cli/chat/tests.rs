use serde_json::json;

use super::*;
use crate::cli::chat::show::OpenCall;

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
    let asked = Show::Asked { action: "generate".to_owned() };
    assert_eq!(event(&mut follow, "attempt_recorded", 4, json!({ "attempt": 1, "action": "generate" })), [asked]);
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
fn a_summary_in_the_making_is_no_answer() {
    let mut follow = Follow::new(Ours::Turn(2));
    event(&mut follow, "turn_started", 2, json!({ "reason": "message" }));
    let asked = Show::Asked { action: "compact".to_owned() };
    assert_eq!(event(&mut follow, "attempt_recorded", 4, json!({ "attempt": 1, "action": "compact" })), [asked]);
    assert_eq!(text(&mut follow, "Summary of"), []);
    let call = json!({ "type": "tool_call", "call_id": "c", "name": "chat_summarized", "args": {} });
    let mark = json!({ "id": 7, "role": "assistant", "origin": "summary", "turn_id": 2, "content": [call] });
    assert_eq!(event(&mut follow, "message_committed", 7, mark), []);
    event(&mut follow, "attempt_recorded", 8, json!({ "attempt": 1, "action": "generate" }));
    assert_eq!(text(&mut follow, "Hel"), [Show::Text("Hel".to_owned())]);
}

#[test]
fn a_retry_makes_what_was_shown_void() {
    let mut follow = begun();
    text(&mut follow, "Hel");
    let error = json!({ "kind": "overloaded", "message": "busy", "detail": "try later" });
    let data =
        json!({ "attempt_id": 4, "attempt": 1, "delay_ms": 900, "retry_at": "2030-01-01T00:00:00Z", "error": error });
    let retry = Show::Retry {
        attempt: 1,
        delay_ms: 900,
        retry_at: "2030-01-01T00:00:00Z".to_owned(),
        error: "busy (try later)".to_owned(),
    };
    assert_eq!(event(&mut follow, "retry_scheduled", 5, data), [Show::Void, retry]);
    let asked = Show::Asked { action: "generate".to_owned() };
    assert_eq!(event(&mut follow, "attempt_recorded", 6, json!({ "attempt": 2, "action": "generate" })), [asked]);
    let shown = event(&mut follow, "message_committed", 7, answer(7, "Hello"));
    assert_eq!(shown, [Show::Answer { text: "Hello".to_owned(), streamed: 0 }]);
}

#[test]
fn a_turn_that_waits_for_its_place_says_so() {
    let mut follow = begun();
    assert_eq!(event(&mut follow, "capacity_awaited", 3, json!({ "scope": "root" })), [Show::WaitsForCapacity]);
    let mut other = Follow::new(Ours::Queued(9));
    assert_eq!(event(&mut other, "capacity_awaited", 3, json!({ "scope": "root" })), []);
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
    assert_eq!(follow.feed("part", &json!({ "part": part })), [Show::Calling { name: "weather".to_owned() }]);
    assert_eq!(follow.feed("part", &json!({ "part": part })), []);
    let args = json!({ "city": "Vienna" });
    let call = json!({ "type": "tool_call", "call_id": "c", "name": "weather", "args": args });
    let shown = Show::ToolCall { name: "weather".to_owned(), args: args.clone() };
    assert_eq!(follow.feed("part", &json!({ "part": call })), [shown]);
    let message = json!({ "id": 5, "role": "assistant", "turn_id": 2, "content": [call] });
    assert_eq!(event(&mut follow, "message_committed", 5, message), []);
    let calls = json!({
        "calls": [{ "call_id": "c", "name": "weather", "args": args, "needs": "result" }],
        "deadline": "2030-01-01T00:00:00Z",
    });
    let open = OpenCall { call_id: "c".to_owned(), name: "weather".to_owned(), args, needs_approval: false };
    let action = Action { calls: vec![open], deadline: "2030-01-01T00:00:00Z".to_owned() };
    assert_eq!(event(&mut follow, "action_required", 6, calls), [Show::Action(action)]);
    assert_eq!(event(&mut follow, "action_resolved", 7, json!({ "resolution": "submitted" })), [Show::Resolved]);
}

#[test]
fn an_answer_of_a_tool_is_shown_when_it_is_there_and_not_again() {
    let mut follow = begun();
    let output = json!({ "type": "tool_output_delta", "call_id": "c", "output": "half" });
    let shown = Show::ToolOutput { call_id: "c".to_owned(), output: "half".to_owned() };
    assert_eq!(follow.feed("part", &json!({ "part": output })), [shown]);
    let finished = json!({ "attempt_id": 4, "call_id": "c", "name": "execute", "result": "done", "is_error": false });
    let shown = Show::ToolResult {
        call_id: "c".to_owned(),
        name: "execute".to_owned(),
        result: json!("done"),
        is_error: false,
    };
    assert_eq!(event(&mut follow, "tool_call_finished", 6, finished), [shown]);
    let result =
        json!({ "type": "tool_result", "call_id": "c", "name": "execute", "result": "done", "is_error": false });
    let message = json!({ "id": 7, "role": "tool", "turn_id": 2, "content": [result] });
    assert_eq!(event(&mut follow, "message_committed", 7, message), []);
}

#[test]
fn a_call_of_a_failed_attempt_is_shown_again_by_the_next() {
    let mut follow = begun();
    let call = json!({ "type": "tool_call", "call_id": "c", "name": "look", "args": {} });
    assert_eq!(follow.feed("part", &json!({ "part": call })).len(), 1);
    event(&mut follow, "attempt_recorded", 6, json!({ "attempt": 2, "action": "generate" }));
    assert_eq!(follow.feed("part", &json!({ "part": call })).len(), 1);
}

#[test]
fn everything_means_all_turns_and_the_queue() {
    let mut follow = Follow::new(Ours::Everything);
    assert_eq!(event(&mut follow, "chat_created", 1, json!({ "title": "T" })), [Show::Title("T".to_owned())]);
    event(&mut follow, "turn_started", 2, json!({ "reason": "message" }));
    let said = |id: u64, text: &str| json!({ "id": id, "role": "user", "content": [{ "type": "text", "text": text }] });
    let shown = Show::Said { id: 3, text: "Hi".to_owned() };
    assert_eq!(event(&mut follow, "message_committed", 3, said(3, "Hi")), [shown]);
    let queued = |id: u64| json!({ "queued_id": id, "content": [{ "type": "text", "text": "next" }], "steer": false });
    let waiting = |id: u64| Waiting { id, text: "next".to_owned(), steer: false };
    assert_eq!(event(&mut follow, "message_queued", 5, queued(5)), [Show::Queue(vec![waiting(5)])]);
    assert_eq!(event(&mut follow, "message_queued", 6, queued(6)), [Show::Queue(vec![waiting(5), waiting(6)])]);
    let promoted = json!({ "queued_id": 6, "to": "head" });
    assert_eq!(event(&mut follow, "queued_message_promoted", 7, promoted), [Show::Queue(vec![waiting(6), waiting(5)])]);
    let deleted = json!({ "queued_id": 5 });
    assert_eq!(event(&mut follow, "queued_message_deleted", 8, deleted), [Show::Queue(vec![waiting(6)])]);
    let ended = json!({ "turn_id": 2, "outcome": "complete" });
    assert_eq!(event(&mut follow, "turn_finished", 9, ended), [Show::End(End::Complete)]);
    let mut next = said(11, "next");
    next["queued_id"] = json!(6);
    let shown = Show::Said { id: 11, text: "next".to_owned() };
    assert_eq!(event(&mut follow, "message_committed", 11, next), [Show::Queue(Vec::new()), shown]);
    let named = json!({ "title": "Rivers" });
    assert_eq!(event(&mut follow, "settings_changed", 12, named), [Show::Title("Rivers".to_owned())]);
}

#[test]
fn a_chat_that_is_opened_shows_its_last_exchange_and_what_it_waits_for() {
    let mut follow = Follow::new(Ours::Everything);
    let mut first = answer(3, "Old");
    first["turn_id"] = json!(1);
    let snapshot = json!({
        "chat": {
            "title": "T", "status": "requires_action", "turn_id": 5,
            "action": { "deadline": "d", "calls": [{ "call_id": "c", "name": "rm", "args": {}, "needs": "approval" }] },
        },
        "messages": [
            { "id": 2, "role": "user", "turn_id": 1, "content": [{ "type": "text", "text": "first" }] },
            first,
            { "id": 6, "role": "user", "turn_id": 5, "content": [{ "type": "text", "text": "second" }] },
        ],
        "queue": [{ "queued_id": 9, "content": [{ "type": "text", "text": "next" }] }],
        "parts": [],
    });
    let shown = follow.feed("snapshot", &snapshot);
    let call = OpenCall { call_id: "c".to_owned(), name: "rm".to_owned(), args: json!({}), needs_approval: true };
    assert_eq!(
        shown,
        [
            Show::Title("T".to_owned()),
            Show::Remark("… 2 messages before".to_owned()),
            Show::Said { id: 6, text: "second".to_owned() },
            Show::Queue(vec![Waiting { id: 9, text: "next".to_owned(), steer: false }]),
            Show::Action(Action { calls: vec![call], deadline: "d".to_owned() }),
        ]
    );
    let decided = json!({ "decisions": [{ "call_id": "c", "decision": "deny", "reason": "no" }], "by": "ada" });
    let decision = Decision { call_id: "c".to_owned(), approved: false, reason: Some("no".to_owned()) };
    assert_eq!(event(&mut follow, "approvals_decided", 10, decided), [Show::Decided(vec![decision])]);
}

#[test]
fn a_chat_that_is_opened_in_mid_answer_shows_what_was_said_so_far() {
    let mut follow = Follow::new(Ours::Everything);
    let snapshot = json!({
        "chat": { "title": "T", "status": "running", "turn_id": 2 },
        "messages": [{ "id": 3, "role": "user", "turn_id": 2, "content": [{ "type": "text", "text": "Hi" }] }],
        "queue": [],
        "attempt": { "attempt_id": 4, "attempt": 1, "action": "generate" },
        "parts": [{ "attempt": 4, "n": 1, "role": "assistant", "part": { "type": "text_delta", "text": "Hel" } }],
    });
    let shown = follow.feed("snapshot", &snapshot);
    assert_eq!(shown.last(), Some(&Show::Text("Hel".to_owned())));
    let shown = event(&mut follow, "message_committed", 5, answer(5, "Hello"));
    assert_eq!(shown, [Show::Answer { text: "Hello".to_owned(), streamed: 3 }]);
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
