use chrono::DateTime;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::chat::{PendingRetry, evolve};
use crate::envelope::Recorded;
use crate::error::ChatError;
use crate::event::{ChatCreated, Event};
use crate::ids::{ChatId, Digest};
use crate::message::Visibility;

fn offer(tools: impl IntoIterator<Item = Arc<ToolDefinition>>) -> Offer {
    Offer { tools: tools.into_iter().collect(), ..Offer::default() }
}

/// A chat with this history.
fn chat(history: impl IntoIterator<Item = Message>) -> Chat {
    let id = ChatId(Uuid::from_u128(1));
    let created = ChatCreated {
        system_prompt: Some("Be brief.".to_owned()),
        tools: vec![tool("get_time"), tool("ask_colour")],
        ..ChatCreated::new("ada", id, "New chat")
    };
    let recorded = Recorded::decided(id, 1, DateTime::UNIX_EPOCH, Event::ChatCreated(created));
    let mut chat = evolve(None, &recorded).expect("a creation");
    history.into_iter().for_each(|message| chat.history.push(Arc::new(message)));
    chat
}

fn tool(name: &str) -> Arc<ToolDefinition> {
    let (name, description) = (name.to_owned(), "A tool.".to_owned());
    Arc::new(ToolDefinition { name, description, parameters: json!({"type": "object"}) })
}

fn message(id: MessageId, role: Role, parts: Vec<Part>) -> Message {
    let origin = match role {
        Role::Assistant => Origin::Model,
        Role::Tool => Origin::Tool,
        Role::User | Role::System => Origin::User,
    };
    Message::new(id, role, parts, origin, DateTime::UNIX_EPOCH)
}

fn user(id: MessageId, text: &str) -> Message {
    message(id, Role::User, vec![Part::text(text)])
}

fn model(id: MessageId, text: &str) -> Message {
    message(id, Role::Assistant, vec![Part::text(text)])
}

fn call(id: &str) -> Part {
    Part::ToolCall {
        call_id: id.to_owned(),
        name: format!("tool_{id}"),
        args: json!({}),
        provider_executed: false,
        metadata: None,
    }
}

fn result(id: &str, text: &str) -> Part {
    Part::ToolResult {
        call_id: id.to_owned(),
        name: format!("tool_{id}"),
        result: json!(text),
        is_error: false,
        provider_executed: false,
        metadata: None,
    }
}

fn by_provider(mut part: Part) -> Part {
    if let Part::ToolCall { provider_executed, .. } | Part::ToolResult { provider_executed, .. } = &mut part {
        *provider_executed = true;
    }
    part
}

fn reasoning(text: &str) -> Part {
    Part::Reasoning { text: text.to_owned(), metadata: None }
}

/// A part in one word: what it is and what it holds.
fn outline(part: &Part) -> String {
    match part {
        Part::Text { text } => text.clone(),
        Part::Reasoning { text, .. } => format!("({text})"),
        Part::ToolCall { call_id, provider_executed: false, .. } => format!("?{call_id}"),
        Part::ToolCall { call_id, .. } => format!("??{call_id}"),
        Part::ToolResult { call_id, result, is_error, provider_executed, .. } => {
            let mark = if *provider_executed { "==" } else { "=" };
            format!("{mark}{call_id}:{}{}", result.as_str().unwrap_or("?"), if *is_error { "!" } else { "" })
        }
        Part::Source { url, .. } => format!("<{url}>"),
        Part::File { file_id, .. } => format!("[{file_id}]"),
        Part::ContextFile { path, .. } => format!("[{path}]"),
    }
}

/// The conversation, a line per message: its role's letter, then its parts.
fn shown(messages: &[Arc<Message>]) -> Vec<String> {
    let line = |message: &Arc<Message>| {
        let parts: Vec<_> = message.parts.iter().map(outline).collect();
        format!("{}: {}", format!("{:?}", message.role).to_lowercase(), parts.join(" "))
    };
    messages.iter().map(line).collect()
}

/// Assembles a history into these lines, and into nothing a provider refuses.
#[track_caller]
fn check(history: impl IntoIterator<Item = Message>, lines: &[&str]) {
    let prompt = assemble(&chat(history), &Offer::default());
    assert_eq!(shown(&prompt.messages), lines);
    assert_eq!(problems(&prompt), Vec::<String>::new());
}

