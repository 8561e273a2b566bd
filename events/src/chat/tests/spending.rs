//! What is spent and where it counts: in the turn, between turns, in forks, and where nobody knows how much.

use super::support::*;
use crate::chat::StateName;
use crate::command::{Busy, Command, Generated, Step};
use crate::envelope::Recorded;
use crate::error::{ChatError, ErrorKind};
use crate::event::{AbandonCause, AttemptAction, Event, TurnFinished, TurnOutcome, UsagePurpose};
use crate::ids::{AttemptId, MessageId};
use crate::message::Usage;
use crate::part::Part;
use crate::price::Cost;
use crate::rejection::Rejection;
use crate::spending::CallSpent;

fn last_turn(story: &Story) -> TurnFinished {
    let found = story.log.iter().rev().find_map(|recorded| match &recorded.event {
        Event::TurnFinished(finished) => Some(finished.clone()),
        _ => None,
    });
    found.expect("a turn has ended")
}

/// An answer that cost this.
fn answer(story: &mut Story, cost_micros: Option<u64>) {
    let attempt_id = story.attempt(AttemptAction::Generate);
    let step = match generated(vec![Part::text("So.")], 10) {
        Step::Generated(generated) => Step::Generated(Generated { cost_micros, ..generated }),
        other => other,
    };
    story.must(Command::CommitStep { attempt_id, step });
    story.must(finish());
}

#[test]
fn a_turn_with_a_step_of_unknown_cost_has_no_cost_and_the_chat_keeps_what_is_known() {
    let mut story = Story::asked();
    answer(&mut story, Some(5));
    assert_eq!(last_turn(&story).cost_micros, Some(5));
    story.send("And?", Busy::Queue);
    answer(&mut story, None);
    assert_eq!(last_turn(&story).cost_micros, None, "unknown is not nothing");
    assert_eq!(story.outline().cost, Cost { known_micros: 5, unpriced_steps: 1 });
    assert_eq!(story.outline().cost.total_micros(), None);
}

#[test]
fn a_turn_that_called_no_model_cost_nothing() {
    let mut story = Story::asked();
    story.fail();
    assert_eq!(last_turn(&story).cost_micros, Some(0));
}

#[test]
fn an_interrupted_answer_cost_what_nobody_knows() {
    let mut story = Story::asked();
    story.attempt(AttemptAction::Generate);
    story.must(Command::Interrupt);
    story.must(Command::FinishInterruption { partial: vec![Part::text("A mon")] });
    assert_eq!(last_turn(&story).cost_micros, None);
    assert_eq!(story.outline().cost, Cost { known_micros: 0, unpriced_steps: 1 });
}

#[test]
fn what_is_spent_between_turns_counts_for_the_chat_alone() {
    let mut story = Story::asked();
    answer(&mut story, Some(5));
    let history_version = story.outline().history_version;
    story.must(record_usage());
    assert_eq!((story.state(), story.outline().history_version), (StateName::W, history_version));
    assert_eq!(story.outline().cost, Cost { known_micros: 705, unpriced_steps: 0 });
    assert_eq!((story.outline().usage.input_tokens, story.outline().usage.output_tokens), (17, 6));
    story.must(Command::Archive);
    story.must(record_usage());
    assert_eq!(story.outline().cost.known_micros, 1405);
}

#[test]
fn a_call_that_ends_after_its_attempt_is_still_paid() {
    let mut story = Story::asked();
    let attempt_id = story.attempt(AttemptAction::Generate);
    story.must(record_usage());
    assert_eq!(story.open_attempt(), attempt_id, "spending changes nothing else");
    story.must(Command::Interrupt);
    story.must(record_usage());
    story.must(Command::FinishInterruption { partial: Vec::new() });
    assert_eq!(last_turn(&story).cost_micros, Some(1400));
}

#[test]
fn nothing_is_spent_on_an_erased_chat() {
    let mut story = Story::asked();
    answer(&mut story, Some(5));
    story.must(Command::Erase { by: "ada".to_owned(), reason: None });
    assert_eq!(story.refused(record_usage()), Rejection::Erased);
    assert_eq!(story.outline().cost.known_micros, 5, "what it cost is no word of it");
}

/// What the events after the first `before` say was spent: for what, input tokens, cost.
fn spent_since(story: &Story, before: usize) -> Vec<(UsagePurpose, u64, Option<u64>)> {
    let spendings = story.log[before..].iter().filter_map(|recorded| recorded.event.spending());
    spendings.map(|spent| (spent.purpose, spent.usage.input_tokens, spent.cost_micros)).collect()
}

