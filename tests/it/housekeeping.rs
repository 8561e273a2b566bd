//! Housekeeping over a log in memory and a clock moved by hand: what is unused is archived and in the end erased, whole
//! families at a time, and nothing else is touched.

use std::sync::Arc;
use std::time::Duration;

use support::script::{Line, STOP, ScriptedModel, say};
use support::shell::{Watcher, World, create, new_chat, run, send};
use tempfile::TempDir;
use verbatim::compose::WorkspaceHome;
use verbatim::erasure::{Eraser, Reach};
use verbatim::files::{FileHome, FileSweep, StoredFile};
use verbatim::housekeeping::{Housekeeper, Tidied};
use verbatim_actors::clock::Clock;
use verbatim_actors::handle::{Handle, Meta};
use verbatim_events::chat::{Outline, Status};
use verbatim_events::command::{Busy, Command, CreateChat, SendMessage};
use verbatim_events::event::SettingsChanged;
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::journal::PartJournal;
use verbatim_events::limits::CHAT_FILES_MAX;
use verbatim_events::log::EventLog;
use verbatim_projections::{ReadLocation, ReadModels, ReadSettings};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const HOUR_MS: u64 = 60 * 60 * 1000;

/// A node with its read models and somebody who keeps house.
struct House {
    world: World,
    handle: Handle,
    reads: ReadModels,
    /// Keeps the rows at the log's head.
    follows: tokio::task::JoinHandle<()>,
    housekeeper: Housekeeper,
    files: FileHome,
    _directory: TempDir,
}

impl House {
    async fn open(auto_archive_days: u32, retention_days: u32, model: &ScriptedModel) -> House {
        let mut world = World::default();
        world.limits.auto_archive_days = auto_archive_days;
        world.limits.retention_days = retention_days;
        // A model that says nothing for days is no fault here.
        world.limits.silence_ms = 0;
        let handle = world.node("n1", model);
        let directory = tempfile::tempdir().expect("a directory");
        let location = ReadLocation::Sqlite { directory: directory.path().to_owned() };
        let log = Arc::clone(&world.log) as Arc<dyn EventLog>;
        let runtime = tokio::runtime::Handle::current();
        let reads = ReadModels::open(location, log, runtime, ReadSettings::default()).await.expect("they open");
        let follows = tokio::spawn({
            let reads = reads.clone();
            async move { reads.run(std::future::pending()).await }
        });
        let clock = Arc::new(world.clock.clone()) as Arc<dyn Clock>;
        let workspaces = WorkspaceHome::none();
        let files = FileHome::at(directory.path().join("files"), tokio::runtime::Handle::current());
        let eraser = Eraser::new(Reach {
            handle: handle.clone(),
            log: Arc::clone(&world.log) as Arc<dyn EventLog>,
            vault: None,
            journal: Arc::clone(&world.journal) as Arc<dyn PartJournal>,
            sweeper: None,
            reads: reads.clone(),
            files: files.clone(),
            workspaces: Arc::clone(&workspaces.spaces),
            clock: Arc::clone(&clock),
            runtime: tokio::runtime::Handle::current(),
        });
        let log = Arc::clone(&world.log) as Arc<dyn EventLog>;
        let hours = world.limits.files_unshown_hours;
        let sweep = FileSweep::new(files.clone(), reads.clone(), log, Arc::clone(&clock), hours);
        let housekeeper =
            Housekeeper::new(handle.clone(), reads.clone(), clock, workspaces, eraser, sweep, &world.limits);
        House { world, handle, reads, follows, housekeeper, files, _directory: directory }
    }

    /// A pass that sees everything that has happened.
    async fn pass(&self) -> Tidied {
        let head = self.world.log.head().await.expect("the log answers");
        self.reads.wait_until(head, Duration::from_secs(20)).await.expect("the rows catch up");
        self.housekeeper.pass().await
    }

    async fn outline(&self, chat_id: ChatId) -> Outline {
        self.handle.open(chat_id).await.expect("the chat opens").chat.outline.clone()
    }

    async fn child(&self, parent: ChatId) -> ChatId {
        let id = ChatId(uuid::Uuid::now_v7());
        let create = CreateChat { parent: Some(parent), root: parent, ..new_chat(id, Vec::new()) };
        let command = Command::CreateChat(Box::new(create));
        self.handle.send_family(id, command, Meta::user("ann")).await.expect("the child is made");
        id
    }

    /// A file that somebody sends now.
    async fn sent(&self, owner: &str, content: &str) -> StoredFile {
        let file = StoredFile {
            id: uuid::Uuid::now_v7(),
            owner: owner.to_owned(),
            chat_id: None,
            media_type: "text/plain".to_owned(),
            name: "a.txt".to_owned(),
            size_bytes: content.len() as u64,
            digest: Digest::of(content.as_bytes()),
            created_at: self.world.clock.now(),
            let_go_at: None,
        };
        self.files.keep(file, content.as_bytes().to_vec()).await.expect("it is kept").file
    }

