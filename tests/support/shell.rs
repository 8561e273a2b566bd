//! Actors in the test's own process: a scripted model, a clock moved by hand, a log in memory, and as many lives as a
//! test wants.

use std::sync::{Arc, OnceLock};

use verbatim_actors::clock::Clock;
use verbatim_actors::handle::{Answer, Handle, Meta, SendError};
use verbatim_actors::hub::{Frame, Watch};
use verbatim_actors::node::{Node, NodeOptions};
use verbatim_actors::ports::ModelCatalog;
use verbatim_events::chat::Status;
use verbatim_events::command::{Busy, Command, CreateChat, SendMessage};
use verbatim_events::event::Event;
use verbatim_events::ids::{ChatId, Version};
use verbatim_events::journal::PartJournal;
use verbatim_events::limits::Limits;
use verbatim_events::log::EventLog;
use verbatim_events::memory::{MemoryJournal, MemoryLog};
use verbatim_events::part::Part;
use verbatim_events::snapshot::{NoSnapshots, Snapshots};
use verbatim_events::tool::{NoTools, ToolBox};
use verbatim_events::vault::NoVault;
use verbatim_events::wire;

use crate::clock::ManualClock;
use crate::histories::HistoryGuard;
use crate::script::ScriptedModel;

/// The longest a test waits for something that must happen; only a failing test ever takes that long.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// What outlives a node.
#[derive(Clone)]
pub struct World {
    /// The log.
    pub log: Arc<MemoryLog>,
    /// The part journal.
    pub journal: Arc<MemoryJournal>,
    /// Snapshots of long chats.
    pub snapshots: Arc<dyn Snapshots>,
    /// The clock.
    pub clock: ManualClock,
    /// The bounds.
    pub limits: Limits,
    /// The tools.
    pub tools: Arc<dyn ToolBox>,
    /// What checks the log when the last clone of the world is gone.
    pub histories: Arc<HistoryGuard>,
}

impl Default for World {
    fn default() -> World {
        let log = Arc::new(MemoryLog::default());
        World {
            log: Arc::clone(&log),
            journal: Arc::default(),
            snapshots: Arc::new(NoSnapshots),
            clock: ManualClock::default(),
            limits: Limits::default(),
            tools: Arc::new(NoTools),
            histories: Arc::new(HistoryGuard::of(log)),
        }
    }
}

/// A thread that runs an actix `System`, as the server's main thread does.
fn on_system<T: Send + 'static>(make: impl FnOnce() -> T + Send + 'static) -> T {
    let (give, take) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let system = actix_rt::System::new();
        system.block_on(async move {
            if give.send(make()).is_err() {
                return;
            }
            std::future::pending::<()>().await;
        });
    });
    take.recv().expect("the system's thread starts the node")
}

fn runtime() -> tokio::runtime::Handle {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime starts")
        })
        .handle()
        .clone()
}

/// Runs an asynchronous test.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    runtime().block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("the test ends in time") })
}

impl World {
    /// Starts a node in this world.
    pub fn node(&self, name: &str, model: &ScriptedModel) -> Handle {
        self.node_with(name, model, |_| {})
    }

    /// As `node`, with other options.
    pub fn node_with(&self, name: &str, model: &ScriptedModel, change: impl FnOnce(&mut NodeOptions)) -> Handle {
        let mut options = NodeOptions {
            log: Arc::clone(&self.log) as Arc<dyn EventLog>,
            vault: Arc::new(NoVault),
            journal: Arc::clone(&self.journal) as Arc<dyn PartJournal>,
            snapshots: Arc::clone(&self.snapshots),
            clock: Arc::new(self.clock.clone()) as Arc<dyn Clock>,
            models: Arc::new(model.clone()) as Arc<dyn ModelCatalog>,
            tools: Arc::clone(&self.tools),
            budgets: Arc::default(),
            limits: Arc::new(self.limits.clone()),
            node_name: name.to_owned(),
            runtime: runtime(),
            arbiters: 2,
        };
        change(&mut options);
        on_system(move || Node::start(options))
    }

    /// A chat's events, decoded.
    pub async fn events(&self, chat_id: ChatId) -> Vec<Event> {
        let stored = self.log.read_chat(chat_id, 0, usize::MAX).await.expect("the log answers");
        stored.iter().map(|stored| wire::decode(stored).expect("the log decodes").event).collect()
    }

