use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use verbatim_events::error::ErrorKind;
use verbatim_events::event::*;
use verbatim_events::ids::Digest;
use verbatim_events::message::Visibility;
use verbatim_events::part::Part;
use verbatim_events::wire::readable_schemas;

use super::*;
use crate::wire::samples::{chat_id, created, json_of, moment, recorded, said};

const SECRET: &str = "nobody outside may read this";

fn error() -> ChatError {
    ChatError::retryable(ErrorKind::Timeout, "it took too long")
}

fn void() -> Vec<Part> {
    vec![Part::text(SECRET)]
}

fn zero() -> Value {
    json!({
        "input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0
    })
}

/// Every event with the data that owners see.
fn table() -> Vec<(Event, Value)> {
    let call = PendingCall { call_id: "c".into(), name: "look".into(), args: json!({}), needs: CallNeed::Result };
    vec![
        (created(), json!({"owner": "ada", "root": chat_id(), "title": "Engines", "labels": {"team": "engines"}})),
        (
            Event::MessageCommitted(said("hello")),
            json!({
                "id": 7, "role": "user", "content": [{"type": "text", "text": "hello"}], "visibility": "both",
                "origin": "user", "author": "ada", "created_at": "2026-09-21T14:13:26.123456Z", "turn_id": 2,
            }),
        ),
        (
            Event::MessagesWithdrawn(MessagesWithdrawn { from: 3, reason: WithdrawalReason::Edited }),
            json!({"from": 3, "reason": "edited"}),
        ),
        (
            Event::MessageQueued(MessageQueued {
                parts: vec![Part::text("later")],
                author: "ada".into(),
                model: Some("demo".into()),
                effort: None,
                steer: false,
            }),
            json!({
                "id": 7, "queued_id": 7, "content": [{"type": "text", "text": "later"}], "author": "ada",
                "model": "demo", "created_at": "2026-09-21T14:13:26.123456Z",
            }),
        ),
        (Event::QueuedMessageDeleted(QueuedMessageDeleted { queued_id: 4 }), json!({"queued_id": 4})),
        (
            Event::QueuedMessagePromoted(QueuedMessagePromoted { queued_id: 4, to: PromotedTo::History }),
            json!({"queued_id": 4, "to": "history"}),
        ),
        (Event::TurnStarted(TurnStarted { reason: TurnReason::Edit }), json!({"turn_id": 7, "reason": "edit"})),
        (
            Event::AttemptRecorded(AttemptRecorded {
                action: AttemptAction::Generate,
                number: 2,
                model: Some("demo".into()),
                prompt_digest: Some(Digest::of(b"prompt")),
                request: Some(RequestRecipe {
                    protocol: SECRET.into(),
                    provider: "demo".into(),
                    provider_model: "demo".into(),
                    max_output_tokens: None,
                    effort: None,
                    encoder: 1,
                    ..RequestRecipe::default()
                }),
                offer: Some(Offer { guidance: Some(SECRET.into()), ..Offer::default() }),
                node: SECRET.into(),
            }),
            json!({"attempt_id": 7, "attempt": 2, "action": "generate", "model": "demo"}),
        ),
        (
            Event::ToolCallStarted(ToolCallStarted {
                attempt_id: 5,
                call_id: "c".into(),
                name: "look".into(),
                effect_class: EffectClass::AtMostOnce,
            }),
            json!({"attempt_id": 5, "call_id": "c", "name": "look", "effect_class": "at_most_once"}),
        ),
        (
            Event::ToolCallFinished(ToolCallFinished {
                attempt_id: 5,
                call_id: "c".into(),
                name: "look".into(),
                result: json!([1]),
                is_error: false,
                attachments: vec![],
                duration_ms: 3,
            }),
            json!({
                "attempt_id": 5, "call_id": "c", "name": "look", "result": [1], "is_error": false, "duration_ms": 3
            }),
        ),
        (
            Event::RetryScheduled(RetryScheduled {
                attempt_id: 5,
                attempt: 1,
                delay_ms: 1000,
                retry_at: moment(),
                error: error(),
                partial: void(),
                files_refused: false,
            }),
            json!({
                "attempt_id": 5, "attempt": 1, "delay_ms": 1000, "retry_at": "2026-09-21T14:13:20.123456Z",
                "error": {"kind": "timeout", "message": "it took too long", "retryable": true},
            }),
        ),
        (Event::CapacityAwaited(CapacityAwaited { scope: CapacityScope::Node }), json!({"scope": "node"})),
        (
            Event::AttemptAbandoned(AttemptAbandoned { attempt_id: 5, cause: AbandonCause::Crash, partial: void() }),
            json!({"attempt_id": 5, "cause": "crash"}),
        ),
        (
            Event::ActionRequired(ActionRequired { calls: vec![call], deadline: moment() }),
            json!({
                "calls": [{"call_id": "c", "name": "look", "args": {}, "needs": "result"}],
                "deadline": "2026-09-21T14:13:20.123456Z",
            }),
        ),
        (
            Event::ActionResolved(ActionResolved { resolution: ActionResolution::Expired }),
            json!({"resolution": "expired"}),
        ),
        (
            Event::ApprovalsDecided(ApprovalsDecided {
                decisions: vec![
                    ApprovalDecision { call_id: "a".into(), approved: true, reason: None },
                    ApprovalDecision { call_id: "b".into(), approved: false, reason: Some("no".into()) },
                ],
                by: "ada".into(),
            }),
            json!({
                "decisions": [
                    {"call_id": "a", "decision": "approve"},
                    {"call_id": "b", "decision": "deny", "reason": "no"},
                ],
                "by": "ada",
            }),
        ),
        (Event::InterruptRequested(InterruptRequested { cause: InterruptCause::User }), json!({"cause": "user"})),
        (
            Event::TurnFinished(TurnFinished {
                turn_id: 2,
                outcome: TurnOutcome::Failed,
                error: Some(error()),
                partial: void(),
                usage: Usage::default(),
                cost_micros: Some(5),
                steps: 1,
                duration_ms: 9,
            }),
            json!({
                "turn_id": 2, "outcome": "failed",
                "error": {"kind": "timeout", "message": "it took too long", "retryable": true},
                "usage": zero(), "cost_micros": 5, "steps": 1, "duration_ms": 9,
            }),
        ),
        (
            Event::CompactionRequested(CompactionRequested { source: CompactionSource::Manual }),
            json!({"source": "manual"}),
        ),
        (
            Event::ContextCompacted(ContextCompacted {
                source: CompactionSource::Automatic,
                context_tokens: 900,
                window_tokens: Some(1000),
                threshold_percent: 70,
            }),
            json!({"source": "automatic", "context_tokens": 900, "window_tokens": 1000, "threshold_percent": 70}),
        ),
        (Event::ContextCleared(ContextCleared { source: CompactionSource::Manual }), json!({"source": "manual"})),
        (
            Event::SettingsChanged(SettingsChanged {
                title: Some(TitleChange { title: "Looms".into(), source: TitleSource::User }),
                labels: Some(BTreeMap::new()),
                pinned: Some(true),
                model: Some("demo".into()),
                effort: Some("high".into()),
                plan_mode: Some(false),
                workspace: None,
                diff_status: Some(Some(diff_status())),
                context: Some(ContextMark { message_id: 4, freshness: ContextFreshness::Changed }),
                status_label: Some("Mended the loom".into()),
            }),
            json!({
                "title": "Looms", "title_source": "user", "labels": {}, "pinned": true, "model": "demo",
                "effort": "high", "plan_mode": false,
                "diff_status": {"files_changed": 1, "insertions": 2, "deletions": 3, "partial": true},
                "context_dirty": true,
                "status_label": "Mended the loom",
            }),
        ),
        (
            Event::SettingsChanged(SettingsChanged { diff_status: Some(None), ..SettingsChanged::default() }),
            json!({"diff_status": null}),
        ),
        (Event::ChatArchived(ChatArchived {}), json!({})),
        (Event::ChatUnarchived(ChatUnarchived {}), json!({})),
        (
            Event::ChatErased(ChatErased { by: "ada".into(), reason: Some("done".into()), remains: None }),
            json!({"by": "ada", "reason": "done"}),
        ),
        (
            Event::ChildSpawned(ChildSpawned { child: chat_id(), kind: ChildKind::Agent }),
            json!({"child": chat_id(), "kind": "agent"}),
        ),
        (
            Event::UsageRecorded(UsageRecorded {
                purpose: UsagePurpose::Advice,
                model: Some("demo".into()),
                usage: Usage::default(),
                cost_micros: Some(5),
                attempt_id: Some(3),
            }),
            json!({"purpose": "advice", "model": "demo", "usage": zero(), "cost_micros": 5, "attempt_id": 3}),
        ),
    ]
}

