//! A turn from its message to its end.

use support::script::{Gate, Line, STOP, ScriptedModel, fail_for_good, fail_retryable, say};
use support::shell::{Watcher, World, create, message, run, say_first, send};
use verbatim_actors::clock::Clock;
use verbatim_actors::handle::{IdempotencyKey, Meta, SendError};
use verbatim_events::chat::Status;
use verbatim_events::command::{Busy, Command};
use verbatim_events::error::{ChatError, ErrorKind};
use verbatim_events::event::{Event, TurnOutcome};
use verbatim_events::ids::Digest;
use verbatim_events::message::FinishReason;
use verbatim_events::part::Part;

#[test]
fn a_message_is_answered_in_two_appends() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("Hel"), say("lo."), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, _) = create(&handle, "").await;
        let mut watcher = Watcher::open(&handle, chat_id).await;
        let answer = send(&handle, chat_id, "Hi!", Busy::Queue).await.expect("the message is taken");
        assert_eq!(answer.outcome.status, Status::Running);
        assert_eq!((answer.outcome.turn_id, answer.outcome.message_id), (Some(2), Some(3)));
        let Event::TurnFinished(finished) = watcher.event("turn_finished").await else { unreachable!() };
        assert_eq!((finished.outcome, finished.steps, finished.usage.output_tokens), (TurnOutcome::Complete, 1, 5));
        assert_eq!(
            world.names(chat_id).await,
            [
                "chat_created",
                "turn_started",
                "message_committed",
                "attempt_recorded",
                "message_committed",
                "turn_finished"
            ]
        );
        let Event::MessageCommitted(said) = &world.events(chat_id).await[4] else { panic!("the answer is committed") };
        assert_eq!(said.parts, [Part::text("Hello.")]);
        handle.shutdown().await;
    });
}

#[test]
fn watchers_see_parts_between_the_attempt_and_the_answer() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("a"), say("b"), say("c"), STOP]]);
        let handle = world.node("n1", &model);
        let (_, mut watcher) = say_first(&handle, "Hi!").await;
        watcher.event("turn_finished").await;
        let order: Vec<String> = watcher
            .seen
            .iter()
            .map(|frame| match frame {
                verbatim_actors::hub::Frame::Event(event) => event.recorded.version.to_string(),
                verbatim_actors::hub::Frame::Part(part) => {
                    format!("{}-{}-{}", part.part.after_version, part.attempt_id, part.part.n)
                }
            })
            .collect();
        assert_eq!(order, ["2", "3", "4", "4-4-1", "4-4-2", "4-4-3", "5", "6"]);
        handle.shutdown().await;
    });
}

#[test]
fn a_retryable_failure_waits_its_time_and_tries_again() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("half"), fail_retryable()], vec![say("whole"), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&handle, "Hi!").await;
        let Event::RetryScheduled(retry) = watcher.event("retry_scheduled").await else { unreachable!() };
        assert_eq!((retry.attempt, retry.error.kind), (1, ErrorKind::Overloaded));
        assert!((900..=1100).contains(&retry.delay_ms), "{} ms is 1 s ± 10 %", retry.delay_ms);
        assert_eq!(retry.partial, [Part::text("half")]);
        assert_eq!(model.requests().len(), 1, "nothing is tried before its time");
        world.clock.advance_to(retry.retry_at);
        watcher.event("turn_finished").await;
        let Event::MessageCommitted(said) = &world.events(chat_id).await[6] else { panic!("the answer is committed") };
        assert_eq!(said.parts, [Part::text("whole")], "the failed attempt's words are void");
        handle.shutdown().await;
    });
}