#[test]
fn a_sound_conversation_is_shared_not_copied() {
    let chat = chat([
        user(2, "hello"),
        message(3, Role::Assistant, vec![reasoning("hm"), Part::text("let me see"), call("a"), call("b")]),
        message(4, Role::Tool, vec![result("b", "2")]),
        message(5, Role::Tool, vec![result("a", "1")]),
        model(6, "done"),
        user(7, "thanks"),
    ]);
    let prompt = assemble(&chat, &Offer::default());
    assert_eq!(problems(&prompt), Vec::<String>::new());
    assert_eq!(prompt.messages.len(), chat.history.len());
    assert!(prompt.messages.iter().zip(chat.history.iter()).all(|(given, kept)| Arc::ptr_eq(given, kept)));
}

#[test]
fn a_missing_answer_is_made_up() {
    check(
        [
            user(2, "go"),
            message(3, Role::Assistant, vec![call("a"), call("b")]),
            message(4, Role::Tool, vec![result("b", "2")]),
        ],
        &["user: go", "assistant: ?a ?b", "tool: =b:2", "tool: =a:no result was recorded!"],
    );
}

#[test]
fn answers_move_to_their_calls() {
    check(
        [
            user(2, "go"),
            message(3, Role::Assistant, vec![call("a")]),
            user(4, "and?"),
            message(5, Role::Assistant, vec![call("b")]),
            message(6, Role::Tool, vec![result("b", "2"), result("a", "1")]),
            user(7, "well"),
        ],
        &["user: go", "assistant: ?a", "tool: =a:1", "user: and?", "assistant: ?b", "tool: =b:2", "user: well"],
    );
}

#[test]
fn answers_without_a_call_and_second_answers_are_left_out() {
    check(
        [
            message(2, Role::Tool, vec![result("a", "early")]),
            user(3, "go"),
            message(4, Role::Assistant, vec![call("a"), call("a")]),
            message(5, Role::Tool, vec![result("x", "stray"), result("a", "1"), result("a", "2")]),
            message(6, Role::Tool, vec![result("a", "3")]),
        ],
        &["user: go", "assistant: ?a", "tool: =a:1"],
    );
}

#[test]
fn an_id_that_is_used_again_is_another_call() {
    check(
        [
            user(2, "go"),
            message(3, Role::Assistant, vec![call("a")]),
            message(4, Role::Tool, vec![result("a", "1")]),
            message(5, Role::Assistant, vec![call("a")]),
            message(6, Role::Assistant, vec![call("a")]),
            message(7, Role::Tool, vec![result("a", "3")]),
        ],
        &[
            "user: go",
            "assistant: ?a",
            "tool: =a:1",
            "assistant: ?a",
            "tool: =a:no result was recorded!",
            "assistant: ?a",
            "tool: =a:3",
        ],
    );
}

#[test]
fn calls_of_the_provider_stay_with_their_results_inside_the_message() {
    let [call_a, result_a] = [by_provider(call("a")), by_provider(result("a", "1"))];
    check(
        [
            user(2, "go"),
            message(3, Role::Assistant, vec![call_a.clone(), result_a.clone(), Part::text("found")]),
            user(4, "more"),
            message(5, Role::Assistant, vec![result_a.clone(), call_a.clone(), Part::text("hm")]),
            user(6, "more"),
            message(7, Role::Assistant, vec![call_a.clone(), call_a, Part::text("hm"), result_a.clone(), result_a]),
            user(8, "end"),
        ],
        &[
            "user: go",
            "assistant: ??a ==a:1 found",
            "user: more",
            "assistant: hm",
            "user: more",
            "assistant: ??a hm ==a:1",
            "user: end",
        ],
    );
}

#[test]
fn what_says_nothing_is_left_out() {
    let source = Part::Source { url: "u".to_owned(), title: String::new() };
    check(
        [
            user(2, "go"),
            message(3, Role::Assistant, vec![]),
            message(4, Role::Assistant, vec![Part::text(" \n")]),
            message(5, Role::Assistant, vec![reasoning("only thoughts")]),
            message(6, Role::Assistant, vec![source.clone()]),
            message(7, Role::Assistant, vec![reasoning(""), Part::text("a"), Part::text(""), source, reasoning("cut")]),
            message(8, Role::User, vec![]),
            user(9, "  "),
            user(10, "end"),
        ],
        &["user: go", "assistant: a <u>", "user: end"],
    );
}

