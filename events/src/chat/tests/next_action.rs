//! What a running turn does next, rule by rule and in their order.

use super::compaction::compact;
use super::support::*;
use crate::chat::{NextAction, stricter_window, threshold_percent};
use crate::command::{Busy, Command, CreateChat};
use crate::error::ErrorKind;
use crate::event::{AttemptAction, CompactionSource, SettingsChanged, ToolPolicy, TurnOutcome, WorkspaceBinding};
use crate::limits::Limits;
use crate::part::Part;

/// The ids of the calls that the server runs next, with whether each is refused.
fn batch(story: &Story) -> Vec<(String, bool)> {
    match story.next_action() {
        NextAction::RunTools(calls) => calls.into_iter().map(|call| (call.call_id, call.refused.is_some())).collect(),
        other => panic!("tools were to run, not {other:?}"),
    }
}

fn called(calls: &[(&str, &str)]) -> Story {
    let mut story = Story::asked();
    story.call(calls);
    story
}

fn runs(call_id: &str) -> (String, bool) {
    (call_id.to_owned(), false)
}

fn refused(call_id: &str) -> (String, bool) {
    (call_id.to_owned(), true)
}

#[test]
fn one_table_of_turns_and_what_they_do_next() {
    let table: Vec<(&str, Story, &str)> = vec![
        ("a fresh question", Story::asked(), "Generate"),
        (
            "an answer",
            {
                let mut story = Story::asked();
                story.answer("A monoid.");
                story
            },
            "Finish(Complete)",
        ),
        ("a call of the server's", called(&[("s1", SERVER_TOOL)]), "RunTools"),
        ("a call of the client's", called(&[("c1", CLIENT_TOOL)]), "RequireAction"),
        ("a call that wants an approval", called(&[("x1", ASK_TOOL)]), "RequireAction"),
        ("the server's before the client's", called(&[("c1", CLIENT_TOOL), ("s1", SERVER_TOOL)]), "RunTools"),
        (
            "answered calls",
            {
                let mut story = called(&[("s1", SERVER_TOOL)]);
                story.run_tools(vec![result("s1", SERVER_TOOL)]);
                story
            },
            "Generate",
        ),
        (
            "a question to the user that was answered",
            {
                let mut story = called(&[("s1", "ask_user_question")]);
                story.run_tools(vec![result("s1", "ask_user_question")]);
                story
            },
            "Finish(StopAfterTool)",
        ),
        (
            "a requested compaction",
            {
                let mut story = Story::answered();
                story.must(Command::RequestCompaction);
                story
            },
            "Compact(Manual)",
        ),
        (
            "a requested compaction that is done",
            {
                let mut story = Story::answered();
                story.must(Command::RequestCompaction);
                compact(&mut story, CompactionSource::Manual);
                story
            },
            "Finish(Complete)",
        ),
    ];
    for (name, story, expected) in table {
        let actual = match story.next_action() {
            NextAction::RunTools(_) => "RunTools".to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(actual, expected, "{name}");
    }
}

#[test]
fn only_the_servers_calls_run_while_others_wait() {
    let story = called(&[("c1", CLIENT_TOOL), ("s1", SERVER_TOOL), ("x1", ASK_TOOL), ("s2", "unknown_tool")]);
    assert_eq!(batch(&story), [runs("s1"), runs("s2")]);
}

#[test]
fn an_exclusive_tool_in_a_larger_batch_refuses_all_of_it() {
    let story = called(&[("a1", "advisor"), ("c1", CLIENT_TOOL), ("x1", ASK_TOOL), ("s1", SERVER_TOOL)]);
    assert_eq!(batch(&story), [refused("a1"), refused("c1"), refused("x1"), refused("s1")]);
    assert_eq!(batch(&called(&[("a1", "advisor")])), [runs("a1")]);
    assert_eq!(batch(&called(&[("a1", "advisor"), ("a2", "advisor")])), [refused("a1"), refused("a2")]);
}

#[test]
fn what_a_policy_denies_is_refused_without_asking_anybody() {
    let mut story = Story::new();
    let mut create = creation("Hi");
    create.tool_policy.insert("execute".to_owned(), ToolPolicy::Deny);
    create.tool_policy.insert(CLIENT_TOOL.to_owned(), ToolPolicy::Deny);
    story.must(Command::CreateChat(Box::new(create)));
    story.call(&[("x1", "execute"), ("c1", CLIENT_TOOL), ("s1", SERVER_TOOL)]);
    assert_eq!(batch(&story), [refused("x1"), refused("c1"), runs("s1")]);
}

#[test]
fn a_call_id_that_appears_twice_is_one_call() {
    let story = called(&[("s1", SERVER_TOOL), ("s1", SERVER_TOOL)]);
    assert_eq!(batch(&story), [runs("s1")]);
}

#[test]
fn a_tool_stops_the_turn_only_if_it_succeeded_in_it_and_nobody_spoke_since() {
    let ask = "ask_user_question";
    let mut failed = called(&[("s1", ask)]);
    let mut error = result("s1", ask);
    if let Part::ToolResult { is_error, .. } = &mut error {
        *is_error = true;
    }
    failed.run_tools(vec![error]);
    assert_eq!(failed.next_action(), NextAction::Generate);

    let mut steered = called(&[("s1", ask)]);
    steered.send("Neither.", Busy::Steer);
    steered.run_tools(vec![result("s1", ask)]);
    assert_eq!(steered.next_action(), NextAction::Generate);

    let mut earlier = called(&[("s1", ask)]);
    earlier.run_tools(vec![result("s1", ask)]);
    earlier.must(Command::FinishTurn { attempt_id: None, outcome: TurnOutcome::StopAfterTool });
    earlier.send("The first.", Busy::Queue);
    assert_eq!(earlier.next_action(), NextAction::Generate);
}

#[test]
fn a_turn_ends_after_its_last_allowed_step() {
    let mut story = Story::asked();
    story.limits.steps_max = 3;
    for step in 1..=3 {
        assert_eq!(story.next_action(), NextAction::Generate, "before step {step}");
        let call_id = format!("s{step}");
        story.call(&[(&call_id, SERVER_TOOL)]);
        story.run_tools(vec![result(&call_id, SERVER_TOOL)]);
    }
    assert_eq!(story.next_action(), NextAction::Finish(TurnOutcome::MaxSteps));
    story.send("Go on.", Busy::Queue);
    story.must(Command::FinishTurn { attempt_id: None, outcome: TurnOutcome::MaxSteps });
    assert_eq!(story.next_action(), NextAction::Generate, "a new prompt counts afresh");
}

#[test]
fn context_is_loaded_before_the_first_answer_and_before_a_compaction() {
    let workspace = WorkspaceBinding { id: Some("w1".to_owned()), template_id: None, name: None, parameters: None };
    let mut story = Story::new();
    story.must(Command::CreateChat(Box::new(CreateChat { workspace: Some(workspace), ..creation("Hi") })));
    assert_eq!(story.next_action_within(Some(10)), NextAction::LoadContext);
    let unbuilt = WorkspaceBinding { id: None, template_id: Some("t".to_owned()), name: None, parameters: None };
    let patch = SettingsChanged { workspace: Some(unbuilt), ..SettingsChanged::default() };
    story.must(Command::ChangeSettings { patch, archived: None });
    assert_eq!(story.next_action(), NextAction::Generate, "a workspace that is not made has no files");
}

/// A chat whose last answer had a prompt of `tokens`, and a new question.
fn grown(tokens: u64) -> Story {
    let mut story = Story::asked();
    story.answer_counting("A monoid.", tokens);
    story.finish();
    story.send("And a functor?", Busy::Queue);
    story
}

#[test]
fn compaction_is_due_from_the_threshold_on() {
    let due = NextAction::Compact(CompactionSource::Automatic);
    assert_eq!(grown(699).next_action_within(Some(1000)), NextAction::Generate);
    assert_eq!(grown(700).next_action_within(Some(1000)), due);
    assert_eq!(grown(700).next_action_within(None), NextAction::Generate, "an unknown window is never full");
    assert_eq!(grown(149_999).next_action_within(Some(500_000)), NextAction::Generate);
    assert_eq!(grown(150_000).next_action_within(Some(500_000)), due, "a large window is due earlier");
    let mut off = grown(2000);
    off.limits.compaction_percent = 100;
    assert_eq!(off.next_action_within(Some(1000)), NextAction::Generate);
}

#[test]
fn a_threshold_is_a_share_of_the_window() {
    let limits = |compaction_percent| Limits { compaction_percent, ..Limits::default() };
    assert_eq!(threshold_percent(499_999, &limits(70)), Some(70));
    assert_eq!(threshold_percent(500_000, &limits(70)), Some(30));
    assert_eq!(threshold_percent(500_000, &limits(20)), Some(20));
    assert_eq!(threshold_percent(500_000, &limits(100)), None);
}

#[test]
fn a_summary_is_followed_by_an_answer_and_one_that_did_not_help_fails_the_turn() {
    let mut story = grown(900);
    compact(&mut story, CompactionSource::Automatic);
    assert_eq!(story.next_action_within(Some(1000)), NextAction::Generate, "just compacted");
    story.answer_counting("A map.", 800);
    assert_eq!(story.next_action_within(Some(1000)), NextAction::Finish(TurnOutcome::Complete));
    story.finish();
    story.send("And a limit?", Busy::Queue);
    let NextAction::Fail(error) = story.next_action_within(Some(1000)) else {
        panic!("compacting again would loop");
    };
    assert_eq!((error.kind, error.retryable), (ErrorKind::Config, false));
    story.fail();
    story.send("Go on.", Busy::Queue);
    let again = NextAction::Compact(CompactionSource::Automatic);
    assert_eq!(story.next_action_within(Some(1000)), again, "the user acted: the chat is not stuck");
}

#[test]
fn the_window_in_which_a_summary_is_due_first_is_the_one_that_counts() {
    let limits = Limits::default();
    assert_eq!(stricter_window(Some(1000), Some(800), &limits), Some(800));
    assert_eq!(stricter_window(Some(1000), None, &limits), Some(1000));
    assert_eq!(stricter_window(Some(0), Some(800), &limits), Some(800), "no window is no bound");
    assert_eq!(stricter_window(None, None, &limits), None);
    assert_eq!(stricter_window(Some(500_000), Some(400_000), &limits), Some(500_000), "a large one is due earlier");
}

#[test]
fn a_summary_that_helped_may_be_followed_by_another() {
    let mut story = grown(900);
    compact(&mut story, CompactionSource::Automatic);
    story.answer_counting("A map.", 300);
    story.finish();
    story.send("And a limit?", Busy::Queue);
    story.answer_counting("A cone.", 750);
    story.finish();
    story.send("And a colimit?", Busy::Queue);
    assert_eq!(story.next_action_within(Some(1000)), NextAction::Compact(CompactionSource::Automatic));
}

#[test]
fn a_clearing_is_no_summary_that_failed() {
    let mut story = Story::answered();
    story.must(Command::ClearContext);
    story.send("A very long text", Busy::Queue);
    story.answer_counting("I see.", 900);
    story.finish();
    story.send("So?", Busy::Queue);
    assert_eq!(story.next_action_within(Some(1000)), NextAction::Compact(CompactionSource::Automatic));
}

#[test]
fn between_tools_a_compaction_leaves_the_turn_to_go_on() {
    let mut story = Story::asked();
    let attempt_id = story.attempt(AttemptAction::Generate);
    let step = generated(vec![call("s1", SERVER_TOOL)], 900);
    story.must(Command::CommitStep { attempt_id, step });
    story.run_tools(vec![result("s1", SERVER_TOOL)]);
    assert_eq!(story.next_action_within(Some(1000)), NextAction::Compact(CompactionSource::Automatic));
    compact(&mut story, CompactionSource::Automatic);
    assert_eq!(story.next_action_within(Some(1000)), NextAction::Generate);
}
