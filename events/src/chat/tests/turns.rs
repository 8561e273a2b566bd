//! Turns, attempts and fences: what ends them, what they count, and what is left of them.

use serde_json::json;

use super::rules::run_call;
use super::support::*;
use crate::chat::{CallRecord, Effect, NextAction, StateName, pending};
use crate::command::{Busy, Command, Step};
use crate::event::{AbandonCause, AttemptAction, EffectClass, Event, TurnFinished, TurnOutcome};
use crate::message::{FinishReason, Usage};
use crate::part::Part;
use crate::rejection::Rejection;

fn finished(story: &Story) -> TurnFinished {
    let last = story.log.iter().rev().find_map(|recorded| match &recorded.event {
        Event::TurnFinished(finished) => Some(finished.clone()),
        _ => None,
    });
    last.expect("a turn has ended")
}

fn abandon(attempt_id: u64) -> Command {
    Command::AbandonAttempt { attempt_id, cause: AbandonCause::Crash, partial: Vec::new() }
}

fn start(attempt_id: u64, call_id: &str, effect_class: EffectClass) -> Command {
    let (call_id, name) = (call_id.to_owned(), SERVER_TOOL.to_owned());
    Command::StartToolCall { attempt_id, call_id, name, effect_class }
}

fn retry(attempt_id: u64) -> Command {
    Command::ScheduleRetry {
        attempt_id,
        error: overloaded(),
        delay_ms: 2000,
        partial: Vec::new(),
        files_refused: false,
    }
}

#[test]
fn a_turn_knows_its_steps_its_tokens_and_how_long_it_took() {
    let mut story = Story::asked();
    let began = story.outline().turn.as_ref().map(|turn| turn.started_at).expect("a turn");
    story.call(&[("c1", SERVER_TOOL)]);
    story.run_tools(vec![result("c1", SERVER_TOOL)]);
    story.answer("A monoid.");
    story.must(record_usage());
    let ended = story.now;
    story.must(finish());
    let finished = finished(&story);
    assert_eq!(finished.steps, 3);
    assert_eq!(finished.usage, Usage { input_tokens: 27, output_tokens: 11, ..Usage::default() });
    assert_eq!(finished.cost_micros, Some(760), "twice 10 tokens at 3, and the advice");
    assert_eq!(finished.duration_ms, u64::try_from((ended - began).num_milliseconds()).expect("forwards"));
    assert_eq!(story.outline().usage, finished.usage);
}

#[test]
fn an_attempt_that_found_nothing_may_end_the_turn() {
    let mut story = Story::asked();
    let attempt_id = story.attempt(AttemptAction::Generate);
    let end = |attempt_id| Command::FinishTurn { attempt_id, outcome: TurnOutcome::NoOutput };
    assert_eq!(story.refused(end(None)), Rejection::Fenced, "an attempt is open");
    assert_eq!(story.refused(end(Some(attempt_id + 1))), Rejection::Fenced);
    story.must(end(Some(attempt_id)));
    assert_eq!(story.state(), StateName::W);
    assert_eq!(story.outline().attempt, None);
}

#[test]
fn a_turn_does_not_end_by_itself_as_failed_or_interrupted() {
    let mut story = Story::asked();
    for outcome in [TurnOutcome::Failed, TurnOutcome::Interrupted] {
        let end = Command::FinishTurn { attempt_id: None, outcome };
        assert!(matches!(story.refused(end), Rejection::StepMismatch { .. }));
    }
}

#[test]
fn attempts_count_per_history_version_up_to_the_limit() {
    let mut story = Story::asked();
    story.limits.attempts_max = 3;
    story.limits.abandoned_max = 5;
    for (number, is_cut_short) in [(1, false), (2, true), (3, false), (4, true), (5, false)] {
        let attempt_id = story.attempt(AttemptAction::Generate);
        assert_eq!(story.outline().attempt.as_ref().map(|attempt| attempt.number), Some(number));
        story.must(if is_cut_short { abandon(attempt_id) } else { retry(attempt_id) });
    }
    assert_eq!(story.outline().tries(), 3, "what the server's own end cut short is no try");
    assert_eq!(story.refused(record(AttemptAction::Generate)), Rejection::TooManyAttempts { max: 3 });
    story.fail();
    story.send("Again.", Busy::Queue);
    story.attempt(AttemptAction::Generate);
    assert_eq!(story.outline().attempt.as_ref().map(|attempt| attempt.number), Some(1));
}

