//! Waiting for clients and approvals: rules 2, 5 and 11.

use serde_json::{Value, json};

use super::support::*;
use crate::chat::{Effect, NextAction, StateName, decide, pending};
use crate::command::{Busy, Command, Context, SubmittedResult};
use crate::event::{ApprovalDecision, CallNeed, Event, ToolPolicy};
use crate::limits::TOOL_RESULT_MAX_BYTES;
use crate::message::Role;
use crate::part::Part;
use crate::rejection::Rejection;

/// A chat that waits for these calls.
fn waiting_for(calls: &[(&str, &str)]) -> Story {
    let mut story = Story::asked();
    story.call(calls);
    assert_eq!(story.next_action(), NextAction::RequireAction);
    story.must(Command::RequireAction);
    story
}

fn submitted(call_id: &str, value: Value) -> SubmittedResult {
    SubmittedResult { call_id: call_id.to_owned(), result: Some(value), is_error: false }
}

fn submit(results: &[SubmittedResult]) -> Command {
    Command::SubmitToolResults { results: results.to_vec() }
}

fn decision(call_id: &str, approved: bool, reason: Option<&str>) -> ApprovalDecision {
    ApprovalDecision { call_id: call_id.to_owned(), approved, reason: reason.map(str::to_owned) }
}

fn decide_on(decisions: Vec<ApprovalDecision>) -> Command {
    Command::DecideApprovals { decisions, by: "ada".to_owned() }
}

/// The calls that wait, with what they wait for.
fn waits(story: &Story) -> Vec<(String, CallNeed)> {
    let action = story.outline().action.iter();
    action.flat_map(|action| &action.calls).map(|call| (call.call_id.clone(), call.needs)).collect()
}

#[test]
fn an_interrupt_of_a_waiting_turn_cancels_its_calls_and_ends_it_in_one_append() {
    let mut story = waiting_for(&[("c1", CLIENT_TOOL), ("c2", CLIENT_TOOL)]);
    story.send("instead", Busy::Queue);
    story.must(Command::Interrupt);
    assert_eq!(story.transcript()[2..], ["tool: no c1, no c2", "user: instead"]);
    let cancelled = story.chat().history.iter().find(|message| message.role == Role::Tool).expect("answers");
    let says = |part: &Part| matches!(part, Part::ToolResult { result: Value::String(text), .. } if text.starts_with("cancelled"));
    assert!(cancelled.parts.iter().all(says));
    assert_eq!(story.state(), StateName::R0);
}

#[test]
fn results_must_match_the_waiting_calls_exactly() {
    let mut story = waiting_for(&[("c1", CLIENT_TOOL), ("c2", CLIENT_TOOL)]);
    let one = submitted("c1", json!(1));
    let two = submitted("c2", json!({"a": [1]}));
    let refuse = |story: &mut Story, results: &[SubmittedResult]| story.refused(submit(results));
    let id = |call_id: &str| call_id.to_owned();
    assert_eq!(refuse(&mut story, &[one.clone(), one.clone()]), Rejection::DuplicateCall { call_id: id("c1") });
    assert_eq!(
        refuse(&mut story, &[one.clone(), two.clone(), submitted("c3", json!(3))]),
        Rejection::UnknownCall { call_id: id("c3") }
    );
    assert_eq!(refuse(&mut story, std::slice::from_ref(&one)), Rejection::MissingCall { call_id: id("c2") });
    let none = SubmittedResult { call_id: id("c2"), result: None, is_error: false };
    assert_eq!(
        refuse(&mut story, &[one.clone(), none]),
        Rejection::InvalidResult { call_id: id("c2"), problem: id("missing") }
    );
    let fits = json!("x".repeat(TOOL_RESULT_MAX_BYTES - 2));
    let large = json!("x".repeat(TOOL_RESULT_MAX_BYTES - 1));
    assert!(matches!(
        refuse(&mut story, &[one.clone(), submitted("c2", large)]),
        Rejection::InvalidResult { call_id, .. } if call_id == "c2"
    ));
    assert!(story.try_out(&submit(&[one.clone(), submitted("c2", fits)])).is_ok());

    story.must(submit(&[two, one]));
    assert_eq!(story.transcript().last().map(String::as_str), Some("tool: ok c1, ok c2"), "in call order");
    assert_eq!(story.next_action(), NextAction::Generate);
}