#[test]
fn a_failure_for_good_ends_the_turn_and_keeps_the_queue() {
    run(async {
        let world = World::default();
        let gate = Gate::default();
        let model = ScriptedModel::new(vec![vec![Line::Wait(gate.clone()), fail_for_good()], vec![say("ok"), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&handle, "one").await;
        let queued = send(&handle, chat_id, "two", Busy::Queue).await.expect("the message is queued");
        assert!(queued.outcome.queued_id.is_some());
        gate.open();
        let Event::TurnFinished(finished) = watcher.event("turn_finished").await else { unreachable!() };
        assert_eq!(finished.outcome, TurnOutcome::Failed);
        assert_eq!(finished.error.map(|error| error.kind), Some(ErrorKind::Auth));
        let opened = handle.open(chat_id).await.expect("the chat opens");
        assert_eq!((opened.chat.outline.status, opened.chat.queue.len()), (Status::Error, 1));
        handle.shutdown().await;
    });
}

#[test]
fn queued_messages_are_answered_in_order_by_themselves() {
    run(async {
        let world = World::default();
        let gate = Gate::default();
        let model = ScriptedModel::new(vec![
            vec![Line::Wait(gate.clone()), say("1"), STOP],
            vec![say("2"), STOP],
            vec![say("3"), STOP],
        ]);
        let handle = world.node("n1", &model);
        let (chat_id, _) = create(&handle, "").await;
        let mut watcher = Watcher::open(&handle, chat_id).await;
        for content in ["one", "two", "three"] {
            send(&handle, chat_id, content, Busy::Queue).await.expect("the message is taken");
        }
        gate.open();
        for _ in 0..3 {
            watcher.event("turn_finished").await;
        }
        let texts: Vec<_> = world
            .events(chat_id)
            .await
            .into_iter()
            .filter_map(|event| match event {
                Event::MessageCommitted(message) => Some(message.parts),
                _ => None,
            })
            .collect();
        let expected = ["one", "1", "two", "2", "three", "3"].map(|text| vec![Part::text(text)]);
        assert_eq!(texts, expected);
        handle.shutdown().await;
    });
}

#[test]
fn an_interrupt_keeps_the_partial_answer_before_what_follows() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("half an "), say("answer"), Line::Hang], vec![say("new"), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&handle, "one").await;
        watcher.part().await;
        watcher.part().await;
        let answer = send(&handle, chat_id, "two", Busy::Interrupt).await.expect("the message interrupts");
        assert_eq!(answer.outcome.status, Status::Interrupting);
        let Event::TurnFinished(first) = watcher.event("turn_finished").await else { unreachable!() };
        assert_eq!(first.outcome, TurnOutcome::Interrupted);
        watcher.event("turn_finished").await;
        let said: Vec<_> = world
            .events(chat_id)
            .await
            .into_iter()
            .filter_map(|event| match event {
                Event::MessageCommitted(message) => Some((message.parts, message.finish_reason)),
                _ => None,
            })
            .collect();
        assert_eq!(said[1], (vec![Part::text("half an answer")], Some(FinishReason::Interrupted)));
        assert_eq!(said[2].0, [Part::text("two")]);
        assert_eq!(said[3].0, [Part::text("new")]);
        handle.shutdown().await;
    });
}

#[test]
fn silence_is_a_retryable_failure() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("a"), Line::Hang], vec![say("b"), STOP]]);
        let handle = world.node("n1", &model);
        let (_, mut watcher) = say_first(&handle, "one").await;
        watcher.part().await;
        world.clock.advance_ms(world.limits.silence_ms);
        let Event::RetryScheduled(retry) = watcher.event("retry_scheduled").await else { unreachable!() };
        assert_eq!(retry.error.kind, ErrorKind::StreamSilenceTimeout);
        world.clock.advance_to(retry.retry_at);
        watcher.event("turn_finished").await;
        handle.shutdown().await;
    });
}

#[test]
fn a_model_that_says_nothing_ends_the_turn_or_is_tried_again() {
    for (reason, expected) in [
        (FinishReason::Stop, "turn_finished"),
        (FinishReason::Length, "turn_finished"),
        (FinishReason::ContentFilter, "turn_finished"),
        (FinishReason::Unknown, "retry_scheduled"),
        (FinishReason::ToolCalls, "retry_scheduled"),
    ] {
        run(async {
            let world = World::default();
            let model = ScriptedModel::new(vec![vec![say("  "), Line::End(reason)]]);
            let handle = world.node("n1", &model);
            let (_, mut watcher) = say_first(&handle, "one").await;
            let event = watcher.event(expected).await;
            if let Event::TurnFinished(finished) = event {
                let outcome =
                    if reason == FinishReason::ContentFilter { TurnOutcome::Failed } else { TurnOutcome::NoOutput };
                assert_eq!(finished.outcome, outcome, "after {reason:?}");
            }
            handle.shutdown().await;
        });
    }
}

