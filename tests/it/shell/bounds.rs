//! What is bounded, and what happens at the bound.

use support::script::{Gate, Line, STOP, ScriptedModel, say};
use support::shell::{Watcher, World, create, message, run, say_first, send};
use verbatim_actors::clock::Clock;
use verbatim_actors::handle::{Meta, SendError};
use verbatim_actors::hub::WatchEnded;
use verbatim_events::command::Busy;
use verbatim_events::event::{Event, TurnOutcome};

#[test]
fn idle_chats_rest_and_busy_ones_do_not() {
    run(async {
        let mut world = World::default();
        // Time passes fast here; the busy model is to be slow, not silent.
        world.limits.silence_ms = 0;
        let gate = Gate::default();
        let model = ScriptedModel::new(vec![vec![say("a"), Line::Wait(gate.clone()), STOP], vec![say("b"), STOP]]);
        let handle = world.node("n1", &model);
        let (busy, _) = create(&handle, "").await;
        let (idle, _) = create(&handle, "").await;
        let mut watcher = Watcher::open(&handle, busy).await;
        send(&handle, busy, "one", Busy::Queue).await.expect("the message is taken");
        watcher.part().await;
        assert_eq!(handle.stats().chats_in_memory, 2);
        while handle.stats().chats_in_memory > 1 {
            world.clock.advance_ms(world.limits.passivate_after_ms);
            tokio::task::yield_now().await;
        }
        gate.open();
        watcher.event("turn_finished").await;
        let mut watcher = Watcher::open(&handle, idle).await;
        send(&handle, idle, "two", Busy::Queue).await.expect("a resting chat wakes for a message");
        watcher.event("turn_finished").await;
        handle.shutdown().await;
    });
}

#[test]
fn a_watch_goes_on_over_a_rest() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("a"), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, _) = create(&handle, "").await;
        let mut watcher = Watcher::open(&handle, chat_id).await;
        while handle.stats().chats_in_memory > 0 {
            world.clock.advance_ms(world.limits.passivate_after_ms);
            tokio::task::yield_now().await;
        }
        send(&handle, chat_id, "one", Busy::Queue).await.expect("the message is taken");
        watcher.event("turn_finished").await;
        assert_eq!(watcher.seen.len(), 6, "five events and a part, each once: {:?}", watcher.seen);
        handle.shutdown().await;
    });
}

#[test]
fn more_chats_than_fit_in_memory_take_turns() {
    run(async {
        let mut world = World::default();
        world.limits.chats_in_memory_max = 2;
        let handle = world.node("n1", &ScriptedModel::new(Vec::new()));
        let mut chats = Vec::new();
        for _ in 0..5 {
            world.clock.advance_ms(1);
            let (chat_id, _) = create_patiently(&handle).await;
            chats.push(chat_id);
            assert!(handle.stats().chats_in_memory <= 2);
        }
        handle.shutdown().await;
    });
}

/// A chat that was just used rests only once its actor has looked up; until then the node says that it is busy.
async fn create_patiently(
    handle: &verbatim_actors::handle::Handle,
) -> (verbatim_events::ids::ChatId, verbatim_actors::handle::Answer) {
    use verbatim_events::command::Command;
    loop {
        let id = verbatim_events::ids::ChatId(uuid::Uuid::now_v7());
        let command = Command::CreateChat(Box::new(support::shell::new_chat(id, Vec::new())));
        match handle.send(id, command, Meta::user("ann")).await {
            Ok(answer) => return (id, answer),
            Err(SendError::Busy { .. }) => tokio::task::yield_now().await,
            Err(other) => panic!("only room may be lacking: {other}"),
        }
    }
}

#[test]
fn a_full_mailbox_is_refused_at_once() {
    run(async {
        let mut world = World::default();
        world.limits.mailbox_max = 2;
        let handle = world.node("n1", &ScriptedModel::new(Vec::new()));
        let (chat_id, _) = create(&handle, "").await;
        let mut sends: Vec<_> =
            (0..200).map(|_| Box::pin(handle.send(chat_id, message("one", Busy::Reject), Meta::user("ann")))).collect();
        let results = futures_util::future::join_all(sends.drain(..)).await;
        let busy =
            results.iter().filter(|result| matches!(result, Err(SendError::Busy { retry_after_ms: 1.. }))).count();
        assert!(busy > 0, "two hundred at once do not fit into two places");
        assert!(busy < 200, "some are dealt with");
        handle.shutdown().await;
    });
}

#[test]
fn an_answer_without_end_is_stopped() {
    run(async {
        let mut world = World::default();
        world.limits.attempt_bytes_max = 100;
        let model = ScriptedModel::new(vec![(0..50).map(|_| say("0123456789")).chain([STOP]).collect()]);
        let handle = world.node("n1", &model);
        let (_, mut watcher) = say_first(&handle, "one").await;
        let Event::TurnFinished(finished) = watcher.event("turn_finished").await else { unreachable!() };
        assert_eq!(finished.outcome, TurnOutcome::Failed);
        assert!(finished.error.is_some_and(|error| error.message.contains("100 bytes")));
        handle.shutdown().await;
    });
}

#[test]
fn a_reader_too_slow_is_cut() {
    run(async {
        let world = World::default();
        let answers: Vec<Vec<Line>> = (0..3).map(|_| (0..5000).map(|_| say("x")).chain([STOP]).collect()).collect();
        let handle = world.node("n1", &ScriptedModel::new(answers));
        let (chat_id, _) = create(&handle, "").await;
        let mut slow = handle.open(chat_id).await.expect("the chat opens").watch;
        let mut watcher = Watcher::open(&handle, chat_id).await;
        for _ in 0..3 {
            send(&handle, chat_id, "go on", Busy::Queue).await.expect("the message is taken");
            watcher.event("turn_finished").await;
        }
        assert_eq!(slow.next().await.expect_err("15 000 frames are too many to keep"), WatchEnded::TooSlow);
        handle.shutdown().await;
    });
}

#[test]
fn a_stop_ends_the_watches() {
    run(async {
        let world = World::default();
        let handle = world.node("n1", &ScriptedModel::new(Vec::new()));
        let (chat_id, _) = create(&handle, "").await;
        let mut watch = handle.open(chat_id).await.expect("the chat opens").watch;
        let before = world.clock.now();
        handle.shutdown().await;
        assert_eq!(watch.next().await.expect_err("the watch ends"), WatchEnded::Closed);
        assert_eq!(world.clock.now(), before, "an idle node stops without waiting");
    });
}
