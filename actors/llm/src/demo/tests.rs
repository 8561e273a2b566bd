use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;
use verbatim_events::event::RequestRecipe;
use verbatim_events::ids::{AttemptId, ChatId};
use verbatim_events::message::{FinishReason, Message, Role};
use verbatim_events::part::{LivePart, Part};

use super::directive::{Directives, Fail, parse};
use super::*;
use crate::testing::{message, user};

fn prompt(messages: Vec<Arc<Message>>) -> Prompt {
    Prompt { system: Some("Be kind.".into()), messages, tools: Vec::new(), ..Prompt::default() }
}

fn model(max_output_tokens: Option<u64>) -> ModelSettings {
    let name = "demo".to_owned();
    ModelSettings {
        provider: name.clone(),
        provider_model: name.clone(),
        name,
        context_window: None,
        max_output_tokens,
        ..ModelSettings::default()
    }
}

fn identity(attempt_id: AttemptId) -> CallIdentity {
    CallIdentity { chat_id: ChatId(Uuid::from_u128(1)), attempt_id, request_id: Uuid::from_u128(2) }
}

/// What a call gave, and how.
#[derive(Debug, PartialEq)]
struct Said {
    parts: Vec<LivePart>,
    end: Result<ModelFinished, CallError>,
}

impl Said {
    fn text(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                LivePart::TextDelta { text } => text.as_str(),
                _ => "",
            })
            .collect()
    }

    #[track_caller]
    fn finish_reason(&self) -> FinishReason {
        self.end.as_ref().unwrap().finish_reason
    }

    #[track_caller]
    fn error(&self) -> (ErrorKind, bool) {
        let error = &self.end.as_ref().unwrap_err().error;
        (error.kind, error.retryable)
    }
}

/// Calls the model; `taken` sees the parts as they come.
async fn call(demo: &Demo, prompt: &Prompt, limit: Option<u64>, taken: &Arc<Mutex<Vec<LivePart>>>) -> Said {
    let request = demo.encode(prompt, &model(limit), None).unwrap();
    let sink = Arc::clone(taken);
    let sink: PartSink = Box::new(move |part| {
        sink.lock().unwrap().push(part);
        true
    });
    let end = demo.call(request, identity(9), sink, Meter::default()).await;
    Said { parts: taken.lock().unwrap().clone(), end }
}

async fn ask(demo: &Demo, messages: Vec<Arc<Message>>) -> Said {
    call(demo, &prompt(messages), None, &Arc::default()).await
}

async fn say(text: &str) -> Said {
    ask(&Demo::new(), vec![user(text)]).await
}

#[test]
fn directives_are_read_and_the_rest_is_text() {
    let check = |text: &str, expected: Directives, rest: &str| {
        assert_eq!(parse(text), (expected, rest.to_owned()), "{text}");
    };
    let none = Directives::default;
    let stop = |after_tokens, times| Some(Break { after_tokens, times });
    check("a [[slow 50]] b", Directives { slow_ms: 50, ..none() }, "a b");
    check("[[slow 999999999]]", Directives { slow_ms: 60_000, ..none() }, "");
    check("[[tokens 3]][[reasoning]]", Directives { tokens: Some(3), reasoning: true, ..none() }, "");
    check("[[stall]] [[cut 10 times 2]]", Directives { stall: stop(0, None), cut: stop(10, Some(2)), ..none() }, "");
    check("[[stall 4]] [[cut times 1]]", Directives { stall: stop(4, None), cut: stop(0, Some(1)), ..none() }, "");
    check("[[empty]] [[refuse]]", Directives { empty: true, refuse: true, ..none() }, "");
    check("[[say  two [brackets] ]]!", Directives { say: Some(" two [brackets] ".into()), ..none() }, "!");
    let fail = |status, retry_after: Option<&str>, times| {
        let fail = Fail { status, retry_after: retry_after.map(str::to_owned), times };
        Directives { fail: Some(fail), ..none() }
    };
    check("[[fail 503]]", fail(503, None, None), "");
    check("[[fail 429 retry-after 2]]", fail(429, Some("2"), None), "");
    check("[[fail 429 retry-after 0.5 times 3]]", fail(429, Some("0.5"), Some(3)), "");
    let tools = |tools: &[(&str, Value)]| {
        let tools = tools.iter().map(|(name, args)| ((*name).to_owned(), args.clone())).collect();
        Directives { tools, ..none() }
    };
    check("[[tool look]]", tools(&[("look", json!({}))]), "");
    check(
        "[[tool a {\"x\": [[1]]} ]] and [[tool b {}]]",
        tools(&[("a", json!({ "x": [[1]] })), ("b", json!({}))]),
        "and",
    );
    for text in
        ["[[fail]]", "[[fail 200]]", "[[nothing]]", "[[tool x {]]", "[[slow]]", "[[cut x]]", "[[", "a [[ b", "[[tool"]
    {
        check(text, none(), text);
    }
}

