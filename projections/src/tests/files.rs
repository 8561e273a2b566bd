//! What only files can suffer.

use std::collections::HashSet;
use std::time::Duration;

use tokio::runtime::Handle;
use verbatim_events::command::Command;
use verbatim_events::ids::Digest;
use verbatim_events::log::EventLog;
use verbatim_projections::{ReadError, ReadModels, RebuildPhase, RebuildRequest, Stale, Verify};

use super::agrees::assert_agrees;
use super::place::Place;
use super::world::{Dice, World};

/// Long enough that only a fault of the program makes it pass.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_built_anew() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.live(&mut Dice::new(17), 80).await;
    let models = place.open(world.log()).await;
    models.catch_up().await.unwrap();
    models.close().await.unwrap();
    std::fs::write(place.file(1), b"this is no database at all, but it is long enough to be taken for one ".repeat(99))
        .unwrap();
    let models = place.open(world.log()).await;
    models.catch_up().await.unwrap();
    assert_eq!(models.generation(), 2);
    assert_agrees(&models, &world).await;

    // A row that cannot be read is noticed when it is needed.
    place.execute(2, "UPDATE chats SET outline = '{}'").await;
    models.close().await.unwrap();
    let models = place.open(world.log()).await;
    world.live(&mut Dice::new(18), 60).await;
    let head = world.log.known_head();
    models.run(async { models.wait_until(head, PATIENCE).await.unwrap() }).await;
    assert_eq!(models.generation(), 3);
    assert_agrees(&models, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pointer_that_cannot_be_read_is_no_pointer() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.live(&mut Dice::new(19), 60).await;
    let pointer = place.file(1).with_file_name("read-current");
    for (content, generation) in [(&b"1\n"[..], 1), (b"\xff\x00zz", 2), (b"seven", 3), (b"", 4)] {
        let models = place.open(world.log()).await;
        models.catch_up().await.unwrap();
        models.close().await.unwrap();
        std::fs::write(&pointer, content).unwrap();
        let models = place.open(world.log()).await;
        models.catch_up().await.unwrap();
        assert_eq!(models.generation(), generation, "{content:?}");
        assert_agrees(&models, &world).await;
        models.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_unfinished_files_go() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.live(&mut Dice::new(28), 60).await;
    {
        let models = place.open(world.log()).await;
        models.catch_up().await.unwrap();
        models.rebuild(RebuildRequest::default()).await.unwrap();
        models.close().await.unwrap();
    }
    // A rebuild that died left its file; so might a swap have left the old one.
    std::fs::copy(place.file(2), place.file(1)).unwrap();
    std::fs::copy(place.file(2), place.file(3)).unwrap();
    let models = place.open(world.log()).await;
    assert_eq!(models.generation(), 2);
    assert!(!place.file(1).exists() && !place.file(3).exists());
    assert_eq!(models.stale(), None);
    assert_agrees(&models, &world).await;
    let inspection = ReadModels::inspect(place.location(), &Handle::current()).await.unwrap().unwrap();
    assert_eq!((inspection.generation, inspection.same_program), (2, true));
    assert_eq!(inspection.applied, models.applied_position());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_a_dead_machine_may_have_lost_are_built_anew() {
    // A process that was killed has left everything with the operating system; one that closed in order, on the disk.
    let table = [
        ("boot = boot, clean = FALSE", true),
        ("boot = 'x', clean = TRUE", true),
        ("boot = 'x', clean = FALSE", false),
    ];
    for (change, intact) in table {
        let (mut world, place) = (World::new(), Place::new().await);
        world.live(&mut Dice::new(31), 80).await;
        let models = place.open(world.log()).await;
        models.catch_up().await.unwrap();
        models.close().await.unwrap();
        place.execute(1, &format!("UPDATE session SET {change}")).await;
        let models = place.open(world.log()).await;
        if intact {
            assert_eq!((models.stale(), models.applied_position()), (None, world.log.known_head()));
            continue;
        }
        assert_eq!(models.stale(), Some(Stale::PowerCut));
        assert!(matches!(models.run_once().await, Err(ReadError::Stale(Stale::PowerCut))));
        let head = world.log.known_head();
        models.run(async { models.wait_until(head, PATIENCE).await.unwrap() }).await;
        assert_eq!((models.stale(), models.generation()), (None, 2));
        assert_agrees(&models, &world).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_chats_words_are_not_in_the_file_either() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let chat = world.begin("ann", "a secret").await;
    world.answer(chat, "kept").await;
    models.catch_up().await.unwrap();
    let holds_secret = || std::fs::read(place.file(1)).unwrap().windows(6).any(|window| window == b"secret");
    models.close().await.unwrap();
    assert!(holds_secret());
    let models = place.open(world.log()).await;
    assert!(world.act(chat, &Command::Erase { by: "ann".to_owned(), reason: None }).await);
    models.catch_up().await.unwrap();
    models.close().await.unwrap();
    assert!(!holds_secret());
}

/// At a size where pages are split, freed, and used again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_copy_of_an_erased_chats_words_is_left_among_many() {
    let (mut world, place) = (World::new(), Place::new().await);
    let mut dice = Dice::new(5);
    let mark = |chat: usize, turn: usize| Digest::of(format!("{chat} {turn}").as_bytes()).to_string()[..24].to_owned();
    let mut chats = Vec::new();
    for chat in 0..150 {
        chats.push(world.begin("ann", &format!("{} {}", mark(chat, 0), "lo ".repeat(dice.below(100)))).await);
    }
    let models = place.open_with(world.log(), 64).await;
    for turn in 1..6 {
        for (chat, chat_id) in chats.iter().enumerate() {
            world.answer(*chat_id, &"yes ".repeat(dice.below(60))).await;
            world.say(*chat_id, &format!("{} {}", mark(chat, turn), "lo ".repeat(dice.below(100)))).await;
        }
        models.catch_up().await.unwrap();
    }
    let erase = Command::Erase { by: "ann".to_owned(), reason: None };
    for chat_id in chats.iter().step_by(2) {
        assert!(world.act(*chat_id, &erase).await);
    }
    models.catch_up().await.unwrap();
    models.sweep().await.unwrap();
    let file = place.file(models.generation());
    models.close().await.unwrap();
    let kept = std::fs::read(file).unwrap();
    let words: HashSet<&[u8]> = kept.windows(24).collect();
    let marks = |chat: usize| (0..6).map(move |turn| mark(chat, turn));
    let left: Vec<_> = (0..150).step_by(2).flat_map(marks).filter(|mark| words.contains(mark.as_bytes())).collect();
    assert_eq!(left, Vec::<String>::new());
    assert!((1..150).step_by(2).flat_map(marks).all(|mark| words.contains(mark.as_bytes())), "the others are there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_said_to_be_swept_while_other_rows_grow() {
    let (mut world, place) = (World::new(), Place::new().await);
    world.live(&mut Dice::new(23), 60).await;
    let models = place.open(world.log()).await;
    models.catch_up().await.unwrap();
    // A rebuild that was killed.
    std::fs::write(place.file(9), b"words").unwrap();
    models.sweep().await.unwrap();
    assert!(!place.has_generation(9).await);
    let mut progress = models.rebuild_progress();
    let rebuild = tokio::spawn({
        let models = models.clone();
        async move { models.rebuild(RebuildRequest { verify: Verify::Compare, ..RebuildRequest::default() }).await }
    });
    progress.wait_for(|progress| progress.phase == RebuildPhase::Building).await.unwrap();
    let swept = models.sweep().await;
    // It may have been quicker; it says so before it lets others in.
    let is_done = progress.borrow().phase == RebuildPhase::Done;
    assert!(matches!(swept, Err(ReadError::RebuildRunning)) || (swept.is_ok() && is_done), "{swept:?}");
    rebuild.await.unwrap().unwrap();
    models.sweep().await.unwrap();
}
