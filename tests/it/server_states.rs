//! Every command in every state, over HTTP: what is answered, and which state follows.
//!
//! The demo model makes the states: it stalls, it fails, it calls a client's tool. A chat is interrupting only for the
//! moment in which its partial answer is written, so nobody outside can send it a command then for certain.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use support::chat::ChatClient;
use support::http::{Answer, Client};
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

/// What each command comes to in each state.
///
/// States: no such chat; waiting, error, running, requires action, 1 with a queue; X archived. Cells: the chat's status in
/// the answer by its first letter (W, E, R, I, A), `ok` for an answer without one, else the refusal: `-` not allowed,
/// `x` archived, `n` no such chat, `q` no such queued message, `u` a call that waits for something else.
const TABLE: &str = "
    command         N   W   E0  E1  R0  R1  A0  A1  XW  XE0 XE1
    send queue      n   R   R   R   R   R   A   A   x   x   x
    send steer      n   R   R   R   R   R   A   A   x   x   x
    send interrupt  n   R   R   R   I   I   R   R   x   x   x
    send reject     n   R   R   -   -   -   -   -   x   x   x
    edit            n   R   R   R   R   R   R   R   x   x   x
    clear           n   W   W   -   -   -   -   -   x   x   x
    delete queued   n   q   q   ok  q   ok  q   ok  x   x   x
    promote queued  n   q   q   R   q   I   q   R   x   x   x
    interrupt       n   -   -   -   I   I   W   R   x   x   x
    tool results    n   -   -   -   -   -   R   R   x   x   x
    approvals       n   -   -   -   -   -   u   u   x   x   x
    archive         n   W   E   E   -   -   -   -   W   E   E
    unarchive       n   W   E   E   R   R   A   A   W   E   E
    rename          n   W   E   E   R   R   A   A   W   E   E
    look            n   W   E   E   R   R   A   A   W   E   E
";

/// Where the first cell of a row begins.
const NAME_COLUMNS: usize = 16;

/// The table as (command, state, cell).
fn cells() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut rows = TABLE.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| line.split_at(NAME_COLUMNS));
    let states: Vec<&str> = rows.next().expect("a head").1.split_whitespace().collect();
    rows.flat_map(|(command, cells)| {
        let cells: Vec<&str> = cells.split_whitespace().collect();
        assert_eq!(cells.len(), states.len(), "the row of {command} is not whole");
        states.iter().zip(cells).map(|(state, cell)| (command.trim(), *state, cell)).collect::<Vec<_>>()
    })
    .collect()
}

/// A chat in one of the states, with what commands need to name.
struct Specimen {
    chat: ChatClient,
    /// The first message of the user.
    message: u64,
    /// A message that waits; one that does not exist where the queue is empty.
    queued: u64,
    /// The call that waits; one that does not exist where none does.
    call: Value,
    version: u64,
}

async fn specimen(client: &Client, state: &str) -> Specimen {
    if state == "N" {
        let chat = ChatClient::of(client, "01890000-0000-7000-8000-000000000000");
        return Specimen { chat, message: 1, queued: 1, call: json!("none"), version: 0 };
    }
    let words = match state {
        "R0" | "R1" => "[[stall 1]] [[tokens 9]]",
        "E0" | "XE0" => "[[fail 401]]",
        // Tried twice, with time in between to send a message that waits.
        "E1" | "XE1" => "[[fail 503]]",
        "A0" | "A1" => "[[tool look]]",
        _ => "[[say x]]",
    };
    let tools = json!([{ "name": "look", "description": "", "parameters": {} }]);
    let chat = ChatClient::create(client, json!({ "content": words, "tools": tools })).await;
    let mut queued = 9999;
    match state {
        "R0" | "R1" => drop(chat.stream(Some("0")).await.until_event("part").await),
        "A0" | "A1" => drop(chat.until_status("requires_action").await),
        "E1" | "XE1" => drop(chat.stream(Some("0")).await.until_event("retry_scheduled").await),
        _ => drop(chat.rest().await),
    }
    if state.ends_with('1') {
        queued = chat.send("[[say queued]]").await.expect(202).number("queued_id");
    }
    if state.contains('E') {
        chat.rest().await;
    }
    if state.starts_with('X') {
        client.patch(&chat.path(""), json!({ "archived": true })).await.expect(200);
    }
    let shown = chat.get("").await.expect(200);
    let status = match state.trim_start_matches('X').chars().next() {
        Some('W') => "waiting",
        Some('E') => "error",
        Some('R') => "running",
        _ => "requires_action",
    };
    let (queue, archived) = (u64::from(state.ends_with('1')), state.starts_with('X'));
    assert_eq!(
        (&shown.body["status"], &shown.body["queue_length"], &shown.body["archived"]),
        (&json!(status), &json!(queue), &json!(archived)),
        "the specimen {state} is none: {}",
        shown.text
    );
    let call = shown.body["action"]["calls"][0]["call_id"].clone();
    let call = if call.is_null() { json!("none") } else { call };
    let message = chat.get("/messages").await.expect(200).items()[0]["id"].as_u64().expect("an id");
    Specimen { version: shown.number("version"), chat, message, queued, call }
}

