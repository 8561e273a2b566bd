use serde_json::json;

use super::*;

const TABLE: &[Step] = &[
    Step { event_type: "a", from: 1, raise: |value| Ok(json!([value, 2])) },
    Step { event_type: "a", from: 2, raise: |value| Ok(json!([value, 3])) },
    Step { event_type: "b", from: 1, raise: |_| Err("it is wrong".to_owned()) },
];

#[test]
fn steps_are_taken_in_order_and_only_those_needed() {
    assert_eq!(raise(TABLE, "a", 1, 3, json!(1)), Ok(json!([[1, 2], 3])));
    assert_eq!(raise(TABLE, "a", 2, 3, json!(1)), Ok(json!([1, 3])));
    assert_eq!(raise(TABLE, "a", 3, 3, json!(1)), Ok(json!(1)));
}

#[test]
fn a_missing_or_failing_step_is_named() {
    let missing = raise(TABLE, "a", 1, 4, json!(1)).expect_err("a missing step");
    assert_eq!(missing, r#"nothing raises schema 3 of "a""#);
    let other = raise(TABLE, "c", 1, 2, json!(1)).expect_err("another type");
    assert_eq!(other, r#"nothing raises schema 1 of "c""#);
    let failing = raise(TABLE, "b", 1, 2, json!(1)).expect_err("a failing step");
    assert_eq!(failing, r#"schema 1 of "b" cannot be raised: it is wrong"#);
}

#[test]
fn what_was_taken_for_a_refusal_of_files_stays_one() {
    let retry = |kind: &str| json!({ "error": { "kind": kind } });
    let raised = |kind| raise(STEPS, "retry_scheduled", 1, 2, retry(kind));
    assert_eq!(raised("config"), Ok(json!({ "error": { "kind": "config" }, "files_refused": true })));
    assert_eq!(raised("timeout"), Ok(retry("timeout")));
}

/// What a `null` says in number 4 it never said before.
#[test]
fn a_null_of_an_old_number_changes_nothing() {
    let raised = |from, data| raise(STEPS, "settings_changed", from, 4, data);
    for from in 1..=3 {
        assert_eq!(raised(from, json!({"diff_status": null, "pinned": true})), Ok(json!({"pinned": true})));
    }
    let figures = json!({"diff_status": {"files_changed": 1, "insertions": 2, "deletions": 0}});
    assert_eq!(raised(3, figures.clone()), Ok(figures));
}
