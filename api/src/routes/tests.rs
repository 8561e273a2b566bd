//! The face over a real node: the reference log, the demo model, read models on disk, and a key for every role.

mod access;
mod audit;
mod files;
mod gates;
mod inbox;
mod settings;
mod sockets;
mod streams;
mod templates;
mod watching;

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use reqwest::Method;
use serde_json::{Value, json};
use support::clock::ManualClock;
use support::histories::HistoryGuard;
use support::http::{Answer, Client, IDEMPOTENCY_KEY};
use tempfile::TempDir;
use tokio::runtime::Handle as Runtime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use verbatim_actors::budgets::Budgets;
use verbatim_actors::clock::Clock;
use verbatim_actors::node::{Node, NodeOptions};
use verbatim_actors::ports::ModelCatalog;
use verbatim_events::ids::Digest;
use verbatim_events::limits::Limits;
use verbatim_events::log::EventLog;
use verbatim_events::memory::{MemoryJournal, MemoryLog};
use verbatim_events::vault::NoVault;
use verbatim_events_sql::KeyStore;
use verbatim_events_sql::seal::SealingKey;
use verbatim_projections::{ReadLocation, ReadModels, ReadSettings};
use verbatim_tools::workspace::Workspaces;
use verbatim_tools::workspace::local::LocalProvisioner;
use verbatim_tools::workspace::pause::SystemPause;
use verbatim_tools::workspace::port::{Provisioner, ProvisionerKind};

use crate::app::serve;
use crate::auth::{KeyRing, Keys, Principal, Rates, Role};
use crate::compose::WorkspaceHome;
use crate::config::{Environment, Flags, HttpSettings, Settings};
use crate::erasure::{Eraser, Reach};
use crate::files::FileHome;
use crate::inbox::Inboxes;
use crate::models::{Catalog, ProviderKeys, Roles, SettingsStore, StoreOptions, base_of};
use crate::state::{AppState, Owners};
use crate::tools::{Access, ToolSources, Tools};
use crate::watch::follower::{Sources, follower};
use crate::webhooks::Webhooks;

/// A server in the test's own process.
struct World {
    state: AppState,
    clock: ManualClock,
    server: ServerHandle,
    url: String,
    histories: HistoryGuard,
    _directory: TempDir,
}

impl World {
    /// Keys are named as their owners: `ada` and `bob` are users, `eve` is an auditor, `admin` is the administrator.
    async fn start() -> World {
        World::start_with(HttpSettings::default()).await
    }