#[test]
fn work_that_brings_the_server_down_is_given_up_in_the_end() {
    let mut story = Story::asked();
    story.limits.attempts_max = 3;
    story.limits.abandoned_max = 5;
    for _ in 0..5 {
        let attempt_id = story.attempt(AttemptAction::Generate);
        story.must(abandon(attempt_id));
    }
    assert_eq!(story.refused(record(AttemptAction::Generate)), Rejection::TooManyAttempts { max: 5 });
}

#[test]
fn one_attempt_at_a_time() {
    let mut story = Story::asked();
    let first = story.attempt(AttemptAction::Generate);
    assert_eq!(story.refused(record(AttemptAction::Generate)), Rejection::Fenced);
    story.must(abandon(first));
    let second = story.attempt(AttemptAction::Generate);
    let late = Command::CommitStep { attempt_id: first, step: generated(vec![Part::text("late")], 1) };
    assert_eq!(story.refused(late), Rejection::Fenced);
    assert_eq!(story.refused(retry(first)), Rejection::Fenced);
    assert_eq!(story.refused(abandon(first)), Rejection::Fenced);
    story.must(Command::CommitStep { attempt_id: second, step: generated(vec![Part::text("in time")], 1) });
}

#[test]
fn a_result_after_an_interrupt_is_dropped_by_the_state_not_by_the_fence() {
    let mut story = Story::asked();
    let attempt_id = story.attempt(AttemptAction::Generate);
    story.must(Command::Interrupt);
    let late = Command::CommitStep { attempt_id, step: generated(vec![Part::text("late")], 1) };
    assert_eq!(story.refused(late), Rejection::NotAllowed { command: "CommitStep", state: "interrupting" });
}

#[test]
fn an_attempt_must_fit_the_open_calls() {
    let mut story = Story::asked();
    assert!(matches!(story.refused(record(AttemptAction::RunTools)), Rejection::StepMismatch { .. }));
    story.call(&[("c1", SERVER_TOOL)]);
    for action in [AttemptAction::Generate, AttemptAction::Compact, AttemptAction::LoadContext] {
        assert!(matches!(story.refused(record(action)), Rejection::StepMismatch { .. }));
    }
    story.attempt(AttemptAction::RunTools);
}

#[test]
fn an_empty_answer_is_no_step() {
    let mut story = Story::asked();
    let attempt_id = story.attempt(AttemptAction::Generate);
    let empty = Command::CommitStep { attempt_id, step: generated(Vec::new(), 1) };
    assert!(matches!(story.refused(empty), Rejection::StepMismatch { .. }));
}

#[test]
fn an_interruption_keeps_what_was_said_and_answers_what_was_called() {
    let mut story = Story::asked();
    let attempt_id = story.attempt(AttemptAction::Generate);
    story.must(Command::Interrupt);
    let partial = vec![Part::text("Let me see"), call("c1", SERVER_TOOL)];
    let shown = story.must(Command::FinishInterruption { partial });
    assert_eq!(shown, "MessageCommitted(assistant) MessageCommitted(synthetic) TurnFinished(interrupted)");
    assert_eq!(story.transcript()[1..], ["assistant: Let me see, call c1", "tool: no c1"]);
    let answer = story.chat().history.iter().nth(1).expect("the partial answer").clone();
    assert_eq!(answer.finish_reason, Some(FinishReason::Interrupted));
    assert_eq!(answer.model.as_deref(), Some("small"));
    assert!(story.log.iter().any(
        |recorded| matches!(&recorded.event, Event::MessageCommitted(committed) if committed.attempt_id == Some(attempt_id))
    ));
}

#[test]
fn an_interrupted_batch_keeps_the_results_that_are_there() {
    let mut story = Story::asked();
    story.call(&[("c1", SERVER_TOOL), ("c2", SERVER_TOOL), ("c3", SERVER_TOOL)]);
    let attempt_id = story.attempt(AttemptAction::RunTools);
    run_call(&mut story, attempt_id, "c1");
    story.must(start(attempt_id, "c2", EffectClass::AtMostOnce));
    story.must(Command::Interrupt);
    story.must(Command::FinishToolCall {
        attempt_id,
        call_id: "c2".to_owned(),
        name: SERVER_TOOL.to_owned(),
        result: json!("just in time"),
        is_error: false,
        attachments: vec![],
        duration_ms: 900,
    });
    story.must(Command::FinishInterruption { partial: Vec::new() });
    assert_eq!(story.transcript()[2], "tool: ok c1, ok c2, no c3");
}

