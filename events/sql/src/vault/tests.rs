//! A sealed log on SQLite, from its first key to the destruction of one.

use std::sync::Arc;

use chrono::Utc;
use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events::envelope::{Actor, Cause, Stored, Words};
use verbatim_events::event::{ChatArchived, Event};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::log::{Append, EventLog, StreamAppend};
use verbatim_events::vault::{Sealer, Vault};
use verbatim_events::wire;

use super::{Sealing, key_of};
use crate::error::OpenError;
use crate::seal::MasterKey;
use crate::{LogOptions, Storage, master_key_mark, open_read_only, rotate_master_key};

fn sealed_by(master: &Arc<MasterKey>, new_chats: bool) -> LogOptions {
    LogOptions { sealing: Some(Sealing { master: Arc::clone(master), new_chats }), ..LogOptions::default() }
}

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

    async fn open(&self, new_chats: bool) -> Storage {
        Storage::open(&self.address(), sealed_by(&self.master, new_chats), Handle::current()).await.unwrap()
    }
}

fn stream(sealer: Option<&dyn Sealer>, chat_id: ChatId, version: u64, hash: Digest) -> StreamAppend {
    let cause = Cause { actor: Actor::System, command_id: Uuid::nil(), causation_id: None, trace_id: None };
    let events = vec![Event::ChatArchived(ChatArchived {}), Event::ChatArchived(ChatArchived {})];
    let sealed =
        wire::seal_with(sealer, chat_id, version, hash, events, &cause, Utc::now(), &mut Uuid::now_v7).unwrap();
    let events = sealed.into_iter().map(|(event, _)| event).collect();
    StreamAppend { chat_id, expected_version: version, expected_hash: hash, events }
}

/// Begins a chat, as its actor would.
async fn begin(storage: &Storage) -> ChatId {
    let chat_id = ChatId(Uuid::now_v7());
    let sealer = storage.vault().unwrap().sealer(chat_id, true).await.unwrap();
    append(storage, stream(sealer.as_deref(), chat_id, 0, Digest::ZERO)).await;
    chat_id
}

async fn go_on(storage: &Storage, chat_id: ChatId) {
    let last = read(storage.log().as_ref(), chat_id).await.pop().unwrap().event;
    let sealer = storage.vault().unwrap().sealer(chat_id, false).await.unwrap();
    append(storage, stream(sealer.as_deref(), chat_id, last.version, last.hash)).await;
}

async fn append(storage: &Storage, stream: StreamAppend) {
    storage.log().append(Append { streams: vec![stream], receipt: None }).await.unwrap();
}

async fn read(log: &dyn EventLog, chat_id: ChatId) -> Vec<Stored> {
    log.read_chat(chat_id, 0, 100).await.unwrap()
}

