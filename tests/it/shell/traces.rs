//! The trace of a request is that of everything it sets going, however many steps and lives later.

use std::sync::Arc;

use serde_json::json;
use support::script::{CALLS, Gate, Line, STOP, ScriptedModel, ScriptedTools, call_tool, say};
use support::shell::{Watcher, World, create, message, run};
use verbatim_actors::handle::{Handle, Meta};
use verbatim_events::command::Busy;
use verbatim_events::event::EffectClass;
use verbatim_events::ids::ChatId;
use verbatim_events::log::EventLog;

async fn send_in(handle: &Handle, chat_id: ChatId, trace_id: &str) {
    let meta = Meta { trace_id: Some(trace_id.to_owned()), ..Meta::user("ann") };
    handle.send(chat_id, message("go", Busy::Queue), meta).await.expect("the message is taken");
}

/// Each event's type and trace, after the chat's creation.
async fn traces(world: &World, chat_id: ChatId) -> Vec<(String, String)> {
    let stored = world.log.read_chat(chat_id, 1, usize::MAX).await.expect("the log answers");
    stored.into_iter().map(|stored| (stored.event.event_type, stored.event.trace_id.unwrap_or_default())).collect()
}

fn of<'a>(traces: &'a [(String, String)], event_type: &str) -> Vec<&'a str> {
    traces.iter().filter(|(found, _)| found == event_type).map(|(_, trace)| trace.as_str()).collect()
}

#[test]
fn every_step_of_a_turn_carries_the_trace_of_its_request() {
    run(async {
        let mut world = World::default();
        let gate = Gate::default();
        let (tools, _told) = ScriptedTools::new(vec![("look", EffectClass::AtMostOnce, gate.clone())]);
        world.tools = Arc::new(tools);
        let call = vec![call_tool("c1", "look", json!({})), CALLS];
        let model = ScriptedModel::new(vec![call, vec![say("done"), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, _) = create(&handle, "").await;
        let mut watcher = Watcher::open(&handle, chat_id).await;
        send_in(&handle, chat_id, "first").await;
        gate.open();
        watcher.event("turn_finished").await;
        let traces = traces(&world, chat_id).await;
        assert_eq!(of(&traces, "tool_call_finished"), ["first"]);
        assert!(traces.iter().all(|(_, trace)| trace == "first"), "{traces:?}");
        handle.shutdown().await;
    });
}

#[test]
fn a_queued_message_brings_its_own_trace() {
    run(async {
        let world = World::default();
        let gate = Gate::default();
        let first = vec![Line::Wait(gate.clone()), say("one"), STOP];
        let model = ScriptedModel::new(vec![first, vec![say("two"), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, _) = create(&handle, "").await;
        let mut watcher = Watcher::open(&handle, chat_id).await;
        send_in(&handle, chat_id, "first").await;
        send_in(&handle, chat_id, "second").await;
        gate.open();
        watcher.event("turn_finished").await;
        watcher.event("turn_finished").await;
        let traces = traces(&world, chat_id).await;
        assert_eq!(of(&traces, "message_queued"), ["second"]);
        assert_eq!(of(&traces, "turn_finished"), ["first", "second"], "{traces:?}");
        handle.shutdown().await;
    });
}

#[test]
fn a_turn_that_goes_on_in_another_life_keeps_its_trace() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("half"), Line::Hang], vec![say("whole"), STOP]]);
        let first = world.node("n1", &model);
        let (chat_id, _) = create(&first, "").await;
        let mut watcher = Watcher::open(&first, chat_id).await;
        send_in(&first, chat_id, "first").await;
        watcher.part().await;
        first.shutdown().await;

        let second = world.node("n2", &model);
        let mut watcher = Watcher::open(&second, chat_id).await;
        if world.names(chat_id).await.last() != Some(&"turn_finished") {
            watcher.event("turn_finished").await;
        }
        let traces = traces(&world, chat_id).await;
        assert_eq!(of(&traces, "attempt_abandoned"), ["first"]);
        assert_eq!(of(&traces, "turn_finished"), ["first"], "{traces:?}");
        second.shutdown().await;
    });
}
