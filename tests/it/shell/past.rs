//! A long chat lets its past go, and has it back when somebody goes back to it.

use support::saga::Saga;
use support::script::{Line, ScriptedModel, say};
use support::shell::{Watcher, World, run, send, text};
use verbatim_actors::handle::{Answer, Handle, Meta, SendError};
use verbatim_actors::hub::Frame;
use verbatim_events::chat::Chat;
use verbatim_events::command::{Busy, Command, EditMessage};
use verbatim_events::event::Event;
use verbatim_events::ids::{ChatId, MessageId};
use verbatim_events::message::FinishReason;
use verbatim_events::rejection::Rejection;

const STOP: Line = Line::End(FinishReason::Stop);

/// A chat of 140 turns whose context was cleared at its end.
async fn cleared(world: &World, handle: &Handle) -> Saga {
    let mut saga = Saga::new();
    saga.grow(world.log.as_ref(), 700, |number| format!("Answer {number}.")).await;
    handle.send(saga.chat_id, Command::ClearContext, Meta::user("ann")).await.expect("it is cleared");
    saga
}

async fn edit(handle: &Handle, chat_id: ChatId, message_id: MessageId) -> Result<Answer, SendError> {
    let edit =
        EditMessage { message_id, parts: text("Something else?"), author: "ann".to_owned(), model: None, effort: None };
    handle.send(chat_id, Command::EditMessage(edit), Meta::user("ann")).await
}

fn ids(chat: &Chat) -> Vec<MessageId> {
    chat.history.iter().map(|message| message.id).collect()
}

fn answers(count: usize) -> ScriptedModel {
    ScriptedModel::new((0..count).map(|_| vec![say("Well."), STOP]).collect::<Vec<Vec<Line>>>())
}

#[test]
fn an_edit_of_what_was_let_go_takes_back_all_that_follows() {
    run(async {
        let world = World::default();
        let handle = world.node("n1", &answers(1));
        let saga = cleared(&world, &handle).await;
        let whole = ids(saga.chat.as_deref().unwrap());
        let lean = handle.open(saga.chat_id).await.unwrap().chat;
        assert!(!lean.is_whole());
        let gone = whole[10];
        assert_eq!(lean.history.get(gone), None);

        let nothing = edit(&handle, saga.chat_id, whole[10] + 1).await;
        let not_there = Rejection::MessageNotFound { message_id: whole[10] + 1 };
        assert!(matches!(&nothing, Err(SendError::Rejected(rejection)) if *rejection == not_there), "{nothing:?}");
        let mut watcher = Watcher::open(&handle, saga.chat_id).await;
        let answer = edit(&handle, saga.chat_id, gone).await.expect("it is edited");
        assert_eq!(answer.outcome.withdrawn, whole[10..]);
        watcher.event("turn_finished").await;
        let chat = handle.open(saga.chat_id).await.unwrap().chat;
        assert!(chat.is_whole(), "the clearing went with what came after the edited message");
        assert_eq!(ids(&chat)[..10], whole[..10]);
        assert_eq!(chat.history.len(), 12);
        handle.shutdown().await;
    });
}

#[test]
fn an_edit_after_the_boundary_keeps_it() {
    run(async {
        let world = World::default();
        let handle = world.node("n1", &answers(2));
        let saga = cleared(&world, &handle).await;
        let mut watcher = Watcher::open(&handle, saga.chat_id).await;
        let asked = send(&handle, saga.chat_id, "And now?", Busy::Queue).await.expect("it is sent");
        watcher.event("turn_finished").await;
        let answer = edit(&handle, saga.chat_id, asked.outcome.message_id.unwrap()).await.expect("it is edited");
        assert_eq!(answer.outcome.withdrawn.len(), 2);
        watcher.event("turn_finished").await;
        let chat = handle.open(saga.chat_id).await.unwrap().chat;
        assert!(!chat.is_whole());
        assert!(chat.boundary > saga.version());
        assert_eq!(chat.history.after(chat.boundary).count(), 2);
        handle.shutdown().await;
    });
}

#[test]
fn a_node_that_let_the_past_go_follows_another_one_s_edit() {
    run(async {
        let world = World::default();
        let one = world.node("n1", &answers(2));
        let saga = cleared(&world, &one).await;
        let whole = ids(saga.chat.as_deref().unwrap());
        let other = world.node("n2", &answers(2));
        assert!(!other.open(saga.chat_id).await.unwrap().chat.is_whole());
        let mut watcher = Watcher::open(&one, saga.chat_id).await;
        edit(&one, saga.chat_id, whole[250]).await.expect("it is edited");
        watcher.event("turn_finished").await;

        let mut there = Watcher::open(&other, saga.chat_id).await;
        let asked = send(&other, saga.chat_id, "And now?", Busy::Queue).await.expect("it is sent, on top of the log");
        // The edit's own turn is news here, too.
        let ended = |frame: &Frame| match frame {
            Frame::Event(event) => {
                matches!(&event.recorded.event, Event::TurnFinished(end) if Some(end.turn_id) == asked.outcome.turn_id)
            }
            Frame::Part(_) => false,
        };
        there.until(ended).await;
        let chat = other.open(saga.chat_id).await.unwrap().chat;
        assert_eq!(ids(&chat)[..250], whole[..250]);
        assert_eq!(chat.history.len(), 254);
        other.shutdown().await;
        one.shutdown().await;
    });
}