    /// The names of a chat's events, in order.
    pub async fn names(&self, chat_id: ChatId) -> Vec<&'static str> {
        self.events(chat_id).await.iter().map(wire::event_type).collect()
    }
}

/// A text as message parts.
pub fn text(text: &str) -> Vec<Part> {
    vec![Part::text(text)]
}

/// Creates a chat with a first message.
pub async fn create(handle: &Handle, content: &str) -> (ChatId, Answer) {
    let id = ChatId(uuid::Uuid::now_v7());
    let parts = if content.is_empty() { Vec::new() } else { text(content) };
    let answer = handle.send(id, Command::CreateChat(Box::new(new_chat(id, parts))), Meta::user("ann")).await;
    (id, answer.expect("the chat is created"))
}

/// A plain creation. A chat without a message has a title of its own: the first message would bring one else, in an event
/// that most tests do not look for.
pub fn new_chat(id: ChatId, content: Vec<Part>) -> CreateChat {
    CreateChat { title: content.is_empty().then(|| "a chat".to_owned()), ..CreateChat::new(id, "ann", content) }
}

/// Sends a message.
pub async fn send(handle: &Handle, chat_id: ChatId, content: &str, busy: Busy) -> Result<Answer, SendError> {
    handle.send(chat_id, message(content, busy), Meta::user("ann")).await
}

/// A chat to which something is said, and who has watched it since before.
pub async fn say_first(handle: &Handle, content: &str) -> (ChatId, Watcher) {
    let (chat_id, _) = create(handle, "").await;
    let watcher = Watcher::open(handle, chat_id).await;
    send(handle, chat_id, content, Busy::Queue).await.expect("the message is taken");
    (chat_id, watcher)
}

/// A chat's status.
pub async fn status(handle: &Handle, chat_id: ChatId) -> Status {
    handle.open(chat_id).await.expect("the chat opens").chat.outline.status
}

/// Waits until a chat rests.
pub async fn rest(handle: &Handle, chat_id: ChatId) {
    let mut watcher = Watcher::open(handle, chat_id).await;
    while !matches!(status(handle, chat_id).await, Status::Waiting | Status::Error) {
        watcher.event("turn_finished").await;
    }
}

/// A message as a command.
pub fn message(content: &str, busy: Busy) -> Command {
    Command::SendMessage(SendMessage {
        parts: text(content),
        author: "ann".to_owned(),
        busy,
        model: None,
        effort: None,
    })
}

/// A watcher that can be asked to wait for something.
pub struct Watcher {
    watch: Watch,
    /// Everything seen so far.
    pub seen: Vec<Frame>,
    looked_at: usize,
    /// The version the watch began at.
    pub from: Version,
    /// Parts of the open attempt when the watch began.
    pub parts_at_start: usize,
}

impl Watcher {
    /// Begins to watch.
    pub async fn open(handle: &Handle, chat_id: ChatId) -> Watcher {
        let opened = handle.open(chat_id).await.expect("the chat opens");
        Watcher {
            watch: opened.watch,
            seen: Vec::new(),
            looked_at: 0,
            from: opened.chat.outline.version,
            parts_at_start: opened.parts.len(),
        }
    }

    /// Waits for the next frame that fits, after the last one waited for.
    pub async fn until(&mut self, fits: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            while self.looked_at < self.seen.len() {
                self.looked_at += 1;
                let frame = &self.seen[self.looked_at - 1];
                if fits(frame) {
                    return frame.clone();
                }
            }
            self.seen.extend(self.watch.next().await.expect("the watch goes on"));
        }
    }

    /// Waits for the next event of this type and returns it.
    pub async fn event(&mut self, name: &str) -> Event {
        let frame = self.until(|frame| event_name(frame) == Some(name)).await;
        match frame {
            Frame::Event(event) => event.recorded.event.clone(),
            Frame::Part(_) => unreachable!("a part has no event name"),
        }
    }

    /// Waits for the next part.
    pub async fn part(&mut self) -> Frame {
        self.until(|frame| matches!(frame, Frame::Part(_))).await
    }
}

fn event_name(frame: &Frame) -> Option<&'static str> {
    match frame {
        Frame::Event(event) => Some(wire::event_type(&event.recorded.event)),
        Frame::Part(_) => None,
    }
}