    async fn start_with(http: HttpSettings) -> World {
        let directory = tempfile::tempdir().unwrap();
        let runtime = Runtime::current();
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
        let location = ReadLocation::Sqlite { directory: directory.path().to_owned() };
        let reads =
            ReadModels::open(location, Arc::clone(&log), runtime.clone(), ReadSettings::default()).await.unwrap();
        let stopping = CancellationToken::new();
        actix_web::rt::spawn({
            let (reads, stop) = (reads.clone(), stopping.clone());
            async move { reads.run(stop.cancelled_owned()).await }
        });
        let (clock, limits) = (ManualClock::default(), Arc::new(Limits::default()));
        let access = Access::new("test".to_owned());
        let environment = Environment::default();
        let settings = Settings::load(&Flags::default(), &environment).unwrap();
        let master = Some(Arc::new(SealingKey::new(&[7; 32])));
        let (base, provider_keys) = (base_of(&settings), ProviderKeys::new(environment.clone(), master));
        let catalog = Arc::new(Catalog::new(&base, provider_keys.clone(), Roles::default()).unwrap());
        let models: Arc<dyn ModelCatalog> = Arc::<Catalog>::clone(&catalog);
        let files = FileHome::at(directory.path().join("files"), runtime.clone());
        let local: Arc<dyn Provisioner> =
            Arc::new(LocalProvisioner::open(directory.path().join("workspaces")).unwrap());
        let pause = Arc::new(SystemPause::default());
        let workspaces =
            WorkspaceHome::of(Workspaces::new(Default::default(), [(ProvisionerKind::Local, local)], pause));
        let now: Arc<dyn Clock> = Arc::new(clock.clone());
        let sources = ToolSources { models: &models, workspaces: &workspaces, files: &files, clock: &now };
        let tools = Arc::new(Tools::new(&settings, &environment, &access, sources, runtime.clone()));
        let budgets = Arc::<Budgets>::default();
        budgets.seed(0, []);
        let handle = Node::start(NodeOptions {
            log: Arc::clone(&log),
            vault: Arc::new(NoVault),
            journal: Arc::new(MemoryJournal::default()),
            snapshots: Arc::new(reads.clone()),
            clock: Arc::new(clock.clone()),
            models: Arc::clone(&models),
            tools: tools.tool_box(),
            budgets: Arc::clone(&budgets),
            limits: Arc::clone(&limits),
            node_name: "test".into(),
            runtime: runtime.clone(),
            arbiters: 1,
        });
        let ring = KeyRing::with_admin("admin");
        for (owner, role) in [("ada", Role::User), ("bob", Role::User), ("eve", Role::Auditor)] {
            let principal = Principal { owner: owner.into(), roles: [role].into() };
            ring.insert(Uuid::now_v7(), Digest::of(owner.as_bytes()), principal);
        }
        let address = format!("sqlite:{}/", directory.path().join("keys").display());
        std::fs::create_dir(directory.path().join("keys")).unwrap();
        let keys = Keys::new(ring, KeyStore::open(&address, Runtime::current()).await.unwrap());
        let (watchers, follow) = follower(Sources {
            log: Arc::clone(&log),
            reads: reads.clone(),
            models: Arc::clone(&models),
            clock: Arc::new(clock.clone()),
        });
        actix_web::rt::spawn(follow);
        let opened = SettingsStore::open(StoreOptions {
            log: Arc::clone(&log),
            clock: Arc::new(clock.clone()),
            base,
            keys: provider_keys,
            catalog,
            budgets: Arc::clone(&budgets),
            default_budget: None,
            workspaces: workspaces.clone(),
            runtime: runtime.clone(),
        });
        let eraser = Eraser::new(Reach {
            handle: handle.clone(),
            log: Arc::clone(&log),
            vault: None,
            journal: Arc::new(MemoryJournal::default()),
            sweeper: None,
            reads: reads.clone(),
            files: files.clone(),
            workspaces: Arc::clone(&workspaces.spaces),
            clock: Arc::new(clock.clone()),
            runtime: runtime.clone(),
        });
        let state = AppState {
            eraser,
            settings: opened.await.unwrap(),
            budgets,
            tools,
            handle,
            reads,
            models,
            keys,
            rates: Rates::new(&http),
            http: Arc::new(http),
            inboxes: Inboxes::new(Arc::clone(&log), Arc::new(clock.clone())),
            webhooks: Webhooks::default(),
            watchers,
            limits,
            clock: Arc::new(clock.clone()),
            workspaces,
            files,
            owners: Owners::default(),
            runtime: Runtime::current(),
            audits: Arc::new(tokio::sync::Semaphore::new(crate::state::AUDITS_MAX)),
            metrics_open: false,
            log,
            stopping,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let running = serve(listener, state.clone()).unwrap();
        let server = running.handle();
        actix_web::rt::spawn(running);
        World { histories: HistoryGuard::of(Arc::clone(&state.log)), state, clock, server, url, _directory: directory }
    }

    fn client(&self, key: &str) -> Client {
        Client::new(&self.url, Some(key))
    }

    /// Stops in order: streams, server, chats.
    async fn stop(self) {
        self.state.stopping.cancel();
        self.server.stop(true).await;
        self.state.handle.shutdown().await;
    }
}

fn id_of(answer: &Answer) -> String {
    answer.text_of("id")
}

#[actix_web::test]
async fn another_owner_sees_nothing_and_an_auditor_everything_but_writes_nothing() {
    let world = World::start().await;
    let [ada, bob, eve, admin] = ["ada", "bob", "eve", "admin"].map(|key| world.client(key));
    let chat = ada.post("/chats", json!({"title": "Engines", "system_prompt": "secret"})).await.expect(201);
    assert_eq!(chat.body["owner"], "ada");
    let id = id_of(&chat);
    for rest in ["", "/messages", "/queue", "/turns", "/events", "/events?follow=true", "/stream", "/children"] {
        bob.get(&format!("/chats/{id}{rest}")).await.expect_problem(404, "chat_not_found");
    }
    for rest in ["/messages", "/interrupt", "/compact", "/clear", "/tool-results", "/queue/7/promote"] {
        let path = format!("/chats/{id}{rest}");
        bob.post(&path, json!({"content": "hello"})).await.expect_problem(404, "chat_not_found");
        eve.post(&path, json!({"content": "hello"})).await.expect_problem(403, "forbidden");
    }
    assert_eq!(bob.get("/chats").await.items(), [] as [Value; 0]);
    for reader in [&ada, &eve, &admin] {
        assert_eq!(id_of(&reader.get(&format!("/chats/{id}")).await.expect(200)), id);
        assert_eq!(reader.get("/chats").await.items()[0]["id"], id.as_str());
    }
    eve.post("/chats", json!({})).await.expect_problem(403, "forbidden");
    // The owner sees the public form, the auditor the stored bytes.
    let shown = ada.get(&format!("/chats/{id}/events")).await.expect(200);
    assert!(!shown.text.contains("secret") && shown.items()[0].get("hash").is_none(), "{}", shown.text);
    let raw = eve.get(&format!("/chats/{id}/events")).await.expect(200);
    assert_eq!(raw.items()[0]["data"]["system_prompt"], "secret");
    ada.get(&format!("/chats/{id}/stream?raw=1")).await.expect_problem(403, "forbidden");
    // What is the administrator's and the auditor's alone.
    ada.get("/projections").await.expect_problem(403, "forbidden");
    eve.get("/projections").await.expect(200);
    eve.post("/projections/all/rebuild", json!({})).await.expect_problem(403, "forbidden");
    world.client("nobody").get("/chats").await.expect_problem(401, "unauthorized");
    ada.with_key(None).get("/chats").await.expect_problem(401, "unauthorized");
    ada.with_key(None).get("/chats?access_token=ada").await.expect(200);
    world.stop().await;
}

#[actix_web::test]
async fn a_repeated_key_tells_the_first_answer_again_and_does_nothing() {
    let world = World::start().await;
    let (ada, bob) = (world.client("ada"), world.client("bob"));
    let create = |client: Client, title: &'static str| async move {
        let body = json!({"title": title});
        client.call(Method::POST, "/chats", Some(&body), &[(IDEMPOTENCY_KEY, "once")]).await
    };
    let first = create(ada.clone(), "Engines").await.expect(201);
    let renamed = ada.patch(&format!("/chats/{}", id_of(&first)), json!({"title": "Looms"})).await;
    assert_eq!(renamed.body["title"], "Looms");
    let again = create(ada.clone(), "Engines").await.expect(201);
    assert_eq!(again.text, first.text);
    assert_eq!(again.header("verbatim-position"), first.header("verbatim-position"));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    create(ada.clone(), "Other").await.expect_problem(422, "idempotency_mismatch");
    // A key is its owner's: another owner's is another key.
    assert_eq!(create(bob, "Engines").await.expect(201).header("idempotency-replayed"), None);
    assert_eq!(ada.get("/chats").await.items().len(), 1);
    world.stop().await;
}

