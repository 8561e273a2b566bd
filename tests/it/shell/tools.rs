//! Server tools: recorded before they run, run once, answered in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use support::script::{CALLS, Gate, STOP, ScriptedModel, ScriptedTools, call_tool, say};
use support::shell::{Watcher, World, create, new_chat, rest, run, say_first, send, text};
use verbatim_actors::handle::Meta;
use verbatim_events::command::{Busy, Command, CreateChat};
use verbatim_events::event::{EffectClass, Event, ToolPolicy};
use verbatim_events::ids::ChatId;
use verbatim_events::message::Role;
use verbatim_events::part::Part;

async fn results(world: &World, chat_id: ChatId) -> Vec<(String, serde_json::Value, bool)> {
    world
        .events(chat_id)
        .await
        .into_iter()
        .filter_map(|event| match event {
            Event::MessageCommitted(message) if message.role == Role::Tool => Some(message.parts),
            _ => None,
        })
        .flatten()
        .filter_map(|part| match part {
            Part::ToolResult { call_id, result, is_error, .. } => Some((call_id, result, is_error)),
            _ => None,
        })
        .collect()
}

#[test]
fn calls_run_at_once_and_answer_in_order() {
    run(async {
        let mut world = World::default();
        let (slow, fast) = (Gate::default(), Gate::default());
        let (tools, mut told) = ScriptedTools::new(vec![
            ("slow", EffectClass::AtMostOnce, slow.clone()),
            ("fast", EffectClass::AtMostOnce, fast.clone()),
        ]);
        world.tools = Arc::new(tools);
        let model = ScriptedModel::new(vec![
            vec![
                call_tool("c1", "slow", json!({"n": 1})),
                call_tool("c2", "fast", json!({"n": 2})),
                call_tool("c3", "nobody", json!({})),
                CALLS,
            ],
            vec![say("done"), STOP],
        ]);
        let handle = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&handle, "go").await;
        told.recv().await.expect("one tool runs");
        told.recv().await.expect("the other runs at the same time");
        fast.open();
        watcher.event("tool_call_finished").await;
        slow.open();
        watcher.event("turn_finished").await;
        let results = results(&world, chat_id).await;
        assert_eq!(results[0], ("c1".to_owned(), json!({"n": 1}), false));
        assert_eq!(results[1], ("c2".to_owned(), json!({"n": 2}), false));
        assert!(results[2].2, "an unknown tool is an error for the model, not for the turn");
        handle.shutdown().await;
    });
}

/// How long nobody is there after the crash, in ms.
const AWAY_MS: u64 = 5_000;

/// A tool is caught by a crash in the middle; what the next life does is the effect class's matter.
fn crash_in_the_middle(effect_class: EffectClass, runs_expected: usize, reattached: bool, unknown: bool) {
    run(async {
        let mut world = World::default();
        let gate = Gate::default();
        let (tools, mut told) = ScriptedTools::new(vec![("t", effect_class, gate.clone())]);
        world.tools = Arc::new(tools);
        let model =
            ScriptedModel::new(vec![vec![call_tool("c1", "t", json!({"n": 1})), CALLS], vec![say("done"), STOP]]);
        let first = world.node("n1", &model);
        let (chat_id, _) = create(&first, "").await;
        send(&first, chat_id, "go", Busy::Queue).await.expect("the message is taken");
        told.recv().await.expect("the tool runs");
        first.shutdown().await;
        gate.open();
        world.clock.advance_ms(AWAY_MS);
        let second = world.node("n2", &model);
        let mut watcher = Watcher::open(&second, chat_id).await;
        watcher.event("turn_finished").await;
        let lasted = world.events(chat_id).await.into_iter().find_map(|event| match event {
            Event::ToolCallFinished(finished) => Some(finished.duration_ms),
            _ => None,
        });
        let expected = if reattached { AWAY_MS } else { 0 };
        assert_eq!(lasted, (!unknown).then_some(expected), "what is found again has run all the while");
        let mut runs = 1;
        while let Ok(invocation) = told.try_recv() {
            runs += 1;
            assert_eq!(invocation.reattach, reattached);
        }
        assert_eq!(runs, runs_expected, "{effect_class:?}");
        let results = results(&world, chat_id).await;
        assert_eq!(results.len(), 1);
        assert_eq!(results[0].2, unknown);
        assert_eq!(results[0].1.to_string().contains("outcome unknown"), unknown);
        second.shutdown().await;
    });
}

#[test]
fn after_a_crash_an_idempotent_tool_runs_again() {
    crash_in_the_middle(EffectClass::Idempotent, 2, false, false);
}

#[test]
fn after_a_crash_a_resumable_tool_is_found_again() {
    crash_in_the_middle(EffectClass::Resumable, 2, true, false);
}

#[test]
fn after_a_crash_a_tool_with_effects_never_runs_twice() {
    crash_in_the_middle(EffectClass::AtMostOnce, 1, false, true);
}

#[test]
fn a_result_that_was_recorded_survives_the_crash_of_its_batch() {
    run(async {
        let mut world = World::default();
        let (open, shut) = (Gate::default(), Gate::default());
        open.open();
        let (tools, mut told) = ScriptedTools::new(vec![
            ("quick", EffectClass::AtMostOnce, open),
            ("stuck", EffectClass::AtMostOnce, shut.clone()),
        ]);
        world.tools = Arc::new(tools);
        let model = ScriptedModel::new(vec![
            vec![call_tool("c1", "quick", json!({"n": 1})), call_tool("c2", "stuck", json!({"n": 2})), CALLS],
            vec![say("done"), STOP],
        ]);
        let first = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&first, "go").await;
        told.recv().await.expect("a tool runs");
        told.recv().await.expect("the other runs");
        watcher.event("tool_call_finished").await;
        first.shutdown().await;
        let second = world.node("n2", &model);
        let mut watcher = Watcher::open(&second, chat_id).await;
        watcher.event("turn_finished").await;
        assert!(told.try_recv().is_err(), "nothing ran again");
        let results = results(&world, chat_id).await;
        assert_eq!(results[0], ("c1".to_owned(), json!({"n": 1}), false));
        assert!(results[1].2 && results[1].1.to_string().contains("outcome unknown"));
        second.shutdown().await;
    });
}

#[test]
fn the_log_says_which_tools_of_the_provider_a_policy_left() {
    run(async {
        let world = World::default();
        let (search, code) = (json!({"type": "web_search"}), json!({"type": "code_interpreter"}));
        let model = ScriptedModel::new(vec![vec![say("done"), STOP], vec![say("done"), STOP]]);
        let handle = world.node("n1", &model.with_provider_tools(vec![search.clone(), code.clone()]));
        let denied = [("web_search".to_owned(), ToolPolicy::Deny)];
        for (policy, offered) in [(BTreeMap::new(), vec![search, code.clone()]), (denied.into(), vec![code])] {
            let id = ChatId(uuid::Uuid::now_v7());
            let create = CreateChat { tool_policy: policy, ..new_chat(id, text("go")) };
            handle.send(id, Command::CreateChat(Box::new(create)), Meta::user("ann")).await.expect("it is created");
            rest(&handle, id).await;
            let recipes = world.events(id).await.into_iter().filter_map(|event| match event {
                Event::AttemptRecorded(recorded) => recorded.request,
                _ => None,
            });
            let told: Vec<_> = recipes.map(|recipe| recipe.provider_tools).collect();
            assert_eq!(told, [offered]);
        }
        handle.shutdown().await;
    });
}
