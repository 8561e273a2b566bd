//! A long chat is read from its snapshot and the events since, if the snapshot is the log's own.

use std::sync::Arc;

use support::saga::Saga;
use support::script::ScriptedModel;
use support::shell::{World, run};
use uuid::Uuid;
use verbatim_actors::handle::SendError;
use verbatim_actors::node::NodeOptions;
use verbatim_events::chat::Chat;
use verbatim_events::envelope::Stored;
use verbatim_events::ids::{ChatId, Position, Version};
use verbatim_events::log::{Append, AppendError, Appended, BoxFuture, EventLog, LogError, LogPage, Receipt};
use verbatim_events::memory::MemoryLog;
use verbatim_events::snapshot::Snapshots;

/// One snapshot for whoever asks.
struct One(Chat);

impl Snapshots for One {
    fn newest(&self, _chat_id: ChatId) -> BoxFuture<'_, Option<Chat>> {
        Box::pin(std::future::ready(Some(self.0.clone())))
    }
}

/// A log that gives a chat's first events and those from a version on, and fails in between: only who jumps over the
/// middle gets through.
struct Holed {
    log: Arc<MemoryLog>,
    hole: std::ops::Range<Version>,
}

impl EventLog for Holed {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        self.log.append(append)
    }

    fn read_chat(&self, chat_id: ChatId, after: Version, limit: usize) -> BoxFuture<'_, Result<Vec<Stored>, LogError>> {
        Box::pin(async move {
            let page = self.log.read_chat(chat_id, after, limit).await?;
            match page.iter().find(|stored| self.hole.contains(&stored.event.version)) {
                Some(lost) => {
                    Err(LogError::Damaged { position: lost.position, problem: "nobody should look here".to_owned() })
                }
                None => Ok(page),
            }
        })
    }

    fn read_all(&self, after: Position, limit: usize) -> BoxFuture<'_, Result<LogPage, LogError>> {
        self.log.read_all(after, limit)
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        self.log.head()
    }

    fn known_head(&self) -> Position {
        self.log.known_head()
    }

    fn wait_beyond(&self, position: Position) -> BoxFuture<'_, ()> {
        self.log.wait_beyond(position)
    }

    fn receipt(&self, owner: &str, key: &str) -> BoxFuture<'_, Result<Option<Receipt>, LogError>> {
        let (owner, key) = (owner.to_owned(), key.to_owned());
        Box::pin(async move { self.log.receipt(&owner, &key).await })
    }

    fn timeline(&self) -> Uuid {
        self.log.timeline()
    }
}

fn words(number: Version) -> String {
    format!("Answer {number}.")
}

/// A chat of 400 events and the same later, with what a node finds that may not read the events 201 to 399.
async fn grown(world: &World) -> (Saga, Saga) {
    let mut early = Saga::new();
    early.grow(world.log.as_ref(), 400, words).await;
    let mut late = early.clone();
    late.grow(world.log.as_ref(), 700, words).await;
    (early, late)
}

fn node(world: &World, snapshot: Chat) -> verbatim_actors::handle::Handle {
    let world = World { snapshots: Arc::new(One(snapshot)), ..world.clone() };
    let hole = 201..399;
    let log = Arc::clone(&world.log);
    world.node_with("a", &ScriptedModel::new(Vec::new()), move |options: &mut NodeOptions| {
        options.log = Arc::new(Holed { log, hole });
    })
}

#[test]
fn a_long_chat_is_read_from_its_snapshot_on() {
    run(async {
        let world = World::default();
        let (early, late) = grown(&world).await;
        let snapshot = early.chat.as_deref().cloned().unwrap();
        assert_eq!(snapshot.outline.version % 5, 1, "a turn has five events, the first one six");
        let handle = node(&world, snapshot);
        let opened = handle.open(late.chat_id).await.unwrap();
        assert_eq!(opened.chat, late.chat.unwrap());
    });
}

#[test]
fn a_snapshot_at_the_very_end_is_the_state() {
    run(async {
        let world = World::default();
        let (_, late) = grown(&world).await;
        let chat = late.chat.unwrap();
        let opened = node(&world, chat.as_ref().clone()).open(late.chat_id).await.unwrap();
        assert_eq!(opened.chat, chat);
    });
}

#[test]
fn a_snapshot_that_is_not_the_log_s_is_passed_over() {
    run(async {
        let world = World::default();
        let (early, late) = grown(&world).await;
        let right = early.chat.as_deref().cloned().unwrap();
        let mut other_past = right.clone();
        other_past.head_hash.0[0] ^= 1;
        let mut other_chat = right.clone();
        other_chat.outline.id = ChatId(Uuid::nil());
        let mut future = right.clone();
        future.outline.version = 10_000;
        for (what, wrong) in [("another past", other_past), ("another chat", other_chat), ("no such event", future)] {
            // From the first event on, and so into the hole.
            let opened = node(&world, wrong).open(late.chat_id).await.map(drop);
            assert!(matches!(opened, Err(SendError::Damaged { .. })), "{what}: {opened:?}");
        }
    });
}
