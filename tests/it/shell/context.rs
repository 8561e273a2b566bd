//! Reading a workspace's own files: once, whatever happens meanwhile, and never at the cost of the turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::script::{Gate, STOP, ScriptedModel, say};
use support::shell::{Watcher, World, new_chat, rest, run, send, text};
use verbatim_actors::handle::{Handle, Meta};
use verbatim_events::chat::Chat;
use verbatim_events::command::{Busy, Command, CreateChat};
use verbatim_events::event::{ContextStamp, EffectClass, Event, MessageCommitted, Offer, WorkspaceBinding};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::log::BoxFuture;
use verbatim_events::message::Origin;
use verbatim_events::part::Part;
use verbatim_events::tool::{ContextFiles, OutputSink, ToolAnswer, ToolBox, ToolInvocation};

/// How long a workspace may take, and a little more, in ms.
const LONG_MS: u64 = 10_001;

/// A workspace with one file, which is told when the gate opens.
#[derive(Default)]
struct Workspace {
    asked: Gate,
    tells: Gate,
    turns: AtomicUsize,
}

fn words() -> Part {
    Part::ContextFile { path: "AGENTS.md".to_owned(), text: "Be kind.".to_owned() }
}

impl ToolBox for Workspace {
    fn offer(&self, _chat: &Chat) -> Arc<Offer> {
        Arc::default()
    }

    fn context(&self, chat: &Chat) -> BoxFuture<'static, ContextFiles> {
        let (asked, tells) = (self.asked.clone(), self.tells.clone());
        let mut found = ContextFiles::none(chat, false);
        Box::pin(async move {
            asked.open();
            tells.pass().await;
            found.files.push(words());
            let stamp = ContextStamp { path: "AGENTS.md".into(), digest: Digest::of(b"Be kind."), size_bytes: 8 };
            found.source.files.push(stamp);
            found
        })
    }

    fn turn_began(&self, _chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        self.turns.fetch_add(1, Ordering::SeqCst);
        None
    }

    fn effect_class(&self, _chat: &Chat, _name: &str) -> Option<EffectClass> {
        None
    }

    fn run(&self, _invocation: ToolInvocation, _output: OutputSink) -> BoxFuture<'static, ToolAnswer> {
        Box::pin(async { ToolAnswer::error("there are no tools") })
    }
}

fn world() -> (World, Arc<Workspace>) {
    let workspace = Arc::new(Workspace::default());
    (World { tools: Arc::clone(&workspace) as Arc<dyn ToolBox>, ..World::default() }, workspace)
}

/// A chat with a workspace, and with something to answer.
async fn create(handle: &Handle) -> ChatId {
    let id = ChatId(uuid::Uuid::now_v7());
    let workspace = WorkspaceBinding { id: Some("w1".into()), template_id: None, name: None, parameters: None };
    let create = CreateChat { workspace: Some(workspace), ..new_chat(id, text("Hi")) };
    handle.send(id, Command::CreateChat(Box::new(create)), Meta::user("ann")).await.expect("the chat is created");
    id
}

/// What was read, in order.
async fn read(world: &World, chat_id: ChatId) -> Vec<MessageCommitted> {
    let events = world.events(chat_id).await;
    let context = events.into_iter().filter_map(|event| match event {
        Event::MessageCommitted(message) if message.origin == Origin::Context => Some(message),
        _ => None,
    });
    context.collect()
}

#[test]
fn the_files_stand_before_the_first_answer_and_are_read_once() {
    run(async {
        let (world, workspace) = world();
        workspace.tells.open();
        let model = ScriptedModel::new(vec![vec![say("Hello."), STOP], vec![say("Yes?"), STOP]]);
        let handle = world.node("n1", &model);
        let chat_id = create(&handle).await;
        rest(&handle, chat_id).await;
        let mut watcher = Watcher::open(&handle, chat_id).await;
        send(&handle, chat_id, "And?", Busy::Queue).await.expect("the message is taken");
        watcher.until(|_| model.requests().len() == 2).await;
        let read = read(&world, chat_id).await;
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].parts, [words()]);
        assert_eq!(read[0].context.as_ref().map(|source| source.workspace_id.as_str()), Some("w1"));
        for request in model.requests() {
            assert_eq!(request.to_string().matches("Be kind.").count(), 1, "{request}");
        }
        assert_eq!(workspace.turns.load(Ordering::SeqCst), 2, "each turn looks around once");
        handle.shutdown().await;
    });
}

#[test]
fn a_workspace_that_does_not_answer_leaves_a_marker_and_the_turn_goes_on() {
    run(async {
        let (world, workspace) = world();
        let model = ScriptedModel::new(vec![vec![say("Hello."), STOP]]);
        let handle = world.node("n1", &model);
        let chat_id = create(&handle).await;
        let mut watcher = Watcher::open(&handle, chat_id).await;
        workspace.asked.pass().await;
        world.clock.advance_ms(LONG_MS);
        watcher.event("turn_finished").await;
        let read = read(&world, chat_id).await;
        assert_eq!((read.len(), read[0].parts.len()), (1, 0));
        assert!(read[0].context.as_ref().is_some_and(|source| source.unreachable && source.files.is_empty()));
        assert_eq!(model.requests().len(), 1);
        handle.shutdown().await;
    });
}

#[test]
fn reading_can_be_stopped_and_is_done_by_the_next_turn() {
    run(async {
        let (world, workspace) = world();
        let model = ScriptedModel::new(vec![vec![say("Hello."), STOP]]);
        let handle = world.node("n1", &model);
        let chat_id = create(&handle).await;
        let mut watcher = Watcher::open(&handle, chat_id).await;
        workspace.asked.pass().await;
        handle.send(chat_id, Command::Interrupt, Meta::user("ann")).await.expect("the interrupt is taken");
        watcher.event("turn_finished").await;
        workspace.tells.open();
        assert_eq!(read(&world, chat_id).await, [], "what comes too late is no news");
        send(&handle, chat_id, "Again.", Busy::Queue).await.expect("the message is taken");
        watcher.event("turn_finished").await;
        assert_eq!(read(&world, chat_id).await.len(), 1);
        assert_eq!(model.requests().len(), 1);
        handle.shutdown().await;
    });
}

#[test]
fn a_crash_while_they_are_read_leaves_them_to_the_next_life() {
    run(async {
        let (world, workspace) = world();
        let model = ScriptedModel::new(vec![vec![say("Hello."), STOP]]);
        let first = world.node("n1", &model);
        let chat_id = create(&first).await;
        workspace.asked.pass().await;
        first.shutdown().await;
        assert_eq!(world.names(chat_id).await.last(), Some(&"attempt_recorded"), "a stop appends nothing");
        workspace.tells.open();
        let second = world.node("n2", &model);
        rest(&second, chat_id).await;
        let names = world.names(chat_id).await;
        assert_eq!(names.iter().filter(|name| **name == "attempt_abandoned").count(), 1, "{names:?}");
        assert_eq!(read(&world, chat_id).await.len(), 1, "{names:?}");
        second.shutdown().await;
    });
}