#[actix_web::test]
async fn a_read_with_a_position_sees_what_was_written() {
    let world = World::start().await;
    let ada = world.client("ada");
    let path = format!("/chats/{}", id_of(&ada.post("/chats", json!({})).await.expect(201)));
    for round in 1..=20 {
        let title = format!("Title {round}");
        let changed = ada.patch(&path, json!({"title": title})).await.expect(200);
        let position = changed.header("verbatim-position").expect("a mutation says its position");
        let read = ada.call(Method::GET, &path, None, &[("verbatim-position", position)]).await.expect(200);
        assert_eq!(read.body["title"], title.as_str());
    }
    for position in ["later", "00000000-0-1"] {
        let read = ada.call(Method::GET, &path, None, &[("verbatim-position", position)]).await;
        read.expect_problem(400, "invalid_request");
    }
    world.stop().await;
}

#[actix_web::test]
async fn a_child_belongs_to_its_parents_family_and_owner() {
    let world = World::start().await;
    let [ada, bob, admin] = ["ada", "bob", "admin"].map(|key| world.client(key));
    let parent = id_of(&ada.post("/chats", json!({})).await.expect(201));
    let child = admin.post("/chats", json!({"parent": parent})).await.expect(201);
    assert_eq!(
        (&child.body["owner"], &child.body["parent"], &child.body["root"]),
        (&json!("ada"), &json!(parent), &json!(parent))
    );
    let children = ada.get(&format!("/chats/{parent}/children")).await.expect(200);
    assert_eq!(children.items()[0]["id"], child.body["id"]);
    let archived = ada.patch(&format!("/chats/{parent}"), json!({"archived": true})).await.expect(200);
    assert_eq!(archived.body["archived"], true);
    let gone_along = ada.get(&format!("/chats/{}", id_of(&child))).await.expect(200);
    assert_eq!(gone_along.body["archived"], true);
    ada.post("/chats", json!({"parent": parent})).await.expect_problem(409, "archived");
    bob.post("/chats", json!({"parent": parent})).await.expect_problem(404, "chat_not_found");
    world.stop().await;
}