#[test]
fn an_interrupted_call_is_said_to_have_run_only_if_it_did() {
    let mut story = Story::asked();
    story.call(&[("c1", SERVER_TOOL), ("c2", SERVER_TOOL)]);
    let attempt_id = story.attempt(AttemptAction::RunTools);
    story.must(start(attempt_id, "c1", EffectClass::AtMostOnce));
    story.must(Command::Interrupt);
    story.must(Command::FinishInterruption { partial: Vec::new() });
    let last = story.chat().history.iter().next_back().expect("the results");
    let told = |part: &Part| match part {
        Part::ToolResult { result, .. } => result.as_str().map(|words| words.contains("it was not run")),
        _ => None,
    };
    assert_eq!(last.parts.iter().filter_map(told).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn what_a_summary_had_shown_is_no_partial_answer() {
    let mut story = Story::answered();
    story.must(Command::RequestCompaction);
    story.attempt(AttemptAction::Compact);
    story.must(Command::Interrupt);
    let shown = story.must(Command::FinishInterruption { partial: vec![Part::text("Summarizing…")] });
    assert_eq!(shown, "TurnFinished(interrupted)");
}

#[test]
fn a_call_that_was_started_before_a_crash_is_known_to_the_next_attempt() {
    let mut story = Story::asked();
    story.call(&[("c1", SERVER_TOOL), ("c2", SERVER_TOOL)]);
    let first = story.attempt(AttemptAction::RunTools);
    run_call(&mut story, first, "c1");
    story.must(start(first, "c2", EffectClass::AtMostOnce));
    story.must(abandon(first));
    let NextAction::RunTools(batch) = story.next_action() else { panic!("the batch is still to be answered") };
    assert_eq!(
        batch[0].record,
        Some(CallRecord::Finished { result: json!("done"), is_error: false, attachments: vec![] })
    );
    let at = story
        .log
        .iter()
        .find(|recorded| matches!(&recorded.event, Event::ToolCallStarted(started) if started.call_id == "c2"));
    let at = at.expect("it was started").recorded_at;
    let started = CallRecord::Started { attempt_id: first, effect_class: EffectClass::AtMostOnce, at };
    assert_eq!(batch[1].record, Some(started));

    let second = story.attempt(AttemptAction::RunTools);
    for call_id in ["c1", "c2"] {
        let again = start(second, call_id, EffectClass::AtMostOnce);
        let refusal = story.refused(again);
        assert!(
            matches!(refusal, Rejection::StepMismatch { .. }),
            "what has ended, or runs once only, never runs again"
        );
    }
    story.must(Command::FinishToolCall {
        attempt_id: second,
        call_id: "c2".to_owned(),
        name: SERVER_TOOL.to_owned(),
        result: json!("outcome unknown"),
        is_error: true,
        attachments: vec![],
        duration_ms: 0,
    });
}

#[test]
fn a_call_that_may_run_twice_is_started_again_after_a_crash() {
    for effect_class in [EffectClass::Idempotent, EffectClass::Resumable] {
        let mut story = Story::asked();
        story.call(&[("c1", SERVER_TOOL)]);
        let first = story.attempt(AttemptAction::RunTools);
        story.must(start(first, "c1", effect_class));
        story.must(abandon(first));
        let second = story.attempt(AttemptAction::RunTools);
        story.must(start(second, "c1", effect_class));
        let at = story.log.last().expect("there are events").recorded_at;
        let record = story.chat().calls.get("c1");
        assert_eq!(record, Some(&CallRecord::Started { attempt_id: second, effect_class, at }));
    }
}

#[test]
fn nothing_that_waits_for_an_approval_or_a_client_is_started() {
    let mut story = Story::asked();
    story.call(&[("s1", SERVER_TOOL), ("x1", ASK_TOOL), ("c1", CLIENT_TOOL)]);
    let attempt_id = story.attempt(AttemptAction::RunTools);
    for call_id in ["x1", "c1"] {
        let refusal = story.refused(start(attempt_id, call_id, EffectClass::Idempotent));
        assert!(matches!(refusal, Rejection::StepMismatch { .. }), "{call_id}");
    }
    story.must(start(attempt_id, "s1", EffectClass::Idempotent));
}

#[test]
fn tool_calls_are_fenced_and_must_be_open() {
    let mut story = Story::asked();
    story.call(&[("c1", SERVER_TOOL)]);
    let attempt_id = story.attempt(AttemptAction::RunTools);
    let start = |attempt_id, call_id| start(attempt_id, call_id, EffectClass::Idempotent);
    let end = |attempt_id, call_id: &str| Command::FinishToolCall {
        attempt_id,
        call_id: call_id.to_owned(),
        name: SERVER_TOOL.to_owned(),
        result: json!(1),
        is_error: false,
        attachments: vec![],
        duration_ms: 1,
    };
    assert_eq!(story.refused(start(attempt_id + 1, "c1")), Rejection::Fenced);
    assert!(matches!(story.refused(start(attempt_id, "c9")), Rejection::StepMismatch { .. }));
    assert!(matches!(story.refused(end(attempt_id, "c1")), Rejection::StepMismatch { .. }), "it has not started");
    story.must(start(attempt_id, "c1"));
    assert_eq!(story.refused(end(attempt_id + 1, "c1")), Rejection::Fenced);
    story.must(end(attempt_id, "c1"));
    assert!(matches!(story.refused(end(attempt_id, "c1")), Rejection::StepMismatch { .. }), "it has ended");
}

#[test]
fn a_failed_turn_keeps_its_error_and_what_was_shown() {
    let mut story = Story::asked();
    let attempt_id = story.attempt(AttemptAction::Generate);
    let partial = vec![Part::text("half an ans")];
    assert_eq!(story.refused(fail()), Rejection::Fenced, "an attempt is open");
    story.must(Command::FailTurn { attempt_id: Some(attempt_id), error: overloaded(), partial: partial.clone() });
    assert_eq!(story.outline().last_error, Some(overloaded()));
    assert_eq!(finished(&story).partial, partial);
    assert_eq!(story.transcript(), ["user: What is a monad?"], "void for the conversation");
}

#[test]
fn a_chat_owes_exactly_what_its_state_says() {
    let mut story = Story::empty();
    assert_eq!(pending(story.chat()), []);
    story.send("Hi", Busy::Queue);
    assert_eq!(pending(story.chat()), [Effect::Act]);
    story.attempt(AttemptAction::Generate);
    let attempt = story.outline().attempt.clone().expect("an attempt");
    assert_eq!(pending(story.chat()), [Effect::Attend(attempt.clone())]);
    story.must(Command::Interrupt);
    assert_eq!(pending(story.chat()), [Effect::FinishInterruption(Some(attempt))]);
    story.must(Command::FinishInterruption { partial: Vec::new() });
    assert_eq!(pending(story.chat()), []);
}

#[test]
fn the_same_call_id_in_a_later_answer_is_another_call() {
    let mut story = Story::asked();
    story.call(&[("c1", SERVER_TOOL)]);
    let attempt_id = story.attempt(AttemptAction::RunTools);
    run_call(&mut story, attempt_id, "c1");
    let step = crate::command::Step::ToolResults { results: vec![result("c1", SERVER_TOOL)] };
    story.must(Command::CommitStep { attempt_id, step });
    story.call(&[("c1", SERVER_TOOL)]);
    let NextAction::RunTools(batch) = story.next_action() else { panic!("the second call is open") };
    assert_eq!((batch.len(), &batch[0].record), (1, &None));
}

#[test]
fn a_refused_call_waits_for_nobody() {
    let mut story = Story::asked();
    let attempt_id = story.attempt(AttemptAction::Generate);
    let parts = vec![call("x1", ASK_TOOL), call("c1", CLIENT_TOOL), call("c2", CLIENT_TOOL)];
    let Step::Generated(mut answer) = generated(parts, 1) else { panic!("an answer") };
    let reason = "/city: 1 is not of type \"string\"".to_owned();
    answer.refused_calls = [("x1".to_owned(), reason.clone()), ("c1".to_owned(), reason.clone())].into();
    story.must(Command::CommitStep { attempt_id, step: Step::Generated(answer) });
    let NextAction::RunTools(batch) = story.next_action() else { panic!("the server answers what nobody runs") };
    let refused: Vec<_> = batch.iter().map(|call| (call.call_id.as_str(), call.refused.clone())).collect();
    assert_eq!(refused, [("x1", Some(reason.clone())), ("c1", Some(reason))]);
    story.run_tools(vec![result("x1", ASK_TOOL), result("c1", CLIENT_TOOL)]);
    assert_eq!(story.next_action(), NextAction::RequireAction, "the sound call still waits for the client");
    assert!(story.chat().refused_calls.is_empty(), "answered calls leave no trace");
}
