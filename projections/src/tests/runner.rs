//! The runner: checkpoints, crashes, poison, waiting.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use uuid::Uuid;
use verbatim_events::log::{EventLog, LogError};

use super::agrees::assert_agrees;
use super::place::Place;
use super::world::{Dice, World};
use verbatim_projections::{Behind, Inspection, ReadError, ReadModels, Stale};

/// Long enough that only a fault of the program makes it pass.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_between_pages_carries_on_where_it_was() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.live(&mut Dice::new(11), 300).await;
    let mut steps = 0;
    loop {
        // Opened anew for each page, never closed: as after a kill.
        let models = place.open(world.log()).await;
        let before = models.applied_position();
        let progress = models.run_once().await.unwrap();
        assert_eq!(progress.applied, before + progress.events as u64);
        steps += 1;
        if progress.at_head() {
            assert_eq!(models.generation(), 1);
            assert_agrees(&models, &world).await;
            break;
        }
    }
    assert!(steps > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anybody_may_look_and_nothing_is_made_by_looking() {
    let (mut world, place) = (World::new(), Place::new().await);
    let look = async || ReadModels::inspect(place.location(), &Handle::current()).await.unwrap();
    assert_eq!(look().await, None);
    assert!(!place.has_generation(1).await);
    world.begin("ann", "hello").await;
    let models = place.open(world.log()).await;
    assert_eq!(look().await.unwrap().applied, 0);
    models.catch_up().await.unwrap();
    let expected = Some(Inspection {
        generation: 1,
        timeline: world.log.timeline(),
        applied: world.log.known_head(),
        recorded_at: Some(world.now),
        same_program: true,
    });
    assert_eq!(look().await, expected);
    models.close().await.unwrap();
    assert_eq!(look().await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checkpoint_moves_only_from_where_it_was_believed_to_be() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.live(&mut Dice::new(12), 100).await;
    let first = place.open(world.log()).await;
    let second = place.open(world.log()).await;
    let moved = first.run_once().await.unwrap();
    // The second believes in 0, where it was opened, so its page must not be written.
    let refused = second.run_once().await;
    assert!(matches!(refused, Err(ReadError::Contended { expected: 0 })), "{refused:?}");
    // It stands now where the first one stands, and takes turns with it.
    assert_eq!(second.applied_position(), moved.applied);
    second.catch_up().await.unwrap();
    assert_agrees(&second, &world).await;
    let refused = first.run_once().await;
    assert!(matches!(refused, Err(ReadError::Contended { .. })), "{refused:?}");
    assert_agrees(&first, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_cannot_be_written_leaves_everything_as_it_was() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.live(&mut Dice::new(13), 60).await;
    let models = place.open(world.log()).await;
    let before = models.run_once().await.unwrap();
    place.execute(1, "ALTER TABLE messages RENAME TO elsewhere").await;
    for _ in 0..3 {
        assert!(matches!(models.run_once().await, Err(ReadError::Database(_))));
    }
    assert_eq!(models.applied_position(), before.applied);
    assert_eq!(
        ReadModels::inspect(place.location(), &Handle::current()).await.unwrap().unwrap().applied,
        before.applied
    );
    place.execute(1, "ALTER TABLE elsewhere RENAME TO messages").await;
    models.catch_up().await.unwrap();
    assert_agrees(&models, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_read_is_an_error_and_no_more() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.begin("ann", "hello").await;
    let models = place.open(world.log()).await;
    world.log.fail_next_reads(2);
    for _ in 0..2 {
        assert!(matches!(models.run_once().await, Err(ReadError::Log(LogError::Unavailable(_)))));
    }
    models.catch_up().await.unwrap();
    assert_agrees(&models, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_event_stops_its_chat_and_no_other() {
    for page_events in [1, 3, 500] {
        let (mut world, place) = (World::new(), Place::new().await);
        let models = place.open_with(world.log(), page_events).await;
        let ill = world.begin("ann", "this one breaks").await;
        let sound = world.begin("ann", "this one lives").await;
        let (before, version) = (world.chats[&ill].outline.clone(), world.chats[&ill].outline.version);
        let position = world.log.known_head() + 1;
        world.poison(ill).await;
        world.answer(sound, "on and on").await;
        let (mut letters, mut skipped) = (Vec::new(), 0);
        loop {
            let progress = models.run_once().await.unwrap();
            letters.extend(progress.dead_letters.clone());
            skipped += progress.skipped;
            if progress.at_head() {
                break;
            }
        }
        assert_eq!(models.dead_letters(10).await.unwrap(), letters);
        assert_eq!(letters.len(), 1);
        assert_eq!((letters[0].chat_id, letters[0].position, letters[0].version), (ill, position, version + 1));
        assert!(letters[0].problem.contains("cannot be read"), "{}", letters[0].problem);
        assert_eq!(skipped, 1);
        assert_eq!(models.chat(ill).await.unwrap(), Some(before));
        assert_eq!(models.chat(sound).await.unwrap().as_ref(), Some(&world.chats[&sound].outline));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_the_database_does_not_take_stop_their_chat_and_no_other() {
    for page_events in [1, 500] {
        let (mut world, place) = (World::new(), Place::new().await);
        let models = place.open_with(world.log(), page_events).await;
        let ill = world.begin("ann", "fine so far").await;
        world.answer(ill, "fine too").await;
        models.catch_up().await.unwrap();
        place.refuse_messages_with(1, "unwelcome").await;
        let sound = world.begin("bob", "before").await;
        world.say(ill, "an unwelcome word").await;
        world.answer(ill, "whatever").await;
        world.answer(sound, "after").await;
        let (mut letters, mut skipped) = (Vec::new(), 0);
        loop {
            let progress = models.run_once().await.unwrap();
            letters.extend(progress.dead_letters.clone());
            skipped += progress.skipped;
            if progress.at_head() {
                break;
            }
        }
        assert_eq!(letters.len(), 1);
        assert_eq!((letters[0].chat_id, letters[0].event_type.as_str()), (ill, "message_committed"));
        assert_eq!(skipped, 3, "an attempt, its answer and the end of the turn");
        assert_eq!(models.dead_letters(10).await.unwrap(), letters);
        assert_eq!(models.chat(ill).await.unwrap().unwrap().version, letters[0].version - 1);
        assert_eq!(models.chat(sound).await.unwrap().as_ref(), Some(&world.chats[&sound].outline));
        assert_eq!(models.applied_position(), world.log.known_head());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_waits_for_its_own_write() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let runner = models.clone();
    let running = tokio::spawn(async move {
        runner
            .run(async {
                let _ = stopped.await;
            })
            .await;
    });
    for number in 0..20 {
        let chat = world.begin("ann", &format!("hello {number}")).await;
        let position = world.log.known_head();
        models.wait_until(position, PATIENCE).await.unwrap();
        assert_eq!(models.chat(chat).await.unwrap().as_ref(), Some(&world.chats[&chat].outline));
    }
    let head = world.log.known_head();
    let behind = models.wait_until(head + 1, Duration::ZERO).await;
    assert_eq!(behind, Err(Behind { applied: head, wanted: head + 1 }));
    stop.send(()).unwrap();
    running.await.unwrap();
    // Nobody applies any more, so whoever waits is told so.
    world.begin("ann", "late").await;
    assert!(models.wait_until(head + 1, Duration::from_millis(1)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runner_survives_a_log_that_fails_for_a_while() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    world.log.fail_next_reads(3);
    world.live(&mut Dice::new(14), 50).await;
    let head = world.log.known_head();
    models.run(async { models.wait_until(head, PATIENCE).await.unwrap() }).await;
    assert_agrees(&models, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_counts_events_and_the_age_of_the_newest_applied_one() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    world.begin("ann", "hello").await;
    models.catch_up().await.unwrap();
    let (applied, at) = (world.log.known_head(), world.now);
    let lag = models.lag(at + TimeDelta::seconds(9));
    assert_eq!((lag.applied, lag.head, lag.events, lag.age_ms), (applied, applied, 0, 0));
    world.begin("ann", "more").await;
    let head = world.log.known_head();
    let lag = models.lag(at + TimeDelta::seconds(9));
    assert_eq!((lag.applied, lag.head, lag.events, lag.age_ms), (applied, head, head - applied, 9000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_another_log_or_program_are_not_carried_on() {
    for expected in [Stale::OtherProgram, Stale::OtherTimeline] {
        let (mut world, place) = (World::new(), Place::new().await);
        let change = match expected {
            Stale::OtherProgram => "UPDATE checkpoint SET fingerprint = 'older'".to_owned(),
            _ => format!("UPDATE checkpoint SET timeline = {}", place.id_literal(77)),
        };
        world.live(&mut Dice::new(15), 80).await;
        let models = place.open(world.log()).await;
        models.catch_up().await.unwrap();
        models.close().await.unwrap();
        place.execute(1, &change).await;
        let models = place.open(world.log()).await;
        assert_eq!(models.stale(), Some(expected.clone()));
        assert_eq!(models.applied_position(), 0);
        assert!(matches!(models.run_once().await, Err(ReadError::Stale(stale)) if stale == expected));
        let head = world.log.head().await.unwrap();
        models.run(async { models.wait_until(head, PATIENCE).await.unwrap() }).await;
        assert_eq!((models.stale(), models.generation()), (None, 2));
        assert_agrees(&models, &world).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_ahead_of_their_log_are_built_anew() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.live(&mut Dice::new(16), 80).await;
    let models = place.open(world.log()).await;
    models.catch_up().await.unwrap();
    models.close().await.unwrap();
    // The same timeline, fewer events: the log's own disk lost something.
    let mut shorter = World::on(Uuid::from_u128(1));
    shorter.begin("ann", "hello").await;
    let models = place.open(shorter.log()).await;
    assert!(matches!(models.run_once().await, Err(ReadError::Stale(Stale::AheadOfLog { .. }))));
    models.run(async { models.wait_until(1, PATIENCE).await.unwrap() }).await;
    assert_agrees(&models, &shorter).await;
}
