//! How many turns are at work at once: who waits says so, is not forgotten, and goes on in order.

use std::sync::{Arc, OnceLock};

use serde_json::json;
use support::script::{CALLS, Gate, Line, STOP, ScriptedModel, ScriptedTools, call_tool, say};
use support::shell::{Watcher, World, create, new_chat, rest, run, send, status, text};
use verbatim_actors::handle::{Handle, Meta};
use verbatim_events::chat::{Chat, Outline, Status};
use verbatim_events::command::{Busy, Command, CreateChat};
use verbatim_events::event::{CapacityScope, EffectClass, Event, Offer, ToolDefinition, TurnOutcome};
use verbatim_events::ids::ChatId;
use verbatim_events::limits::Limits;
use verbatim_events::log::BoxFuture;
use verbatim_events::tool::{OutputSink, ToolAnswer, ToolBox, ToolInvocation};

/// A world where this many of an owner's own turns and of all turns may be at work.
fn world(turns_root_max: usize, turns_node_max: usize) -> World {
    World { limits: Limits { turns_root_max, turns_node_max, ..Limits::default() }, ..World::default() }
}

async fn outline(handle: &Handle, chat_id: ChatId) -> Outline {
    handle.open(chat_id).await.expect("the chat opens").chat.outline.clone()
}

async fn waits_for(handle: &Handle, chat_id: ChatId) -> Option<CapacityScope> {
    outline(handle, chat_id).await.capacity.map(|wait| wait.scope)
}

/// A chat of another owner.
async fn create_of(handle: &Handle, owner: &str, content: &str) -> ChatId {
    let id = ChatId(uuid::Uuid::now_v7());
    let create = CreateChat { owner: owner.to_owned(), ..new_chat(id, text(content)) };
    handle.send(id, Command::CreateChat(Box::new(create)), Meta::user(owner)).await.expect("the chat is created");
    id
}

/// What was asked of the model, in order: the last thing that was said.
fn asked(model: &ScriptedModel) -> Vec<String> {
    let last = |prompt: &serde_json::Value| {
        let message = prompt.as_array().and_then(|messages| messages.last()).cloned().unwrap_or_default();
        message["parts"][0]["text"].as_str().unwrap_or("a result").to_owned()
    };
    model.requests().iter().map(last).collect()
}

fn outcomes(events: &[Event]) -> Vec<TurnOutcome> {
    let outcome = |event: &Event| match event {
        Event::TurnFinished(finished) => Some(finished.outcome),
        _ => None,
    };
    events.iter().filter_map(outcome).collect()
}

fn gated(gate: &Gate) -> Vec<Line> {
    vec![Line::Wait(gate.clone()), say("done"), STOP]
}

fn quick() -> Vec<Line> {
    vec![say("done"), STOP]
}

#[test]
fn a_turn_beyond_the_bound_waits_and_another_owners_does_not() {
    run(async {
        let world = world(1, 0);
        let gate = Gate::default();
        let model = ScriptedModel::new(vec![gated(&gate), quick(), quick()]);
        let handle = world.node("n1", &model);
        let (first, _) = create(&handle, "first").await;
        let (second, answer) = create(&handle, "second").await;
        assert_eq!(answer.outcome.status, Status::Running, "it is accepted all the same");
        assert_eq!(waits_for(&handle, first).await, None);
        assert_eq!(waits_for(&handle, second).await, Some(CapacityScope::Root));
        let begun = ["chat_created", "turn_started", "message_committed", "capacity_awaited"];
        assert_eq!(world.names(second).await, begun, "one append, and no attempt");
        let other = create_of(&handle, "bob", "other").await;
        rest(&handle, other).await;
        assert_eq!(asked(&model), ["first", "other"]);
        gate.open();
        rest(&handle, second).await;
        assert_eq!(waits_for(&handle, second).await, None);
        assert_eq!(asked(&model), ["first", "other", "second"]);
        assert!(!world.names(first).await.contains(&"capacity_awaited"), "who finds a place says nothing");
        handle.shutdown().await;
    });
}

#[test]
fn a_waiting_turn_is_stopped_at_once_and_its_queue_goes_on() {
    run(async {
        let world = world(1, 0);
        let gate = Gate::default();
        let model = ScriptedModel::new(vec![gated(&gate), quick()]);
        let handle = world.node("n1", &model);
        create(&handle, "first").await;
        let (second, _) = create(&handle, "second").await;
        send(&handle, second, "third", Busy::Queue).await.expect("it queues");
        handle.send(second, Command::Interrupt, Meta::user("ann")).await.expect("it can be stopped");
        let mut watcher = Watcher::open(&handle, second).await;
        if outcomes(&world.events(second).await).is_empty() {
            watcher.event("turn_finished").await;
        }
        assert_eq!(
            outcomes(&world.events(second).await),
            [TurnOutcome::Interrupted],
            "the first still holds its place"
        );
        assert_eq!(waits_for(&handle, second).await, Some(CapacityScope::Root), "the promoted message waits in turn");
        gate.open();
        rest(&handle, second).await;
        assert_eq!(asked(&model), ["first", "third"]);
        handle.shutdown().await;
    });
}

