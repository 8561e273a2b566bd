//! Sending, queueing, editing, promoting: rules 1, 3, 4, 6, 7, 8 and 9.

use super::support::*;
use crate::chat::{CallRecord, Effect, StateName, Status, pending};
use crate::command::{Busy, Command, SendMessage};
use crate::error::{ChatError, ErrorKind};
use crate::event::{AttemptAction, EffectClass, Event, SettingsChanged};
use crate::message::{Origin, Visibility};
use crate::part::Part;
use crate::rejection::Rejection;
use serde_json::json;

/// A running chat with `count` messages waiting: "one", "two", "three" …
fn with_waiting(count: usize) -> Story {
    let mut story = Story::asked();
    for word in ["one", "two", "three"].iter().take(count) {
        story.send(word, Busy::Queue);
    }
    story
}

#[test]
fn an_interrupting_message_waits_behind_older_ones_and_enters_after_the_partial_answer() {
    let mut story = with_waiting(1);
    story.attempt(AttemptAction::Generate);
    story.send("stop!", Busy::Interrupt);
    story.must(Command::FinishInterruption { partial: vec![Part::text("A monoid in")] });
    assert_eq!(story.transcript(), ["user: What is a monad?", "assistant: A monoid in", "user: one"]);
    let waiting: Vec<_> = story.chat().queue.iter().map(|queued| queued.parts.clone()).collect();
    assert_eq!(waiting, [vec![Part::text("stop!")]]);
}

#[test]
fn from_an_error_the_message_goes_to_the_tail_and_the_head_is_promoted() {
    let mut story = with_waiting(2);
    story.fail();
    assert!(story.outline().last_error.is_some());
    story.send("three", Busy::Queue);
    assert_eq!(story.outline().last_error, None);
    assert_eq!(story.transcript().last().map(String::as_str), Some("user: one"));
    assert_eq!(story.outline().queue.len(), 2);
}

#[test]
fn steered_messages_enter_in_order_when_the_step_is_committed_and_the_turn_goes_on() {
    let mut story = Story::asked();
    story.send("later", Busy::Queue);
    story.send("be brief", Busy::Steer);
    story.send("in French", Busy::Steer);
    let turn = story.outline().turn.as_ref().map(|turn| turn.id);
    story.answer("Un monoïde.");
    let expected = ["user: What is a monad?", "assistant: Un monoïde.", "user: be brief", "user: in French"];
    assert_eq!(story.transcript(), expected);
    assert_eq!(story.outline().turn.as_ref().map(|turn| turn.id), turn);
    assert_eq!(story.state(), StateName::R1);
    assert_eq!(story.next_action(), crate::chat::NextAction::Generate);
}

#[test]
fn a_steered_message_waits_while_calls_are_open() {
    let mut story = Story::asked();
    story.send("be brief", Busy::Steer);
    assert_eq!(story.call(&[("c1", SERVER_TOOL)]), "MessageCommitted(assistant)");
    let shown = story.run_tools(vec![result("c1", SERVER_TOOL)]);
    assert_eq!(shown, "MessageCommitted(tool) QueuedMessagePromoted(history) MessageCommitted(user)");
}

#[test]
fn at_the_turns_end_a_steered_message_is_an_ordinary_one() {
    let mut story = Story::asked();
    story.answer("A monoid.");
    story.send("be brief", Busy::Steer);
    let shown = story.finish();
    assert!(shown.ends_with("QueuedMessagePromoted(history) TurnStarted(promotion) MessageCommitted(user)"), "{shown}");
}

#[test]
fn an_edit_withdraws_clears_and_begins_again() {
    let mut story = Story::answered();
    story.send("And a functor?", Busy::Queue);
    story.answer("A map.");
    story.send("waiting", Busy::Queue);
    story.fail();
    let target = story.message_id("And a functor?");
    let events = story.run(edit(target, "And a comonad?")).expect("an edit");
    assert_eq!(story.transcript(), ["user: What is a monad?", "assistant: A monoid.", "user: And a comonad?"]);
    assert_eq!(story.state(), StateName::R0);
    assert_eq!(story.outline().last_error, None);
    assert!(
        events.iter().any(|event| matches!(event, Event::MessagesWithdrawn(withdrawn) if withdrawn.from == target))
    );
    assert!(story.message_id("And a comonad?") > target, "a replacement has an id of its own");
}

#[test]
fn an_edit_drops_the_running_attempt_and_its_result() {
    let mut story = Story::asked();
    let attempt_id = story.attempt(AttemptAction::Generate);
    let target = story.message_id("What is a monad?");
    story.must(edit(target, "What is a comonad?"));
    assert_eq!(story.outline().attempt, None);
    let late = Command::CommitStep { attempt_id, step: generated(vec![Part::text("A monoid.")], 10) };
    assert_eq!(story.refused(late), Rejection::Fenced);
}

