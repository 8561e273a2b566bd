//! What a crash, a stop or a lost database leaves behind, and how the next life goes on.

use support::script::{Gate, Line, STOP, ScriptedModel, fail_retryable, say};
use support::shell::{Watcher, World, create, message, rest, run, say_first, send, status};
use verbatim_actors::handle::{Meta, SendError};
use verbatim_events::chat::Status;
use verbatim_events::command::{Busy, Command};
use verbatim_events::event::{AbandonCause, Event};
use verbatim_events::journal::PartJournal;
use verbatim_events::memory::Fault;
use verbatim_events::part::Part;

#[test]
fn a_stop_is_no_interrupt_and_the_next_life_goes_on() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("half"), Line::Hang], vec![say("whole"), STOP]]);
        let first = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&first, "one").await;
        watcher.part().await;
        let before = world.names(chat_id).await;
        first.shutdown().await;
        assert_eq!(world.names(chat_id).await, before, "a stop appends nothing");
        assert_eq!(world.journal.read(chat_id, 4).await.expect("the journal answers").len(), 1);
        let refused = first.send(chat_id, Command::Interrupt, Meta::user("ann")).await;
        assert_eq!(refused, Err(SendError::Stopping));

        let second = world.node("n2", &model);
        second.wake(chat_id).await.expect("the chat wakes");
        rest(&second, chat_id).await;
        let events = world.events(chat_id).await;
        let [Event::UsageRecorded(spent), Event::AttemptAbandoned(abandoned), ..] = &events[before.len()..] else {
            panic!("the attempt is abandoned first")
        };
        assert_eq!(spent.attempt_id, Some(4));
        assert_eq!((abandoned.attempt_id, abandoned.cause), (4, AbandonCause::Crash));
        assert_eq!(abandoned.partial, [Part::text("half")], "what was shown is kept");
        assert!(matches!(events.last(), Some(Event::TurnFinished(_))));
        second.shutdown().await;
    });
}

#[test]
fn an_interrupt_that_comes_before_the_restart_commits_the_journaled_partial() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("half"), Line::Hang]]);
        let first = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&first, "one").await;
        watcher.part().await;
        first.shutdown().await;
        let second = world.node("n2", &model);
        second.send(chat_id, Command::Interrupt, Meta::user("ann")).await.expect("the interrupt is taken");
        let opened = second.open(chat_id).await.expect("the chat opens");
        assert_eq!(opened.chat.outline.status, Status::Waiting);
        let last = opened.chat.history.iter().last().expect("there is a message");
        assert_eq!(last.parts, [Part::text("half")]);
        assert_eq!(model.requests().len(), 1, "the model is not called again");
        second.shutdown().await;
    });
}

#[test]
fn a_retry_waits_the_rest_of_its_time_after_a_restart() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![fail_retryable()], vec![say("ok"), STOP]]);
        let first = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&first, "one").await;
        let Event::RetryScheduled(retry) = watcher.event("retry_scheduled").await else { unreachable!() };
        first.shutdown().await;
        world.clock.advance_ms(retry.delay_ms / 2);
        let second = world.node("n2", &model);
        second.wake(chat_id).await.expect("the chat wakes");
        let mut watcher = Watcher::open(&second, chat_id).await;
        assert_eq!(model.requests().len(), 1, "half the wait is left");
        world.clock.advance_to(retry.retry_at);
        watcher.event("turn_finished").await;
        assert_eq!(model.requests().len(), 2);
        second.shutdown().await;
    });
}

#[test]
fn a_clock_that_was_set_back_prolongs_no_wait() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![fail_retryable()], vec![say("ok"), STOP]]);
        let first = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&first, "one").await;
        watcher.event("retry_scheduled").await;
        first.shutdown().await;
        world.clock.set_back_ms(3_600_000);
        let second = world.node("n2", &model);
        second.wake(chat_id).await.expect("the chat wakes");
        rest(&second, chat_id).await;
        assert_eq!(model.requests().len(), 2);
        second.shutdown().await;
    });
}

#[test]
fn a_dead_actor_is_rebuilt_and_finishes_what_it_owed() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![fail_retryable()], vec![say("ok"), STOP]]);
        let handle = world.node("n1", &model);
        let (_, mut watcher) = say_first(&handle, "one").await;
        let Event::RetryScheduled(retry) = watcher.event("retry_scheduled").await else { unreachable!() };
        model.panic_on_resolve(2);
        world.clock.advance_to(retry.retry_at);
        watcher.event("turn_finished").await;
        assert_eq!(handle.stats().restarts, 2, "it died twice and was rebuilt twice");
        handle.shutdown().await;
    });
}