#[test]
fn what_a_client_answers_is_cut_to_what_its_model_can_take() {
    let story = waiting_for(&[("c1", CLIENT_TOOL), ("c2", CLIENT_TOOL)]);
    let (long, shaped) = ("x".repeat(600_000), json!({"exit_code": 0, "output": "y".repeat(600_000)}));
    let command = submit(&[submitted("c1", json!(long)), submitted("c2", shaped.clone())]);
    let kept = |context_window: Option<u64>| {
        let context = Context { context_window, ..Context::new(story.now, &story.limits) };
        let events = decide(story.chat.as_ref(), &command, context).expect("they are taken");
        let Some(Event::MessageCommitted(message)) = events.get(1) else { panic!("the results: {events:?}") };
        let results = message.parts.iter().filter_map(|part| match part {
            Part::ToolResult { result, .. } => Some(result.clone()),
            _ => None,
        });
        results.collect::<Vec<Value>>()
    };
    for (window, budget) in [(Some(20_000), 20_000), (Some(1_000), 16 * 1024), (None, 64 * 1024)] {
        for result in kept(window) {
            let length = result.to_string().len();
            assert!((budget - 100..budget + 100).contains(&length), "{length} of {budget}");
            assert!(result.to_string().contains("bytes are left out here"));
        }
    }
    assert_eq!(kept(Some(20_000))[1]["exit_code"], json!(0), "an object keeps its shape");
    assert_eq!(kept(Some(1_000_000)), [json!(long), shaped]);
}

#[test]
fn the_first_submission_wins_and_the_next_is_not_allowed() {
    let mut story = waiting_for(&[("c1", CLIENT_TOOL)]);
    story.must(submit(&[submitted("c1", json!(1))]));
    let refusal = story.refused(submit(&[submitted("c1", json!(2))]));
    assert_eq!(refusal, Rejection::NotAllowed { command: "SubmitToolResults", state: "running" });
}

#[test]
fn the_chat_waits_on_until_neither_kind_is_open() {
    let calls = [("c1", CLIENT_TOOL), ("x1", ASK_TOOL), ("x2", ASK_TOOL)];
    let mut story = waiting_for(&calls);
    let approval = |call_id: &str| (call_id.to_owned(), CallNeed::Approval);
    assert_eq!(waits(&story), [("c1".to_owned(), CallNeed::Result), approval("x1"), approval("x2")]);

    let shown = story.must(submit(&[submitted("c1", json!(1))]));
    assert_eq!(shown, "ActionResolved(submitted) MessageCommitted(tool) ActionRequired");
    assert_eq!(story.state(), StateName::A0);
    assert_eq!(waits(&story), [approval("x1"), approval("x2")]);
    let deadline = story.outline().action.as_ref().map(|action| action.deadline).expect("a deadline");
    let wait = deadline - story.outline().updated_at;
    assert_eq!(wait.num_hours(), 24, "approvals alone have their own deadline");
    let again = story.refused(submit(&[submitted("c1", json!(2))]));
    assert_eq!(again, Rejection::NotAllowed { command: "SubmitToolResults", state: "requires_action" });

    story.must(decide_on(vec![decision("x2", true, None)]));
    assert_eq!(waits(&story), [approval("x1")]);
    let twice = story.refused(decide_on(vec![decision("x2", false, None)]));
    assert_eq!(twice, Rejection::UnknownCall { call_id: "x2".to_owned() });
    let unsaid = story.try_out(&decide_on(Vec::new()));
    assert_eq!(unsaid, Ok(Vec::new()));

    let shown = story.must(decide_on(vec![decision("x1", false, Some("too risky"))]));
    assert_eq!(shown, "ApprovalsDecided ActionResolved(submitted)");
    let NextAction::RunTools(batch) = story.next_action() else { panic!("the server's calls come next") };
    let refusals: Vec<_> = batch.iter().map(|call| (call.call_id.as_str(), call.refused.clone())).collect();
    assert_eq!(refusals[1], ("x2", None));
    assert!(matches!(&refusals[0], ("x1", Some(text)) if text.contains("too risky")));
    assert_eq!(batch[0].decision, Some(decision("x1", false, Some("too risky"))));

    story.run_tools(vec![result("x2", ASK_TOOL), result("x1", ASK_TOOL)]);
    assert_eq!(story.transcript().last().map(String::as_str), Some("tool: ok x1, ok x2"), "in call order");
    assert!(story.chat().approvals.is_empty(), "a later call may have the same id");
}

