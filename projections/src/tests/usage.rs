//! What was spent: sums of the log's own figures, however they are asked for.

use std::collections::BTreeMap;

use chrono::{NaiveDate, TimeDelta};
use verbatim_events::command::Command;
use verbatim_events::event::{UsagePurpose, UsageRecorded};
use verbatim_events::ids::ChatId;
use verbatim_events::message::Usage;
use verbatim_events::price::Cost;

use super::place::Place;
use super::world::{Dice, World};
use verbatim_projections::{ReadError, ReadModels, RebuildRequest, UsageFilter, UsageGroup, UsageSum, Verify};

const ALL_GROUPS: [UsageGroup; 5] =
    [UsageGroup::Owner, UsageGroup::Day, UsageGroup::Model, UsageGroup::Purpose, UsageGroup::Chat];

/// Something that costs without a message.
fn spend(purpose: UsagePurpose, model: &str, cost_micros: Option<u64>) -> Command {
    Command::RecordUsage(UsageRecorded {
        purpose,
        model: Some(model.to_owned()),
        usage: Usage { input_tokens: 3, cache_read_tokens: 2, ..Usage::default() },
        cost_micros,
        attempt_id: None,
    })
}

/// A few days in the lives of two owners.
async fn days(world: &mut World) {
    let mut dice = Dice::new(5);
    for day in 0..4 {
        world.live(&mut dice, 120).await;
        for (index, chat) in world.chats.keys().copied().collect::<Vec<_>>().into_iter().enumerate() {
            let cost_micros = (index % 3 != 0).then_some(11 * (day + 1));
            world.act(chat, &spend([UsagePurpose::Title, UsagePurpose::Advice][index % 2], "wise", cost_micros)).await;
        }
        world.now += TimeDelta::hours(20);
    }
}

/// The sums as the log has them, by heading.
fn expected(world: &World, filter: &UsageFilter, groups: &[UsageGroup]) -> Vec<UsageSum> {
    let mut sums: BTreeMap<Vec<String>, UsageSum> = BTreeMap::new();
    for recorded in &world.recorded {
        let Some(spending) = recorded.event.spending() else { continue };
        let outline = &world.chats[&recorded.chat_id].outline;
        let day = recorded.recorded_at.date_naive();
        let model = spending.model.unwrap_or_default();
        let counts = filter.owner.as_ref().is_none_or(|owner| *owner == outline.owner)
            && filter.model.as_ref().is_none_or(|wanted| wanted == model)
            && filter.chat.is_none_or(|chat| chat == outline.id)
            && filter.family.is_none_or(|root| root == outline.root)
            && filter.from.is_none_or(|from| day >= from)
            && filter.to.is_none_or(|to| day <= to);
        if !counts {
            continue;
        }
        let mut heading = UsageSum::default();
        let mut key = Vec::new();
        for group in groups {
            match group {
                UsageGroup::Owner => heading.owner = Some(outline.owner.clone()),
                UsageGroup::Day => heading.day = Some(day),
                UsageGroup::Model => heading.model = Some(model.to_owned()),
                UsageGroup::Purpose => heading.purpose = Some(spending.purpose.name().to_owned()),
                UsageGroup::Chat => heading.chat = Some(outline.id),
            }
            key.push(match group {
                UsageGroup::Owner => outline.owner.clone(),
                UsageGroup::Day => day.to_string(),
                UsageGroup::Model => model.to_owned(),
                UsageGroup::Purpose => spending.purpose.name().to_owned(),
                UsageGroup::Chat => outline.id.to_string(),
            });
        }
        let sum = sums.entry(key).or_insert(heading);
        sum.steps += 1;
        sum.usage.add(&spending.usage);
        sum.cost.add_step(spending.cost_micros);
    }
    sums.into_values().collect()
}

