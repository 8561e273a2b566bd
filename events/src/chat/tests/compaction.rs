//! Compaction and clearing: where prompts start, and what a boundary must not swallow.

use std::sync::Arc;

use super::support::*;
use crate::chat::{Boundary, Chat, NextAction, StateName, decide, evolve, open_calls};
use crate::command::{Busy, Command, Compacted, Context, ForkChat, Step};
use crate::envelope::Recorded;
use crate::event::{
    AttemptAction, CompactionSource, ContextFreshness, ContextMark, ContextSource, Event, Offer, SettingsChanged,
    TurnOutcome, WorkspaceBinding,
};
use crate::ids::{ChatId, MessageId};
use crate::message::{Origin, Role, Usage, Visibility};
use crate::part::Part;
use crate::prompt::assemble;
use crate::rejection::Rejection;

pub fn summary(source: CompactionSource, text: &str) -> Step {
    Step::Compacted(Compacted {
        summary: text.to_owned(),
        source,
        model: "small".to_owned(),
        usage: Some(Usage { input_tokens: 100, ..Usage::default() }),
        cost_micros: Some(300),
        context_tokens: 900,
        window_tokens: Some(1000),
        threshold_percent: 70,
    })
}

/// Summarises a running chat.
pub fn compact(story: &mut Story, source: CompactionSource) -> String {
    let attempt_id = story.attempt(AttemptAction::Compact);
    story.must(Command::CommitStep { attempt_id, step: summary(source, "They spoke of monads.") })
}

#[test]
fn a_manual_compaction_is_a_turn_that_ends_without_an_answer() {
    let mut story = Story::answered();
    story.must(Command::RequestCompaction);
    assert_eq!(story.next_action(), NextAction::Compact(CompactionSource::Manual));
    let shown = compact(&mut story, CompactionSource::Manual);
    assert_eq!(shown, "ContextCompacted MessageCommitted(user) MessageCommitted(assistant)");
    assert_eq!(story.next_action(), NextAction::Finish(TurnOutcome::Complete));
    assert_eq!(story.chat().compaction_requested, None);
    story.finish();
    assert_eq!(story.state(), StateName::W);
}

#[test]
fn the_summary_is_the_models_its_mark_the_users_and_nobody_must_answer_it() {
    let mut story = Story::answered();
    story.must(Command::RequestCompaction);
    compact(&mut story, CompactionSource::Manual);
    let chat = story.chat();
    let new: Vec<_> = chat.history.after(chat.boundary).collect();
    assert_eq!(new.len(), 2);
    assert_eq!((new[0].role, new[0].visibility, new[0].origin), (Role::User, Visibility::Model, Origin::Summary));
    assert_eq!(new[0].parts, [Part::text("They spoke of monads.")]);
    assert_eq!((new[1].role, new[1].visibility), (Role::Assistant, Visibility::User));
    assert!(new.iter().all(|message| message.compressed));
    let [
        Part::ToolCall { call_id, name, provider_executed: true, .. },
        Part::ToolResult { call_id: answered, provider_executed: true, .. },
    ] = new[1].parts.as_slice()
    else {
        panic!("a call and its result, not {:?}", new[1].parts);
    };
    assert_eq!((name.as_str(), call_id), ("chat_summarized", answered));
    assert_eq!(open_calls(chat), []);
    assert_eq!(chat.boundary, new[0].id - 1);
    assert!(chat.boundary_is_compaction);
    assert_eq!(story.outline().turn.as_ref().map(|turn| (turn.steps, turn.usage.input_tokens)), Some((1, 100)));
}

#[test]
fn what_nobody_has_answered_yet_stays_word_for_word() {
    let mut story = Story::answered();
    story.send("And a functor?", Busy::Queue);
    story.fail();
    story.send("Or a category?", Busy::Queue);
    let shown = compact(&mut story, CompactionSource::Automatic);
    assert!(shown.ends_with("MessageCommitted(assistant) MessageCommitted(user) MessageCommitted(user)"), "{shown}");
    let chat = story.chat();
    let copies: Vec<_> = chat.history.after(chat.boundary).filter(|message| message.origin == Origin::User).collect();
    assert_eq!(
        copies.iter().map(|message| message.parts.clone()).collect::<Vec<_>>(),
        [vec![Part::text("And a functor?")], vec![Part::text("Or a category?")],]
    );
    assert!(copies.iter().all(|message| message.visibility == Visibility::Model && !message.compressed));
    assert_eq!(copies[0].author.as_deref(), Some("ada"));
    assert_eq!(story.next_action(), NextAction::Generate);
    let copy = copies[0].id;
    assert_eq!(story.refused(edit(copy, "x")), Rejection::NotAUserMessage { message_id: copy });
}