#[test]
fn approvals_may_be_decided_before_results_come() {
    let mut story = waiting_for(&[("c1", CLIENT_TOOL), ("x1", ASK_TOOL)]);
    assert_eq!(story.must(decide_on(vec![decision("x1", true, None)])), "ApprovalsDecided");
    let shown = story.must(submit(&[submitted("c1", json!(1))]));
    assert_eq!(shown, "ActionResolved(submitted) MessageCommitted(tool)");
    assert!(
        matches!(story.next_action(), NextAction::RunTools(batch) if batch.len() == 1 && batch[0].refused.is_none())
    );
}

#[test]
fn a_decision_is_for_approvals_and_a_result_for_client_calls() {
    let mut story = waiting_for(&[("c1", CLIENT_TOOL), ("x1", ASK_TOOL)]);
    let unknown = |call_id: &str| Rejection::UnknownCall { call_id: call_id.to_owned() };
    assert_eq!(story.refused(decide_on(vec![decision("c1", true, None)])), unknown("c1"));
    assert_eq!(story.refused(submit(&[submitted("x1", json!(1)), submitted("c1", json!(1))])), unknown("x1"));
    let twice = vec![decision("x1", true, None), decision("x1", false, None)];
    assert_eq!(story.refused(decide_on(twice)), Rejection::DuplicateCall { call_id: "x1".to_owned() });
    let mut story = waiting_for(&[("c1", CLIENT_TOOL)]);
    assert_eq!(story.refused(decide_on(vec![decision("c1", true, None)])), unknown("c1"));
    assert_eq!(story.refused(submit(&[])), Rejection::MissingCall { call_id: "c1".to_owned() });
}

#[test]
fn a_deadline_is_five_minutes_for_clients_and_a_day_for_approvals_alone() {
    let wait_ms = |calls: &[(&str, &str)]| {
        let story = waiting_for(calls);
        let deadline = story.outline().action.as_ref().map(|action| action.deadline).expect("a deadline");
        assert_eq!(pending(story.chat()), [Effect::ExpireAt(deadline)]);
        (deadline - story.outline().updated_at).num_milliseconds()
    };
    assert_eq!(wait_ms(&[("c1", CLIENT_TOOL)]), 300_000);
    assert_eq!(wait_ms(&[("c1", CLIENT_TOOL), ("x1", ASK_TOOL)]), 300_000);
    assert_eq!(wait_ms(&[("x1", ASK_TOOL)]), 86_400_000);
}

#[test]
fn an_action_expires_at_its_deadline_and_not_before_and_the_turn_goes_on() {
    let mut story = waiting_for(&[("c1", CLIENT_TOOL), ("x1", ASK_TOOL), ("x2", ASK_TOOL)]);
    story.must(decide_on(vec![decision("x2", true, None)]));
    let deadline = story.outline().action.as_ref().map(|action| action.deadline).expect("a deadline");
    story.now = deadline - chrono::TimeDelta::microseconds(1);
    assert_eq!(story.refused(Command::ExpireAction), Rejection::DeadlineNotPassed { deadline });
    story.now = deadline;
    story.must(Command::ExpireAction);
    assert_eq!(story.state(), StateName::R0);
    assert_eq!(story.transcript().last().map(String::as_str), Some("tool: no c1"), "it was the client's deadline");
    assert!(
        matches!(story.next_action(), NextAction::RunTools(batch) if batch.len() == 1 && batch[0].call_id == "x2"),
        "what was approved in time still runs"
    );
    story.run_tools(vec![result("x2", ASK_TOOL)]);
    story.must(Command::RequireAction);
    assert_eq!(waits(&story), [("x1".to_owned(), CallNeed::Approval)]);
    story.now = story.outline().action.as_ref().map(|action| action.deadline).expect("a deadline of its own");
    story.must(Command::ExpireAction);
    assert_eq!(story.transcript().last().map(String::as_str), Some("tool: no x1"));
    let said = format!("{:?}", story.chat().history.last(1).next());
    assert!(said.contains("denied: nobody decided"), "{said}");
}

#[test]
fn a_new_message_never_wedges_behind_an_approval() {
    let mut story = waiting_for(&[("x1", ASK_TOOL)]);
    story.send("forget it", Busy::Interrupt);
    assert_eq!(story.state(), StateName::R0);
    assert_eq!(story.transcript()[2..], ["tool: no x1", "user: forget it"]);
}

