//! Several nodes on one database.

use std::time::Duration;

use verbatim_events::log::EventLog as _;
use verbatim_projections::{ReadError, RebuildPhase, RebuildRequest};

use super::agrees::assert_agrees;
use super::place::Place;
use super::world::{Dice, World};

/// Long enough that only a fault of the program makes it pass.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_share_one_generation() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.live(&mut Dice::new(41), 100).await;
    let (first, second, third) =
        tokio::join!(place.open(world.log()), place.open(world.log()), place.open(world.log()));
    let generation = first.generation();
    assert_eq!((second.generation(), third.generation()), (generation, generation));
    let head = world.log.known_head();
    let reached = async {
        for models in [&first, &second, &third] {
            models.wait_until(head, PATIENCE).await.unwrap();
        }
    };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let until_stopped = || {
        let mut stopped = stopped.clone();
        async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }
    };
    tokio::join!(first.run(until_stopped()), second.run(until_stopped()), third.run(until_stopped()), async {
        reached.await;
        stop.send(true).unwrap();
    });
    for models in [&first, &second, &third] {
        assert_agrees(models, &world).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_node_rebuilds_and_a_dead_ones_leftovers_go() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.live(&mut Dice::new(42), 150).await;
    let first = place.open_with(world.log(), 1).await;
    let second = place.open(world.log()).await;
    first.catch_up().await.unwrap();
    // A rebuild that died left its schema.
    place.execute(1, "CREATE SCHEMA read_5").await;
    let mut progress = first.rebuild_progress();
    let rebuilding = first.clone();
    let rebuild = tokio::spawn(async move { rebuilding.rebuild(RebuildRequest::default()).await });
    progress.wait_for(|progress| progress.phase == RebuildPhase::Building).await.unwrap();
    assert!(matches!(second.rebuild(RebuildRequest::default()).await, Err(ReadError::RebuildRunning)));
    assert_eq!(rebuild.await.unwrap().unwrap().generation, 2);
    assert!(!place.has_generation(5).await);
    // The second still reads the old rows, until its next step finds that they are retired.
    assert_eq!(second.generation(), 1);
    let (chat_id, chat) = world.chats.first_key_value().unwrap();
    assert_eq!(second.chat(*chat_id).await.unwrap().as_ref(), Some(&chat.outline));
    assert!(matches!(second.run_once().await, Err(ReadError::Contended { .. })));
    assert_eq!(second.generation(), 2);
    assert_agrees(&second, &world).await;
    second.rebuild(RebuildRequest::default()).await.unwrap();
    assert!(!place.has_generation(1).await, "two swaps later nobody reads it");
    assert!(place.has_generation(2).await, "another node may still read it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_version_follows_instead_of_rebuilding_in_turn() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.live(&mut Dice::new(43), 60).await;
    let models = place.open(world.log()).await;
    models.catch_up().await.unwrap();
    let applied = models.applied_position();
    // As if another version had rebuilt and gone live: its rows, its fingerprint.
    models.rebuild(RebuildRequest::default()).await.unwrap();
    let other = place.open(world.log()).await;
    place.execute(2, "UPDATE checkpoint SET fingerprint = 'newer', position = position - 1").await;
    assert!(matches!(other.run_once().await, Ok(progress) if progress.at_head()), "it has not looked yet");
    world.live(&mut Dice::new(44), 20).await;
    assert!(matches!(other.run_once().await, Err(ReadError::Contended { .. })));
    let progress = other.run_once().await.unwrap();
    assert!(progress.following);
    assert_eq!((progress.applied, progress.events), (applied - 1, 0));
    assert_eq!((other.stale(), other.generation()), (None, 2));
    // It shows how far the other node is.
    place.execute(2, "UPDATE checkpoint SET position = position + 1").await;
    other.run(async { other.wait_until(applied, PATIENCE).await.unwrap() }).await;
}