async fn all(models: &ReadModels, filter: &UsageFilter, groups: &[UsageGroup], limit: usize) -> Vec<UsageSum> {
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let (page, total) = models.usage(filter.clone(), groups.to_vec(), limit, cursor.as_deref()).await.unwrap();
        assert!(page.items.len() <= limit);
        found.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            let (mut usage, mut cost) = (Usage::default(), Cost::default());
            for sum in &found {
                usage.add(&sum.usage);
                cost.add(&sum.cost);
            }
            assert_eq!((total.usage, total.cost), (usage, cost), "the parts are the whole");
            assert_eq!(total.steps, found.iter().map(|sum| sum.steps).sum::<u64>());
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_are_those_of_the_log_however_they_are_grouped_filtered_and_paged() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open_with(world.log(), 7).await;
    days(&mut world).await;
    models.catch_up().await.unwrap();
    let one = *world.chats.keys().nth(1).unwrap();
    let day = NaiveDate::from_ymd_opt(2027, 1, 16).unwrap();
    let filters = [
        UsageFilter::default(),
        UsageFilter { owner: Some("ann".to_owned()), ..UsageFilter::default() },
        UsageFilter { model: Some("wise".to_owned()), from: Some(day), ..UsageFilter::default() },
        UsageFilter { chat: Some(one), ..UsageFilter::default() },
        UsageFilter { family: Some(one), to: Some(day), ..UsageFilter::default() },
        UsageFilter { owner: Some("nobody".to_owned()), ..UsageFilter::default() },
    ];
    let mut headings = 0;
    for filter in &filters {
        for groups in [&ALL_GROUPS[..], &ALL_GROUPS[..1], &ALL_GROUPS[1..3], &ALL_GROUPS[2..4], &ALL_GROUPS[4..]] {
            let wanted = expected(&world, filter, groups);
            headings += wanted.len();
            for limit in [1, 3, 1000] {
                assert_eq!(all(&models, filter, groups, limit).await, wanted, "{filter:?} by {groups:?}");
            }
        }
    }
    assert!(headings > 60, "there was something to add up");
    let refused = |cursor: &'static str| models.usage(UsageFilter::default(), ALL_GROUPS.to_vec(), 1, Some(cursor));
    for cursor in ["", "0", "zz", "5b5d", "7b7d", "ü"] {
        assert!(matches!(refused(cursor).await, Err(ReadError::BadCursor)), "{cursor:?} is no cursor");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_makes_the_same_sums() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open_with(world.log(), 11).await;
    days(&mut world).await;
    models.catch_up().await.unwrap();
    let before = all(&models, &UsageFilter::default(), &ALL_GROUPS, 1000).await;
    let request = RebuildRequest { verify: Verify::Compare, ..RebuildRequest::default() };
    models.rebuild(request).await.unwrap();
    assert_eq!(all(&models, &UsageFilter::default(), &ALL_GROUPS, 1000).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_erased_chat_cost_stays() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let chat = world.begin("ann", "secret words").await;
    world.answer(chat, "more of them").await;
    assert!(world.act(chat, &Command::Erase { by: "ann".to_owned(), reason: None }).await);
    models.catch_up().await.unwrap();
    let filter = UsageFilter { chat: Some(chat), ..UsageFilter::default() };
    let [sum] = all(&models, &filter, &[UsageGroup::Chat], 10).await.try_into().unwrap();
    assert_eq!((sum.chat, sum.steps, sum.cost.total_micros()), (Some(chat), 1, Some(105)));
    // Also for who can read nothing of the chat but its end.
    let before = all(&models, &UsageFilter::default(), &ALL_GROUPS, 10).await;
    world.seal_away(chat).await;
    models.rebuild(RebuildRequest::default()).await.unwrap();
    assert_eq!(all(&models, &UsageFilter::default(), &ALL_GROUPS, 10).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_owners_spent_since_a_day_is_told_with_its_position() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let nothing = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
    assert_eq!(models.spent_since(nothing).await.unwrap(), (0, Vec::new()));
    days(&mut world).await;
    models.catch_up().await.unwrap();
    let from = NaiveDate::from_ymd_opt(2027, 1, 16).unwrap();
    let (position, spent) = models.spent_since(from).await.unwrap();
    assert_eq!(position, models.applied_position());
    let filter = UsageFilter { from: Some(from), ..UsageFilter::default() };
    let wanted = expected(&world, &filter, &[UsageGroup::Owner, UsageGroup::Day]);
    let mut spent: Vec<_> =
        spent.into_iter().map(|spent| (spent.owner, spent.day, spent.tokens, spent.cost_micros)).collect();
    spent.sort();
    let wanted: Vec<_> = wanted
        .into_iter()
        .map(|sum| {
            let tokens = sum.usage.context_tokens() + sum.usage.output_tokens;
            (sum.owner.unwrap(), sum.day.unwrap(), tokens, sum.cost.known_micros)
        })
        .collect();
    assert!(wanted.len() > 3, "{wanted:?}");
    assert_eq!(spent, wanted);
}

/// A chat that nobody spent anything on has no row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_spent_is_no_row() {
    let (mut world, place) = (World::new(), Place::new().await);
    let models = place.open(world.log()).await;
    let chat: ChatId = world.begin("ann", "hello").await;
    models.catch_up().await.unwrap();
    let filter = UsageFilter { chat: Some(chat), ..UsageFilter::default() };
    assert_eq!(all(&models, &filter, &[UsageGroup::Day], 10).await, []);
}
