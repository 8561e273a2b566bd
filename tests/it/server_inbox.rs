//! Readers as browsers have them, on both streams of everything, over the ends of the server.

use anyhow::ensure;
use serde_json::json;
use support::chat::ChatClient;
use support::event_source::{EventSource, Message};
use support::http::Client;
use support::postgres::Postgres;
use support::server::{ServerOptions, TestServer};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::PROGRAM;

/// Chats that work while the server ends.
const CHATS: usize = 20;

/// What a reader gets of a story before the server ends. Each chat tells at least one thing during each of its lives.
const SEEN_MIN: usize = CHATS / 2;

/// How often a connection gives a sign of life, in ms.
const HEARTBEAT_MS: u64 = 1000;

/// Signs of life in a row, without anything told, after which nothing will be told any more.
const SIGNS_MAX: usize = 60;

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

/// How far a reader is.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The connections over which anything came, a sign of life at least.
    connections: usize,
    messages: usize,
}

/// Reads to the end of the story and says in `seen` how far it is. An error once the stream lives but tells nothing.
async fn read(source: &mut EventSource, seen: &watch::Sender<Seen>) -> anyhow::Result<Vec<Message>> {
    let (mut messages, mut signs) = (Vec::new(), 0);
    while !messages.last().is_some_and(is_last) {
        let message = source.next().await?;
        if is_sign_of_life(&message) {
            signs += 1;
            ensure!(signs < SIGNS_MAX, "only signs of life after {:?}, now {message:?}", *seen.borrow());
        } else {
            signs = 0;
            messages.push(message);
        }
        seen.send_replace(Seen { connections: source.connections, messages: messages.len() });
    }
    Ok(messages)
}

/// A reader that goes to the end of the story, by itself.
struct Follower {
    path: &'static str,
    /// Closed when it has ended.
    seen: watch::Receiver<Seen>,
    /// How far it was when the server ended.
    before: Seen,
    told: JoinHandle<anyhow::Result<Told>>,
}

impl Follower {
    fn begin(path: &'static str, mut source: EventSource) -> Follower {
        let (sender, seen) = watch::channel(Seen::default());
        let told = tokio::spawn(async move {
            let begin = source.next().await?.last_event_id;
            sender.send_replace(Seen { connections: source.connections, messages: 0 });
            let messages = read(&mut source, &sender).await?;
            Ok(Told { begin, messages, connections: source.connections })
        });
        Follower { path, seen, before: Seen::default(), told }
    }

    /// Waits until it is connected to a server that has begun since the last one ended, and has got so many messages
    /// since. Fails with what ended it if it has ended before.
    async fn until(&mut self, messages: usize) {
        let Seen { connections, messages: before } = self.before;
        let here = |seen: &Seen| seen.connections > connections && seen.messages >= before + messages;
        if self.seen.wait_for(here).await.is_err() {
            match (&mut self.told).await.unwrap() {
                Ok(told) => panic!("{}: the story ended after {} messages", self.path, told.messages.len()),
                Err(error) => panic!("{}: {error:?}", self.path),
            }
        }
    }
}

/// The same story again, from the log alone, by a reader that begins at a place.
async fn again(address: &str, path: &str, client: &Client, begin: &str) -> Vec<Message> {
    let key = client.key().expect("the client has a key");
    let url = format!("http://{address}/api/v1{path}?access_token={key}&after={begin}");
    let messages = read(&mut EventSource::new(url), &watch::Sender::default()).await;
    messages.unwrap_or_else(|error| panic!("the log does not tell {path} again: {error:?}"))
}

#[tokio::test]
async fn a_browser_s_readers_stay_over_restarts_without_loss_or_double() {
    readers_stay(ServerOptions::default()).await;
}

#[tokio::test]
async fn a_browser_s_readers_stay_over_restarts_on_postgres() {
    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    readers_stay(ServerOptions { database: Some(database), ..ServerOptions::default() }).await;
}

async fn readers_stay(options: ServerOptions) {
    let address = address();
    let config = format!("[limits]\nheartbeat_ms = {HEARTBEAT_MS}\n");
    let options = ServerOptions { listen: Some(address.clone()), config, ..options };
    let mut server = TestServer::start_with(PROGRAM, options).await;
    let paths = ["/watch", "/inbox/watch"];
    let mut followers = paths.map(|path| Follower::begin(path, source(&address, path, server.client())));
    for follower in &mut followers {
        follower.until(0).await;
    }
    let mut chats = Vec::new();
    for number in 0..CHATS {
        chats.push(ChatClient::begin(server.client(), &format!("[[slow 10]] [[tokens {}]]", 20 + number)).await);
    }
    for graceful in [false, true, false] {
        for follower in &mut followers {
            follower.until(SEEN_MIN).await;
        }
        if graceful {
            assert!(server.terminate().await.unwrap().success());
        } else {
            server.kill().await.unwrap();
        }
        // Counted from before the chats have anything to do: on a busy machine all is told before it is looked at.
        for follower in &mut followers {
            follower.before = *follower.seen.borrow();
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

    for Follower { path, told, .. } in followers {
        let told = told.await.unwrap().unwrap_or_else(|error| panic!("{path}: {error:?}"));
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