#[test]
fn the_next_turn_of_a_chat_goes_behind_those_who_waited() {
    run(async {
        let world = world(1, 0);
        let gate = Gate::default();
        let model = ScriptedModel::new(vec![gated(&gate), quick(), quick()]);
        let handle = world.node("n1", &model);
        let (first, _) = create(&handle, "first").await;
        send(&handle, first, "more", Busy::Queue).await.expect("it queues");
        let (second, _) = create(&handle, "second").await;
        world.clock.advance_ms(1);
        gate.open();
        rest(&handle, second).await;
        rest(&handle, first).await;
        assert_eq!(asked(&model), ["first", "second", "more"]);
        handle.shutdown().await;
    });
}

#[test]
fn an_edited_or_erased_turn_gives_its_place_on() {
    run(async {
        let world = world(1, 0);
        let model = ScriptedModel::new(vec![vec![Line::Hang], vec![Line::Hang], quick()]);
        let handle = world.node("n1", &model);
        let (first, _) = create(&handle, "first").await;
        let (second, _) = create(&handle, "second").await;
        let (third, _) = create(&handle, "third").await;
        let message_id = outline(&handle, first).await.history_version;
        world.clock.advance_ms(1);
        let edit = verbatim_events::command::EditMessage {
            message_id,
            parts: text("anew"),
            author: "ann".to_owned(),
            model: None,
            effort: None,
        };
        handle.send(first, Command::EditMessage(edit), Meta::user("ann")).await.expect("it is edited");
        assert_eq!(
            waits_for(&handle, first).await,
            Some(CapacityScope::Root),
            "an edit begins anew, behind the others"
        );
        let erase = Command::Erase { by: "ann".to_owned(), reason: None };
        handle.send(second, erase, Meta::user("ann")).await.expect("it is erased");
        rest(&handle, third).await;
        // The place is free for the edited one by then.
        assert_eq!(asked(&model)[..3], ["first", "second", "third"]);
        handle.shutdown().await;
    });
}

#[test]
fn a_restart_gives_the_places_back_and_keeps_the_order() {
    run(async {
        let world = world(1, 0);
        let first_life = ScriptedModel::new(vec![vec![Line::Hang]]);
        let handle = world.node("n1", &first_life);
        let mut chats = Vec::new();
        for content in ["a", "b", "c", "d"] {
            world.clock.advance_ms(10);
            chats.push(create(&handle, content).await.0);
        }
        handle.shutdown().await;

        let gate = Gate::default();
        let model = ScriptedModel::new(vec![gated(&gate), quick(), quick(), quick(), quick()]);
        let handle = world.node("n2", &model);
        handle.await_recovery();
        let newcomer = create(&handle, "new").await.0;
        // Found in any order.
        for chat_id in chats.iter().rev() {
            handle.wake(*chat_id).await.expect("it is woken");
        }
        assert_eq!(asked(&model), Vec::<String>::new(), "nobody goes on before all are there");
        handle.recovered();
        gate.open();
        for chat_id in chats.iter().chain([&newcomer]) {
            rest(&handle, *chat_id).await;
        }
        assert_eq!(asked(&model), ["a", "b", "c", "d", "new"]);
        let waits = world.names(chats[1]).await.iter().filter(|name| **name == "capacity_awaited").count();
        assert_eq!(waits, 1, "the wait is said once, however many lives it takes");
        handle.shutdown().await;
    });
}

#[test]
fn a_turn_that_waits_for_people_gives_its_place_up_and_asks_again() {
    run(async {
        let world = world(1, 0);
        let gate = Gate::default();
        let call = vec![call_tool("c1", "ask_me", json!({})), CALLS];
        let model = ScriptedModel::new(vec![call, gated(&gate), quick()]);
        let handle = world.node("n1", &model);
        let id = ChatId(uuid::Uuid::now_v7());
        let tool = ToolDefinition { name: "ask_me".into(), description: String::new(), parameters: json!({}) };
        let create_first = CreateChat { tools: vec![tool.into()], ..new_chat(id, text("first")) };
        handle.send(id, Command::CreateChat(Box::new(create_first)), Meta::user("ann")).await.expect("it is created");
        let mut watcher = Watcher::open(&handle, id).await;
        if status(&handle, id).await != Status::RequiresAction {
            watcher.event("action_required").await;
        }
        // Its actor has dealt with all of that when it answers again.
        assert_eq!(status(&handle, id).await, Status::RequiresAction);
        let (second, _) = create(&handle, "second").await;
        assert_eq!(waits_for(&handle, second).await, None, "nobody is at work");
        let result = verbatim_events::command::SubmittedResult {
            call_id: "c1".into(),
            result: Some(json!("yes")),
            is_error: false,
        };
        let submit = Command::SubmitToolResults { results: vec![result] };
        handle.send(id, submit, Meta::user("ann")).await.expect("the result is taken");
        assert_eq!(waits_for(&handle, id).await, Some(CapacityScope::Root));
        gate.open();
        rest(&handle, id).await;
        assert_eq!(asked(&model), ["first", "second", "a result"]);
        handle.shutdown().await;
    });
}