    /// Shows files in a chat, and waits for the answer.
    async fn show(&self, chat_id: ChatId, files: &[StoredFile]) {
        let mut watcher = Watcher::open(&self.handle, chat_id).await;
        let mut parts: Vec<_> = files.iter().map(StoredFile::part).collect();
        let named = self.files.resolve("ann", &mut parts, self.world.clock.now()).await;
        assert_eq!(named.expect("the files"), Ok(()));
        let message = SendMessage { parts, author: "ann".to_owned(), busy: Busy::Queue, model: None, effort: None };
        self.handle.send(chat_id, Command::SendMessage(message), Meta::user("ann")).await.expect("it is taken");
        watcher.event("turn_finished").await;
    }

    /// Whether a file is known, and whether what stands in it is there.
    async fn stands(&self, file: &StoredFile) -> (bool, bool) {
        let known = self.files.about(file.id).await.expect("the files");
        (known.is_some_and(|known| known.let_go_at.is_none()), self.files.content(file).await.is_ok())
    }

    async fn pin(&self, chat_id: ChatId) {
        let patch = SettingsChanged { pinned: Some(true), ..SettingsChanged::default() };
        let command = Command::ChangeSettings { patch, archived: None };
        self.handle.send(chat_id, command, Meta::user("ann")).await.expect("it is pinned");
    }
}

fn only_archived(archived: usize) -> Tidied {
    Tidied { archived, ..Tidied::default() }
}

#[test]
fn unused_families_are_archived_whole_and_nothing_else_is() {
    run(async {
        let model = ScriptedModel::new(vec![vec![Line::Hang], vec![say("yes"), STOP]]);
        let house = House::open(30, 0, &model).await;
        let busy = create(&house.handle, "go on for ever").await.0;
        let unused = create(&house.handle, "").await.0;
        let its_child = house.child(unused).await;
        let pinned = create(&house.handle, "").await.0;
        house.pin(pinned).await;
        let of_pinned = create(&house.handle, "").await.0;
        let pinned_child = house.child(of_pinned).await;
        house.pin(pinned_child).await;
        let parent = create(&house.handle, "").await.0;
        let lively_child = house.child(parent).await;

        house.world.clock.advance_ms(29 * DAY_MS);
        assert_eq!(house.pass().await, Tidied::default(), "a day is left");
        let mut watcher = Watcher::open(&house.handle, lively_child).await;
        send(&house.handle, lively_child, "still here?", Busy::Queue).await.expect("it is taken");
        watcher.event("turn_finished").await;
        house.world.clock.advance_ms(DAY_MS + HOUR_MS);
        assert_eq!(house.pass().await, only_archived(1));
        for member in [unused, its_child] {
            assert!(house.outline(member).await.archived);
        }
        for other in [pinned, of_pinned, pinned_child, parent, lively_child, busy] {
            assert!(!house.outline(other).await.archived);
        }
        assert_eq!(house.outline(busy).await.status, Status::Running);
        assert_eq!(house.pass().await, Tidied::default(), "what is done is done");
        house.world.clock.advance_ms(30 * DAY_MS);
        assert_eq!(house.pass().await, only_archived(1), "the child has not been used since");
        assert!(house.outline(parent).await.archived);
        house.handle.shutdown().await;
    });
}

#[test]
fn archived_families_are_erased_when_their_time_is_over() {
    run(async {
        let house = House::open(0, 10, &ScriptedModel::new(Vec::new())).await;
        let kept = create(&house.handle, "").await.0;
        let archived = create(&house.handle, "").await.0;
        let pinned = create(&house.handle, "").await.0;
        house.pin(pinned).await;
        for chat_id in [archived, pinned] {
            house.handle.send_family(chat_id, Command::Archive, Meta::user("ann")).await.expect("it is archived");
        }
        house.world.clock.advance_ms(9 * DAY_MS);
        assert_eq!(house.pass().await, Tidied::default());
        house.world.clock.advance_ms(DAY_MS + HOUR_MS);
        assert_eq!(house.pass().await, Tidied { erased: 1, ..Tidied::default() });
        assert_eq!(house.world.names(archived).await.last(), Some(&"chat_erased"));
        for other in [kept, pinned] {
            assert!(!house.outline(other).await.erased);
        }
        assert_eq!(house.pass().await, Tidied::default());
        house.handle.shutdown().await;
    });
}

