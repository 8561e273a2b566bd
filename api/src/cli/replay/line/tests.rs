use serde_json::json;
use verbatim_events::event::{
    ActionRequired, ApprovalsDecided, CallNeed, EffectClass, MessageCommitted, PendingCall, PromotedTo,
    ToolCallStarted, TurnReason,
};
use verbatim_events::message::Origin;

use super::*;

#[test]
fn parts_are_said_in_short() {
    let call = Part::ToolCall {
        call_id: "c".to_owned(),
        name: "weather".to_owned(),
        args: serde_json::json!({"city": "Bern"}),
        provider_executed: false,
        metadata: None,
    };
    assert_eq!(said(&[Part::text("Let me\nsee."), call]), r#""Let me see.", calls weather {"city":"Bern"}"#);
}

#[test]
fn variants_have_the_log_s_names() {
    assert_eq!(name(&TurnReason::Promotion), "promotion");
    assert_eq!(name(&PromotedTo::Head), "head");
}

/// The lines of these events, one after the other.
fn lines(events: &[Event]) -> Vec<String> {
    let mut ledger = Ledger::default();
    let mut lines = Vec::new();
    for event in events {
        lines.push(summary(event, &ledger));
        ledger.pass(event);
    }
    lines
}

fn started(call_id: &str, effect_class: EffectClass) -> Event {
    let (call_id, name) = (call_id.to_owned(), "count".to_owned());
    Event::ToolCallStarted(ToolCallStarted { attempt_id: 5, call_id, name, effect_class })
}

fn finished(call_id: &str, is_error: bool, attachments: Vec<Part>) -> Event {
    Event::ToolCallFinished(ToolCallFinished {
        attempt_id: 5,
        call_id: call_id.to_owned(),
        name: "count".to_owned(),
        result: json!({"lines": 1}),
        is_error,
        attachments,
        duration_ms: 12,
    })
}

fn results(results: &[(&str, Value, bool)]) -> Event {
    let parts = results.iter().map(|(call_id, result, is_error)| Part::ToolResult {
        call_id: (*call_id).to_owned(),
        name: "count".to_owned(),
        result: result.clone(),
        is_error: *is_error,
        provider_executed: false,
        metadata: None,
    });
    let results = MessageCommitted::new(Role::Tool, parts.collect(), Origin::Tool);
    Event::MessageCommitted(MessageCommitted { attempt_id: Some(5), ..results })
}

#[test]
fn calls_are_told_with_their_true_outcome() {
    let file = Part::File {
        file_id: "f".to_owned(),
        media_type: "text/csv".to_owned(),
        name: "a.csv".to_owned(),
        content: None,
    };
    let told = lines(&[
        started("a", EffectClass::AtMostOnce),
        started("b", EffectClass::Resumable),
        started("c", EffectClass::Idempotent),
        finished("b", false, vec![file]),
        finished("c", true, Vec::new()),
        results(&[("a", json!("outcome unknown"), true), ("b", json!(2), false), ("c", json!("no"), true)]),
    ]);
    assert_eq!(
        told,
        [
            "count (a), at_most_once",
            "count (b), resumable",
            "count (c), idempotent",
            r#"count (b) done in 12 ms: {"lines":1}, with file "a.csv""#,
            r#"count (c) failed in 12 ms: {"lines":1}"#,
            r#"tool: count (outcome unknown) "outcome unknown", count answered 2, count failed "no""#,
        ]
    );
}

#[test]
fn an_unknown_outcome_ends_with_its_batch() {
    let unknown = results(&[("a", json!("outcome unknown"), true)]);
    let told = lines(&[started("a", EffectClass::AtMostOnce), unknown.clone(), unknown]);
    assert_eq!(told[1], r#"tool: count (outcome unknown) "outcome unknown""#);
    assert_eq!(told[2], r#"tool: count failed "outcome unknown""#, "the same id in a later message");
}

#[test]
fn waits_and_decisions_name_their_calls() {
    let call = |call_id: &str, needs| PendingCall {
        call_id: call_id.to_owned(),
        name: "pay".to_owned(),
        args: json!({}),
        needs,
    };
    let calls = vec![call("a", CallNeed::Approval), call("b", CallNeed::Result)];
    let decided = |call_id: &str, approved, reason: Option<&str>| ApprovalDecision {
        call_id: call_id.to_owned(),
        approved,
        reason: reason.map(str::to_owned),
    };
    let decisions = vec![decided("a", true, None), decided("c", false, Some("too much"))];
    let told = lines(&[
        Event::ActionRequired(ActionRequired { calls, deadline: chrono::DateTime::UNIX_EPOCH }),
        Event::ApprovalsDecided(ApprovalsDecided { decisions, by: "ada".to_owned() }),
    ]);
    assert_eq!(
        told,
        [
            "pay (a) waits for its approval, pay (b) waits for its result until 1970-01-01T00:00:00Z",
            r#"a approved, c denied "too much" by ada"#,
        ]
    );
}