fn diff_status() -> DiffStatus {
    DiffStatus { branch: None, files_changed: 1, insertions: 2, deletions: 3, partial: true }
}

#[test]
fn every_event_has_its_shape_and_keeps_its_secrets() {
    for (event, data) in table() {
        let recorded = recorded(7, event);
        let shown = json_of(&EventView::of(&recorded, Status::Running, Some(2)));
        let expected = json!({
            "version": 7,
            "type": event_type(&recorded.event),
            "at": "2026-09-21T14:13:26.123456Z",
            "status": "running",
            "data": data,
        });
        assert_eq!(shown, expected);
        let text = shown.to_string();
        assert!(!text.contains(SECRET) && !text.contains("the prompt's secret"), "{text}");
    }
}

#[test]
fn the_table_above_leaves_no_event_out() {
    let shown: BTreeSet<_> = table().iter().map(|(event, _)| event_type(event)).collect();
    let known: BTreeSet<_> = readable_schemas().map(|(name, _)| name).collect();
    assert_eq!(shown, known);
}

#[test]
fn what_is_for_the_model_alone_is_withheld() {
    let message = MessageCommitted { visibility: Visibility::Model, ..said(SECRET) };
    let shown = json_of(&EventView::of(&recorded(7, Event::MessageCommitted(message)), Status::Running, None));
    assert_eq!((&shown["withheld"], &shown["data"]["withheld"]), (&json!(true), &json!(true)));
    assert_eq!(shown["data"]["content"], json!([]));
    assert!(!shown.to_string().contains(SECRET), "{shown}");
}
