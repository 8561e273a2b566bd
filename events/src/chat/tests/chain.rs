//! Which answer the next request may continue: a kept one before which nothing has changed.

use super::support::*;
use crate::command::{Busy, Command, Generated, RecordAttempt, Step};
use crate::error::{ChatError, ErrorKind};
use crate::event::{AbandonCause, AttemptAction, Offer, RequestRecipe};
use crate::ids::AttemptId;
use crate::part::Part;
use crate::prompt::{assemble, assemble_summary};

/// An attempt whose provider is told to keep the answer, or not.
fn attempt(story: &mut Story, store: bool) -> AttemptId {
    let recipe = RequestRecipe {
        provider: "acme".to_owned(),
        provider_model: "m-1".to_owned(),
        store,
        ..RequestRecipe::default()
    };
    story.must(Command::RecordAttempt(RecordAttempt {
        action: AttemptAction::Generate,
        model: Some("small".to_owned()),
        prompt_digest: None,
        request: Some(recipe),
        offer: None,
        node: "node-1".to_owned(),
    }));
    story.open_attempt()
}

fn commit(story: &mut Story, attempt_id: AttemptId, parts: Vec<Part>, response_id: Option<&str>) {
    let Step::Generated(generated) = generated(parts, 10) else { return };
    let response_id = response_id.map(str::to_owned);
    let step = Step::Generated(Generated { response_id, ..generated });
    story.must(Command::CommitStep { attempt_id, step });
}

fn answer(story: &mut Story, store: bool, response_id: &str) {
    let attempt_id = attempt(story, store);
    commit(story, attempt_id, vec![Part::text(response_id)], Some(response_id));
}

/// A resting chat with a kept answer.
fn kept() -> Story {
    let mut story = Story::asked();
    answer(&mut story, true, "resp_1");
    story.finish();
    story
}

/// The answer that the next request continues, and how many messages it knows by that.
fn continued(story: &Story) -> Option<(String, usize)> {
    let continues = assemble(story.chat(), &Offer::default()).continues?;
    assert_eq!((continues.response.provider.as_str(), continues.response.provider_model.as_str()), ("acme", "m-1"));
    Some((continues.response.response_id, continues.messages_known))
}

fn from(response_id: &str, messages_known: usize) -> Option<(String, usize)> {
    Some((response_id.to_owned(), messages_known))
}

#[test]
fn a_kept_answer_is_continued_and_then_the_next_one() {
    let mut story = kept();
    story.send("And a functor?", Busy::Queue);
    assert_eq!(continued(&story), from("resp_1", 2));
    answer(&mut story, true, "resp_2");
    story.finish();
    story.send("Thanks.", Busy::Queue);
    assert_eq!(continued(&story), from("resp_2", 4));
    assert_eq!(
        assemble_summary(story.chat(), &Offer::default(), "Summarise.").continues,
        None,
        "a summary stands alone"
    );
}

#[test]
fn an_answer_that_nobody_keeps_is_not_continued() {
    let mut story = Story::asked();
    answer(&mut story, false, "resp_1");
    story.finish();
    assert_eq!(continued(&story), None);
    story.send("And a functor?", Busy::Queue);
    let attempt_id = attempt(&mut story, true);
    commit(&mut story, attempt_id, vec![Part::text("A map.")], None);
    assert_eq!(continued(&story), None, "it has no id");
}

#[test]
fn calls_and_steered_messages_come_after_the_answer() {
    let mut story = Story::asked();
    story.send("be brief", Busy::Steer);
    let attempt_id = attempt(&mut story, true);
    commit(&mut story, attempt_id, vec![call("c1", SERVER_TOOL)], Some("resp_1"));
    story.run_tools(vec![result("c1", SERVER_TOOL)]);
    assert_eq!(continued(&story), from("resp_1", 2));
    assert_eq!(assemble(story.chat(), &Offer::default()).messages.len(), 4);
}

