//! Creation, settings, archiving, erasing: rules 6, 10 and 13.

use std::collections::BTreeMap;

use super::support::*;
use crate::chat::{Effect, StateName, pending};
use crate::command::{Busy, Command, CreateChat};
use crate::event::{DiffStatus, Event, SettingsChanged, TitleChange, TitleSource, ToolPolicy, WorkspaceBinding};
use crate::part::Part;
use crate::rejection::Rejection;

fn settings(patch: SettingsChanged) -> Command {
    Command::ChangeSettings { patch, archived: None }
}

fn title(text: &str, source: TitleSource) -> Command {
    let title = TitleChange { title: text.to_owned(), source };
    settings(SettingsChanged { title: Some(title), ..SettingsChanged::default() })
}

fn title_of(create: CreateChat) -> (String, TitleSource) {
    let mut story = Story::new();
    story.must(Command::CreateChat(Box::new(create)));
    (story.outline().title.clone(), story.outline().title_source)
}

#[test]
fn a_title_is_made_of_the_first_words() {
    let fallback = |text: &str| title_of(creation(text)).0;
    assert_eq!(fallback("  What is\n a monad, in plain English words? "), "What is a monad, in plain");
    assert_eq!(fallback("Hi"), "Hi");
    assert_eq!(fallback(""), "New chat");
    assert_eq!(fallback(&"é".repeat(100)), "é".repeat(80));
    assert_eq!(fallback("\u{202e}evil \u{1b}[31mred"), "evil red", "a title that could be given by hand");
    assert_eq!(fallback("\u{7}"), "New chat");
    let file = Part::File {
        file_id: "f".to_owned(),
        media_type: "text/plain".to_owned(),
        name: "a.txt".to_owned(),
        content: None,
    };
    let with_file = CreateChat { content: vec![file, Part::text("Read this")], ..creation("") };
    assert_eq!(title_of(with_file), ("Read this".to_owned(), TitleSource::Fallback));
    let named = CreateChat { title: Some("Monads".to_owned()), ..creation("What is a monad?") };
    assert_eq!(title_of(named), ("Monads".to_owned(), TitleSource::User));
}

#[test]
fn a_chat_keeps_what_it_was_created_with() {
    let create = CreateChat {
        system_prompt: Some("Be kind.".to_owned()),
        server_tools: Some(vec!["read_file".to_owned()]),
        mcp_servers: vec!["files".to_owned()],
        tool_policy: BTreeMap::from([("*".to_owned(), ToolPolicy::Ask)]),
        labels: BTreeMap::from([("team".to_owned(), "blue".to_owned())]),
        effort: Some("high".to_owned()),
        plan_mode: true,
        ..creation("Hi")
    };
    let mut story = Story::new();
    story.must(Command::CreateChat(Box::new(create.clone())));
    let chat = story.chat();
    assert_eq!(chat.config.system_prompt, create.system_prompt);
    assert_eq!(chat.config.tools, create.tools);
    assert_eq!(chat.config.server_tools, create.server_tools);
    assert_eq!(chat.config.mcp_servers, create.mcp_servers);
    assert_eq!(chat.config.tool_policy, create.tool_policy);
    assert_eq!(
        (&chat.outline.labels, &chat.outline.effort, chat.outline.plan_mode),
        (&create.labels, &create.effort, true)
    );
    let message = chat.history.iter().next().expect("the first message");
    assert_eq!((message.author.as_deref(), message.effort.as_deref()), (Some("ada"), Some("high")));
}

#[test]
fn blank_content_makes_no_chat() {
    let mut story = Story::new();
    let blank = CreateChat { content: vec![Part::text(" ")], ..creation("") };
    assert_eq!(story.refused(Command::CreateChat(Box::new(blank))), Rejection::EmptyContent);
    assert_eq!(story.state(), StateName::N);
}

