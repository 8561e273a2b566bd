//! A log that is filled is empty until it is full, whatever ends the filling.

use std::sync::Arc;

use chrono::Utc;
use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events::envelope::{Actor, Cause, NewEvent};
use verbatim_events::event::{ChatArchived, Event};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::log::{Append, StreamAppend};
use verbatim_events::wire;

use super::{Staging, StagingError};
use crate::error::OpenError;
use crate::seal::MasterKey;
use crate::vault::Sealing;
use crate::{LogOptions, Storage};

struct Place {
    directory: tempfile::TempDir,
    master: Arc<MasterKey>,
}

impl Place {
    fn new() -> Place {
        Place { directory: tempfile::tempdir().unwrap(), master: Arc::new(MasterKey::generate().unwrap()) }
    }

    fn address(&self) -> String {
        format!("sqlite:{}/", self.directory.path().display())
    }

    fn options(&self) -> LogOptions {
        let sealing = Some(Sealing { master: Arc::clone(&self.master), new_chats: true });
        LogOptions { sealing, ..LogOptions::default() }
    }

    async fn begin(&self) -> Result<Staging, StagingError> {
        Staging::begin(&self.address(), self.options(), Handle::current()).await
    }

    async fn open(&self) -> Result<Storage, OpenError> {
        Storage::open(&self.address(), self.options(), Handle::current()).await
    }

    fn leftovers(&self) -> usize {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".import")).count()
    }
}

fn events(chat_id: ChatId, version: u64, previous: Digest) -> Vec<NewEvent> {
    let cause = Cause { actor: Actor::System, command_id: Uuid::nil(), causation_id: None, trace_id: None };
    let events = vec![Event::ChatArchived(ChatArchived {}); 3];
    let sealed = wire::seal(chat_id, version, previous, events, &cause, Utc::now(), &mut Uuid::now_v7);
    sealed.into_iter().map(|(event, _)| event).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_is_there_at_once_and_goes_on() {
    let place = Place::new();
    let before = place.open().await.unwrap();
    let timeline = before.log().timeline();
    before.close().await;
    let mut staging = place.begin().await.unwrap();
    let (one, two) = (ChatId(Uuid::now_v7()), ChatId(Uuid::now_v7()));
    let added: Vec<NewEvent> = [one, two].into_iter().flat_map(|chat_id| events(chat_id, 0, Digest::ZERO)).collect();
    for event in &added {
        staging.add(vec![event.clone()]).await.unwrap();
    }
    assert_eq!(staging.log().head().await.unwrap(), 6, "it can be read before it counts");
    assert!(matches!(place.open().await, Err(OpenError::InUse { .. })), "nobody serves meanwhile");
    assert!(matches!(place.begin().await, Err(StagingError::Open(OpenError::InUse { .. }))));
    let renewed = staging.publish().await.unwrap();
    assert_eq!(place.leftovers(), 0);

    let storage = place.open().await.unwrap();
    assert_eq!(storage.log().timeline(), renewed);
    assert_ne!(renewed, timeline);
    let page = storage.log().read_all(0, 100).await.unwrap();
    assert_eq!(page.events.iter().map(|stored| stored.position).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(page.events.into_iter().map(|stored| stored.event).collect::<Vec<_>>(), added);
    let hash = added[2].hash;
    let stream = StreamAppend { chat_id: one, expected_version: 3, expected_hash: hash, events: events(one, 3, hash) };
    storage.log().append(Append { streams: vec![stream], receipt: None }).await.unwrap();
    storage.close().await;
    assert!(matches!(place.begin().await, Err(StagingError::NotEmpty { head: 9 })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cut_short_keeps_servers_out_until_it_is_begun_anew() {
    let place = Place::new();
    let mut staging = place.begin().await.unwrap();
    staging.add(events(ChatId(Uuid::now_v7()), 0, Digest::ZERO)).await.unwrap();
    // As a crash would have it: nothing is removed.
    drop(staging);
    assert!(place.leftovers() > 0);
    let refused = place.open().await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::HalfFilled { .. }), "{refused}");
    assert!(refused.to_string().contains("audit import"), "{refused}");
    let staging = place.begin().await.unwrap();
    assert_eq!(staging.log().head().await.unwrap(), 0, "nothing of the first one");
    staging.discard(Vec::new()).await;
    assert_eq!(place.leftovers(), 0);
    let storage = place.open().await.unwrap();
    assert_eq!(storage.log().head().await.unwrap(), 0);
    storage.close().await;

    // After the last step of one that was filled: then it is of no use.
    let mut staging = place.begin().await.unwrap();
    staging.add(events(ChatId(Uuid::now_v7()), 0, Digest::ZERO)).await.unwrap();
    staging.publish().await.unwrap();
    std::fs::write(place.directory.path().join("events.db.import"), "what was moved").unwrap();
    let storage = place.open().await.unwrap();
    assert_eq!((storage.log().head().await.unwrap(), place.leftovers()), (3, 0));
    storage.close().await;
}