#[actix_web::test]
async fn every_address_answers_problems_in_one_shape() {
    let world = World::start().await;
    let admin = world.client("admin");
    let nowhere = "/chats/01890000-0000-7000-8000-000000000001";
    for (path, status, code) in [
        ("/nothing", 404, "not_found"),
        ("//elsewhere", 404, "not_found"),
        (nowhere, 404, "chat_not_found"),
        ("/chats/no-id", 404, "chat_not_found"),
        ("/chats?limit=0", 400, "invalid_request"),
        ("/chats?cursor=zzz", 400, "invalid_request"),
        ("/chats?status=asleep", 400, "invalid_request"),
        ("/chats?label=nocolon", 400, "invalid_request"),
        ("/chats?colour=red", 400, "invalid_request"),
    ] {
        admin.get(path).await.expect_problem(status, code);
    }
    for (path, body, status, code) in [
        (format!("{nowhere}/messages"), json!({}), 404, "chat_not_found"),
        ("/chats".to_owned(), json!({"colour": "red"}), 400, "invalid_request"),
        ("/chats".to_owned(), json!({"content": ""}), 400, "empty_content"),
        ("/chats".to_owned(), json!({"model": "gone"}), 400, "invalid_request"),
        ("/chats".to_owned(), json!({"title": "x".repeat(300 * 1024)}), 413, "body_too_large"),
        ("/projections/nothing/rebuild".to_owned(), json!({}), 404, "projection_not_found"),
    ] {
        admin.post(&path, body).await.expect_problem(status, code);
    }
    let put = admin.call(Method::PUT, "/chats", None, &[]).await.expect_problem(405, "method_not_allowed");
    assert_eq!(put.header("allow"), Some("GET, POST"));
    for (content_type, text, status, code) in
        [("application/json", "text", 400, "invalid_request"), ("text/plain", "{}", 415, "unsupported_media_type")]
    {
        let request = admin.request(Method::POST, "/chats").header("content-type", content_type).body(text);
        admin.send(request).await.unwrap().expect_problem(status, code);
    }
    let open = admin.with_key(None);
    assert_eq!(open.get("//healthz").await.expect(200).body["status"], "ok");
    assert_eq!(open.get("//readyz").await.expect(200).body["status"], "ready");
    world.stop().await;
}

#[actix_web::test]
async fn messages_are_paged_from_either_end() {
    let world = World::start().await;
    let ada = world.client("ada");
    let id = id_of(&ada.post("/chats", json!({})).await.expect(201));
    for number in 1..=3 {
        ada.post(&format!("/chats/{id}/messages"), json!({"content": format!("number {number}")})).await.expect(202);
        streams::until_rested(&ada, &id).await;
    }
    let messages = format!("/chats/{id}/messages");
    let all = ada.get(&messages).await.expect(200);
    let ids: Vec<u64> = all.items().iter().map(|message| message["id"].as_u64().unwrap()).collect();
    assert_eq!((ids.len(), ids.is_sorted(), &all.body["next_cursor"]), (6, true, &Value::Null));
    for (first, newest_first) in [("limit=2", true), ("limit=2&after=0", false)] {
        let mut seen = Vec::new();
        let mut page = ada.get(&format!("{messages}?{first}")).await.expect(200);
        loop {
            let mut items: Vec<u64> = page.items().iter().map(|message| message["id"].as_u64().unwrap()).collect();
            assert!(items.is_sorted(), "every page ascends");
            if newest_first {
                items.append(&mut seen);
                seen = items;
            } else {
                seen.append(&mut items);
            }
            let Some(cursor) = page.body["next_cursor"].as_str() else { break };
            page = ada.get(&format!("{messages}?limit=2&cursor={cursor}")).await.expect(200);
        }
        assert_eq!(seen, ids, "{first}");
    }
    ada.get(&format!("{messages}?cursor=b1&after=1")).await.expect_problem(400, "invalid_request");
    // An edited message and what followed it are there on request alone.
    ada.patch(&format!("{messages}/{}", ids[2]), json!({"content": "another"})).await.expect(202);
    streams::until_rested(&ada, &id).await;
    let shown: Vec<_> = ada.get(&messages).await.items().iter().map(|message| message["id"].clone()).collect();
    assert_eq!((shown.len(), &shown[..2]), (4, &[json!(ids[0]), json!(ids[1])][..]));
    let whole = ada.get(&format!("{messages}?withdrawn=true")).await;
    let withdrawn: Vec<_> =
        whole.items().iter().filter(|message| message["withdrawn"] == true).map(|message| &message["id"]).collect();
    assert_eq!(withdrawn, ids[2..].iter().map(|id| json!(id)).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    world.stop().await;
}