#[test]
fn a_chat_that_was_used_since_the_rows_were_written_is_left_alone() {
    run(async {
        let model = ScriptedModel::new(vec![vec![say("yes"), STOP]]);
        let house = House::open(30, 0, &model).await;
        let chat_id = create(&house.handle, "").await.0;
        house.world.clock.advance_ms(31 * DAY_MS);
        // These rows stay as they are.
        let head = house.world.log.head().await.expect("the log answers");
        house.reads.wait_until(head, Duration::from_secs(20)).await.expect("the rows catch up");
        house.follows.abort();
        let mut watcher = Watcher::open(&house.handle, chat_id).await;
        send(&house.handle, chat_id, "still here?", Busy::Queue).await.expect("it is taken");
        watcher.event("turn_finished").await;
        assert_eq!(house.housekeeper.pass().await, Tidied::default());
        assert!(!house.outline(chat_id).await.archived);
        house.handle.shutdown().await;
    });
}

#[test]
fn a_pass_does_a_bounded_number_of_things() {
    run(async {
        let house = House::open(1, 0, &ScriptedModel::new(Vec::new())).await;
        for _ in 0..60 {
            create(&house.handle, "").await;
        }
        house.world.clock.advance_ms(2 * DAY_MS);
        assert_eq!(house.pass().await, Tidied { archived: 50, has_more: true, ..Tidied::default() });
        assert_eq!(house.pass().await, only_archived(10));
        house.handle.shutdown().await;
    });
}

fn only_files(files: usize) -> Tidied {
    Tidied { files, ..Tidied::default() }
}

#[test]
fn files_that_no_chat_shows_go_after_a_day() {
    run(async {
        let answer = || vec![say("yes"), STOP];
        let house = House::open(0, 0, &ScriptedModel::new((0..4).map(|_| answer()).collect())).await;
        let chat_id = create(&house.handle, "").await.0;
        let (unshown, shown) = (house.sent("ann", "same").await, house.sent("ann", "shown").await);
        house.show(chat_id, std::slice::from_ref(&shown)).await;
        house.world.clock.advance_ms(12 * HOUR_MS);
        let (younger, named) = (house.sent("bob", "same").await, house.sent("ann", "named").await);
        assert_eq!(house.pass().await, Tidied::default(), "nothing is old enough");

        house.world.clock.advance_ms(13 * HOUR_MS);
        let mut parts = [named.part()];
        let resolved = house.files.resolve("ann", &mut parts, house.world.clock.now()).await;
        assert_eq!(resolved.expect("the files"), Ok(()));
        assert_eq!(house.pass().await, only_files(1));
        assert_eq!(house.files.about(unshown.id).await.expect("the files"), None, "it is forgotten");
        for file in [&younger, &shown, &named] {
            assert_eq!(house.stands(file).await, (true, true), "{file:?}");
        }
        house.world.clock.advance_ms(12 * HOUR_MS);
        assert_eq!(house.pass().await, only_files(1));
        assert_eq!(house.stands(&younger).await, (false, false), "nobody holds the same any more");
        assert_eq!(house.stands(&named).await, (true, true), "it was named not so long ago");
        house.world.clock.advance_ms(13 * HOUR_MS);
        assert_eq!(house.pass().await, only_files(1));
        assert_eq!((house.stands(&named).await, house.stands(&shown).await), ((false, false), (true, true)));
        house.handle.shutdown().await;
    });
}

#[test]
fn what_stands_in_an_expired_file_goes_and_the_file_stays_known() {
    run(async {
        let answer = || vec![say("yes"), STOP];
        let house = House::open(0, 0, &ScriptedModel::new((0..4).map(|_| answer()).collect())).await;
        let chat_id = create(&house.handle, "").await.0;
        let mut files = Vec::new();
        for number in 0..=CHAT_FILES_MAX {
            files.push(house.sent("ann", &format!("file {number}")).await);
        }
        house.show(chat_id, &files[..CHAT_FILES_MAX]).await;
        house.show(chat_id, &files[CHAT_FILES_MAX..]).await;
        assert_eq!(house.pass().await, Tidied::default(), "it may be shown again soon");
        house.world.clock.advance_ms(25 * HOUR_MS);
        // A sweep that was cut short after its first step is finished by the next one.
        let now = house.world.clock.now();
        assert!(house.files.let_go(files[0].id, now, now).await.expect("the files"));
        assert!(house.files.content(&files[0]).await.is_ok(), "what stands in it is there");
        assert_eq!(house.pass().await, Tidied::default(), "no other file was let go");
        assert!(house.files.content(&files[0]).await.is_err());
        assert!(house.files.about(files[0].id).await.expect("the files").is_some(), "it is known to be expired");
        assert!(house.reads.file_is_expired(&files[0].id.to_string()).await.expect("the rows"));
        for file in &files[1..] {
            assert_eq!(house.stands(file).await, (true, true));
        }
        house.handle.shutdown().await;
    });
}
