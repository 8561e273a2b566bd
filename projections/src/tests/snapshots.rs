//! Snapshots: the very state that the chat's events give, whatever the pages, and nothing else.

use verbatim_events::chat::{Chat, evolve};
use verbatim_events::command::Command;
use verbatim_events::ids::{ChatId, Version};
use verbatim_events::snapshot::{Snapshots, due};

use super::place::Place;
use super::world::World;
use verbatim_projections::{ReadError, RebuildRequest, Verify};

/// A chat of at least `events` events.
async fn long_chat(world: &mut World, events: Version) -> ChatId {
    let chat_id = world.begin("ann", "Hello?").await;
    world.answer(chat_id, "Hello!").await;
    while world.chats[&chat_id].outline.version < events {
        let version = world.chats[&chat_id].outline.version;
        world.say(chat_id, &format!("And after {version}?")).await;
        world.answer(chat_id, &format!("Then comes {}.", version + 1)).await;
    }
    chat_id
}

/// The state after an event, folded from the first.
fn state_at(world: &World, chat_id: ChatId, version: Version) -> Option<Chat> {
    let events = world.recorded.iter().filter(|event| event.chat_id == chat_id && event.version <= version);
    events.fold(None, |chat, event| Some(evolve(chat, event).unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_the_state_at_its_version_whatever_the_pages() {
    let mut world = World::new();
    let long = long_chat(&mut world, 460).await;
    let short = long_chat(&mut world, 150).await;
    let version = world.chats[&long].outline.version;
    for page_events in [1, 7, 450, 1000] {
        let place = Place::new().await;
        let models = place.open_with(world.log(), page_events).await;
        assert_eq!(models.newest(long).await, None, "nothing was applied yet");
        models.catch_up().await.unwrap();
        let snapshot = models.newest(long).await;
        assert_eq!(snapshot.as_ref().map(|chat| chat.outline.version), Some(due(version)));
        assert_eq!(snapshot, state_at(&world, long, due(version)), "in pages of {page_events}");
        assert_eq!(models.newest(short).await, None, "a short chat needs none");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_follows_its_chat_over_restarts_and_goes_with_its_words() {
    let (mut world, place) = (World::new(), Place::new().await);
    let chat_id = long_chat(&mut world, 210).await;
    place.open(world.log()).await.catch_up().await.unwrap();
    // Another process, which has only the row to go on from.
    let models = place.open(world.log()).await;
    assert_eq!(models.newest(chat_id).await, state_at(&world, chat_id, 200));
    for round in 0..50 {
        world.say(chat_id, &format!("Once more {round}?")).await;
        world.answer(chat_id, "Again.").await;
    }
    models.catch_up().await.unwrap();
    assert_eq!(models.newest(chat_id).await, state_at(&world, chat_id, 400));
    let compared = RebuildRequest { verify: Verify::Compare, ..RebuildRequest::default() };
    models.rebuild(compared).await.unwrap();
    assert_eq!(models.newest(chat_id).await, state_at(&world, chat_id, 400));

    assert!(world.act(chat_id, &Command::Erase { by: "ann".to_owned(), reason: None }).await);
    models.catch_up().await.unwrap();
    assert_eq!(models.newest(chat_id).await, None, "what was erased stands in no snapshot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_behind_the_program_s_back_is_no_snapshot() {
    let (mut world, place) = (World::new(), Place::new().await);
    let chat_id = long_chat(&mut world, 210).await;
    let models = place.open(world.log()).await;
    models.catch_up().await.unwrap();
    for change in [
        "UPDATE snapshots SET state = replace(state, 'Hello!', 'Goodbye')",
        "UPDATE snapshots SET digest = 'x'",
        "UPDATE snapshots SET reducer = 'another program'",
        "UPDATE snapshots SET state_schema = state_schema + 1",
    ] {
        let generation = models.generation();
        place.execute(generation, change).await;
        assert_eq!(models.newest(chat_id).await, None, "{change}");
        let compared = models.rebuild(RebuildRequest { verify: Verify::Compare, ..RebuildRequest::default() }).await;
        assert!(matches!(compared, Err(ReadError::Differs { table: "snapshots", .. })), "{change}: {compared:?}");
        models.rebuild(RebuildRequest::default()).await.unwrap();
        assert_eq!(models.newest(chat_id).await, state_at(&world, chat_id, 200));
    }
    // A chat whose snapshot cannot be read gets its next one all the same.
    place.execute(models.generation(), "UPDATE snapshots SET digest = 'x'").await;
    let models = place.open(world.log()).await;
    for round in 0..50 {
        world.say(chat_id, &format!("Once more {round}?")).await;
        world.answer(chat_id, "Again.").await;
    }
    models.catch_up().await.unwrap();
    assert_eq!(models.newest(chat_id).await, state_at(&world, chat_id, 400));
}
