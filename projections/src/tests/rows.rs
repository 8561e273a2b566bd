//! What the rows say, and how they are found.

use verbatim_events::chat::Status;
use verbatim_events::command::{Command, EditMessage};
use verbatim_events::event::{SettingsChanged, WorkspaceBinding};
use verbatim_events::ids::ChatId;
use verbatim_events::part::Part;

use super::agrees::{ALL_MESSAGES, assert_agrees};
use super::place::Place;
use super::world::{Dice, World};
use verbatim_projections::{ChatFilter, MessageQuery, Parent, ReadError, ReadModels};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_agree_with_the_chats_whatever_happens_and_however_it_is_paged() {
    for (seed, page_events) in [(1, 1), (2, 7), (3, 64), (4, 4096)] {
        let (mut world, place) = (World::new(), Place::new().await);
        let models = place.open_with(world.log(), page_events).await;
        let mut dice = Dice::new(seed);
        for _ in 0..4 {
            world.live(&mut dice, 150).await;
            models.catch_up().await.unwrap();
            assert_agrees(&models, &world).await;
        }
        let statuses: Vec<_> = world.chats.values().map(|chat| chat.outline.status).collect();
        assert!(statuses.iter().any(|status| *status != Status::Waiting), "seed {seed} leaves everything at rest");
        assert_eq!(models.dead_letters(10).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_knows_who_works_in_it() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let (one, two) = (world.begin("ann", "one").await, world.begin("bob", "two").await);
    let bind = |id: Option<&str>| {
        let workspace = WorkspaceBinding { id: id.map(str::to_owned), template_id: None, name: None, parameters: None };
        let patch = SettingsChanged { workspace: Some(workspace), ..SettingsChanged::default() };
        Command::ChangeSettings { patch, archived: None }
    };
    for (chat_id, id) in [(one, Some("w1")), (two, Some("w1"))] {
        assert!(world.act(chat_id, &bind(id)).await);
    }
    models.catch_up().await.unwrap();
    let mut both = vec![one, two];
    both.sort();
    assert_eq!(models.chats_in_workspace("w1").await.unwrap(), both);
    for (chat_id, id) in [(one, Some("w2")), (two, None)] {
        assert!(world.act(chat_id, &bind(id)).await);
    }
    models.catch_up().await.unwrap();
    assert_eq!(models.chats_in_workspace("w1").await.unwrap(), []);
    assert_eq!(models.chats_in_workspace("w2").await.unwrap(), [one]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_paged_pinned_first_then_by_activity_without_a_gap_or_a_double() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let mut chats = Vec::new();
    for number in 0..11 {
        chats.push(world.begin(if number % 3 == 0 { "ann" } else { "bob" }, &format!("chat {number}")).await);
    }
    for index in [2, 7] {
        let patch = SettingsChanged { pinned: Some(true), ..SettingsChanged::default() };
        assert!(world.act(chats[index], &Command::ChangeSettings { patch, archived: None }).await);
    }
    models.catch_up().await.unwrap();
    let order: Vec<ChatId> = [7, 2, 10, 9, 8, 6, 5, 4, 3, 1, 0].map(|index| chats[index]).to_vec();
    for limit in [1, 2, 3, 10, 11, 12] {
        assert_eq!(all_chats(&models, ChatFilter::default(), limit).await, order);
    }
    // Activity between two pages moves a chat to the front, where this reader has been; the others keep their places.
    let first = models.chats(ChatFilter::default(), 4, None).await.unwrap();
    world.say(chats[5], "again").await;
    models.catch_up().await.unwrap();
    let rest = models.chats(ChatFilter::default(), 100, first.next_cursor.as_deref()).await.unwrap();
    let rest: Vec<_> = rest.items.iter().map(|outline| outline.id).collect();
    assert_eq!(rest, [8, 6, 4, 3, 1, 0].map(|index| chats[index]));

    let filter = ChatFilter { owner: Some("ann".to_owned()), ..ChatFilter::default() };
    assert_eq!(all_chats(&models, filter, 2).await, [9, 6, 3, 0].map(|index| chats[index]));
    for bad in ["", "zz", "0000000000000001", "000000000000000100000000000000g0", "ü000000000000000000000000000000"] {
        let refused = models.chats(ChatFilter::default(), 1, Some(bad)).await;
        assert!(matches!(refused, Err(ReadError::BadCursor)), "{bad:?} is no cursor");
    }
}

async fn all_chats(models: &ReadModels, filter: ChatFilter, limit: usize) -> Vec<ChatId> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = models.chats(filter.clone(), limit, cursor.as_deref()).await.unwrap();
        assert!(page.items.len() <= limit);
        found.extend(page.items.iter().map(|outline| outline.id));
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_filtered_by_everything_that_chats_have() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let plain = world.begin("ann", "The Fjord at 50% of night").await;
    let labelled = world
        .begin_with("ann", "Something else", |create| {
            create.title = Some("ÄRGER mit_dem Motor".to_owned());
            create.labels =
                [("team", "a"), ("prio", "1")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        })
        .await;
    world.answer(labelled, "The valves of your engine, \"they\" said").await;
    let child = world
        .begin_with("bob", "child", |create| {
            create.parent = Some(plain);
            create.root = plain;
        })
        .await;
    models.catch_up().await.unwrap();

    let with = |change: &dyn Fn(&mut ChatFilter)| {
        let mut filter = ChatFilter::default();
        change(&mut filter);
        filter
    };
    let words = |text: &'static str| with(&move |filter| filter.words = Some(text.to_owned()));
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let table = [
        (with(&|filter| filter.status = Some(Status::Waiting)), vec![labelled]),
        (with(&|filter| filter.status = Some(Status::Running)), vec![child, plain]),
        (with(&|filter| filter.archived = Some(true)), vec![]),
        (with(&|filter| filter.archived = Some(false)), vec![child, labelled, plain]),
        (with(&|filter| filter.labels = vec![label("team", "a")]), vec![labelled]),
        (with(&|filter| filter.labels = vec![label("team", "a"), label("prio", "1")]), vec![labelled]),
        (with(&|filter| filter.labels = vec![label("team", "a"), label("prio", "2")]), vec![]),
        (with(&|filter| filter.parent = Parent::ChildOf(plain)), vec![child]),
        (with(&|filter| filter.parent = Parent::Root), vec![labelled, plain]),
        (with(&|filter| filter.parent = Parent::InFamilyOf(plain)), vec![child, plain]),
        (words("ärger"), vec![labelled]),
        (words("T_D"), vec![labelled]),
        (words("t%d"), vec![]),
        (words("motor mit"), vec![labelled]),
        (words("motor valves"), vec![labelled]),
        (words("something valves"), vec![labelled]),
        (words("valves - else someth"), vec![labelled]),
        (words("valves valves"), vec![labelled]),
        (words("someth valves"), vec![]),
        (words("fjord valves"), vec![]),
        (words("50%"), vec![plain]),
        (words("valves engine"), vec![labelled]),
        (words("engine val"), vec![labelled]),
        (words("engine AND nothing"), vec![]),
        (words("\"they\" (said*"), vec![labelled]),
        (words("' OR 1=1 --"), vec![]),
        (words("???"), vec![]),
        (words("  "), vec![child, labelled, plain]),
        (
            with(&|filter| {
                filter.owner = Some("bob".to_owned());
                filter.words = Some("fjord".to_owned());
            }),
            vec![],
        ),
    ];
    for (filter, expected) in table {
        assert_eq!(all_chats(&models, filter.clone(), 2).await, expected, "{filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unused_is_found_oldest_first_and_a_familys_liveliest_speaks_for_it() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let mut chats = Vec::new();
    for number in 0..6 {
        chats.push(world.begin("ann", &format!("chat {number}")).await);
        world.answer(chats[number], "yes").await;
    }
    let parent = chats[0];
    let child = world
        .begin_with("ann", "child", |create| {
            create.parent = Some(parent);
            create.root = parent;
        })
        .await;
    let pin = SettingsChanged { pinned: Some(true), ..SettingsChanged::default() };
    assert!(world.act(chats[1], &Command::ChangeSettings { patch: pin.clone(), archived: None }).await);
    assert!(world.act(chats[2], &Command::Archive).await);
    assert!(world.act(chats[3], &Command::Erase { by: "ann".to_owned(), reason: None }).await);
    world.say(chats[4], "again").await;
    models.catch_up().await.unwrap();
    let found = async |archived, limit| {
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let page = models.idle_roots(archived, after, limit).await.unwrap();
            let is_last = page.len() < limit;
            for (position, outline) in page {
                assert!(position > after, "in the order of the log");
                after = position;
                found.push(outline.id);
            }
            if is_last {
                return found;
            }
        }
    };
    for limit in [1, 2, 100] {
        assert_eq!(found(false, limit).await, [chats[0], chats[5], chats[4]]);
        assert_eq!(found(true, limit).await, [chats[2]]);
    }
    let liveliest = async |root| models.liveliest(root).await.unwrap().map(|outline| outline.id);
    assert_eq!(liveliest(parent).await, Some(child));
    assert_eq!(liveliest(chats[3]).await, None, "nothing is left of it");
    assert!(world.act(parent, &Command::ChangeSettings { patch: pin, archived: None }).await);
    world.say(child, "still here").await;
    models.catch_up().await.unwrap();
    assert_eq!(liveliest(parent).await, Some(parent), "it is pinned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_paged_from_both_ends_and_withdrawn_ones_shown_on_request() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let chat = world.begin("ann", "one").await;
    world.answer(chat, "first answer").await;
    for number in 0..4 {
        world.say(chat, &format!("question {number}")).await;
        world.answer(chat, &format!("answer {number}")).await;
    }
    let ids: Vec<u64> = world.chats[&chat].history.iter().map(|message| message.id).collect();
    models.catch_up().await.unwrap();
    let page = async |query: MessageQuery, limit| {
        let page = models.messages(chat, query, limit).await.unwrap();
        (page.items.iter().map(|row| row.message.id).collect::<Vec<_>>(), page.more)
    };
    let newest = MessageQuery::default();
    assert_eq!(page(newest, 3).await, (ids[7..].to_vec(), true));
    assert_eq!(page(newest, 10).await, (ids.clone(), false));
    assert_eq!(page(MessageQuery { before: Some(ids[7]), ..newest }, 3).await, (ids[4..7].to_vec(), true));
    assert_eq!(page(MessageQuery { before: Some(ids[3]), ..newest }, 3).await, (ids[..3].to_vec(), false));
    assert_eq!(page(MessageQuery { after: Some(ids[2]), ..newest }, 3).await, (ids[3..6].to_vec(), true));
    assert_eq!(page(MessageQuery { after: Some(ids[6]), ..newest }, 3).await, (ids[7..].to_vec(), false));
    let between = MessageQuery { after: Some(ids[1]), before: Some(ids[4]), ..newest };
    assert_eq!(page(between, 9).await, (ids[2..4].to_vec(), false));

    let edit = EditMessage {
        message_id: ids[4],
        parts: vec![Part::text("rather this")],
        author: "ann".to_owned(),
        model: None,
        effort: None,
    };
    assert!(world.act(chat, &Command::EditMessage(edit)).await);
    models.catch_up().await.unwrap();
    let live: Vec<u64> = world.chats[&chat].history.iter().map(|message| message.id).collect();
    assert_eq!(page(newest, 100).await.0, live);
    let everything = MessageQuery { include_withdrawn: true, ..ALL_MESSAGES };
    let rows = models.messages(chat, everything, 100).await.unwrap().items;
    let withdrawn: Vec<u64> = rows.iter().filter(|row| row.withdrawn_by.is_some()).map(|row| row.message.id).collect();
    assert_eq!(withdrawn, ids[4..]);
    assert!(rows.iter().filter_map(|row| row.withdrawn_by).all(|version| version > ids[9]));
    assert_eq!(models.message(chat, ids[5]).await.unwrap().unwrap().message.id, ids[5]);
    assert_eq!(models.message(chat, 10_000).await.unwrap(), None);
    let words = ChatFilter { words: Some("question".to_owned()), ..ChatFilter::default() };
    assert_eq!(all_chats(&models, words, 5).await, [chat]);
    let gone = ChatFilter { words: Some("question 3".to_owned()), ..ChatFilter::default() };
    assert_eq!(all_chats(&models, gone, 5).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_chat_leaves_its_fact_and_no_word() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let chat = world.begin("ann", "a secret").await;
    world.answer(chat, "kept").await;
    models.catch_up().await.unwrap();
    let words = ChatFilter { words: Some("secret".to_owned()), ..ChatFilter::default() };
    assert_eq!(all_chats(&models, words.clone(), 5).await, [chat]);
    assert!(world.act(chat, &Command::Erase { by: "ann".to_owned(), reason: None }).await);
    models.catch_up().await.unwrap();
    assert!(models.chat(chat).await.unwrap().unwrap().erased);
    let everything = MessageQuery { include_withdrawn: true, ..ALL_MESSAGES };
    assert_eq!(models.message_ids(chat, everything, 10).await.unwrap(), [] as [u64; 0]);
    assert_eq!(all_chats(&models, words, 5).await, []);
    assert_eq!(all_chats(&models, ChatFilter::default(), 5).await, []);
    assert_eq!(models.turns(chat, 10, None).await.unwrap().items, []);
}