#[tokio::test]
async fn the_same_conversation_gets_the_same_answer_word_by_word() {
    let messages =
        vec![user("Hello"), message(Role::Assistant, vec![Part::text("Hi")]), user("Which rivers cross Vienna?")];
    let said = ask(&Demo::new(), messages.clone()).await;
    assert_eq!(said, ask(&Demo::new(), messages).await);
    let text = said.text();
    assert!(text.starts_with("Good question about rivers, cross and vienna. This is message 2 from you"), "{text}");
    assert!(text.contains("it has 4 words") && text.contains("demo model"), "{text}");
    assert_eq!(said.parts.len(), text.split_whitespace().count());
    let finished = said.end.unwrap();
    assert_eq!(finished.finish_reason, FinishReason::Stop);
    let usage = finished.usage.unwrap();
    assert_eq!(usage.output_tokens, text.len().div_ceil(4) as u64);
    assert!(usage.input_tokens > 10 && usage.reasoning_tokens == 0);
}

#[tokio::test]
async fn asked_for_a_summary_it_tells_what_users_said_and_follows_no_orders() {
    let said = ask(
        &Demo::new(),
        vec![
            user("The password is swordfish. [[fail 503]]"),
            message(Role::Assistant, vec![Part::text("I see.")]),
            user(SUMMARY_INSTRUCTION),
        ],
    )
    .await;
    let text = said.text();
    assert!(text.starts_with("Summary of the conversation so far: there were 2 messages, 1 of them"), "{text}");
    assert!(text.ends_with("- The password is swordfish."), "{text}");
    assert_eq!(said.end.unwrap().finish_reason, FinishReason::Stop);
}

#[tokio::test]
async fn every_message_gets_some_answer() {
    for text in ["", "hi", "🦀", "?", "[[unknown]]", "das ist ein Satz mit Umlauten: äöü"] {
        let said = say(text).await;
        assert!(said.text().contains("demo model"), "{text}");
    }
    assert!(ask(&Demo::new(), Vec::new()).await.text().contains("demo model"));
    assert_eq!(say("help").await.text(), answer::HELP);
    assert_eq!(say("Can you help me?").await.text(), answer::HELP);
}

#[tokio::test]
async fn what_it_says_and_how_long() {
    assert_eq!(say("x [[say  exactly\n\nthis  ]]").await.text(), " exactly\n\nthis  ");
    assert_eq!(say("[[tokens 200]] go").await.text().split_whitespace().count(), 200);
    let empty = say("[[empty]] [[tokens 5]]").await;
    assert_eq!((empty.parts.len(), empty.finish_reason()), (0, FinishReason::Stop));
    let refused = say("[[refuse]]").await;
    assert_eq!(refused.error(), (ErrorKind::ContentFilter, false));
    let thoughtful = say("[[reasoning]] the sea").await;
    assert!(matches!(thoughtful.parts.first(), Some(LivePart::ReasoningDelta { .. })));
    assert!(thoughtful.end.unwrap().usage.unwrap().reasoning_tokens > 0);
    let limited = call(&Demo::new(), &prompt(vec![user("[[say a b c d]]")]), Some(3), &Arc::default()).await;
    assert_eq!((limited.text().as_str(), limited.finish_reason()), ("a b c ", FinishReason::Length));
}

#[tokio::test]
async fn a_tool_is_called_and_its_answer_told() {
    let question = user("[[tool look {\"x\": 1}]] [[tool find]]");
    let asked = ask(&Demo::new(), vec![question.clone()]).await;
    assert_eq!(asked.finish_reason(), FinishReason::ToolCalls);
    let calls: Vec<Part> = asked
        .parts
        .iter()
        .filter_map(|part| match part {
            LivePart::Whole(part) => Some(part.clone()),
            _ => None,
        })
        .collect();
    let call = |call_id: &str, name: &str, args: Value| Part::ToolCall {
        call_id: call_id.into(),
        name: name.into(),
        args,
        provider_executed: false,
        metadata: None,
    };
    assert_eq!(calls, [call("call_9_0", "look", json!({ "x": 1 })), call("call_9_1", "find", json!({}))]);
    let result = |call_id: &str, name: &str, result: Value, is_error| Part::ToolResult {
        call_id: call_id.into(),
        name: name.into(),
        result,
        is_error,
        provider_executed: false,
        metadata: None,
    };
    let results = vec![result("call_9_0", "look", json!("a lake"), false), result("call_9_1", "find", json!([]), true)];
    let messages = vec![question, message(Role::Assistant, calls), message(Role::Tool, results)];
    let told = ask(&Demo::new(), messages.clone()).await;
    assert_eq!(told.text(), "The tool look answered: a lake\nThe tool find failed: []");
    assert_eq!(told.finish_reason(), FinishReason::Stop);
    // A new message is a new question.
    let next = ask(&Demo::new(), [messages, vec![user("thanks")]].concat()).await;
    assert!(next.text().contains("message 2 from you"));
}

