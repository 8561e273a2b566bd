use serde_json::json;

use super::*;
use crate::wire::samples::{json_of, moment};

fn under_way() -> TurnSummary {
    TurnSummary {
        turn_id: 2,
        reason: TurnReason::Message,
        started_at: moment(),
        finished_at: None,
        outcome: None,
        error: None,
        usage: Usage::default(),
        cost_micros: None,
        steps: 0,
        attempts: 3,
        retries: 2,
        tool_calls: 0,
        duration_ms: None,
    }
}

#[test]
fn a_turn_under_way_has_no_outcome() {
    let usage = json!({
        "input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0
    });
    assert_eq!(
        json_of(&TurnView::of(&under_way())),
        json!({
            "id": 2, "turn_id": 2, "reason": "message", "usage": usage, "steps": 0, "attempts": 3, "retries": 2,
            "tool_calls": 0, "started_at": "2026-09-21T14:13:20.123456Z",
        })
    );
}

#[test]
fn a_finished_turn_says_how_and_how_long() {
    let turn = TurnSummary {
        outcome: Some(TurnOutcome::StopAfterTool),
        finished_at: Some(moment()),
        duration_ms: Some(7),
        cost_micros: Some(12),
        ..under_way()
    };
    let shown = json_of(&TurnView::of(&turn));
    assert_eq!(shown["outcome"], "stop_after_tool");
    assert_eq!((&shown["duration_ms"], &shown["cost_micros"]), (&json!(7), &json!(12)));
    assert_eq!(shown["finished_at"], "2026-09-21T14:13:20.123456Z");
}