#[test]
fn an_answered_message_is_not_repeated_and_a_repeated_one_not_doubled() {
    let mut story = Story::answered();
    story.send("And a functor?", Busy::Queue);
    compact(&mut story, CompactionSource::Automatic);
    story.answer("A map.");
    story.send("Thanks. And a limit?", Busy::Queue);
    story.finish();
    compact(&mut story, CompactionSource::Automatic);
    let chat = story.chat();
    let copies: Vec<_> = chat.history.after(chat.boundary).filter(|message| message.origin == Origin::User).collect();
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0].parts, [Part::text("Thanks. And a limit?")]);
}

#[test]
fn there_must_be_something_to_compact_or_to_clear() {
    let mut story = Story::empty();
    assert_eq!(story.refused(Command::RequestCompaction), Rejection::NothingToCompact);
    assert_eq!(story.refused(Command::ClearContext), Rejection::NothingToClear);
    let mut story = Story::answered();
    story.must(Command::ClearContext);
    assert_eq!(story.refused(Command::RequestCompaction), Rejection::NothingToCompact);
    assert_eq!(story.refused(Command::ClearContext), Rejection::NothingToClear);
    assert_eq!(story.transcript().len(), 2, "the transcript stays readable");
    assert!(!story.chat().boundary_is_compaction);
    story.send("What did I ask?", Busy::Queue);
    story.answer("I cannot know.");
    story.finish();
    story.must(Command::RequestCompaction);
}

#[test]
fn clearing_ends_an_error_and_leaves_no_call_open_behind_the_boundary() {
    let mut story = Story::asked();
    story.call(&[("c1", SERVER_TOOL)]);
    story.fail();
    assert_eq!(story.must(Command::ClearContext), "MessageCommitted(synthetic) ContextCleared");
    assert_eq!(story.state(), StateName::W);
    assert_eq!(story.outline().last_error, None);
    assert_eq!(story.send("Hi", Busy::Queue), "TurnStarted(message) MessageCommitted(user)");
}

#[test]
fn an_edit_before_a_boundary_takes_the_boundary_back() {
    let mut story = Story::answered();
    story.must(Command::ClearContext);
    let cleared = story.chat().boundary;
    story.send("And a functor?", Busy::Queue);
    story.answer("A map.");
    story.finish();
    story.must(Command::RequestCompaction);
    compact(&mut story, CompactionSource::Manual);
    story.finish();
    assert!(story.chat().boundary > cleared);
    assert_eq!(*story.chat().earlier_boundaries, [Boundary { version: cleared, is_compaction: false }]);

    let second = story.message_id("And a functor?");
    story.must(edit(second, "And a comonad?"));
    assert_eq!((story.chat().boundary, story.chat().boundary_is_compaction), (cleared, false));
    let first = story.message_id("What is a monad?");
    story.must(edit(first, "What is a comonad?"));
    assert_eq!((story.chat().boundary, story.chat().boundary_is_compaction), (0, false));
    assert_eq!(story.transcript(), ["user: What is a comonad?"]);
}

#[test]
fn a_request_to_compact_does_not_outlive_its_turn() {
    let mut story = Story::answered();
    story.must(Command::RequestCompaction);
    story.fail();
    story.send("Never mind.", Busy::Queue);
    assert_eq!(story.next_action(), NextAction::Generate);
}

#[test]
fn nothing_is_steered_into_a_compactions_own_turn() {
    let mut story = Story::answered();
    story.must(Command::RequestCompaction);
    story.send("be brief", Busy::Steer);
    compact(&mut story, CompactionSource::Manual);
    assert_eq!(story.outline().queue.len(), 1);
    let shown = story.finish();
    assert!(shown.ends_with("TurnStarted(promotion) MessageCommitted(user)"), "{shown}");
}

#[test]
fn a_steered_message_enters_behind_an_automatic_summary() {
    let mut story = Story::answered();
    story.send("And a functor?", Busy::Queue);
    story.send("be brief", Busy::Steer);
    let shown = compact(&mut story, CompactionSource::Automatic);
    assert!(shown.ends_with("MessageCommitted(user) QueuedMessagePromoted(history) MessageCommitted(user)"), "{shown}");
}

#[test]
fn an_empty_summary_is_refused() {
    let mut story = Story::answered();
    story.must(Command::RequestCompaction);
    let attempt_id = story.attempt(AttemptAction::Compact);
    let step = summary(CompactionSource::Manual, "  ");
    assert!(matches!(story.refused(Command::CommitStep { attempt_id, step }), Rejection::StepMismatch { .. }));
}