async fn apply(command: &str, specimen: &Specimen) -> Answer {
    let Specimen { chat, message, queued, call, .. } = specimen;
    let client = chat.client();
    match command {
        "edit" => client.patch(&chat.path(&format!("/messages/{message}")), json!({ "content": "[[say y]]" })).await,
        "clear" => chat.post("/clear", json!({})).await,
        "delete queued" => client.delete(&chat.path(&format!("/queue/{queued}"))).await,
        "promote queued" => client.call(Method::POST, &chat.path(&format!("/queue/{queued}/promote")), None, &[]).await,
        "interrupt" => chat.post("/interrupt", json!({})).await,
        "tool results" => {
            chat.post("/tool-results", json!({ "results": [{ "call_id": call, "result": "seen" }] })).await
        }
        "approvals" => {
            chat.post("/approvals", json!({ "decisions": [{ "call_id": call, "decision": "approve" }] })).await
        }
        "archive" => client.patch(&chat.path(""), json!({ "archived": true })).await,
        "unarchive" => client.patch(&chat.path(""), json!({ "archived": false })).await,
        "rename" => client.patch(&chat.path(""), json!({ "title": "Another" })).await,
        "look" => chat.get("").await,
        send => chat.send_busy("[[say y]]", send.strip_prefix("send ").expect("a command that is known")).await,
    }
}

fn check(command: &str, state: &str, cell: &str, answer: &Answer) {
    let found = match (answer.status, answer.code()) {
        (204, _) => "ok".to_owned(),
        (200 | 202, _) if answer.body["status"] == "requires_action" => "A".to_owned(),
        (200 | 202, _) => answer.text_of("status")[..1].to_uppercase(),
        (409, "not_allowed") => "-".to_owned(),
        (409, "archived") => "x".to_owned(),
        (404, "chat_not_found") => "n".to_owned(),
        (404, "queued_message_not_found") => "q".to_owned(),
        (400, "unknown_call") => "u".to_owned(),
        (status, code) => format!("{status} {code}"),
    };
    assert_eq!(found, cell, "{command} in {state}: {} {}", answer.status, answer.text);
}

#[tokio::test]
async fn every_command_in_every_state() {
    let config = "[limits]\nturns_root_max = 0\nattempts_max = 2\nretry_base_ms = 700\n";
    let server = TestServer::start_with(PROGRAM, ServerOptions::with_config(config)).await;
    let client = server.client();
    let cells = cells();
    assert_eq!(cells.len(), 15 * 11);
    // So many chats at once that the waits overlap, and so few that none waits for its turn longer than it may.
    for some in cells.chunks(30) {
        join_all(some.iter().map(|(command, state, cell)| async move {
            let specimen = specimen(client, state).await;
            let answer = apply(command, &specimen).await;
            check(command, state, cell, &answer);
            if answer.status >= 400 && *state != "N" {
                assert_eq!(specimen.chat.version().await, specimen.version, "a refused {command} changed {state}");
            }
        }))
        .await;
    }
}

/// What the table cannot show: where the queue goes.
#[tokio::test]
async fn a_queue_survives_what_it_should() {
    let config = "[limits]\nturns_root_max = 0\nattempts_max = 2\nretry_base_ms = 700\nqueue_max = 3\n";
    let server = TestServer::start_with(PROGRAM, ServerOptions::with_config(config)).await;
    let client = server.client();
    let running = specimen(client, "R1").await.chat;
    running.send("[[say second]]").await.expect(202);
    running.send_busy("[[say third]]", "steer").await.expect(202);
    let full = running.send("[[say fourth]]").await.expect_problem(429, "queue_full");
    assert!(full.header("retry-after").is_some());
    running.send_busy("[[say fourth]]", "interrupt").await.expect_problem(429, "queue_full");
    let last = running.get("/queue").await.expect(200).items()[2]["queued_id"].as_u64().unwrap();
    running.post(&format!("/queue/{last}/promote"), json!({})).await.expect(202);
    running.rest().await;
    let said: Vec<String> =
        running.history().await.into_iter().filter(|(role, _)| role == "user").map(|(_, text)| text).collect();
    assert_eq!(said[1..], ["[[say third]]", "[[say queued]]", "[[say second]]"], "the promoted one went first");

    let failed = specimen(client, "E1").await.chat;
    failed.send("[[say last]]").await.expect(202);
    failed.rest().await;
    let said: Vec<String> =
        failed.history().await.into_iter().filter(|(role, _)| role == "user").map(|(_, text)| text).collect();
    assert_eq!(said, ["[[fail 503]]", "[[say queued]]", "[[say last]]"]);

    // An edit takes back what was said after it, and what waited.
    let edited = specimen(client, "R1").await;
    let path = edited.chat.path(&format!("/messages/{}", edited.message));
    let answer = client.patch(&path, json!({ "content": "[[say anew]]" })).await.expect(202);
    assert_eq!(answer.body["withdrawn"], json!([edited.message]));
    edited.chat.rest().await;
    let history = edited.chat.history().await;
    assert_eq!(history.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["[[say anew]]", "anew"]);
    let withdrawn = edited.chat.get("/messages?withdrawn=true").await.expect(200);
    assert!(withdrawn.items().iter().any(|message| message["id"] == edited.message && message["withdrawn"] == true));
}

#[tokio::test]
async fn a_deadline_that_passes_lets_the_turn_go_on() {
    let server =
        TestServer::start_with(PROGRAM, ServerOptions::with_config("[limits]\naction_deadline_ms = 300\n")).await;
    let chat = specimen(server.client(), "A0").await.chat;
    chat.rest().await;
    let frames = chat.replay().await;
    let resolved = frames.iter().find(|frame| frame.event == "action_resolved").unwrap();
    assert_eq!(resolved.data["data"]["resolution"], "expired");
    assert_eq!(frames.last().unwrap().data["data"]["outcome"], "complete", "the model was told and answered");
}