#[test]
fn a_panic_in_a_provider_costs_one_attempt() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("a"), Line::Panic], vec![say("b"), STOP]]);
        let handle = world.node("n1", &model);
        let (_, mut watcher) = say_first(&handle, "one").await;
        let Event::RetryScheduled(retry) = watcher.event("retry_scheduled").await else { unreachable!() };
        world.clock.advance_to(retry.retry_at);
        watcher.event("turn_finished").await;
        handle.shutdown().await;
    });
}

#[test]
fn a_provider_that_wants_too_long_a_wait_fails_the_turn_and_says_when() {
    run(async {
        let world = World::default();
        let error = ChatError::retryable(ErrorKind::RateLimit, "Too many requests.");
        let failed = verbatim_events::error::CallError {
            retry_after_ms: Some(world.limits.retry_after_max_ms + 1),
            ..error.into()
        };
        let model = ScriptedModel::new(vec![vec![Line::Fail(failed)]]);
        let handle = world.node("n1", &model);
        let (_, mut watcher) = say_first(&handle, "one").await;
        let Event::TurnFinished(finished) = watcher.event("turn_finished").await else { unreachable!() };
        let year = world.clock.now().format("%Y-").to_string();
        assert!(finished.error.is_some_and(|error| error.message.contains(&year) && !error.retryable));
        handle.shutdown().await;
    });
}

#[test]
fn a_key_answers_the_same_twice_and_nothing_else() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("a"), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, _) = create(&handle, "").await;
        let keyed = |body: &[u8]| Meta {
            idempotency: Some(IdempotencyKey {
                owner: "ann".to_owned(),
                key: "k1".to_owned(),
                request_hash: Digest::of(body),
            }),
            ..Meta::user("ann")
        };
        let (first, second) = tokio::join!(
            handle.send(chat_id, message("one", Busy::Queue), keyed(b"one")),
            handle.send(chat_id, message("one", Busy::Queue), keyed(b"one")),
        );
        let (first, second) = (first.expect("taken"), second.expect("the same"));
        assert_eq!(first.outcome, second.outcome);
        assert_eq!(first.position, second.position);
        assert!(first.replayed != second.replayed, "one of the two did it");
        let other = handle.send(chat_id, message("two", Busy::Queue), keyed(b"two")).await;
        assert_eq!(other, Err(SendError::KeyReused));
        let messages = world.names(chat_id).await.iter().filter(|name| **name == "turn_started").count();
        assert_eq!(messages, 1);
        handle.shutdown().await;
    });
}

#[test]
fn a_caller_that_goes_away_cancels_nothing() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("a"), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, _) = create(&handle, "").await;
        let mut watcher = Watcher::open(&handle, chat_id).await;
        {
            let mut sending = Box::pin(handle.send(chat_id, message("one", Busy::Queue), Meta::user("ann")));
            // Polled once: the command is on its way, and then nobody waits for it any more.
            let _ = futures_util::poll!(sending.as_mut());
        }
        watcher.event("turn_finished").await;
        handle.shutdown().await;
    });
}

#[test]
fn an_unknown_chat_is_not_found() {
    run(async {
        let world = World::default();
        let handle = world.node("n1", &ScriptedModel::new(Vec::new()));
        let nobody = verbatim_events::ids::ChatId(uuid::Uuid::now_v7());
        let refused = handle.send(nobody, Command::Interrupt, Meta::user("ann")).await;
        assert_eq!(refused, Err(SendError::Rejected(verbatim_events::rejection::Rejection::ChatNotFound)));
        assert!(handle.open(nobody).await.is_err());
        handle.shutdown().await;
    });
}