#[test]
fn parts_in_the_wrong_mouth_are_left_out() {
    check(
        [
            message(2, Role::User, vec![Part::text("go"), call("a"), result("a", "1"), reasoning("mine")]),
            message(3, Role::Assistant, vec![Part::text("a"), result("a", "1")]),
            message(4, Role::Tool, vec![Part::text("words")]),
            user(5, "end"),
        ],
        &["user: go", "assistant: a", "user: end"],
    );
}

#[test]
fn hidden_reasoning_goes_back() {
    let hidden = Part::Reasoning { text: String::new(), metadata: Some(json!({"redacted": "eA=="})) };
    check(
        [user(2, "go"), message(3, Role::Assistant, vec![hidden, Part::text("a")]), user(4, "end")],
        &["user: go", "assistant: () a", "user: end"],
    );
}

#[test]
fn a_conversation_begins_and_ends_with_somebody_else_than_the_model() {
    check([model(2, "hello")], &["user: (Earlier messages are left out.)", "assistant: hello", "user: Continue."]);
    check([], &["user: Continue."]);
    check(
        [message(2, Role::System, vec![Part::text("rules")]), model(3, "hello"), user(4, "end")],
        &["system: rules", "user: (Earlier messages are left out.)", "assistant: hello", "user: end"],
    );
}

#[test]
fn a_prompt_starts_at_the_newest_boundary_and_keeps_system_messages() {
    let mut chat = chat([
        message(2, Role::System, vec![Part::text("rules")]),
        user(3, "old"),
        message(4, Role::Assistant, vec![call("a")]),
        message(6, Role::Tool, vec![result("a", "1")]),
        user(7, "new"),
    ]);
    chat.boundary = 5;
    let prompt = assemble(&chat, &Offer::default());
    assert_eq!(shown(&prompt.messages), ["system: rules", "user: new"]);
    assert_eq!(problems(&prompt), Vec::<String>::new());
}

#[test]
fn the_model_reads_what_is_for_the_model() {
    let with = |visibility, message: Message| Message { visibility, ..message };
    check(
        [
            with(Visibility::User, user(2, "for users")),
            with(Visibility::Model, user(3, "for the model")),
            with(Visibility::User, model(4, "for users")),
            with(Visibility::Both, user(5, "for both")),
        ],
        &["user: for the model", "user: for both"],
    );
}

#[test]
fn instructions_that_say_nothing_are_none() {
    let with = |system_prompt: Option<&str>| {
        let mut chat = chat([user(2, "go")]);
        Arc::make_mut(&mut chat.config).system_prompt = system_prompt.map(str::to_owned);
        assemble(&chat, &Offer::default()).system
    };
    assert_eq!(with(Some("Be brief.")), Some("Be brief.".to_owned()));
    assert_eq!(with(Some(" \n")), None);
    assert_eq!(with(None), None);
}

#[test]
fn the_clients_tools_come_first_and_the_chat_names_the_servers() {
    let offered = || [tool("read_file"), tool("get_time"), tool("execute")];
    let names = |server_tools: Option<&[&str]>| -> Vec<String> {
        let mut chat = chat([user(2, "go")]);
        let named = server_tools.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Arc::make_mut(&mut chat.config).server_tools = named;
        let prompt = assemble(&chat, &offer(offered()));
        assert_eq!(problems(&prompt), Vec::<String>::new());
        prompt.tools.iter().map(|tool| tool.name.clone()).collect()
    };
    assert_eq!(names(None), ["get_time", "ask_colour", "read_file", "execute"]);
    assert_eq!(names(Some(&["*"])), ["get_time", "ask_colour", "read_file", "execute"]);
    assert_eq!(names(Some(&["execute", "unknown"])), ["get_time", "ask_colour", "execute"]);
    assert_eq!(names(Some(&[])), ["get_time", "ask_colour"]);
}

#[test]
fn what_is_withheld_is_not_shown() {
    let withheld = Offer { withheld: vec!["get_time".to_owned()], ..offer([tool("execute")]) };
    let prompt = assemble(&chat([user(2, "go")]), &withheld);
    let names: Vec<&str> = prompt.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["ask_colour", "execute"]);
}

#[test]
fn a_summary_is_asked_for_with_the_same_beginning_and_without_unanswered_messages() {
    let history = [
        user(2, "go"),
        message(3, Role::Assistant, vec![call("a")]),
        message(4, Role::Tool, vec![result("a", "1")]),
        user(5, "and?"),
        user(6, "well?"),
    ];
    let chat = chat(history);
    let summary = assemble_summary(&chat, &offer([tool("read_file")]), "Summarise.");
    let next = assemble(&chat, &offer([tool("read_file")]));
    assert_eq!(shown(&summary.messages), ["user: go", "assistant: ?a", "tool: =a:1", "user: Summarise."]);
    assert_eq!(problems(&summary), Vec::<String>::new());
    assert_eq!(summary.messages[..3], next.messages[..3]);
    assert_eq!((&summary.system, &summary.tools), (&next.system, &next.tools));
}