#[test]
fn an_interrupted_answer_ends_the_chain() {
    let mut story = kept();
    story.send("And a functor?", Busy::Queue);
    attempt(&mut story, true);
    story.must(Command::Interrupt);
    story.must(Command::FinishInterruption { partial: vec![Part::text("A m")] });
    story.send("Go on.", Busy::Queue);
    assert_eq!(continued(&story), None);
}

#[test]
fn an_interrupt_that_left_nothing_does_not() {
    let mut story = kept();
    story.send("And a functor?", Busy::Queue);
    attempt(&mut story, true);
    story.must(Command::Interrupt);
    story.must(Command::FinishInterruption { partial: vec![] });
    story.send("Go on.", Busy::Queue);
    assert_eq!(continued(&story), from("resp_1", 2));
}

#[test]
fn an_edit_behind_the_answer_continues_it_and_one_before_it_does_not() {
    let mut story = kept();
    story.send("And a functor?", Busy::Queue);
    let (first, second) = (story.message_id("What is a monad?"), story.message_id("And a functor?"));
    story.must(edit(second, "And a monoid?"));
    assert_eq!(continued(&story), from("resp_1", 2));
    story.must(edit(first, "What is a group?"));
    assert_eq!(continued(&story), None);
}

#[test]
fn a_boundary_ends_the_chain() {
    let mut story = kept();
    story.must(Command::ClearContext);
    story.send("And a functor?", Busy::Queue);
    assert_eq!(continued(&story), None);
}

#[test]
fn a_lost_answer_is_not_asked_for_again_whatever_fails_next() {
    let lost = || ChatError::retryable(ErrorKind::ChainBroken, "the answer is gone");
    let mut story = kept();
    story.send("And a functor?", Busy::Queue);
    for error in [lost(), overloaded()] {
        let attempt_id = attempt(&mut story, true);
        story.must(Command::ScheduleRetry { attempt_id, error, delay_ms: 0, partial: vec![], files_refused: false });
        assert_eq!(continued(&story), None);
    }
    answer(&mut story, true, "resp_2");
    assert_eq!(continued(&story), from("resp_2", 4), "the next answer begins a new chain");

    let mut story = kept();
    story.send("And a functor?", Busy::Queue);
    let attempt_id = attempt(&mut story, true);
    story.must(Command::FailTurn { attempt_id: Some(attempt_id), error: lost(), partial: vec![] });
    story.send("Again?", Busy::Queue);
    assert_eq!(continued(&story), None, "a turn that failed by it");
}

#[test]
fn what_may_pass_or_was_cut_short_keeps_the_chain() {
    let mut story = kept();
    story.send("And a functor?", Busy::Queue);
    let attempt_id = attempt(&mut story, true);
    story.must(Command::ScheduleRetry {
        attempt_id,
        error: overloaded(),
        delay_ms: 0,
        partial: vec![],
        files_refused: false,
    });
    assert_eq!(continued(&story), from("resp_1", 2));
    let attempt_id = attempt(&mut story, true);
    story.must(Command::AbandonAttempt { attempt_id, cause: AbandonCause::Crash, partial: vec![] });
    assert_eq!(continued(&story), from("resp_1", 2));
}

#[test]
fn an_answer_to_words_of_our_own_is_not_continued() {
    let mut story = Story::asked();
    answer(&mut story, true, "resp_1");
    // The model goes on by itself: the prompt ends with words that are no part of the history.
    assert_eq!(assemble(story.chat(), &Offer::default()).messages.len(), 3);
    answer(&mut story, true, "resp_2");
    story.finish();
    story.send("And a functor?", Busy::Queue);
    assert_eq!(continued(&story), None);
}

#[test]
fn an_erased_chat_forgets_its_chain() {
    let mut story = kept();
    story.must(Command::Erase { by: "ada".to_owned(), reason: None });
    assert_eq!(story.chat().chain.kept(), None);
}
