//! What goes out comes in again, in every form; what is not whole, not in order or not what it was does not.

mod refused;
mod round_trip;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use support::random::Random;
use support::saga::Saga;
use tempfile::TempDir;
use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events::command::Command;
use verbatim_events::envelope::{Actor, Cause, NewEvent, Stored};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::inbox::{self, AllNotificationsRead, InboxEvent};
use verbatim_events::log::{Append, EventLog, StreamAppend};
use verbatim_events::settings::{self, Provider, ProviderKind, ProviderSet, SettingsEvent};
use verbatim_events::vault::Vault as _;
use verbatim_events_sql::seal::MasterKey;
use verbatim_events_sql::{LogOptions, Sealing, Storage, key_of, open_as_stored};

use super::{ExportOptions, Exported, Filters, Form, Header, ImportError, Imported, Target, Trailer, export, import};
use crate::verify::read_chat;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_900_000_000, 0).expect("a time")
}

/// A place for a log, with a master key of its own.
struct Place {
    home: TempDir,
    master: Arc<MasterKey>,
}

impl Place {
    fn new() -> Place {
        let master = Arc::new(MasterKey::generate().expect("a key"));
        Place { home: tempfile::tempdir().expect("a folder"), master }
    }

    fn address(&self) -> String {
        format!("sqlite:{}/", self.home.path().display())
    }

    async fn open(&self) -> Storage {
        let sealing = Some(Sealing { master: Arc::clone(&self.master), new_chats: true });
        let options = LogOptions { sealing, ..LogOptions::default() };
        Storage::open(&self.address(), options, Handle::current()).await.expect("a log")
    }

    async fn import(&self, bytes: &[u8]) -> Result<Imported, ImportError> {
        let (address, master, runtime) = (self.address(), Arc::clone(&self.master), Handle::current());
        import(bytes, &Target { address, master, runtime }, |_| {}).await
    }

    /// How many events there are, and how many keys of chats.
    async fn holds(&self) -> (u64, i64) {
        let log = open_as_stored(&self.address(), LogOptions::default(), Handle::current()).await.expect("a log");
        let keys = format!("sqlite:{}?mode=ro", self.home.path().join("keys.db").display());
        let pool = sqlx::SqlitePool::connect(&keys).await.expect("keys");
        let count = sqlx::query_scalar("SELECT count(*) FROM chat_keys").fetch_one(&pool).await.expect("a number");
        pool.close().await;
        (log.head().await.expect("a head"), count)
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.home.path()).expect("a folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().unwrap()).collect();
        // What SQLite keeps while somebody reads.
        names.retain(|name| !["-wal", "-shm", "-journal"].iter().any(|suffix| name.ends_with(suffix)));
        names.sort();
        names
    }
}

/// A log as servers make them: chats that are sealed and chats that are plain, side by side, one of them erased; settings;
/// somebody's inbox.
struct Grown {
    place: Place,
    storage: Storage,
    sealed: Vec<ChatId>,
    plain: Vec<ChatId>,
    erased: ChatId,
    sagas: Vec<Saga>,
}

impl Grown {
    async fn new(seed: u64) -> Grown {
        let (place, mut random) = (Place::new(), Random::new(seed));
        let storage = place.open().await;
        let log = storage.log();
        let mut sagas = Vec::new();
        for number in 0..random.between(5, 7) {
            let saga = Saga::new();
            let sealer = storage.vault().expect("a vault").sealer(saga.chat_id, true).await.expect("a key");
            sagas.push(if number % 2 == 0 { saga.sealed_by(sealer.expect("sealed")) } else { saga });
        }
        for _ in 0..random.between(10, 40) {
            let chosen = usize::try_from(random.between(0, sagas.len() as u64 - 1)).expect("a place");
            let (saga, steps) = (&mut sagas[chosen], random.between(1, 12));
            saga.grow(log.as_ref(), saga.version() + steps, |number| {
                format!("Answer {number}:\n\"{seed}\" \u{1f980}\u{2028}")
            })
            .await;
        }
        for saga in sagas.iter_mut().filter(|saga| saga.chat.is_none()) {
            saga.grow(log.as_ref(), 3, |_| "At last.".to_owned()).await;
        }
        let provider = Provider { api_key_sealed: Some("1.00".to_owned()), ..Provider::of(ProviderKind::OpenAiChat) };
        let set = SettingsEvent::ProviderSet(ProviderSet { name: "acme".to_owned(), provider });
        append(log.as_ref(), settings::seal(0, Digest::ZERO, &[set], &cause(), now(), &mut Uuid::now_v7)).await;
        let read = InboxEvent::AllRead(AllNotificationsRead { owner: "ann".to_owned(), through: None });
        append(log.as_ref(), vec![inbox::seal(0, &Digest::ZERO, &read, &cause(), now(), Uuid::now_v7())]).await;
        let erase = Command::Erase { by: "ann".to_owned(), reason: None };
        sagas[0].command(log.as_ref(), erase).await;
        let erased = sagas[0].chat_id;
        let first = log.read_chat(erased, 0, 1).await.expect("read").remove(0);
        storage.vault().expect("a vault").destroy(vec![key_of(&first.event).expect("sealed")]).await.expect("gone");
        let ids = |odd: bool| sagas.iter().enumerate().skip(1).filter(move |(number, _)| (number % 2 == 1) == odd);
        let (sealed, plain) =
            (ids(false).map(|(_, saga)| saga.chat_id).collect(), ids(true).map(|(_, saga)| saga.chat_id).collect());
        Grown { place, storage, sealed, plain, erased, sagas }
    }

    /// The chat of this id.
    fn saga(&mut self, chat_id: ChatId) -> &mut Saga {
        self.sagas.iter_mut().find(|saga| saga.chat_id == chat_id).expect("it")
    }

    async fn export(&self, form: Form, filters: Filters) -> (Vec<u8>, Exported) {
        exported(self.storage.log().as_ref(), form, filters).await
    }
}

fn cause() -> Cause {
    Cause {
        actor: Actor::Node("n".to_owned()),
        command_id: Uuid::now_v7(),
        causation_id: Some(Uuid::now_v7()),
        trace_id: Some("t\"".to_owned()),
    }
}

async fn append(log: &dyn EventLog, events: Vec<NewEvent>) {
    let (chat_id, expected_version, expected_hash) = (events[0].chat_id, 0, Digest::ZERO);
    let stream = StreamAppend { chat_id, expected_version, expected_hash, events };
    log.append(Append { streams: vec![stream], receipt: None }).await.expect("appended");
}

async fn exported(log: &dyn EventLog, form: Form, filters: Filters) -> (Vec<u8>, Exported) {
    let options = ExportOptions { form, filters, now: now(), master_key: Some("a mark".to_owned()) };
    let mut bytes = Vec::new();
    let exported = export(log, &options, &mut bytes, |_| {}).await.expect("exported");
    (bytes, exported)
}

async fn everything(log: &dyn EventLog) -> Vec<Stored> {
    log.read_all(0, 100_000).await.expect("read").events
}

/// The lines of an export, without their ends.
fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8(bytes.to_vec()).expect("text").lines().map(str::to_owned).collect()
}

fn text_of(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
}

fn ends(bytes: &[u8]) -> (Header, Trailer) {
    let lines = lines(bytes);
    let (first, last) = (lines.first().expect("a line"), lines.last().expect("a line"));
    (serde_json::from_str(first).expect("a header"), serde_json::from_str(last).expect("a trailer"))
}
