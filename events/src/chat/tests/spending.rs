//! What is spent and where it counts: in the turn, between turns, in forks, and where nobody knows how much.

use super::support::*;
use crate::chat::StateName;
use crate::command::{Busy, Command, Generated, Step};
use crate::event::{AttemptAction, Event, TurnFinished};
use crate::part::Part;
use crate::price::Cost;
use crate::rejection::Rejection;

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
