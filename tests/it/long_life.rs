//! A chat of hundreds of messages with a model of a small window: it is summarised as it goes, what is sent stays within the
//! window however much was said, nothing that was said is lost, and every prompt can be made again.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

const MESSAGES: usize = 600;

/// Tokens of the window; a turn of this chat is about 200.
const WINDOW: u64 = 4_000;

/// All of a chat's lists of this kind, the oldest first.
async fn all(chat: &ChatClient, list: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = chat.get(&format!("/{list}?limit=200{cursor}")).await.expect(200);
        items.extend(page.items().iter().cloned());
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    items.sort_by_key(|item| item["id"].as_u64());
    items
}

#[tokio::test]
async fn a_long_life_stays_within_its_window_and_loses_no_word() {
    let config = format!(
        "[models.small]\nprovider = \"demo\"\ncontext_window = {WINDOW}\ndefault = true\n\n[limits]\nheartbeat_ms = 1000\n"
    );
    let mut server = TestServer::start_with(PROGRAM, ServerOptions::with_config(&config)).await;
    let mut chat = ChatClient::create(server.client(), json!({})).await;
    let mut stream = chat.stream(None).await;
    for number in 0..MESSAGES / 2 {
        if number == MESSAGES / 4 {
            // Halfway through the life everything in memory is lost.
            server.kill().await.expect("it can be killed");
            server.start_again().await.expect("it starts again");
            chat = chat.through(server.client());
            stream = chat.stream(None).await;
        }
        let words = format!("[[tokens 60]] Message {number}: {}", "of ships and of the sea ".repeat(10));
        chat.send(&words).await.expect(202);
        let finished = stream.until_event("turn_finished").await.pop().expect("its last frame");
        assert_eq!(finished.data["data"]["outcome"], "complete", "message {number}: {}", finished.raw);
    }

    let messages = all(&chat, "messages").await;
    let said: Vec<String> = messages
        .iter()
        .filter(|message| message["role"] == "user")
        .filter_map(|message| message["content"][0]["text"].as_str()?.split(": ").next().map(str::to_owned))
        .collect();
    let expected: Vec<String> = (0..MESSAGES / 2).map(|number| format!("[[tokens 60]] Message {number}")).collect();
    assert_eq!(said, expected, "the transcript is whole and in order");
    let answers = messages.iter().filter(|message| message["role"] == "assistant" && message["usage"].is_object());
    assert!(answers.count() >= MESSAGES / 2);

    // What was sent: never more than the window, and at the end no more than at the beginning.
    let frames = chat.replay().await;
    let attempts: Vec<&Value> =
        frames.iter().filter(|frame| frame.event == "attempt_recorded").map(|frame| &frame.data["data"]).collect();
    let mut largest: BTreeMap<usize, usize> = BTreeMap::new();
    let mut compactions = 0;
    for (index, attempt) in attempts.iter().enumerate() {
        compactions += usize::from(attempt["action"] == "compact");
        if index % 10 == 0 {
            let id = attempt["attempt_id"].as_u64().expect("an attempt has an id");
            let sent = chat.get(&format!("/attempts/{id}")).await.expect(200).text.len();
            let tenth = index * 10 / attempts.len();
            let most = largest.entry(tenth).or_default();
            *most = sent.max(*most);
        }
    }
    assert!(compactions > 10, "{compactions} summaries of {} prompts", attempts.len());
    let (first, last) = (largest[&1], largest[&9]);
    assert!(last * 2 < first * 3, "what is sent grows with the history: {largest:?}");

    let replay = server.run(&["replay", &chat.id, "--check", "--json"]).await.expect("it runs");
    let verdict: Value = serde_json::from_slice(&replay.stdout).expect("a verdict");
    let prompts = verdict["prompts"].as_array().expect("prompts");
    assert!(replay.status.success() && prompts.len() > MESSAGES / 2, "{}", prompts.len());
    assert!(prompts.iter().all(|prompt| prompt["verdict"] == "same"), "every prompt is made again");
}