fn opened(events: &[Stored]) -> usize {
    events.iter().filter(|stored| stored.words == Words::Opened(b"{}".to_vec())).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_keeps_its_key_over_restarts_and_loses_its_words_with_it() {
    let place = Place::new();
    let storage = place.open(true).await;
    let (kept, lost) = (begin(&storage).await, begin(&storage).await);
    storage.close().await;

    // Whatever the setting says by then: a chat stays what it was when it began.
    let storage = place.open(false).await;
    go_on(&storage, kept).await;
    go_on(&storage, lost).await;
    let events = read(storage.log().as_ref(), lost).await;
    let keys: std::collections::BTreeSet<_> = events.iter().map(|stored| key_of(&stored.event).unwrap()).collect();
    assert_eq!((opened(&events), keys.len()), (4, 1), "one key for all");
    let plain = begin(&storage).await;
    assert!(read(storage.log().as_ref(), plain).await.iter().all(|stored| stored.words == Words::AsStored));

    let vault = storage.vault().unwrap();
    vault.destroy(keys.iter().copied().collect()).await.unwrap();
    vault.destroy(keys.into_iter().collect()).await.unwrap();
    assert!(vault.sealer(lost, false).await.is_err(), "nothing more is sealed with it");
    let mut storage = Some(storage);
    for _ in 0..2 {
        let storage = match storage.take() {
            Some(storage) => storage,
            None => place.open(true).await,
        };
        let events = read(storage.log().as_ref(), lost).await;
        assert!(events.iter().all(Stored::is_erased));
        let mut before = Digest::ZERO;
        for stored in &events {
            assert!(wire::verify_link(&before, stored), "the chain holds without the words");
            before = stored.event.hash;
        }
        assert_eq!(opened(&read(storage.log().as_ref(), kept).await), 4);
        assert_eq!(opened(&storage.log().read_all(0, 100).await.unwrap().events), 4);
        storage.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_chats_at_once_each_get_a_key_of_their_own() {
    let place = Place::new();
    let storage = Arc::new(place.open(true).await);
    let begun = (0..300).map(|_| {
        let storage = Arc::clone(&storage);
        tokio::spawn(async move { begin(&storage).await })
    });
    let mut keys = std::collections::BTreeSet::new();
    for chat in begun.collect::<Vec<_>>() {
        let events = read(storage.log().as_ref(), chat.await.unwrap()).await;
        assert_eq!(opened(&events), 2);
        assert!(keys.insert(key_of(&events[0].event).unwrap()), "two chats share a key");
    }
    storage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_sealed_nothing_is_the_next_chats() {
    let place = Place::new();
    let storage = place.open(true).await;
    let vault = storage.vault().unwrap();
    let shown = |sealer: &Option<Arc<dyn Sealer>>| format!("{sealer:?}");
    let first = vault.sealer(ChatId(Uuid::now_v7()), true).await.unwrap();
    let name = shown(&first);
    drop(first);
    let second = vault.sealer(ChatId(Uuid::now_v7()), true).await.unwrap();
    assert_eq!(shown(&second), name);
    second.unwrap().seal(b"", b"used").unwrap();
    assert_ne!(shown(&vault.sealer(ChatId(Uuid::now_v7()), true).await.unwrap()), name);
    storage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_key_is_asked_for_checked_and_can_be_changed() {
    let place = Place::new();
    let storage = place.open(true).await;
    let chat_id = begin(&storage).await;
    let secret = storage.vault().unwrap().secrets().unwrap().seal(b"openai", b"sk-1").unwrap();
    storage.close().await;

    let (other, here) = (Arc::new(MasterKey::generate().unwrap()), Handle::current());
    let refused = Storage::open(&place.address(), sealed_by(&other, true), here.clone()).await;
    assert!(matches!(refused, Err(OpenError::WrongMasterKey { expected, given })
        if (&expected, &given) == (&place.master.mark(), &other.mark())));
    let refused = open_read_only(&place.address(), LogOptions::default(), here.clone()).await;
    assert!(matches!(refused, Err(OpenError::NoMasterKey { .. })));
    let log = open_read_only(&place.address(), sealed_by(&place.master, true), here.clone()).await.unwrap();
    assert_eq!(opened(&read(log.as_ref(), chat_id).await), 2);
    drop(log);

    let address = place.address();
    let rotated = rotate_master_key(&address, Arc::clone(&place.master), Arc::clone(&other), here.clone());
    assert!(rotated.await.unwrap().unwrap() >= 2, "the chat's and the secrets'");
    let again = rotate_master_key(&address, Arc::clone(&place.master), Arc::clone(&other), here.clone());
    assert!(matches!(again.await, Err(OpenError::WrongMasterKey { .. })));
    let storage = Storage::open(&place.address(), sealed_by(&other, true), here).await.unwrap();
    assert_eq!(opened(&read(storage.log().as_ref(), chat_id).await), 2);
    let secrets = storage.vault().unwrap().secrets().unwrap();
    assert_eq!(secrets.open(b"openai", &secret).unwrap().as_slice(), b"sk-1");
    storage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_log_whose_keys_are_lost_is_not_taken_for_an_erased_one() {
    let place = Place::new();
    let storage = place.open(true).await;
    begin(&storage).await;
    storage.close().await;
    std::fs::remove_file(place.directory.path().join("keys.db")).unwrap();
    // Whoever starts a refused server again is refused again, and no new keys stand where the old ones are missed.
    for _ in 0..2 {
        let opened = Storage::open(&place.address(), sealed_by(&place.master, true), Handle::current()).await;
        assert!(matches!(opened, Err(OpenError::KeysMissing { .. })));
    }
    let mark = master_key_mark(&place.address(), Handle::current()).await.unwrap();
    assert_eq!(mark, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_a_log_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let storage = place.open(true).await;
    begin(&storage).await;
    for file in std::fs::read_dir(place.directory.path()).unwrap().map(Result::unwrap) {
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        let name = file.file_name().into_string().unwrap();
        assert!(!name.contains(".db") || mode == 0o600, "{name}: {mode:o}");
    }
    storage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasures_are_remembered_until_they_are_finished() {
    let place = Place::new();
    let storage = place.open(true).await;
    let (one, two) = (ChatId(Uuid::from_u128(1)), ChatId(Uuid::from_u128(2)));
    for (chat_id, request) in [(one, Some("first")), (two, None), (one, Some("second"))] {
        let begun = storage.vault().unwrap().begin_erasure(chat_id, "ada", request.map(str::to_owned)).await;
        begun.unwrap();
    }
    storage.vault().unwrap().note_remains(two, "files".to_owned()).await.unwrap();
    storage.close().await;
    let storage = place.open(true).await;
    let vault = storage.vault().unwrap();
    let noted = vault.erasures().await.unwrap();
    let noted: Vec<_> = noted.iter().map(|one| (one.chat_id, one.request.as_deref(), one.remains.as_deref())).collect();
    assert_eq!(noted, [(one, Some("first"), None), (two, None, Some("files"))]);
    vault.end_erasure(two).await.unwrap();
    assert_eq!(vault.erasures().await.unwrap().len(), 1);
    storage.close().await;
}