#[test]
fn settings_change_in_one_event_and_what_is_so_already_is_left_out() {
    let mut story = Story::answered();
    let patch = SettingsChanged {
        title: Some(TitleChange { title: "Monads".to_owned(), source: TitleSource::User }),
        labels: Some(BTreeMap::from([("team".to_owned(), "blue".to_owned())])),
        pinned: Some(true),
        model: Some("small".to_owned()),
        effort: Some("low".to_owned()),
        plan_mode: Some(false),
        workspace: Some(WorkspaceBinding {
            id: None,
            template_id: Some("blank".to_owned()),
            name: None,
            parameters: None,
        }),
        diff_status: Some(Some(diff_status())),
        context: None,
        status_label: Some("Explained monads".to_owned()),
    };
    let events = story.run(settings(patch.clone())).expect("a change");
    let news = SettingsChanged { model: None, plan_mode: None, ..patch.clone() };
    assert_eq!(events, [Event::SettingsChanged(news)]);
    let outline = story.outline();
    assert_eq!((outline.title.as_str(), outline.pinned, outline.effort.as_deref()), ("Monads", true, Some("low")));
    assert_eq!((&outline.workspace, &Some(outline.diff_status.clone())), (&patch.workspace, &patch.diff_status));
    let version = outline.version;
    assert_eq!(story.run(settings(patch)), Ok(Vec::new()));
    assert_eq!(story.outline().version, version);
}

fn diff_status() -> DiffStatus {
    DiffStatus { branch: None, files_changed: 2, insertions: 3, deletions: 1, partial: false }
}

fn bound_to(id: Option<&str>) -> WorkspaceBinding {
    WorkspaceBinding { id: id.map(str::to_owned), template_id: None, name: None, parameters: None }
}

#[test]
fn a_diff_status_goes_once_and_with_its_workspace() {
    let mut story = Story::answered();
    let found = |diff_status| SettingsChanged { diff_status: Some(diff_status), ..SettingsChanged::default() };
    let bind = |id| SettingsChanged { workspace: Some(bound_to(id)), ..SettingsChanged::default() };
    let gone = Event::SettingsChanged(found(None));
    assert_eq!(story.must(settings(found(None))), "", "there is none");
    assert_eq!(story.run(settings(bind(Some("w1")))), Ok(vec![Event::SettingsChanged(bind(Some("w1")))]));
    story.must(settings(found(Some(diff_status()))));
    assert_eq!(story.run(settings(found(None))), Ok(vec![gone]));
    assert_eq!(story.must(settings(found(None))), "");
    assert_eq!(story.outline().diff_status, None);

    story.must(settings(found(Some(diff_status()))));
    let renamed = WorkspaceBinding { name: Some("another name".to_owned()), ..bound_to(Some("w1")) };
    story.must(settings(SettingsChanged { workspace: Some(renamed), ..SettingsChanged::default() }));
    assert_eq!(story.outline().diff_status, Some(diff_status()), "it is the same workspace");
    // Another one is bound: the event itself says that what was known is gone.
    let rebound = SettingsChanged { diff_status: Some(None), ..bind(Some("w2")) };
    assert_eq!(story.run(settings(bind(Some("w2")))), Ok(vec![Event::SettingsChanged(rebound)]));
    assert_eq!(story.outline().diff_status, None);
    // What is said of the new one in the same breath counts, even if the old one was the same.
    story.must(settings(found(Some(diff_status()))));
    let both = SettingsChanged { diff_status: Some(Some(diff_status())), ..bind(Some("w3")) };
    assert_eq!(story.run(settings(both.clone())), Ok(vec![Event::SettingsChanged(both)]));
    assert_eq!(story.outline().diff_status, Some(diff_status()));
}

#[test]
fn a_models_title_never_replaces_one_that_was_chosen() {
    let mut story = Story::answered();
    story.must(title("Category theory", TitleSource::Model));
    assert_eq!(story.outline().title, "Category theory");
    assert_eq!(story.must(title("Again", TitleSource::Model)), "", "once is enough");
    assert_eq!(story.must(title("Category theory", TitleSource::User)), "SettingsChanged", "it is the user's own now");
    assert_eq!(story.must(title("Mine", TitleSource::User)), "SettingsChanged");
    assert_eq!(story.must(title("Another", TitleSource::Model)), "");
    assert_eq!(story.outline().title, "Mine");
}

