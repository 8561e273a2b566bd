//! The inbox: whatever is marked and erased in between, the log alone says what it holds.

use super::agrees::{assert_agrees, expected_inbox};
use super::place::Place;
use super::world::{Dice, World};
use verbatim_events::command::Command;
use verbatim_events::inbox::{Address, AllNotificationsRead, InboxEvent, NotificationsMarked};
use verbatim_events::notification::Template;
use verbatim_projections::{INBOX_MAX, InboxFilter, RebuildRequest, Verify};

fn marked(owner: &str, notifications: Vec<Address>, read: bool) -> InboxEvent {
    InboxEvent::Marked(NotificationsMarked { owner: owner.to_owned(), notifications, read })
}

fn all_read(owner: &str, through: Option<Address>) -> InboxEvent {
    InboxEvent::AllRead(AllNotificationsRead { owner: owner.to_owned(), through })
}

fn of(owner: &str) -> InboxFilter {
    InboxFilter { owner: owner.to_owned(), ..InboxFilter::default() }
}

/// Something that an owner may mark: mostly what is there.
fn choose(world: &World, dice: &mut Dice) -> InboxEvent {
    let owner = ["ann", "bob"][dice.below(2)];
    let inbox = expected_inbox(world, owner);
    let pick = |dice: &mut Dice| inbox.get(dice.below(inbox.len())).map(|(address, _, _)| *address);
    match dice.below(12) {
        0 => all_read(owner, None),
        1 => all_read(owner, pick(dice)),
        _ => {
            let nowhere = Address { chat_id: verbatim_events::inbox::stream_id("nobody"), version: 1 };
            let some: Vec<Address> = (0..=dice.below(3)).map(|_| pick(dice).unwrap_or(nowhere)).collect();
            marked(owner, some, dice.below(3) > 0)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_alone_says_what_was_read_however_it_is_paged() {
    for (seed, page_events) in [(31, 1), (32, 7), (33, 4096)] {
        let (mut world, place) = (World::new(), Place::new().await);
        let models = place.open_with(world.log(), page_events).await;
        let mut dice = Dice::new(seed);
        for round in 0..60 {
            world.live(&mut dice, 12).await;
            for _ in 0..dice.below(3) {
                let mark = choose(&world, &mut dice);
                world.mark(mark).await;
            }
            if round % 20 == 19 {
                models.catch_up().await.unwrap();
                assert_agrees(&models, &world).await;
            }
        }
        // Other pages give the same rows.
        let other = place.open_with(world.log(), 53).await;
        let compare = RebuildRequest { verify: Verify::Compare, ..RebuildRequest::default() };
        assert_eq!(other.rebuild(compare).await.unwrap().dead_letters, 0);
        let newest = expected_inbox(&world, "ann")[0].0;
        for read in [true, false, true] {
            world.mark(marked("ann", vec![newest], read)).await;
            other.catch_up().await.unwrap();
            assert_agrees(&other, &world).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_narrowed_paged_and_their_owner_s_alone() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let (first, second) = (world.begin("ann", "one").await, world.begin("ann", "two").await);
    let foreign = world.begin("bob", "three").await;
    for chat in [first, second, foreign, first] {
        if world.chats[&chat].outline.turn.is_none() {
            world.say(chat, "again").await;
        }
        world.answer(chat, "done").await;
    }
    models.catch_up().await.unwrap();
    let all = expected_inbox(&world, "ann");
    assert_eq!(all.len(), 3);
    let addresses = |filter: InboxFilter| {
        let models = models.clone();
        async move {
            let page = models.inbox(filter, 100, None).await.unwrap();
            page.items.into_iter().map(|entry| entry.address).collect::<Vec<_>>()
        }
    };
    let newest: Vec<Address> = all.iter().map(|(address, _, _)| *address).collect();
    assert_eq!(addresses(of("ann")).await, newest);
    assert_eq!(addresses(InboxFilter { chats: vec![second, foreign], ..of("ann") }).await, newest[1..2]);
    assert_eq!(addresses(InboxFilter { templates: vec![Template::TurnFailed], ..of("ann") }).await, []);
    let ends = vec![Template::TurnFailed, Template::TurnFinished];
    assert_eq!(addresses(InboxFilter { templates: ends, ..of("ann") }).await, newest);
    assert_eq!(addresses(of("eve")).await, []);
    for limit in 1..=4 {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = models.inbox(of("ann"), limit, cursor.as_deref()).await.unwrap();
            seen.extend(page.items.iter().map(|entry| entry.address));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, newest, "{limit} at once");
    }
    // Nobody marks what is another's.
    world.mark(marked("bob", newest.clone(), true)).await;
    world.mark(marked("ann", vec![newest[0]], true)).await;
    models.catch_up().await.unwrap();
    assert_eq!(addresses(InboxFilter { unread: true, ..of("ann") }).await, newest[1..]);
    assert!(models.inbox_entry("ann".to_owned(), newest[0]).await.unwrap().unwrap().read);
    assert_eq!(models.inbox_entry("bob".to_owned(), newest[0]).await.unwrap(), None);
    assert!(world.act(first, &Command::Erase { by: "ann".to_owned(), reason: None }).await);
    models.catch_up().await.unwrap();
    assert_eq!(addresses(of("ann")).await, newest[1..2], "what was about an erased chat is gone with it");
    assert_agrees(&models, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_alone_are_shown() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open_with(world.log(), 4096).await;
    let chat = world.begin("ann", "the first").await;
    world.answer(chat, "done").await;
    models.catch_up().await.unwrap();
    let oldest = expected_inbox(&world, "ann")[0].0;
    // As if there had been very many; the rows are looked at, not the log.
    let copies = format!(
        "INSERT INTO inbox SELECT position + 1000000 + n, owner, chat_id, version + n, template, turn_id, outcome,
         error_kind, created_at, is_read FROM inbox,
         (WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {INBOX_MAX})
          SELECT n FROM numbers) AS numbered"
    );
    place.execute(models.generation(), &copies).await;
    let listed = models.inbox(of("ann"), 1000, None).await.unwrap();
    assert_eq!((listed.items.len() as u64, listed.next_cursor), (INBOX_MAX, None));
    assert!(listed.items.iter().all(|entry| entry.address != oldest));
    assert_eq!(models.inbox_unread("ann".to_owned()).await.unwrap().count, INBOX_MAX);
    // It is still there for whoever knows it.
    assert!(models.inbox_entry("ann".to_owned(), oldest).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_that_nobody_can_read_is_set_aside_and_stops_its_owner_s_marks_alone() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open_with(world.log(), 3).await;
    for owner in ["ann", "bob"] {
        let chat = world.begin(owner, "hello").await;
        world.answer(chat, "done").await;
    }
    let [ann, bob] = ["ann", "bob"].map(|owner| expected_inbox(&world, owner)[0].0);
    // Too many at once: no program writes this.
    world.mark(marked("ann", vec![ann; 1000], true)).await;
    world.mark(marked("bob", vec![bob], true)).await;
    world.mark(marked("ann", vec![ann], true)).await;
    world.mark(marked("ann", vec![ann; 1000], true)).await;
    models.catch_up().await.unwrap();
    let letters = models.dead_letters(10).await.unwrap();
    assert_eq!((letters.len(), letters[0].version), (1, 1));
    assert_eq!(models.inbox_unread("ann".to_owned()).await.unwrap().count, 1);
    assert_eq!(models.inbox_unread("bob".to_owned()).await.unwrap().count, 0);
}
