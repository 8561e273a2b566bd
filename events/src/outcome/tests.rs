use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::*;
use crate::chat::{decide, evolve};
use crate::command::{Busy, Command, Context, CreateChat, EditMessage, SendMessage};
use crate::error::{ChatError, ErrorKind};
use crate::limits::Limits;
use crate::part::Part;

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn id() -> ChatId {
    ChatId(Uuid::from_u128(1))
}

/// Decides a command and applies it; tells the outcome.
fn run(chat: &mut Option<Chat>, command: Command) -> Outcome {
    let before = chat.clone();
    let limits = Limits::default();
    let context = Context::new(NOW, &limits);
    let events = decide(before.as_ref(), &command, context).expect("an allowed command");
    let version = before.as_ref().map_or(0, |chat| chat.outline.version);
    let recorded: Vec<Recorded> =
        (version + 1..).zip(events).map(|(version, event)| Recorded::decided(id(), version, NOW, event)).collect();
    let after = recorded.iter().fold(before.clone(), |chat, recorded| Some(evolve(chat, recorded).expect("legal")));
    *chat = after;
    Outcome::of(before.as_ref(), &recorded, chat.as_ref().expect("a chat"))
}

fn create(text: Option<&str>) -> Command {
    Command::CreateChat(Box::new(CreateChat::new(id(), "ada", text.map(Part::text).into_iter().collect())))
}

fn send(text: &str) -> Command {
    Command::SendMessage(SendMessage {
        parts: vec![Part::text(text)],
        author: "ada".to_owned(),
        busy: Busy::Queue,
        model: None,
        effort: None,
    })
}

fn fail() -> Command {
    Command::FailTurn { attempt_id: None, error: ChatError::terminal(ErrorKind::Config, "broken"), partial: vec![] }
}

#[test]
fn a_chat_that_begins_with_a_message_names_it_and_its_turn() {
    let expected = Outcome {
        chat_id: id(),
        version: 3,
        status: Status::Running,
        message_id: Some(3),
        queued_id: None,
        turn_id: Some(2),
        withdrawn: vec![],
    };
    assert_eq!(run(&mut None, create(Some("hello"))), expected);
}

#[test]
fn an_empty_chat_has_nothing_but_its_version() {
    let expected = Outcome {
        chat_id: id(),
        version: 1,
        status: Status::Waiting,
        message_id: None,
        queued_id: None,
        turn_id: None,
        withdrawn: vec![],
    };
    assert_eq!(run(&mut None, create(None)), expected);
}

#[test]
fn a_message_for_a_busy_chat_has_a_queued_id_alone() {
    let mut chat = None;
    run(&mut chat, create(Some("hello")));
    let outcome = run(&mut chat, send("next"));
    assert_eq!((outcome.message_id, outcome.queued_id, outcome.turn_id), (None, Some(4), None));
    assert_eq!((outcome.version, outcome.status), (4, Status::Running));
}

/// The message goes to the queue's tail and brings the head into history.
#[test]
fn a_message_after_an_error_with_a_queue_tells_both_ids() {
    let mut chat = None;
    run(&mut chat, create(Some("hello")));
    let queued = run(&mut chat, send("next")).queued_id;
    run(&mut chat, fail());
    let outcome = run(&mut chat, send("last"));
    let chat = chat.expect("a chat");
    assert_eq!(outcome.queued_id, chat.outline.queue.last().copied());
    let message = chat.history.get(outcome.message_id.expect("a message")).expect("in history");
    assert_eq!(message.queued_id, queued);
    assert_eq!(outcome.turn_id, chat.outline.turn.map(|turn| turn.id));
}

#[test]
fn a_promotion_names_the_message_it_was_and_is() {
    let mut chat = None;
    run(&mut chat, create(Some("hello")));
    let queued_id = run(&mut chat, send("next")).queued_id.expect("queued");
    run(&mut chat, fail());
    let outcome = run(&mut chat, Command::PromoteQueued { queued_id });
    assert_eq!(outcome.queued_id, Some(queued_id));
    let chat = chat.expect("a chat");
    assert_eq!(outcome.message_id, chat.history.iter().last().map(|message| message.id));
    assert_eq!(outcome.message_id, Some(outcome.version));
}

#[test]
fn a_message_that_was_given_up_has_no_id_left() {
    let mut chat = None;
    run(&mut chat, create(Some("hello")));
    let queued_id = run(&mut chat, send("next")).queued_id.expect("queued");
    let outcome = run(&mut chat, Command::DeleteQueued { queued_id });
    assert_eq!((outcome.message_id, outcome.queued_id, outcome.version), (None, None, 5));
}

#[test]
fn an_edit_lists_what_it_withdrew_and_what_it_put_there() {
    let mut chat = None;
    let first = run(&mut chat, create(Some("one"))).message_id.expect("a message");
    run(&mut chat, fail());
    let second = run(&mut chat, send("two")).message_id.expect("a message");
    run(&mut chat, fail());
    let third = run(&mut chat, send("three")).message_id.expect("a message");
    let edit = |message_id| {
        Command::EditMessage(EditMessage {
            message_id,
            parts: vec![Part::text("else")],
            author: "ada".to_owned(),
            model: None,
            effort: None,
        })
    };
    let outcome = run(&mut chat, edit(second));
    assert_eq!(outcome.withdrawn, [second, third]);
    let replacement = outcome.message_id.expect("a message");
    assert_eq!(run(&mut chat, edit(first)).withdrawn, [first, replacement]);
}

#[test]
fn a_command_that_changes_nothing_tells_the_chat_as_it_is() {
    let mut chat = None;
    run(&mut chat, create(Some("hello")));
    run(&mut chat, fail());
    run(&mut chat, Command::Archive);
    let outcome = run(&mut chat, Command::Archive);
    let version = chat.expect("a chat").outline.version;
    assert_eq!((outcome.version, outcome.status, outcome.turn_id), (version, Status::Error, None));
}

#[test]
fn an_outcome_is_stored_without_what_it_lacks() {
    let outcome = run(&mut None, create(None));
    let text = serde_json::to_string(&outcome).expect("JSON");
    assert_eq!(text, r#"{"chat_id":"00000000-0000-0000-0000-000000000001","version":1,"status":"waiting"}"#);
    assert_eq!(serde_json::from_str::<Outcome>(&text).expect("an outcome"), outcome);
}
