//! A turn that waits for a place: said once, over with the next attempt or with the turn.

use super::support::*;
use crate::chat::{Effect, StateName, pending};
use crate::command::{Busy, Command};
use crate::event::{AttemptAction, CapacityScope};
use crate::rejection::Rejection;

fn wait() -> Command {
    Command::AwaitCapacity { scope: CapacityScope::Child }
}

/// A chat whose new turn waits, and since when.
fn waiting() -> (Story, chrono::DateTime<chrono::Utc>) {
    let mut story = Story::asked();
    story.must(wait());
    let since = story.outline().capacity.map(|wait| wait.since).expect("it waits");
    (story, since)
}

#[test]
fn a_wait_is_said_once_and_keeps_its_place_in_the_order() {
    let (mut story, since) = waiting();
    story.pass_ms(1000);
    assert_eq!(story.must(wait()), "");
    assert_eq!(story.outline().capacity.map(|wait| (wait.scope, wait.since)), Some((CapacityScope::Child, since)));
    assert_eq!(pending(story.chat.as_ref().expect("a chat")), vec![Effect::Act], "it is owed an attempt all the same");
}

#[test]
fn an_attempt_ends_the_wait_and_no_turn_waits_with_one_open() {
    let (mut story, _) = waiting();
    story.attempt(AttemptAction::Generate);
    assert_eq!(story.outline().capacity, None);
    assert_eq!(story.refused(wait()), Rejection::Fenced);
}

#[test]
fn whatever_ends_the_turn_ends_the_wait() {
    let first = |story: &Story| story.chat.as_ref().and_then(|chat| chat.history.iter().next()).expect("a message").id;
    let (mut interrupted, _) = waiting();
    interrupted.must(Command::Interrupt);
    assert_eq!(interrupted.outline().capacity, None);
    interrupted.must(Command::FinishInterruption { partial: Vec::new() });
    assert_eq!(interrupted.state(), StateName::W);

    let (mut edited, _) = waiting();
    edited.must(edit(first(&edited), "something else"));
    assert_eq!((edited.state(), edited.outline().capacity), (StateName::R0, None), "the new turn has not waited yet");

    let (mut failed, _) = waiting();
    failed.must(Command::FailTurn { attempt_id: None, error: overloaded(), partial: Vec::new() });
    assert_eq!((failed.state(), failed.outline().capacity), (StateName::E0, None));

    let (mut erased, _) = waiting();
    erased.must(Command::Erase { by: "ada".to_owned(), reason: None });
    assert_eq!(erased.outline().capacity, None);
}

#[test]
fn a_waiting_turn_takes_messages_and_is_not_archived() {
    let (mut story, _) = waiting();
    story.send("and this", Busy::Queue);
    assert_eq!(story.state(), StateName::R1);
    assert!(story.outline().capacity.is_some());
    assert!(matches!(story.refused(Command::Archive), Rejection::NotAllowed { .. }));
}

#[test]
fn a_retry_that_waits_for_a_place_stays_a_retry() {
    let mut story = Story::asked();
    let attempt_id = story.attempt(AttemptAction::Generate);
    story.must(Command::ScheduleRetry {
        attempt_id,
        error: overloaded(),
        delay_ms: 500,
        partial: Vec::new(),
        files_refused: false,
    });
    story.must(wait());
    assert!(story.outline().retry.is_some(), "why it failed is still to be seen");
    assert_eq!(story.outline().tries(), 1);
    story.attempt(AttemptAction::Generate);
    assert_eq!((story.outline().retry.is_none(), story.outline().capacity), (true, None));
}