#[test]
fn nothing_is_required_while_the_server_has_calls_to_run() {
    let mut story = Story::asked();
    assert!(matches!(story.refused(Command::RequireAction), Rejection::StepMismatch { .. }));
    story.call(&[("s1", SERVER_TOOL), ("c1", CLIENT_TOOL)]);
    assert!(matches!(story.refused(Command::RequireAction), Rejection::StepMismatch { .. }));
    story.run_tools(vec![result("s1", SERVER_TOOL)]);
    story.must(Command::RequireAction);
    assert_eq!(waits(&story).len(), 1);
}

#[test]
fn the_answers_of_the_server_cover_exactly_its_own_calls() {
    let mut story = Story::asked();
    story.call(&[("s1", SERVER_TOOL), ("c1", CLIENT_TOOL), ("s2", SERVER_TOOL)]);
    let attempt_id = story.attempt(crate::event::AttemptAction::RunTools);
    let commit =
        |results: Vec<Part>| Command::CommitStep { attempt_id, step: crate::command::Step::ToolResults { results } };
    let (s1, s2, c1) = (result("s1", SERVER_TOOL), result("s2", SERVER_TOOL), result("c1", CLIENT_TOOL));
    for wrong in [vec![s1.clone()], vec![s1.clone(), s2.clone(), c1], vec![s1.clone(), s1.clone()]] {
        assert!(matches!(story.refused(commit(wrong)), Rejection::StepMismatch { .. }));
    }
    story.must(commit(vec![s2, s1]));
    assert_eq!(story.transcript().last().map(String::as_str), Some("tool: ok s1, ok s2"));
}

#[test]
fn a_policy_holds_by_name_then_by_server_then_for_all() {
    let policies = std::collections::BTreeMap::from([
        ("*".to_owned(), ToolPolicy::Ask),
        ("files__*".to_owned(), ToolPolicy::Auto),
        ("files__delete".to_owned(), ToolPolicy::Deny),
        ("my__files__*".to_owned(), ToolPolicy::Deny),
    ]);
    let policy = |name: &str| crate::chat::policy_of(&policies, name);
    assert_eq!(policy("files__read"), ToolPolicy::Auto);
    assert_eq!(policy("files__delete"), ToolPolicy::Deny);
    assert_eq!(policy("my__files__read"), ToolPolicy::Deny);
    assert_eq!(policy("other__read"), ToolPolicy::Ask);
    assert_eq!(policy("execute"), ToolPolicy::Ask);
    assert_eq!(crate::chat::policy_of(&std::collections::BTreeMap::new(), "execute"), ToolPolicy::Auto);
}

/// A chat's policy, and which of three tools of a provider it admits.
type Admission = (&'static [(&'static str, ToolPolicy)], [bool; 3]);

#[test]
fn a_tool_of_the_provider_is_offered_where_nobody_need_be_asked() {
    let version = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3});
    let preview = json!({"type": "web_search_preview_2025_03_11"});
    let code = json!({"type": "code_interpreter", "container": {"type": "auto"}});
    let rows: [Admission; 9] = [
        (&[], [true, true, true]),
        (&[("web_search", ToolPolicy::Deny)], [false, false, true]),
        (&[("web_search", ToolPolicy::Ask)], [false, false, true]),
        (&[("web_search_20250305", ToolPolicy::Deny)], [false, true, true]),
        (&[("web", ToolPolicy::Deny), ("web_search__*", ToolPolicy::Deny)], [true, true, true]),
        (&[("*", ToolPolicy::Deny)], [false, false, false]),
        (&[("*", ToolPolicy::Ask)], [false, false, false]),
        (&[("*", ToolPolicy::Deny), ("web_search", ToolPolicy::Auto)], [true, true, false]),
        (&[("*", ToolPolicy::Auto), ("code_interpreter", ToolPolicy::Deny)], [true, true, false]),
    ];
    for (policies, admitted) in rows {
        let policies = policies.iter().map(|(name, policy)| ((*name).to_owned(), *policy)).collect();
        let admits = |definition| crate::chat::admits_provider_tool(&policies, definition);
        assert_eq!([admits(&version), admits(&preview), admits(&code)], admitted, "{policies:?}");
    }
}

#[test]
fn what_waits_is_in_the_event_as_it_is_in_the_outline() {
    let story = waiting_for(&[("c1", CLIENT_TOOL)]);
    let required = story.log.iter().rev().find_map(|recorded| match &recorded.event {
        Event::ActionRequired(required) => Some(required.clone()),
        _ => None,
    });
    let required = required.expect("an ActionRequired");
    assert_eq!(Some(required.calls), story.outline().action.as_ref().map(|action| action.calls.clone()));
}