fn attach(story: &mut Story, id: &str) {
    let workspace = WorkspaceBinding { id: Some(id.to_owned()), template_id: None, name: None, parameters: None };
    let patch = SettingsChanged { workspace: Some(workspace), ..SettingsChanged::default() };
    story.must(Command::ChangeSettings { patch, archived: None });
}

fn load(story: &mut Story, files: Vec<Part>) -> String {
    let attempt_id = story.attempt(AttemptAction::LoadContext);
    let source = found_in(story.chat());
    story.must(Command::CommitStep { attempt_id, step: Step::ContextLoaded { files, source } })
}

#[test]
fn a_workspaces_files_are_read_once_even_if_there_are_none() {
    let mut story = Story::asked();
    attach(&mut story, "w1");
    assert_eq!(story.next_action(), NextAction::LoadContext);
    load(&mut story, Vec::new());
    let marker = story.chat().history.iter().last().expect("a marker").clone();
    assert_eq!((marker.role, marker.origin, marker.visibility), (Role::User, Origin::Context, Visibility::Model));
    assert!(marker.parts.is_empty());
    assert_eq!(story.next_action(), NextAction::Generate);
    assert_eq!(story.outline().turn.as_ref().map(|turn| turn.steps), Some(0), "reading files is no step of the model");

    attach(&mut story, "w2");
    assert_eq!(story.next_action(), NextAction::LoadContext, "another workspace has other files");
    load(&mut story, vec![Part::ContextFile { path: "AGENTS.md".to_owned(), text: "Be kind.".to_owned() }]);
    let pinned = story.chat().context.clone().expect("the files are there");
    assert_eq!(pinned.source.workspace_id, "w2");
    assert!(pinned.message_id > marker.id);
}

fn mark(story: &mut Story, message_id: MessageId, freshness: ContextFreshness) -> String {
    let context = Some(ContextMark { message_id, freshness });
    story.must(Command::ChangeSettings {
        patch: SettingsChanged { context, ..SettingsChanged::default() },
        archived: None,
    })
}

#[test]
fn files_that_changed_are_said_so_and_read_again_only_when_that_is_wanted() {
    let file = |text: &str| Part::ContextFile { path: "AGENTS.md".to_owned(), text: text.to_owned() };
    let mut story = Story::asked();
    assert_eq!(mark(&mut story, 1, ContextFreshness::Changed), "", "there is nothing that could be out of date");
    attach(&mut story, "w1");
    load(&mut story, vec![file("Be kind.")]);
    let first = story.chat().context.clone().expect("the files").message_id;
    story.answer("A monoid.");
    story.finish();
    let history_version = story.outline().history_version;

    assert_eq!(mark(&mut story, first, ContextFreshness::Changed), "SettingsChanged");
    assert_eq!(mark(&mut story, first, ContextFreshness::Changed), "", "it is known");
    assert_eq!(mark(&mut story, first + 1, ContextFreshness::Current), "", "nobody spoke of this one");
    assert_eq!(story.outline().context_freshness, ContextFreshness::Changed);
    assert_eq!(story.outline().history_version, history_version, "the conversation is the same");
    story.send("And a functor?", Busy::Queue);
    assert_eq!(story.next_action(), NextAction::Generate, "prompts keep what was read");

    assert_eq!(mark(&mut story, first, ContextFreshness::Reload), "SettingsChanged");
    assert_eq!(mark(&mut story, first, ContextFreshness::Changed), "", "it will be read anew");
    assert_eq!(story.next_action(), NextAction::LoadContext);
    load(&mut story, vec![file("Be brief.")]);
    assert_eq!(story.outline().context_freshness, ContextFreshness::Current);
    assert_eq!(story.next_action(), NextAction::Generate);
    let prompt = crate::prompt::assemble(story.chat(), &Offer::default());
    let files = prompt.messages.iter().flat_map(|message| &message.parts);
    let files: Vec<&Part> = files.filter(|part| matches!(part, Part::ContextFile { .. })).collect();
    assert_eq!(files, [&file("Be brief.")], "what was read before is in no prompt");

    mark(&mut story, first, ContextFreshness::Changed);
    let second = story.chat().context.clone().expect("the files").message_id;
    assert_eq!(mark(&mut story, second, ContextFreshness::Changed), "SettingsChanged");
    attach(&mut story, "w2");
    assert_eq!(story.outline().context_freshness, ContextFreshness::Current, "of this one nothing is known");
}