/// What the provider had said before the call was cut.
fn known() -> CallSpent {
    CallSpent::Known { usage: Usage { input_tokens: 40, ..Usage::default() }, cost_micros: Some(4) }
}

/// Everything that ends an attempt and leaves no message of it.
fn endings(attempt_id: AttemptId, message_id: MessageId) -> Vec<Vec<Command>> {
    let error = ChatError::retryable(ErrorKind::Generic, "The connection broke.");
    let retry = Command::ScheduleRetry {
        attempt_id,
        error: error.clone(),
        delay_ms: 10,
        partial: Vec::new(),
        files_refused: false,
    };
    let abandon = Command::AbandonAttempt { attempt_id, cause: AbandonCause::Crash, partial: Vec::new() };
    let fail = Command::FailTurn { attempt_id: Some(attempt_id), error, partial: Vec::new() };
    let no_output = Command::FinishTurn { attempt_id: Some(attempt_id), outcome: TurnOutcome::NoOutput };
    let stop = vec![Command::Interrupt, Command::FinishInterruption { partial: Vec::new() }];
    vec![vec![retry], vec![abandon], vec![fail], vec![no_output], stop, vec![edit(message_id, "Else?")]]
}

#[test]
fn a_call_that_leaves_no_message_counts_once_whatever_ends_it() {
    for action in [AttemptAction::Generate, AttemptAction::Compact] {
        let purpose = if action == AttemptAction::Generate { UsagePurpose::Answer } else { UsagePurpose::Summary };
        for (call, wanted) in [
            (CallSpent::Unknown, vec![(purpose, 0, None)]),
            (known(), vec![(purpose, 40, Some(4))]),
            (CallSpent::Nothing, Vec::new()),
        ] {
            let mut begun = Story::asked();
            let message_id = begun.chat().history.iter().next().expect("it was asked").id;
            let attempt_id = begun.attempt(action);
            for ending in endings(attempt_id, message_id) {
                let mut story = Story { call, ..begun.clone() };
                let before = story.log.len();
                for command in ending.clone() {
                    story.must(command);
                }
                assert_eq!(spent_since(&story, before), wanted, "{action:?}, {call:?}, {ending:?}");
                let names_it = |recorded: &Recorded| match &recorded.event {
                    Event::UsageRecorded(spent) => spent.attempt_id == Some(attempt_id),
                    _ => true,
                };
                assert!(story.log[before..].iter().all(names_it));
                let turn = story.outline().turn.as_ref().map(|turn| turn.cost).unwrap_or_default();
                let whole = story.outline().cost.known_micros + turn.known_micros;
                let unpriced = story.outline().cost.unpriced_steps + turn.unpriced_steps;
                let sum = story.chat().spent.iter().fold(Cost::default(), |mut sum, share| {
                    sum.add(&share.cost);
                    sum
                });
                assert_eq!(sum, Cost { known_micros: whole, unpriced_steps: unpriced }, "{action:?}, {ending:?}");
            }
        }
    }
}

#[test]
fn an_interrupted_answer_that_was_partly_reported_costs_that() {
    let mut story = Story::asked();
    story.attempt(AttemptAction::Generate);
    story.call = known();
    let before = story.log.len();
    story.must(Command::Interrupt);
    story.must(Command::FinishInterruption { partial: vec![Part::text("A mon")] });
    assert_eq!(spent_since(&story, before), [(UsagePurpose::Answer, 40, Some(4))], "by its message alone");
    assert_eq!((last_turn(&story).cost_micros, last_turn(&story).usage.input_tokens), (Some(4), 40));
}

#[test]
fn an_erased_chat_keeps_what_the_call_under_way_has_spent() {
    let mut story = Story::asked();
    story.attempt(AttemptAction::Generate);
    story.call = CallSpent::Unknown;
    story.must(Command::Erase { by: "ada".to_owned(), reason: None });
    assert_eq!(story.outline().cost, Cost { known_micros: 0, unpriced_steps: 1 });
    assert_eq!(story.chat().spent.iter().map(|share| share.steps).sum::<u64>(), 1);
}

#[test]
fn tools_and_context_files_are_no_model_calls() {
    let mut story = Story::asked();
    let attempt_id = story.attempt(AttemptAction::LoadContext);
    story.call = CallSpent::Unknown;
    let before = story.log.len();
    story.must(Command::AbandonAttempt { attempt_id, cause: AbandonCause::Crash, partial: Vec::new() });
    assert_eq!(spent_since(&story, before), []);
}
