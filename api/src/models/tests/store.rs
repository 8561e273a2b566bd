//! The settings' stream as a node keeps it.

use support::clock::ManualClock;
use tokio::runtime::Handle as Runtime;
use verbatim_actors::handle::{IdempotencyKey, Meta, SendError};
use verbatim_actors::ports::ModelCatalog as _;
use verbatim_events::envelope::{Actor, Cause};
use verbatim_events::error::ErrorKind;
use verbatim_events::ids::Digest;
use verbatim_events::log::{Append, EventLog, StreamAppend};
use verbatim_events::memory::{Fault, MemoryLog};
use verbatim_events::settings::{
    self, Given, KeyChange, ModelChange, ModelRemoved, ProviderChange, ProviderKind, SETTINGS_STREAM, SettingsCommand,
    SettingsEvent, SettingsRejection,
};
use verbatim_events_sql::seal::{SealingKey, new_key_bytes};

use super::*;
use crate::compose::WorkspaceHome;

/// A node over a log that others may share.
struct Node {
    store: SettingsStore,
    catalog: Arc<Catalog>,
}

impl Node {
    async fn start(log: &Arc<MemoryLog>, master: Option<&Arc<SealingKey>>) -> Node {
        Node::try_start(log, master).await.expect("the settings are read")
    }

    async fn try_start(log: &Arc<MemoryLog>, master: Option<&Arc<SealingKey>>) -> Result<Node, OpenSettingsError> {
        verbatim_llm::install_crypto();
        let environment = environment(&[]);
        let base = base_of(&settings(TWO, &environment));
        let keys = ProviderKeys::new(environment, master.cloned());
        let catalog = Arc::new(
            Catalog::new(&base, keys.clone(), Roles { compaction_model: Some("large".to_owned()), ..Roles::default() })
                .expect("a catalog"),
        );
        let store = SettingsStore::open(StoreOptions {
            log: Arc::<MemoryLog>::clone(log),
            clock: Arc::new(ManualClock::default()),
            base,
            keys,
            catalog: Arc::clone(&catalog),
            budgets: Arc::default(),
            default_budget: None,
            workspaces: WorkspaceHome::none(),
            runtime: Runtime::current(),
        });
        Ok(Node { store: store.await?, catalog })
    }

    async fn change(&self, command: SettingsCommand) -> Result<Changed, ChangeError> {
        self.store.change(command, Meta::user("admin")).await
    }

    /// What a chat that names this model talks to: model and provider, or the kind of the error.
    fn talks_to(&self, name: Option<&str>) -> Result<(String, String), ErrorKind> {
        let resolved = self.catalog.resolve(name);
        resolved.map(|model| (model.settings.name, model.settings.provider)).map_err(|error| error.kind)
    }
}

fn model(name: &str, change: ModelChange, given: Given) -> SettingsCommand {
    SettingsCommand::SetModel { name: name.to_owned(), change, given }
}

fn provider(name: &str, change: ProviderChange, given: Given) -> SettingsCommand {
    SettingsCommand::SetProvider { name: name.to_owned(), change, given }
}

fn of_local() -> ModelChange {
    ModelChange { provider: Some("local".to_owned()), ..ModelChange::default() }
}

fn disabled() -> ProviderChange {
    ProviderChange { enabled: Some(false), ..ProviderChange::default() }
}

fn pair(model: &str, provider: &str) -> Result<(String, String), ErrorKind> {
    Ok((model.to_owned(), provider.to_owned()))
}

#[tokio::test]
async fn a_change_counts_at_once_and_after_a_restart() {
    let log = Arc::new(MemoryLog::default());
    let node = Node::start(&log, None).await;
    assert_eq!(node.talks_to(Some("new")), pair("small", "local"), "unknown: the default one");
    let changed = node.change(model("new", of_local(), Given::New)).await.expect("changed");
    assert_eq!((changed.position, changed.replayed), (1, false));
    assert_eq!(node.talks_to(Some("new")), pair("new", "local"));
    node.change(model("new", ModelChange { default: Some(true), ..Default::default() }, Given::Part))
        .await
        .expect("changed");
    for node in [node, Node::start(&log, None).await] {
        assert_eq!(node.talks_to(None), pair("new", "local"));
        assert_eq!((node.store.held().applied, node.store.held().settings.version), (2, 2));
    }
}