#[test]
fn a_title_that_a_user_asks_a_model_for_replaces_any() {
    let mut story = Story::answered();
    story.must(title("Mine", TitleSource::User));
    let retitle = || Command::Retitle { title: "Category theory".to_owned() };
    assert_eq!(story.must(retitle()), "SettingsChanged");
    assert_eq!(story.outline().title_source, TitleSource::Model);
    assert_eq!(story.must(retitle()), "", "it is so already");
    assert_eq!(story.must(title("By itself", TitleSource::Model)), "", "no model replaces it by itself");
    assert_eq!(story.outline().title, "Category theory");
}

#[test]
fn an_empty_chat_takes_its_title_from_its_first_words() {
    let mut story = Story::new();
    let empty = CreateChat { content: Vec::new(), ..creation("") };
    story.must(Command::CreateChat(Box::new(empty.clone())));
    assert_eq!(story.outline().title, "New chat");
    let named = "TurnStarted(message) MessageCommitted(user) SettingsChanged";
    assert_eq!(story.must(send("One two three four five six seven", Busy::Queue)), named);
    let outline = story.outline();
    assert_eq!((outline.title.as_str(), outline.title_source), ("One two three four five six", TitleSource::Fallback));
    story.answer("Eight.");
    story.finish();
    assert_eq!(story.must(send("Nine", Busy::Queue)), "TurnStarted(message) MessageCommitted(user)");

    let mut story = Story::new();
    story.must(Command::CreateChat(Box::new(CreateChat { title: Some("New chat".to_owned()), ..empty })));
    let kept = "TurnStarted(message) MessageCommitted(user)";
    assert_eq!(story.must(send("One", Busy::Queue)), kept, "whoever chose that title keeps it");
}

#[test]
fn a_turns_label_goes_with_the_next_turn_and_comes_too_late_in_it() {
    let mut story = Story::answered();
    let label = || {
        let patch = SettingsChanged { status_label: Some("Explained monads".to_owned()), ..Default::default() };
        settings(patch)
    };
    assert_eq!(story.must(label()), "SettingsChanged");
    assert_eq!(story.outline().status_label.as_deref(), Some("Explained monads"));
    story.must(send("And functors?", Busy::Queue));
    assert_eq!(story.outline().status_label, None);
    assert_eq!(story.must(label()), "");
}

#[test]
fn settings_and_archiving_are_all_or_nothing() {
    let mut story = Story::asked();
    let patch = SettingsChanged { pinned: Some(true), ..SettingsChanged::default() };
    let both = Command::ChangeSettings { patch, archived: Some(true) };
    let refusal = story.refused(both.clone());
    assert_eq!(refusal, Rejection::NotAllowed { command: "ChangeSettings", state: "running" });
    assert!(!story.outline().pinned);
    story.finish();
    assert_eq!(story.must(both), "SettingsChanged ChatArchived");
    let patch = SettingsChanged { pinned: Some(false), ..SettingsChanged::default() };
    assert_eq!(story.must(Command::ChangeSettings { patch, archived: None }), "SettingsChanged", "archived chats too");
    let back = Command::ChangeSettings { patch: SettingsChanged::default(), archived: Some(false) };
    assert_eq!(story.must(back), "ChatUnarchived");
}

#[test]
fn erasing_forgets_the_words_and_keeps_the_fact() {
    let mut story = Story::asked();
    story.call(&[("c1", CLIENT_TOOL)]);
    story.must(Command::RequireAction);
    story.send("waiting", Busy::Queue);
    story.must(Command::Erase { by: "ada".to_owned(), reason: None });
    let chat = story.chat();
    assert!(chat.outline.erased);
    assert!(chat.history.is_empty() && chat.queue.is_empty() && chat.outline.queue.is_empty());
    assert!(chat.config.tools.is_empty() && chat.config.system_prompt.is_none());
    assert_eq!((chat.outline.title.as_str(), &chat.outline.action), ("", &None));
    assert_eq!(chat.outline.owner, "ada");
    assert_eq!(chat.outline.usage.input_tokens, 10, "what it cost is still known");
    assert_eq!(pending(chat), [] as [Effect; 0]);
    assert_eq!(story.state(), StateName::W);
}