#[test]
fn a_summary_that_was_refused_as_it_was_is_asked_for_without_tools() {
    let retry = |kind| PendingRetry {
        attempt_id: 4,
        attempt: 1,
        delay_ms: 0,
        retry_at: DateTime::UNIX_EPOCH,
        error: ChatError::retryable(kind, "It failed."),
    };
    let mut chat = chat([user(2, "go"), model(3, "done")]);
    let with_tools = summary(&chat, &Offer::default());
    assert_eq!(with_tools.tools, assemble(&chat, &Offer::default()).tools);
    assert!(!with_tools.tools.is_empty());
    chat.outline.retry = Some(retry(ErrorKind::Overloaded));
    assert_eq!(summary(&chat, &Offer::default()), with_tools);
    chat.outline.retry = Some(retry(ErrorKind::Config));
    let without = summary(&chat, &Offer::default());
    assert_eq!(without, Prompt { tools: Vec::new(), ..with_tools });
    assert_eq!(without.messages.last().map(|last| last.parts.clone()), Some(vec![Part::text(SUMMARY_INSTRUCTION)]));
}

#[test]
fn a_summary_of_a_finished_conversation_ends_with_its_instruction_alone() {
    let summary = assemble_summary(&chat([user(2, "go"), model(3, "done")]), &Offer::default(), "Summarise.");
    assert_eq!(shown(&summary.messages), ["user: go", "assistant: done", "user: Summarise."]);
}

/// Each thing that a provider refuses, and the words that name it.
#[test]
fn problems_are_found() {
    let table: Vec<(Vec<Message>, &str)> = vec![
        (vec![], "is empty"),
        (vec![user(1, "a"), model(2, "b")], "ends with a message of role Assistant"),
        (vec![model(1, "a"), user(2, "b")], "begins with a message of role Assistant"),
        (
            vec![user(1, "a"), message(2, Role::Assistant, vec![call("x")]), user(3, "b")],
            "\"x\" is not answered before message 3",
        ),
        (vec![user(1, "a"), message(2, Role::Assistant, vec![call("x"), call("x")])], "calls \"x\" twice"),
        (vec![user(1, "a"), message(2, Role::Tool, vec![result("x", "1")])], "answers \"x\", which is no open call"),
        (vec![user(1, "a"), message(2, Role::Tool, vec![Part::text("x")])], "of role Tool holds"),
        (vec![user(1, "a"), message(2, Role::Tool, vec![])], "message 2 is empty"),
        (
            vec![user(1, "a"), message(2, Role::Assistant, vec![result("x", "1")]), user(3, "b")],
            "result of \"x\" without its call",
        ),
        (vec![message(1, Role::User, vec![call("x")])], "of role User holds"),
        (vec![user(1, " ")], "has blank text"),
        (vec![message(1, Role::User, vec![])], "says nothing"),
        (vec![user(1, "a"), message(2, Role::Assistant, vec![reasoning("x")]), user(3, "b")], "says nothing"),
        (
            vec![user(1, "a"), message(2, Role::Assistant, vec![Part::text("x"), reasoning("y")]), user(3, "b")],
            "ends in reasoning",
        ),
        (
            vec![user(1, "a"), message(2, Role::Assistant, vec![reasoning(""), Part::text("x")]), user(3, "b")],
            "blank reasoning",
        ),
        (
            vec![user(1, "a"), message(2, Role::Assistant, vec![by_provider(call("x"))]), user(3, "b")],
            "lacks the provider's result of \"x\"",
        ),
    ];
    for (messages, expected) in table {
        let messages = messages.into_iter().map(Arc::new).collect();
        let found = problems(&Prompt { system: None, messages, tools: vec![], ..Prompt::default() });
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected:?} is not among {found:?}");
    }
    let prompt = Prompt {
        system: Some(" ".to_owned()),
        messages: vec![Arc::new(user(1, "a"))],
        tools: vec![tool("a"), tool("a")],
        ..Prompt::default()
    };
    assert_eq!(problems(&prompt), ["the instructions are blank", "two tools are named \"a\""]);
}