#[tokio::test]
async fn a_disabled_model_falls_back_and_a_disabled_provider_says_so() {
    let node = Node::start(&Arc::new(MemoryLog::default()), None).await;
    let off = || ModelChange { enabled: Some(false), ..ModelChange::default() };
    node.change(model("large", off(), Given::Part)).await.expect("changed");
    assert_eq!(node.talks_to(Some("large")), pair("small", "local"));
    assert!(node.catalog.summariser().is_none(), "chats summarise with their own model then");
    node.change(provider("local", disabled(), Given::Part)).await.expect("changed");
    assert_eq!(node.talks_to(Some("small")), Err(ErrorKind::ProviderDisabled));
    assert_eq!(node.talks_to(None), Err(ErrorKind::ProviderDisabled));
    assert_eq!(node.talks_to(Some("local/other")), Err(ErrorKind::ProviderDisabled));
    assert_eq!(node.talks_to(Some("demo")), pair("demo", "demo"));
    assert!(node.catalog.is_known("small"), "a chat may name it; its turns say what is wrong");
    assert_eq!(node.catalog.default_name().as_deref(), Some("small"));
    node.change(SettingsCommand::RemoveProvider { name: "local".to_owned() }).await.expect("changed");
    node.change(SettingsCommand::RemoveModel { name: "large".to_owned() }).await.expect("changed");
    assert_eq!(node.talks_to(Some("large")), pair("large", "local"), "the file's are back");
}

#[tokio::test]
async fn an_engine_is_made_anew_only_where_its_provider_changed() {
    let node = Node::start(&Arc::new(MemoryLog::default()), None).await;
    let engine = |name: &str| node.catalog.resolve(Some(name)).expect("a model").provider;
    let (small, demo) = (engine("small"), engine("demo"));
    node.change(model("large", ModelChange { context_window: Some(Some(7)), ..Default::default() }, Given::Part))
        .await
        .expect("changed");
    node.change(provider("local", disabled(), Given::Part)).await.expect("changed");
    let on = ProviderChange { enabled: Some(true), ..ProviderChange::default() };
    node.change(provider("local", on, Given::Part)).await.expect("changed");
    assert!(Arc::ptr_eq(&small, &engine("small")));
    let moved = ProviderChange { base_url: Some(Some("http://127.0.0.1:2/v1".to_owned())), ..Default::default() };
    node.change(provider("local", moved, Given::Part)).await.expect("changed");
    assert!(!Arc::ptr_eq(&small, &engine("small")) && Arc::ptr_eq(&demo, &engine("demo")));
}

#[tokio::test]
async fn a_sealed_key_that_does_not_open_is_a_missing_key() {
    let log = Arc::new(MemoryLog::default());
    let master = Arc::new(SealingKey::new(&new_key_bytes().expect("a key")));
    let node = Node::start(&log, Some(&master)).await;
    let sealed = node.store.keys().seal("mine", "sk-secret").expect("sealed");
    let change = ProviderChange {
        kind: Some(ProviderKind::OpenAiChat),
        key: Some(KeyChange::Sealed(sealed)),
        ..ProviderChange::default()
    };
    node.change(provider("mine", change, Given::New)).await.expect("changed");
    assert_eq!(node.talks_to(Some("mine/m")), pair("mine/m", "mine"));
    assert_eq!(Node::start(&log, Some(&master)).await.talks_to(Some("mine/m")), pair("mine/m", "mine"));
    let other = Arc::new(SealingKey::new(&new_key_bytes().expect("a key")));
    for master in [None, Some(&other)] {
        let node = Node::start(&log, master).await;
        assert_eq!(node.talks_to(Some("mine/m")), Err(ErrorKind::MissingKey));
        assert_eq!(node.talks_to(None), pair("small", "local"), "the others work");
    }
}

#[tokio::test]
async fn two_nodes_see_each_other_s_changes_and_lose_none() {
    let log = Arc::new(MemoryLog::default());
    let (first, second) = (Node::start(&log, None).await, Node::start(&log, None).await);
    for number in 0..6 {
        let node = if number % 2 == 0 { &first } else { &second };
        node.change(model(&format!("m-{number}"), of_local(), Given::New))
            .await
            .expect("changed in spite of the other");
    }
    let held = first.store.held_at(6).await.expect("the log answers").expect("it is that far");
    assert_eq!((held.settings.version, held.settings.models.len()), (6, 6));
    assert_eq!(first.store.held_at(7).await.expect("the log answers"), None);
    let refused = second.change(model("m-4", of_local(), Given::New)).await;
    let exists = SettingsRejection::Exists { what: "model", name: "m-4".to_owned() };
    assert_eq!(refused, Err(ChangeError::Rejected(exists)));
}

