//! Readers as browsers have them, on both streams of everything, over the ends of the server.

use serde_json::json;
use support::chat::ChatClient;
use support::event_source::{EventSource, Message};
use support::http::Client;
use support::server::{ServerOptions, TestServer};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::PROGRAM;

/// Chats that work while the server ends.
const CHATS: usize = 20;

/// An address that is free now, and most likely still is after a restart.
fn address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

fn source(address: &str, path: &str, client: &Client) -> EventSource {
    let key = client.key().expect("the client has a key");
    EventSource::new(format!("http://{address}/api/v1{path}?access_token={key}"))
}

/// The title of the chat that a message is about.
fn title(message: &Message) -> &str {
    message.data["chat"]["title"].as_str().unwrap_or_default()
}

/// It tells the end of the story.
fn is_last(message: &Message) -> bool {
    title(message) == "last" && message.event == "notification"
}

/// What is about the stream itself.
fn is_sign_of_life(message: &Message) -> bool {
    matches!(message.event.as_str(), "heartbeat" | "snapshot")
}

/// What a reader was told, from its first place on.
struct Told {
    begin: String,
    messages: Vec<Message>,
    connections: usize,
}

/// Reads to the end of the story; `seen` counts as it goes.
fn follow(mut source: EventSource, seen: watch::Sender<usize>) -> JoinHandle<anyhow::Result<Told>> {
    tokio::spawn(async move {
        let begin = source.next().await?.last_event_id;
        seen.send_modify(|seen| *seen += 1);
        let mut messages = Vec::new();
        while !messages.last().is_some_and(is_last) {
            let message = source.next().await?;
            if !is_sign_of_life(&message) {
                messages.push(message);
                seen.send_modify(|seen| *seen += 1);
            }
        }
        Ok(Told { begin, messages, connections: source.connections })
    })
}

/// The same story again, from the log alone, by a reader that begins at a place.
async fn again(address: &str, path: &str, client: &Client, begin: &str) -> Vec<Message> {
    let key = client.key().expect("the client has a key");
    let url = format!("http://{address}/api/v1{path}?access_token={key}&after={begin}");
    let (mut source, mut messages) = (EventSource::new(url), Vec::new());
    while !messages.last().is_some_and(is_last) {
        let message = source.next().await.expect("the log tells it again");
        if !is_sign_of_life(&message) {
            messages.push(message);
        }
    }
    messages
}

#[tokio::test]
async fn a_browser_s_readers_stay_over_restarts_without_loss_or_double() {
    readers_stay(ServerOptions::default()).await;
}

async fn readers_stay(options: ServerOptions) {
    let address = address();
    let options = ServerOptions { listen: Some(address.clone()), ..options };
    let mut server = TestServer::start_with(PROGRAM, options).await;
    let paths = ["/watch", "/inbox/watch"];
    let counts = paths.map(|_| watch::Sender::new(0));
    let followers: Vec<_> = std::iter::zip(paths, &counts)
        .map(|(path, seen)| follow(source(&address, path, server.client()), seen.clone()))
        .collect();
    for seen in &counts {
        seen.subscribe().wait_for(|seen| *seen > 0).await.unwrap();
    }
    let mut chats = Vec::new();
    for number in 0..CHATS {
        chats.push(ChatClient::begin(server.client(), &format!("[[slow 10]] [[tokens {}]]", 20 + number)).await);
    }
    for graceful in [false, true, false] {
        let watched = counts[0].subscribe();
        let before = *watched.borrow();
        watched.clone().wait_for(|seen| *seen >= before + 10).await.unwrap();
        if graceful {
            assert!(server.terminate().await.unwrap().success());
        } else {
            server.kill().await.unwrap();
        }
        server.start_again().await.unwrap();
        for chat in &mut chats {
            *chat = chat.through(server.client());
            chat.send("[[slow 5]] [[tokens 10]]").await.expect(202);
        }
    }
    for chat in &chats {
        chat.rest().await;
    }
    ChatClient::create(server.client(), json!({"title": "last", "content": "[[say goodbye]]"})).await.rest().await;

    for (path, follower) in std::iter::zip(paths, followers) {
        let told = follower.await.unwrap().unwrap_or_else(|error| panic!("{path}: {error:?}"));
        assert!(told.connections >= 4, "{path}: it connected {} times", told.connections);
        let whole = again(&address, path, server.client(), &told.begin).await;
        assert_eq!(told.messages.len(), whole.len(), "{path}");
        assert_eq!(told.messages, whole, "{path}");
        let count = |event: &str| told.messages.iter().filter(|message| message.event == event).count();
        // The first message of each chat, one after each restart, and the last chat's.
        assert_eq!(count("notification"), CHATS * 4 + 1, "{path}");
        assert_eq!(count("chat_created"), if path == "/watch" { CHATS + 1 } else { 0 });
        let ids: std::collections::BTreeSet<_> = told.messages.iter().map(|message| &message.last_event_id).collect();
        assert_eq!(ids.len(), told.messages.len(), "{path}: every message has an id of its own");
        if path == "/inbox/watch" {
            let list = server.client().get("/inbox?limit=200").await.expect(200);
            let told: Vec<_> = told.messages.iter().rev().map(|message| &message.data["id"]).collect();
            let listed: Vec<_> = list.items().iter().map(|item| &item["id"]).collect();
            assert_eq!(told, listed);
        }
    }
}
