use uuid::Uuid;
use verbatim_events::event::{CompactionSource, ContextCleared, Event};
use verbatim_events::log::{Append, StreamAppend};
use verbatim_events::memory::MemoryLog;

use super::*;
use crate::wire::samples::{chat_id, created, said, sealed, turn_started};

/// A log with one chat: created, a turn, a message, and then `tail`.
async fn log_with(
    tail: Vec<Event>,
    change: impl FnOnce(&mut Vec<verbatim_events::envelope::NewEvent>),
) -> Arc<dyn EventLog> {
    let mut events = vec![created(), turn_started(), Event::MessageCommitted(said("hello"))];
    events.extend(tail);
    let mut events = sealed(events);
    change(&mut events);
    let log = MemoryLog::new(Uuid::from_u128(1));
    let stream = StreamAppend { chat_id: chat_id(), expected_version: 0, expected_hash: Digest::ZERO, events };
    log.append(Append { streams: vec![stream], receipt: None }).await.unwrap();
    Arc::new(log)
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
    let mut story = Story::new(log, chat_id(), Damage::IsAnError);
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
    let pinned = |index: usize| {
        Event::SettingsChanged(verbatim_events::event::SettingsChanged {
            pinned: Some(index.is_multiple_of(2)),
            ..Default::default()
        })
    };
    let log = log_with((0..PAGE_EVENTS).map(pinned).collect(), |_| {}).await;
    let mut story = Story::new(Arc::clone(&log), chat_id(), Damage::IsAnError);
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
    let mut story = Story::new(Arc::clone(&log), chat_id(), Damage::IsAnError);
    assert_eq!(story.page().await.unwrap_err().code, Code::ChatDamaged);
    let mut story = Story::new(log, chat_id(), Damage::IsTold);
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