#[test]
fn a_chat_that_dies_again_and_again_is_left_alone_for_a_minute() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("ok"), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, _) = create(&handle, "").await;
        model.panic_on_resolve(u32::MAX);
        let mut died = 0;
        loop {
            match send(&handle, chat_id, "one", Busy::Queue).await {
                Err(SendError::Died) => died += 1,
                Err(SendError::GivenUp) => break,
                other => panic!("the actor dies or is given up, not {other:?}"),
            }
        }
        // A command that reaches an actor on its deathbed dies with it, so there may be more dead commands than actors.
        assert!(died > world.limits.restarts_max, "{died} deaths are within the budget");
        model.panic_on_resolve(0);
        world.clock.advance_ms(60_000);
        let mut watcher = Watcher::open(&handle, chat_id).await;
        send(&handle, chat_id, "one", Busy::Queue).await.expect("another minute, another chance");
        watcher.event("turn_finished").await;
        handle.shutdown().await;
    });
}

#[test]
fn a_result_from_a_former_life_is_fenced_off() {
    run(async {
        let world = World::default();
        let gate = Gate::default();
        let old = ScriptedModel::new(vec![vec![say("old"), Line::Wait(gate.clone()), STOP]]);
        let first = world.node("n1", &old);
        let (chat_id, mut first_watcher) = say_first(&first, "one").await;
        first_watcher.part().await;
        // A second node takes over although the first still lives: what the first brings then must not count.
        let new = ScriptedModel::new(vec![vec![say("new"), STOP]]);
        let second = world.node("n2", &new);
        second.wake(chat_id).await.expect("the chat wakes");
        rest(&second, chat_id).await;
        gate.open();
        first_watcher.event("turn_finished").await;
        let answers: Vec<_> = world
            .events(chat_id)
            .await
            .into_iter()
            .filter_map(|event| match event {
                Event::MessageCommitted(message) if message.attempt_id.is_some() => Some(message.parts),
                _ => None,
            })
            .collect();
        assert_eq!(answers, [[Part::text("new")]]);
        first.shutdown().await;
        second.shutdown().await;
    });
}

#[test]
fn a_commit_of_unknown_outcome_is_found_out() {
    for fault in [Fault::LostBefore, Fault::LostAfter] {
        run(async {
            let world = World::default();
            let model = ScriptedModel::new(vec![vec![say("ok"), STOP]]);
            let handle = world.node("n1", &model);
            let (chat_id, _) = create(&handle, "").await;
            let mut watcher = Watcher::open(&handle, chat_id).await;
            world.log.fail_next_append(fault);
            let answer = send(&handle, chat_id, "one", Busy::Queue).await.expect("the message is taken, once");
            assert_eq!(answer.outcome.message_id, Some(3));
            watcher.event("turn_finished").await;
            let sent = world.names(chat_id).await.iter().filter(|name| **name == "turn_started").count();
            assert_eq!(sent, 1, "after {fault:?}");
            handle.shutdown().await;
        });
    }
}

#[test]
fn an_answer_that_the_log_would_not_take_is_kept_until_it_does() {
    run(async {
        let mut world = World::default();
        // Time passes fast here; the model is to be slow, not silent.
        world.limits.silence_ms = 0;
        let gate = Gate::default();
        let model = ScriptedModel::new(vec![vec![say("precious"), Line::Wait(gate.clone()), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&handle, "one").await;
        watcher.part().await;
        for _ in 0..3 {
            world.log.fail_next_append(Fault::Refused);
        }
        gate.open();
        let clock = world.clock.clone();
        let mut finished = Box::pin(watcher.event("turn_finished"));
        loop {
            // Each refusal sets an alarm; time must pass for the next try.
            clock.advance_ms(5_000);
            if futures_util::poll!(finished.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(finished);
        assert_eq!(model.requests().len(), 1, "the model is not asked twice for one answer");
        let events = world.events(chat_id).await;
        let Event::MessageCommitted(said) = &events[4] else { panic!("the answer is committed") };
        assert_eq!(said.parts, [Part::text("precious")]);
        handle.shutdown().await;
    });
}

#[test]
fn a_command_the_log_refuses_changes_nothing() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("ok"), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, _) = create(&handle, "").await;
        world.log.fail_next_append(Fault::Refused);
        let refused = handle.send(chat_id, message("one", Busy::Queue), Meta::user("ann")).await;
        assert!(matches!(refused, Err(SendError::LogUnavailable { .. })), "{refused:?}");
        assert_eq!(status(&handle, chat_id).await, Status::Waiting);
        let mut watcher = Watcher::open(&handle, chat_id).await;
        send(&handle, chat_id, "one", Busy::Queue).await.expect("the next one is taken");
        watcher.event("turn_finished").await;
        handle.shutdown().await;
    });
}
