use uuid::Uuid;
use verbatim_events::event::{CompactionSource, ContextCleared, Event};
use verbatim_events::log::{Append, BoxFuture, StreamAppend};
use verbatim_events::memory::MemoryLog;
use verbatim_events::snapshot::NoSnapshots;

use super::*;
use crate::wire::samples::{chat_id, created, said, sealed, turn_started};

/// A log with one chat: created, a turn, a message, and then `tail`.
async fn log_with(tail: Vec<Event>, change: impl FnOnce(&mut Vec<verbatim_events::envelope::NewEvent>)) -> Sources {
    let mut events = vec![created(), turn_started(), Event::MessageCommitted(said("hello"))];
    events.extend(tail);
    let mut events = sealed(events);
    change(&mut events);
    let log = MemoryLog::new(Uuid::from_u128(1));
    let stream = StreamAppend { chat_id: chat_id(), expected_version: 0, expected_hash: Digest::ZERO, events };
    log.append(Append { streams: vec![stream], receipt: None }).await.unwrap();
    Sources { log: Arc::new(log), snapshots: Arc::new(NoSnapshots) }
}

fn pinned(index: usize) -> Event {
    Event::SettingsChanged(verbatim_events::event::SettingsChanged {
        pinned: Some(index.is_multiple_of(2)),
        ..Default::default()
    })
}

/// One snapshot for whoever asks.
struct One(Chat);

impl Snapshots for One {
    fn newest(&self, _chat_id: ChatId) -> BoxFuture<'_, Option<Chat>> {
        Box::pin(std::future::ready(Some(self.0.clone())))
    }
}

/// The chat after an event, as its snapshot has it.
async fn snapshot_at(sources: &Sources, version: usize) -> Chat {
    let events = sources.log.read_chat(chat_id(), 0, version).await.unwrap();
    events.iter().fold(None, |chat, stored| Some(evolve(chat, &decode(stored).unwrap()).unwrap())).unwrap()
}

async fn whole(story: &mut Story) -> Result<Vec<Told>, Problem> {
    let mut all = Vec::new();
    loop {
        let page = story.page().await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

#[actix_web::test]
async fn a_story_tells_every_event_with_the_state_after_it() {
    let log = log_with(Vec::new(), |_| {}).await;
    let mut story = Story::new(log, chat_id(), Damage::IsAnError, 0);
    let told = whole(&mut story).await.unwrap();
    let statuses: Vec<_> = told.iter().map(|told| told.meaning.as_ref().unwrap()).collect();
    let shown: Vec<_> = statuses.iter().map(|meaning| (meaning.status, meaning.turn_id)).collect();
    assert_eq!(shown, [(Status::Waiting, None), (Status::Running, Some(2)), (Status::Running, Some(2))]);
    let hashes: Vec<_> = told.iter().map(|told| told.stored.event.hash).collect();
    let previous: Vec<_> = told.iter().map(|told| told.previous_hash).collect();
    assert_eq!(previous, [Digest::ZERO, hashes[0], hashes[1]]);
    assert_eq!((story.version(), story.outline().unwrap().version), (3, 3));
}

#[actix_web::test]
async fn a_long_story_comes_in_pages() {
    let log = log_with((0..PAGE_EVENTS).map(pinned).collect(), |_| {}).await;
    let mut story = Story::new(log.clone(), chat_id(), Damage::IsAnError, 0);
    assert_eq!(story.page().await.unwrap().len(), PAGE_EVENTS);
    assert_eq!(story.page().await.unwrap().len(), 3);
    assert!(story.page().await.unwrap().is_empty());
    let last = PAGE_EVENTS as Version + 3;
    for version in [1, PAGE_EVENTS as Version, last] {
        assert_eq!(outline_at(&log, chat_id(), version).await.unwrap().unwrap().version, version);
    }
    assert_eq!(outline_at(&log, chat_id(), last + 1).await.unwrap(), None);
    assert_eq!(outline_at(&log, chat_id(), 0).await.unwrap(), None);
}

#[actix_web::test]
async fn damage_ends_the_story_for_owners_and_is_told_to_auditors() {
    // A context is cleared in the middle of a turn: no state machine does that.
    let illegal = Event::ContextCleared(ContextCleared { source: CompactionSource::Manual });
    let log = log_with(vec![illegal, turn_started()], |_| {}).await;
    let mut story = Story::new(log.clone(), chat_id(), Damage::IsAnError, 0);
    assert_eq!(story.page().await.unwrap_err().code, Code::ChatDamaged);
    let mut story = Story::new(log, chat_id(), Damage::IsTold, 0);
    let told = whole(&mut story).await.unwrap();
    let understood: Vec<_> = told.iter().map(|told| told.meaning.is_some()).collect();
    assert_eq!(understood, [true, true, true, false, false]);
}

#[actix_web::test]
async fn bytes_that_nobody_can_read_are_damage() {
    let log = log_with(Vec::new(), |events| events[2].data = b"{".to_vec()).await;
    assert_eq!(outline_at(&log, chat_id(), 3).await.unwrap_err().code, Code::ChatDamaged);
    assert_eq!(outline_at(&log, chat_id(), 2).await.unwrap().unwrap().version, 2);
}

#[actix_web::test]
async fn who_knows_the_beginning_is_told_from_the_snapshot_on() {
    let sources = log_with((0..297).map(pinned).collect(), |_| {}).await;
    let told_after = async |snapshot: Chat, skip_to| {
        let sources = Sources { snapshots: Arc::new(One(snapshot)), ..sources.clone() };
        let mut story = Story::new(sources, chat_id(), Damage::IsAnError, skip_to);
        let told = whole(&mut story).await.unwrap();
        told.into_iter()
            .map(|told| (told.stored.event.version, told.previous_hash, told.meaning.unwrap().status))
            .collect::<Vec<_>>()
    };
    let snapshot = snapshot_at(&sources, 200).await;
    let all = told_after(snapshot.clone(), 0).await;
    assert_eq!(all.len(), 300);
    assert_eq!(told_after(snapshot.clone(), 199).await, all, "the snapshot is of later");
    assert_eq!(told_after(snapshot.clone(), 200).await, all[200..]);
    assert_eq!(told_after(snapshot.clone(), 299).await, all[200..]);
    assert_eq!(told_after(snapshot.clone(), 9999).await, all[200..]);
    let mut foreign = snapshot.clone();
    foreign.head_hash = Digest::ZERO;
    assert_eq!(told_after(foreign, 250).await, all, "another log's snapshot is passed over");

    let with = Sources { snapshots: Arc::new(One(snapshot)), ..sources.clone() };
    for version in [150, 200, 250, 300] {
        let (there, here) =
            (outline_at(&sources, chat_id(), version).await, outline_at(&with, chat_id(), version).await);
        assert_eq!(there.unwrap().unwrap(), here.unwrap().unwrap());
    }
    assert_eq!(outline_at(&with, chat_id(), 301).await.unwrap(), None);
    assert_eq!(chat_at(&with, chat_id(), 250).await.unwrap(), Some(snapshot_at(&sources, 250).await));
}