#[tokio::test]
async fn what_others_append_is_followed() {
    let log = Arc::new(MemoryLog::default());
    let (first, second) = (Node::start(&log, None).await, Node::start(&log, None).await);
    let following = tokio::spawn(second.store.clone().follow());
    first.change(model("new", of_local(), Given::New)).await.expect("changed");
    while second.talks_to(Some("new")) != pair("new", "local") {
        tokio::task::yield_now().await;
    }
    following.abort();
}

#[tokio::test]
async fn a_key_makes_a_change_once() {
    let log = Arc::new(MemoryLog::default());
    let node = Node::start(&log, None).await;
    let meta = |digest: &[u8]| Meta {
        idempotency: Some(IdempotencyKey {
            owner: "admin".to_owned(),
            key: "k".to_owned(),
            request_hash: Digest::of(digest),
        }),
        ..Meta::user("admin")
    };
    let new = || model("new", of_local(), Given::New);
    let first = node.store.change(new(), meta(b"a")).await.expect("changed");
    node.change(SettingsCommand::RemoveModel { name: "new".to_owned() }).await.expect("changed");
    let again = node.store.change(new(), meta(b"a")).await.expect("told again");
    assert_eq!(again, Changed { replayed: true, ..first });
    assert_eq!(log.known_head(), 2);
    let reused = node.store.change(new(), meta(b"b")).await;
    assert_eq!(reused, Err(ChangeError::Log(SendError::KeyReused)));
    // A change that changes nothing is remembered all the same.
    let other = Meta {
        idempotency: meta(b"c").idempotency.map(|key| IdempotencyKey { key: "n".to_owned(), ..key }),
        ..meta(b"c")
    };
    let nothing = || model("small", ModelChange { default: Some(true), ..Default::default() }, Given::Part);
    assert!(!node.store.change(nothing(), other.clone()).await.expect("so already").replayed);
    assert!(node.store.change(nothing(), other).await.expect("so already").replayed);
    assert_eq!(log.known_head(), 2);
}

#[tokio::test]
async fn a_write_whose_outcome_is_unknown_is_looked_up() {
    let log = Arc::new(MemoryLog::default());
    let node = Node::start(&log, None).await;
    log.fail_next_append(Fault::LostAfter);
    let changed = node.change(model("kept", of_local(), Given::New)).await.expect("it was written");
    assert_eq!(changed.position, 1);
    for (fault, name) in [(Fault::LostBefore, "lost"), (Fault::Refused, "refused")] {
        log.fail_next_append(fault);
        let failed = node.change(model(name, of_local(), Given::New)).await;
        assert!(matches!(failed, Err(ChangeError::Log(SendError::LogUnavailable { .. }))), "{failed:?}");
        assert_eq!(node.talks_to(Some(name)), pair("small", "local"));
    }
    log.fail_next_append(Fault::Busy);
    let busy = node.change(model("busy", of_local(), Given::New)).await;
    assert!(matches!(busy, Err(ChangeError::Log(SendError::Busy { .. }))), "{busy:?}");
    assert_eq!(node.talks_to(Some("kept")), pair("kept", "local"));
    assert_eq!(log.known_head(), 1);
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_stops_the_start_and_says_where() {
    let log = Arc::new(MemoryLog::default());
    let node = Node::start(&log, None).await;
    let cause = Cause { actor: Actor::System, command_id: uuid::Uuid::nil(), causation_id: None, trace_id: None };
    let illegal = [SettingsEvent::ModelRemoved(ModelRemoved { name: "nobody".to_owned() })];
    let events = settings::seal(0, Digest::ZERO, &illegal, &cause, chrono::Utc::now(), &mut uuid::Uuid::now_v7);
    let stream = StreamAppend { chat_id: SETTINGS_STREAM, expected_version: 0, expected_hash: Digest::ZERO, events };
    log.append(Append { streams: vec![stream], receipt: None }).await.expect("appended");
    let refused = Node::try_start(&log, None).await.err().expect("it does not start");
    assert!(matches!(refused, OpenSettingsError::Damaged { version: 1, position: 1, .. }), "{refused}");
    // One that runs keeps what it has and takes no changes.
    let refused = node.change(model("new", of_local(), Given::New)).await;
    assert!(matches!(refused, Err(ChangeError::Log(SendError::Damaged { .. }))), "{refused:?}");
    assert_eq!(node.talks_to(None), pair("small", "local"));
}