#[test]
fn a_retry_keeps_its_place_while_it_waits() {
    run(async {
        let world = world(1, 0);
        let model = ScriptedModel::new(vec![vec![support::script::fail_retryable()], quick(), quick()]);
        let handle = world.node("n1", &model);
        let (first, _) = create(&handle, "first").await;
        let mut watcher = Watcher::open(&handle, first).await;
        if outline(&handle, first).await.retry.is_none() {
            watcher.event("retry_scheduled").await;
        }
        let (second, _) = create(&handle, "second").await;
        assert_eq!(waits_for(&handle, second).await, Some(CapacityScope::Root));
        world.clock.advance_ms(60_000);
        rest(&handle, second).await;
        assert_eq!(asked(&model), ["first", "first", "second"]);
        handle.shutdown().await;
    });
}

/// A tool that gives its turn's place up and waits, as one that waits for another chat does.
struct Nap {
    handle: OnceLock<Handle>,
    sleeps: Gate,
    wakes: Gate,
}

impl ToolBox for Nap {
    fn offer(&self, _chat: &Chat) -> Arc<Offer> {
        Arc::default()
    }

    fn effect_class(&self, _chat: &Chat, _name: &str) -> Option<EffectClass> {
        Some(EffectClass::Idempotent)
    }

    fn run(&self, invocation: ToolInvocation, _output: OutputSink) -> BoxFuture<'static, ToolAnswer> {
        let handle = self.handle.get().expect("the node has started").clone();
        let (sleeps, wakes) = (self.sleeps.clone(), self.wakes.clone());
        Box::pin(async move {
            let turn = invocation.chat.outline.turn.as_ref().expect("a turn runs");
            handle.give_up_place(invocation.key.chat_id, turn.id + 1);
            handle.give_up_place(invocation.key.chat_id, turn.id);
            sleeps.open();
            wakes.pass().await;
            ToolAnswer::ok("rested")
        })
    }
}

#[test]
fn a_turn_that_waits_for_another_gives_its_place_up_and_asks_again() {
    run(async {
        for (root, node, scope) in [(1, 0, CapacityScope::Root), (0, 1, CapacityScope::Node)] {
            let mut world = world(root, node);
            let nap = Arc::new(Nap { handle: OnceLock::new(), sleeps: Gate::default(), wakes: Gate::default() });
            world.tools = Arc::clone(&nap) as Arc<dyn ToolBox>;
            let gate = Gate::default();
            let call = vec![call_tool("c1", "nap", json!({})), CALLS];
            let model = ScriptedModel::new(vec![call, gated(&gate), quick()]);
            let handle = world.node("n1", &model);
            assert!(nap.handle.set(handle.clone()).is_ok());
            let (first, _) = create(&handle, "first").await;
            nap.sleeps.pass().await;
            let (second, _) = create(&handle, "second").await;
            assert_eq!(waits_for(&handle, second).await, None, "the sleeper's place is free");
            let mut watcher = Watcher::open(&handle, first).await;
            nap.wakes.open();
            watcher.event("capacity_awaited").await;
            assert_eq!(waits_for(&handle, first).await, Some(scope));
            gate.open();
            rest(&handle, first).await;
            assert_eq!(asked(&model), ["first", "second", "a result"]);
            handle.shutdown().await;
        }
    });
}

#[test]
fn an_actor_that_dies_gives_its_place_back() {
    run(async {
        let world = world(1, 0);
        let model = ScriptedModel::new(vec![vec![Line::Hang], quick(), quick()]);
        let handle = world.node("n1", &model);
        let (first, _) = create(&handle, "first").await;
        send(&handle, first, "more", Busy::Queue).await.expect("it queues");
        let (second, _) = create(&handle, "second").await;
        model.panic_on_resolve(1);
        // The promotion looks the next model up, and dies of it.
        handle.send(first, Command::Interrupt, Meta::user("ann")).await.expect("it is stopped");
        rest(&handle, second).await;
        rest(&handle, first).await;
        assert_eq!(handle.stats().restarts, 1);
        assert_eq!(asked(&model), ["first", "second", "more"]);
        handle.shutdown().await;
    });
}

#[test]
fn a_server_that_stops_gives_nobody_a_place() {
    run(async {
        let world = world(1, 0);
        let gate = Gate::default();
        let (tools, _told) = ScriptedTools::new(Vec::new());
        let model = ScriptedModel::new(vec![vec![Line::Hang], quick()]);
        let handle = World { tools: Arc::new(tools), ..world.clone() }.node("n1", &model);
        create(&handle, "first").await;
        let (second, _) = create(&handle, "second").await;
        gate.open();
        handle.shutdown().await;
        assert_eq!(world.names(second).await.last(), Some(&"capacity_awaited"));
        assert_eq!(asked(&model), ["first"]);
    });
}