#[test]
fn an_edit_keeps_model_and_effort_unless_it_names_others() {
    let mut story = Story::empty();
    story.must(Command::SendMessage(SendMessage {
        parts: vec![Part::text("Hi")],
        author: "bob".to_owned(),
        busy: Busy::Queue,
        model: Some("large".to_owned()),
        effort: Some("high".to_owned()),
    }));
    let target = story.message_id("Hi");
    story.must(edit(target, "Hello"));
    let message = story.chat().history.iter().last().expect("the replacement").clone();
    assert_eq!((message.model.as_deref(), message.effort.as_deref()), (Some("large"), Some("high")));
    assert_eq!(message.author.as_deref(), Some("ada"), "the author is whoever edits");
}

#[test]
fn only_live_messages_of_users_can_be_edited() {
    let mut story = Story::answered();
    let user = story.message_id("What is a monad?");
    let assistant = story.message_id("A monoid.");
    assert_eq!(story.refused(edit(99, "x")), Rejection::MessageNotFound { message_id: 99 });
    assert_eq!(story.refused(edit(assistant, "x")), Rejection::NotAUserMessage { message_id: assistant });
    assert_eq!(story.refused(edit(user, "  ")), Rejection::EmptyContent);
    story.must(edit(user, "What is a comonad?"));
    assert_eq!(story.refused(edit(user, "x")), Rejection::MessageNotFound { message_id: user });
}

#[test]
fn before_a_user_speaks_every_open_call_is_answered() {
    let mut story = Story::asked();
    story.call(&[("c1", SERVER_TOOL), ("c2", SERVER_TOOL)]);
    story.fail();
    let shown = story.send("Never mind.", Busy::Queue);
    assert_eq!(shown, "MessageCommitted(synthetic) TurnStarted(message) MessageCommitted(user)");
    assert_eq!(story.transcript()[1..], ["assistant: call c1, call c2", "tool: no c1, no c2", "user: Never mind."]);
}

#[test]
fn a_result_that_the_log_knows_answers_better_than_a_synthetic_one() {
    let mut story = Story::asked();
    story.call(&[("c1", SERVER_TOOL), ("c2", SERVER_TOOL)]);
    let attempt_id = story.attempt(AttemptAction::RunTools);
    run_call(&mut story, attempt_id, "c1");
    story.must(Command::FailTurn { attempt_id: Some(attempt_id), error: overloaded(), partial: Vec::new() });
    story.send("Go on.", Busy::Queue);
    assert_eq!(story.transcript()[2], "tool: ok c1, no c2");
    assert!(story.chat().calls.is_empty(), "answered calls leave no record behind");
}

#[test]
fn calls_that_the_provider_runs_are_never_answered_for_it() {
    let mut story = Story::asked();
    let mut part = call("p1", "web_search");
    if let Part::ToolCall { provider_executed, .. } = &mut part {
        *provider_executed = true;
    }
    story.generate(vec![part, Part::text("Found.")]);
    story.fail();
    assert_eq!(story.send("Thanks.", Busy::Queue), "TurnStarted(message) MessageCommitted(user)");
}

#[test]
fn one_message_more_than_the_queue_holds_is_refused_even_from_an_error() {
    let mut story = Story::asked();
    for _ in 0..20 {
        story.send("more", Busy::Queue);
    }
    assert_eq!(story.refused(send("more", Busy::Interrupt)), Rejection::QueueFull { max: 20 });
    story.fail();
    assert_eq!(story.refused(send("more", Busy::Queue)), Rejection::QueueFull { max: 20 });
}

#[test]
fn the_queue_survives_interrupt_error_and_archiving() {
    let mut story = with_waiting(3);
    story.must(Command::Interrupt);
    assert_eq!(story.outline().queue.len(), 3);
    story.must(Command::FinishInterruption { partial: Vec::new() });
    story.fail();
    story.must(Command::Archive);
    assert_eq!(story.state(), StateName::XE1);
    story.must(Command::Unarchive);
    assert_eq!(story.outline().queue.len(), 2);
    assert!(story.outline().last_error.is_some(), "archiving keeps the error");
}

#[test]
fn a_promoted_message_overtakes_and_interrupts() {
    let mut story = with_waiting(3);
    let (one, two, three) = (story.queued(0), story.queued(1), story.queued(2));
    story.must(Command::PromoteQueued { queued_id: three });
    assert_eq!(story.outline().queue, [three, one, two]);
    story.must(Command::PromoteQueued { queued_id: two });
    assert_eq!(story.outline().queue, [two, three, one]);
    let ids: Vec<_> = story.chat().queue.iter().map(|queued| queued.id).collect();
    assert_eq!(ids, [two, three, one]);
    story.must(Command::FinishInterruption { partial: Vec::new() });
    assert_eq!(story.transcript().last().map(String::as_str), Some("user: two"));
}