fn any_part() -> impl Strategy<Value = Part> {
    let id = prop::sample::select(vec!["a", "b", "c"]);
    let words = prop::sample::select(vec!["", " ", "one", "two"]);
    prop_oneof![
        4 => words.clone().prop_map(Part::text),
        2 => (words, prop::option::of(Just(json!("sig"))))
            .prop_map(|(words, metadata): (&str, Option<Value>)| Part::Reasoning { text: words.to_owned(), metadata }),
        4 => (id.clone(), any::<bool>()).prop_map(|(id, hosted)| if hosted { by_provider(call(id)) } else { call(id) }),
        4 => (id, any::<bool>()).prop_map(|(id, hosted)| {
            if hosted { by_provider(result(id, "1")) } else { result(id, "1") }
        }),
        1 => Just(Part::Source { url: "u".to_owned(), title: String::new() }),
        1 => Just(Part::File { file_id: "f".to_owned(), media_type: "image/png".to_owned(), name: "a".to_owned(), content: None }),
    ]
}

fn any_history() -> impl Strategy<Value = Vec<Message>> {
    let role =
        prop::sample::select(vec![Role::User, Role::Assistant, Role::Assistant, Role::Tool, Role::Tool, Role::System]);
    let visibility =
        prop::sample::select(vec![Visibility::Both, Visibility::Both, Visibility::User, Visibility::Model]);
    let one = (role, visibility, prop::collection::vec(any_part(), 0..5));
    prop::collection::vec(one, 0..24).prop_map(|messages| {
        let numbered = (2..).zip(messages);
        numbered.map(|(id, (role, visibility, parts))| Message { visibility, ..message(id, role, parts) }).collect()
    })
}

fn words(messages: &[Arc<Message>]) -> Vec<&str> {
    let parts = messages.iter().filter(|message| message.role != Role::Tool).flat_map(|message| &message.parts);
    parts
        .filter_map(|part| match part {
            Part::Text { text } if !text.trim().is_empty() => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

proptest! {
    #[test]
    fn every_history_makes_a_prompt_that_is_not_refused(history in any_history(), boundary in 0..30_u64) {
        let mut chat = chat(history);
        chat.boundary = boundary;
        for prompt in [assemble(&chat, &offer([tool("a")])), assemble_summary(&chat, &offer([tool("a")]), "Summarise.")] {
            prop_assert_eq!(problems(&prompt), Vec::<String>::new());
        }
    }

    #[test]
    fn a_history_is_read_alike_however_much_of_it_is_sound(history in any_history()) {
        let history: Vec<Arc<Message>> = history.into_iter().map(Arc::new).collect();
        prop_assert_eq!(repair::repaired(history.iter()), repair::rearranged(history.iter()));
    }

    #[test]
    fn what_was_repaired_once_needs_no_more_repair(history in any_history()) {
        let history: Vec<Arc<Message>> = history.into_iter().map(Arc::new).collect();
        let once = repair::repaired(history.iter());
        let twice = repair::repaired(once.iter());
        prop_assert_eq!(once.len(), twice.len());
        prop_assert!(once.iter().zip(&twice).all(|(once, twice)| Arc::ptr_eq(once, twice)));
    }

    /// Repairing leaves every word in, in order, and every call with a first answer keeps that answer.
    #[test]
    fn no_word_is_lost_on_the_way_to_the_model(history in any_history()) {
        let history: Vec<Arc<Message>> = history.into_iter().map(Arc::new).collect();
        let repaired = repair::repaired(history.iter());
        prop_assert_eq!(words(&repaired), words(&history));
    }

    /// A longer conversation begins as the shorter one did, so that a provider's cache holds.
    #[test]
    fn a_prompt_grows_at_its_end(turns in 1..8_u64, extra in 1..4_u64) {
        let history = |turns: u64| (0..turns).flat_map(|turn| {
            let id = 2 + turn * 4;
            [
                user(id, "go"),
                message(id + 1, Role::Assistant, vec![call("a"), Part::text("x")]),
                message(id + 2, Role::Tool, vec![result("a", "1")]),
                model(id + 3, "done"),
            ]
        });
        let short = assemble(&chat(history(turns).chain([user(2 + turns * 4, "go")])), &Offer::default()).messages;
        let long = assemble(&chat(history(turns + extra)), &Offer::default()).messages;
        prop_assert_eq!(&long[..short.len()], &short[..]);
    }
}

mod files;