#[test]
fn files_stay_in_prompts_while_their_workspace_cannot_be_read_again() {
    let mut story = Story::asked();
    attach(&mut story, "w1");
    load(&mut story, vec![Part::ContextFile { path: "AGENTS.md".to_owned(), text: "Be kind.".to_owned() }]);
    let pinned = story.chat().context.clone().expect("the files");
    mark(&mut story, pinned.message_id, ContextFreshness::Reload);
    let mut away = |workspace: &str| {
        attach(&mut story, workspace);
        assert_eq!(story.next_action(), NextAction::LoadContext);
        let attempt_id = story.attempt(AttemptAction::LoadContext);
        let source = ContextSource { unreachable: true, ..found_in(story.chat()) };
        story.must(Command::CommitStep { attempt_id, step: Step::ContextLoaded { files: Vec::new(), source } });
        assert_eq!(story.next_action(), NextAction::Generate, "a marker is enough");
        story.chat().context.clone().expect("the files, or a marker")
    };
    assert_eq!(away("w1"), pinned);
    let marker = away("w2");
    assert!(marker.source.unreachable && marker.source.workspace_id == "w2", "another workspace's are of no use");
}

#[test]
fn files_behind_a_boundary_or_withdrawn_are_read_again() {
    let mut story = Story::asked();
    attach(&mut story, "w1");
    load(&mut story, Vec::new());
    story.answer("A monoid.");
    story.finish();
    story.must(Command::ClearContext);
    story.send("And a functor?", Busy::Queue);
    assert_eq!(story.next_action(), NextAction::LoadContext);
    load(&mut story, Vec::new());
    let target = story.message_id("And a functor?");
    story.must(edit(target, "And a comonad?"));
    assert_eq!(story.next_action(), NextAction::LoadContext);
}

#[test]
fn only_context_files_are_context() {
    let mut story = Story::asked();
    let attempt_id = story.attempt(AttemptAction::LoadContext);
    let source = found_in(story.chat());
    let step = Step::ContextLoaded { files: vec![Part::text("no file")], source };
    assert!(matches!(story.refused(Command::CommitStep { attempt_id, step }), Rejection::StepMismatch { .. }));
    let events = story.log.iter().filter(|recorded| matches!(recorded.event, Event::MessageCommitted(_)));
    assert_eq!(events.count(), 1);
}

/// The chat as it was after so many of its events.
fn chat_after(story: &Story, events: usize) -> Chat {
    let chat = story.log[..events].iter().fold(None, |chat, recorded| Some(evolve(chat, recorded).expect("legal")));
    chat.expect("it has events")
}

/// What the model of a fork would be asked.
fn asked_in_fork(story: &Story, events: usize) -> Vec<(Role, Vec<Part>)> {
    let fork = ForkChat { id: ChatId(uuid::Uuid::from_u128(9)), source: Arc::new(chat_after(story, events)) };
    let id = fork.id;
    let decided = decide(None, &Command::ForkChat(fork), Context::new(story.now, &story.limits)).expect("it is forked");
    let versions = 1..;
    let chat = versions.zip(decided).fold(None, |chat, (version, event)| {
        Some(evolve(chat, &Recorded::decided(id, version, story.now, event)).expect("a legal event"))
    });
    asked(&chat.expect("a fork has events"))
}

fn asked(chat: &Chat) -> Vec<(Role, Vec<Part>)> {
    let prompt = assemble(chat, &Offer::default());
    prompt.messages.iter().map(|message| (message.role, message.parts.clone())).collect()
}

#[test]
fn a_fork_from_amid_a_compactions_append_is_one_from_before_it() {
    // The second compaction begins behind the boundary of the first.
    let mut story = Story::answered();
    for text in ["And a comonad?", "And a functor?"] {
        story.send(text, Busy::Queue);
        let attempt_id = story.attempt(AttemptAction::Compact);
        let before = story.log.len();
        story.must(Command::CommitStep { attempt_id, step: summary(CompactionSource::Automatic, text) });
        let after = story.log.len();
        assert_eq!(after - before, 4, "boundary, summary, mark, and the question that nobody has answered");
        let unforked = asked(&chat_after(&story, before));
        for amid in before..after {
            assert_eq!(asked_in_fork(&story, amid), unforked, "after {amid} events");
        }
        let whole = asked_in_fork(&story, after);
        assert_eq!(whole, asked(story.chat()));
        assert_ne!(whole, unforked);
        story.answer("So.");
        story.finish();
        assert_eq!(asked_in_fork(&story, story.log.len()), asked(story.chat()));
    }
}