#[test]
fn promotion_from_an_error_takes_the_named_message() {
    let mut story = with_waiting(2);
    story.fail();
    let two = story.queued(1);
    story.must(Command::PromoteQueued { queued_id: two });
    assert_eq!(story.transcript().last().map(String::as_str), Some("user: two"));
    assert_eq!(
        story.refused(Command::PromoteQueued { queued_id: two }),
        Rejection::QueuedMessageNotFound { queued_id: two }
    );
}

#[test]
fn a_promoted_message_keeps_what_it_was_sent_with() {
    let mut story = Story::asked();
    story.must(Command::SendMessage(SendMessage {
        parts: vec![Part::text("Then?")],
        author: "bob".to_owned(),
        busy: Busy::Queue,
        model: None,
        effort: Some("low".to_owned()),
    }));
    let queued_id = story.queued(0);
    let patch = SettingsChanged { model: Some("large".to_owned()), ..SettingsChanged::default() };
    story.must(Command::ChangeSettings { patch, archived: None });
    story.finish();
    let message = story.chat().history.iter().last().expect("the promoted message").clone();
    assert_eq!(message.author.as_deref(), Some("bob"));
    assert_eq!(message.model.as_deref(), Some("small"), "the chat's model when it was sent");
    assert_eq!(message.effort.as_deref(), Some("low"));
    assert_eq!(message.queued_id, Some(queued_id));
    assert_eq!((message.origin, message.visibility), (Origin::User, Visibility::Both));
    assert_eq!(message.turn_id, story.outline().turn.as_ref().map(|turn| turn.id));
}

#[test]
fn leaving_running_clears_a_scheduled_retry() {
    for leave in [Command::Interrupt, fail(), finish()] {
        let mut story = Story::asked();
        let attempt_id = story.attempt(AttemptAction::Generate);
        let retry = Command::ScheduleRetry {
            attempt_id,
            error: overloaded(),
            delay_ms: 2000,
            partial: Vec::new(),
            files_refused: false,
        };
        story.must(retry);
        let retry_at = story.outline().retry.as_ref().map(|retry| retry.retry_at).expect("a retry");
        assert_eq!(pending(story.chat()), [Effect::ActAt(retry_at)]);
        story.must(leave);
        assert_ne!(story.outline().status, Status::Running);
        assert_eq!(story.outline().retry, None);
    }
}

#[test]
fn only_a_provider_that_refuses_files_leaves_them_out_for_the_turn() {
    let mut story = Story::empty();
    let file = Part::File {
        file_id: "f".to_owned(),
        media_type: "image/png".to_owned(),
        name: "a.png".to_owned(),
        content: None,
    };
    let show =
        SendMessage { parts: vec![file], author: "ada".to_owned(), busy: Busy::Queue, model: None, effort: None };
    story.must(Command::SendMessage(show));
    for files_refused in [false, true] {
        let attempt_id = story.attempt(AttemptAction::Compact);
        let error = ChatError::retryable(ErrorKind::Config, "The model called a tool instead.");
        story.must(Command::ScheduleRetry { attempt_id, error, delay_ms: 0, partial: Vec::new(), files_refused });
        assert_eq!(story.outline().files.are_refused(), files_refused);
    }
    story.must(Command::Interrupt);
    story.must(Command::FinishInterruption { partial: Vec::new() });
    story.send("again", Busy::Queue);
    assert!(!story.outline().files.are_refused(), "the next turn shows them again");
}

#[test]
fn a_message_that_says_nothing_is_refused() {
    let mut story = Story::empty();
    assert_eq!(story.refused(send(" \n", Busy::Queue)), Rejection::EmptyContent);
    let file = Part::File {
        file_id: "f".to_owned(),
        media_type: "image/png".to_owned(),
        name: "a.png".to_owned(),
        content: None,
    };
    story.must(Command::SendMessage(SendMessage {
        parts: vec![file],
        author: "ada".to_owned(),
        busy: Busy::Queue,
        model: None,
        effort: None,
    }));
    assert_eq!(story.state(), StateName::R0);
}

/// Runs one call of the open batch to its end, in the log alone.
pub fn run_call(story: &mut Story, attempt_id: u64, call_id: &str) {
    story.must(Command::StartToolCall {
        attempt_id,
        call_id: call_id.to_owned(),
        name: SERVER_TOOL.to_owned(),
        effect_class: EffectClass::AtMostOnce,
    });
    assert!(matches!(story.chat().calls.get(call_id), Some(CallRecord::Started { .. })));
    story.must(Command::FinishToolCall {
        attempt_id,
        call_id: call_id.to_owned(),
        name: SERVER_TOOL.to_owned(),
        result: json!("done"),
        is_error: false,
        attachments: vec![],
        duration_ms: 5,
    });
}
