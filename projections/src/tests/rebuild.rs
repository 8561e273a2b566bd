//! Rebuilds: same rows, no reader disturbed, nothing lost on a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::agrees::{ALL_MESSAGES, assert_agrees};
use super::place::Place;
use super::world::{Dice, World};
use verbatim_events::log::EventLog;
use verbatim_projections::{ChatFilter, PoisonPolicy, ReadError, RebuildPhase, RebuildRequest, Verify};

fn compare() -> RebuildRequest {
    RebuildRequest { verify: Verify::Compare, ..RebuildRequest::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_makes_the_same_rows() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open_with(world.log(), 5).await;
    world.live(&mut Dice::new(21), 400).await;
    models.catch_up().await.unwrap();
    // Other pages than before: what a page holds must not matter.
    let other = place.open_with(world.log(), 97).await;
    let report = other.rebuild(compare()).await.unwrap();
    assert_eq!((report.generation, other.generation()), (2, 2));
    assert_eq!(report.events, world.recorded.len() as u64);
    assert!(report.rows_compared > world.chats.len() as u64);
    assert_agrees(&other, &world).await;
    world.live(&mut Dice::new(22), 50).await;
    other.catch_up().await.unwrap();
    assert_agrees(&other, &world).await;
    let progress = other.rebuild_progress().borrow().clone();
    assert_eq!(
        (progress.phase, progress.generation, progress.rows_compared),
        (RebuildPhase::Done, 2, report.rows_compared)
    );
    // The handle that slept through the swap finds the new rows at its next step.
    assert!(matches!(models.run_once().await, Err(ReadError::Contended { .. })));
    assert_eq!(models.generation(), 2);
    assert_agrees(&models, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_are_passed_over_and_no_poison() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.set(&["first"]).await;
    world.live(&mut Dice::new(25), 60).await;
    world.set(&["a", "b", "c"]).await;
    world.live(&mut Dice::new(26), 60).await;
    // The log ends in settings, so the checkpoint must move over them, too.
    world.set(&["last"]).await;
    for page in [1, 7, 500] {
        let models = place.open_with(world.log(), page).await;
        let progress = models.catch_up().await.unwrap();
        assert_eq!((progress.applied, progress.dead_letters.len()), (world.log.known_head(), 0));
        let report = models.rebuild(compare()).await.unwrap();
        assert_eq!((report.events, report.dead_letters), (world.log.known_head(), 0));
        assert_agrees(&models, &world).await;
        models.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_finds_every_changed_missing_and_surplus_row() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    world.live(&mut Dice::new(23), 200).await;
    models.catch_up().await.unwrap();
    let (first, last) = (place.id_literal(1), place.id_literal(u128::MAX));
    let changes = [
        ("chats", "UPDATE chats SET title = 'x' WHERE position = (SELECT max(position) FROM chats)".to_owned()),
        ("messages", "DELETE FROM messages WHERE position = (SELECT min(position) FROM messages)".to_owned()),
        ("messages", "DELETE FROM messages WHERE position = (SELECT max(position) FROM messages)".to_owned()),
        (
            "turns",
            "UPDATE turns SET attempts = attempts + 1 WHERE turn_id = (SELECT max(turn_id) FROM turns)".to_owned(),
        ),
        ("usage_days", "UPDATE usage_days SET steps = steps + 1 WHERE purpose = 'answer'".to_owned()),
        ("labels", format!("INSERT INTO labels (chat_id, name, value) VALUES ({first}, 'a', 'b')")),
        (
            "queue",
            format!("INSERT INTO queue (chat_id, id, seat, queued_at, message) VALUES ({last}, 1, 1, 1, '{{}}')"),
        ),
        ("work", "DELETE FROM work WHERE chat_id = (SELECT chat_id FROM work LIMIT 1)".to_owned()),
        ("dead_letters", format!("INSERT INTO dead_letters VALUES ({first}, 1, 1, 'x', 1, 'x')")),
    ];
    for (table, change) in changes {
        let generation = models.generation();
        place.execute(generation, &change).await;
        let compared = models.rebuild(compare()).await;
        assert!(
            matches!(compared, Err(ReadError::Differs { table: found, .. }) if found == table),
            "{change}: {compared:?}"
        );
        assert_eq!(models.generation(), generation);
        let RebuildPhase::Failed(_) = models.rebuild_progress().borrow().phase.clone() else {
            panic!("the failure is not shown");
        };
        assert!(!place.has_generation(generation + 1).await, "the failed generation is still there");
        // Without a comparison the new rows win.
        models.rebuild(RebuildRequest::default()).await.unwrap();
        assert_agrees(&models, &world).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_do_not_notice_a_swap() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    world.live(&mut Dice::new(24), 120).await;
    models.catch_up().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU64::new(0));
    let mut readers = Vec::new();
    for _ in 0..3 {
        let (models, stop, reads) = (models.clone(), Arc::clone(&stop), Arc::clone(&reads));
        let chats: Vec<_> = world.chats.values().map(|chat| (chat.outline.id, chat.history.len())).collect();
        readers.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                for (chat_id, messages) in &chats {
                    assert_eq!(models.messages(*chat_id, ALL_MESSAGES, 1000).await.unwrap().items.len(), *messages);
                    assert!(models.chat(*chat_id).await.unwrap().is_some());
                }
                assert!(!models.chats(ChatFilter::default(), 10, None).await.unwrap().items.is_empty());
                reads.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for expected in 2..7 {
        assert_eq!(models.rebuild(RebuildRequest::default()).await.unwrap().generation, expected);
        let seen = reads.load(Ordering::Relaxed);
        while reads.load(Ordering::Relaxed) < seen + 3 {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert_agrees(&models, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_on_during_a_rebuild() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open_with(world.log(), 3).await;
    world.live(&mut Dice::new(25), 100).await;
    models.catch_up().await.unwrap();
    let rebuilding = models.clone();
    let rebuild = tokio::spawn(async move { rebuilding.rebuild(compare()).await });
    let mut shown = models.applied_position();
    let mut dice = Dice::new(26);
    while !rebuild.is_finished() {
        world.live(&mut dice, 1).await;
        models.run_once().await.unwrap();
        let applied = models.applied_position();
        assert!(applied >= shown, "a reader would lose what it had seen");
        shown = applied;
    }
    rebuild.await.unwrap().unwrap();
    assert_eq!(models.generation(), 2);
    models.catch_up().await.unwrap();
    assert_agrees(&models, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_fails_a_rebuild_unless_it_is_told_to_set_it_aside() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let ill = world.begin("ann", "this one breaks").await;
    let before = world.chats[&ill].outline.clone();
    world.poison(ill).await;
    world.begin("ann", "this one lives").await;
    models.catch_up().await.unwrap();
    let refused = models.rebuild(RebuildRequest::default()).await;
    assert!(matches!(refused, Err(ReadError::Poison { chat_id, .. }) if chat_id == ill), "{refused:?}");
    assert_eq!(models.generation(), 1);
    let lenient = RebuildRequest { on_poison: PoisonPolicy::SetAside, ..compare() };
    let report = models.rebuild(lenient).await.unwrap();
    assert_eq!((report.dead_letters, models.generation()), (1, 2));
    assert_eq!(models.chat(ill).await.unwrap(), Some(before));
    assert_eq!(models.dead_letters(5).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sealed_with_a_lost_key_is_no_poison() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let erased = world.begin("ann", "this one is sealed").await;
    world.seal_away(erased).await;
    let other = world.begin("ann", "this one lives").await;
    let progress = models.catch_up().await.unwrap();
    assert_eq!((progress.dead_letters.len(), progress.applied), (0, progress.head));
    // It fails no rebuild, and the same rows come of it.
    let report = models.rebuild(compare()).await.unwrap();
    assert_eq!((report.dead_letters, report.generation), (0, 2));
    assert!(models.chat(other).await.unwrap().is_some());
    world.say(other, "and goes on").await;
    models.catch_up().await.unwrap();
    assert_eq!(models.chat(other).await.unwrap(), Some(world.chats[&other].outline.clone()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_checked_and_a_second_rebuild_is_refused() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open_with(world.log(), 1).await;
    world.live(&mut Dice::new(27), 100).await;
    let named = |name: &str| RebuildRequest { projections: vec![name.to_owned()], ..RebuildRequest::default() };
    let unknown = models.rebuild(named("chatz")).await;
    assert!(matches!(unknown, Err(ReadError::UnknownProjection { name, .. }) if name == "chatz"));
    let names = models.projection_names();
    let all = ["chats", "search", "messages", "queue", "files", "turns", "usage", "inbox", "work", "snapshots"];
    assert_eq!(names, all);
    let mut progress = models.rebuild_progress();
    let rebuilding = models.clone();
    let first = tokio::spawn(async move { rebuilding.rebuild(named("work")).await });
    progress.wait_for(|progress| progress.phase == RebuildPhase::Building).await.unwrap();
    assert!(matches!(models.rebuild(named("chats")).await, Err(ReadError::RebuildRunning)));
    first.await.unwrap().unwrap();
    assert_agrees(&models, &world).await;
}