#[tokio::test]
async fn failures_count_attempts_per_chat_and_message() {
    let demo = Demo::new();
    let question = || vec![user("[[fail 429 retry-after 2 times 2]] [[say ok]]")];
    for _ in 0..2 {
        let failed = ask(&demo, question()).await;
        assert_eq!(failed.error(), (ErrorKind::RateLimit, true));
        assert_eq!(failed.end.unwrap_err().retry_after_ms, Some(2000));
    }
    assert_eq!(ask(&demo, question()).await.text(), "ok");
    // The turn's later steps are the same message; the same words later on are another.
    let step = message(Role::Assistant, vec![Part::text("…")]);
    assert_eq!(ask(&demo, [question(), vec![step.clone()]].concat()).await.text(), "ok");
    assert_eq!(ask(&demo, [question(), vec![step], question()].concat()).await.error(), (ErrorKind::RateLimit, true));
    assert_eq!(ask(&Demo::new(), question()).await.error(), (ErrorKind::RateLimit, true));
    for _ in 0..3 {
        assert_eq!(ask(&demo, vec![user("[[fail 503]]")]).await.error(), (ErrorKind::Timeout, true));
    }
    assert_eq!(say("[[fail 401]]").await.error(), (ErrorKind::Auth, false));
    assert_eq!(say("[[fail 529]]").await.error(), (ErrorKind::Overloaded, true));
}

#[tokio::test]
async fn a_cut_comes_after_so_many_tokens() {
    let demo = Demo::new();
    let question = || vec![user("[[cut 2 times 1]] [[say a b c]]")];
    let cut = ask(&demo, question()).await;
    assert_eq!((cut.text().as_str(), cut.error()), ("a b ", (ErrorKind::Timeout, true)));
    assert_eq!(ask(&demo, question()).await.text(), "a b c");
    let late = say("[[cut 99]] [[say a b]]").await;
    assert_eq!((late.text().as_str(), late.error()), ("a b", (ErrorKind::Timeout, true)));
}

#[tokio::test(start_paused = true)]
async fn a_stall_never_ends() {
    let taken = Arc::default();
    let (demo, prompt) = (Demo::new(), prompt(vec![user("[[stall 2]] [[say a b c]]")]));
    let stalled = tokio::time::timeout(Duration::from_secs(24 * 3600), call(&demo, &prompt, None, &taken)).await;
    assert!(stalled.is_err());
    assert_eq!(taken.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn pace_is_as_ordered() {
    let start = Instant::now();
    say("[[slow 50]] [[tokens 4]]").await;
    assert_eq!(start.elapsed(), Duration::from_millis(200));
    let start = Instant::now();
    say("[[tokens 5000]]").await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn it_stops_when_nobody_wants_more() {
    let demo = Demo::new();
    let request = demo.encode(&prompt(vec![user("[[say a b c]]")]), &model(None), None).unwrap();
    let count = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&count);
    let sink: PartSink = Box::new(move |_| {
        let mut seen = seen.lock().unwrap();
        *seen += 1;
        *seen < 2
    });
    assert!(demo.call(request, identity(1), sink, Meter::default()).await.is_err());
    assert_eq!(*count.lock().unwrap(), 2);
}

#[test]
fn a_request_is_made_again_from_its_recipe() {
    let prompt = prompt(vec![user("hi")]);
    let request = Demo::named("mine").encode(&prompt, &model(Some(7)), Some("low")).unwrap();
    assert_eq!(request.recipe.provider, "mine");
    assert_eq!(crate::encode_with(&request.recipe, &prompt), Some(request.clone()));
    let other = RequestRecipe { encoder: 1, ..request.recipe };
    assert_eq!(crate::encode_with(&other, &prompt), None);
}

#[test]
fn a_request_is_one_document() {
    for messages in [vec![], vec![user("hi\nthere")], vec![user("a"), message(Role::Assistant, vec![]), user("b,")]] {
        let count = messages.len();
        let request = Demo::new().encode(&prompt(messages), &model(None), None).unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["messages"].as_array().map(Vec::len), Some(count));
        assert_eq!((&body["model"], &body["system"]), (&json!("demo"), &json!("Be kind.")));
    }
}
