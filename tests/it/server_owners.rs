//! Two owners, and keys of every role: the whole interface, as its own document lists it, is walked with each. Nobody sees,
//! changes, streams, finds or is told of what is another's.
//!
//! A new route is walked by itself; one with a parameter of a new name fails here until `Belongings::named` knows what of an
//! owner's it stands for.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use support::chat::ChatClient;
use support::events::{EventStream, Frame};
use support::http::Client;
use support::server::{ServerOptions, TestServer};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::PROGRAM;

/// Stands in everything that the first owner says, is told, writes and names.
const WORD: &str = "zanzibar";

/// Signs of life that a stream gives before it is believed to have told everything.
const HEARTBEATS: usize = 3;

/// A wait that only a fault makes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An operation of the document.
#[derive(Clone, Debug)]
struct Operation {
    method: Method,
    /// As the document has it, with its parameters in braces.
    path: String,
    /// Names of the query's parameters.
    query: Vec<String>,
    /// An example of the body, if it takes JSON; a plain text, if it takes that.
    body: Option<Value>,
    /// Media types of what it answers when all is well.
    answers: Vec<String>,
    /// It is open to everybody.
    is_open: bool,
}

impl Operation {
    fn is_of_a_chat(&self) -> bool {
        self.path.contains("/{chat}")
    }

    fn reads(&self) -> bool {
        self.method == Method::GET
    }

    fn is_socket(&self) -> bool {
        self.path.ends_with("/ws")
    }

    fn streams(&self) -> bool {
        self.answers.iter().any(|kind| kind == "text/event-stream")
    }
}

/// Everything that the server says it can do, with deletions at the end.
async fn operations(client: &Client) -> Vec<Operation> {
    let document = client.get("//openapi.json").await.expect(200).body;
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let content = &operation["requestBody"]["content"];
            let schema = &content["application/json"]["schema"];
            let schema = schema["$ref"].as_str().map_or(schema, |name| &document[pointer(name)]);
            let example = schema["examples"][0].clone();
            let body = if content.get("text/plain").is_some() { json!("A file of nobody's.") } else { example };
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let of_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
            let answers = operation["responses"].as_object().expect("responses").iter();
            let answers = answers.filter(|(status, _)| status.starts_with('2'));
            let kinds = answers.flat_map(|(_, answer)| answer["content"].as_object().into_iter().flatten());
            operations.push(Operation {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                query: of_query.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect(),
                body: (!body.is_null()).then_some(body),
                answers: kinds.map(|(kind, _)| kind.clone()).collect(),
                is_open: operation["security"].as_array().is_some_and(Vec::is_empty),
            });
        }
    }
    operations.sort_by_key(|operation| (operation.method == Method::DELETE, operation.path.clone()));
    operations
}

/// The name of a schema that a reference names.
fn pointer(reference: &str) -> Reference<'_> {
    Reference(reference.rsplit('/').next().unwrap_or_default())
}

struct Reference<'a>(&'a str);

impl std::ops::Index<Reference<'_>> for Value {
    type Output = Value;

    fn index(&self, Reference(name): Reference<'_>) -> &Value {
        &self["components"]["schemas"][name]
    }
}

/// What is an owner's.
#[derive(Debug, Default)]
struct Belongings {
    /// Ids of chats: one with all kinds of content, one that waits for its client, a child.
    chats: Vec<String>,
    /// Other values, by the names that parameters have.
    named: BTreeMap<&'static str, String>,
}

impl Belongings {
    /// What may stand in an operation's path, one address per chat where it is one of a chat.
    fn addresses(&self, operation: &Operation) -> Vec<String> {
        let chats: &[String] = if operation.is_of_a_chat() { &self.chats } else { &self.chats[..1] };
        chats.iter().map(|chat| self.address(&operation.path, chat)).collect()
    }

    fn address(&self, path: &str, chat: &str) -> String {
        let mut address = path.replace("{chat}", chat);
        while let Some((before, rest)) = address.split_once('{') {
            let (name, after) = rest.split_once('}').expect("it is closed");
            let value = self.named.get(name);
            let value = value.unwrap_or_else(|| panic!("say what of an owner's {{{name}}} of {path} stands for"));
            address = format!("{before}{value}{after}");
        }
        address
    }

    /// Queries that ask for just this owner's things, by the parameters that an operation has.
    fn queries(&self, operation: &Operation) -> Vec<String> {
        let value = |name: &str| match name {
            "q" => Some(WORD.to_owned()),
            "template" => Some("turn_finished".to_owned()),
            "owner" => Some("ada".to_owned()),
            "label" => Some(format!("place:{WORD}")),
            "chat" | "parent" | "root" => Some(self.chats[0].clone()),
            "group" | "group_by" | "by" => Some("chat".to_owned()),
            "status" => Some("waiting".to_owned()),
            "archived" | "unread" => Some("false".to_owned()),
            _ => None,
        };
        let asked = operation.query.iter().filter_map(|name| Some(format!("?{name}={}", value(name)?)));
        [String::new()].into_iter().chain(asked).collect()
    }

    /// Words that nobody else may be told: the word itself, and the ids that were not asked for.
    fn betrayed(&self, asked: &str, told: &str) -> Vec<&str> {
        let ids = self.chats.iter().map(String::as_str);
        let ids =
            ids.chain(["file", "workspace", "id"].iter().filter_map(|name| self.named.get(name).map(String::as_str)));
        let ids = ids.filter(|id| id.len() > 8 && !asked.contains(id));
        [WORD, "\"ada\""].into_iter().chain(ids).filter(|secret| told.contains(secret)).collect()
    }
}

/// An answer: its status, the code of its problem, and its text where it ends by itself.
struct Told {
    status: u16,
    code: String,
    text: String,
}

async fn ask(client: &Client, method: &Method, address: &str, body: Option<&Value>) -> Told {
    let path = address.strip_prefix("/api/v1").map_or_else(|| format!("/{address}"), str::to_owned);
    let request = client.request(method.clone(), &path);
    let request = match body {
        Some(Value::String(text)) => request.header("content-type", "text/plain").body(text.clone()),
        Some(body) => request.json(body),
        None => request,
    };
    let response = request.send().await.unwrap_or_else(|error| panic!("{method} {address}: {error}"));
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let ends = !kind.starts_with("text/event-stream") || *method != Method::GET;
    let text = if ends { response.text().await.expect("the answer ends") } else { String::new() };
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    Told { status, code: problem["code"].as_str().unwrap_or_default().to_owned(), text }
}

async fn key(admin: &Client, owner: &str, role: &str) -> (Client, String, String) {
    let made = admin.post("/keys", json!({ "name": owner, "owner": owner, "roles": [role] })).await.expect(201);
    let secret = made.text_of("key");
    (admin.with_key(Some(&secret)), made.text_of("id"), secret)
}

/// A server on which both owners have keys.
async fn start() -> TestServer {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../templates/blank");
    let config =
        format!("[templates.blank]\nprovisioner = \"local\"\npath = {template:?}\n\n[limits]\nheartbeat_ms = 100\n");
    TestServer::start_with(PROGRAM, ServerOptions::with_config(&config)).await
}

/// Fills the first owner's house.
async fn move_in(ada: &Client, admin: &Client, key_id: &str) -> Belongings {
    let file = ada.request(Method::POST, &format!("/files?name={WORD}.txt")).header("content-type", "text/plain");
    let file = ada.send(file.body(format!("A file about {WORD}."))).await.expect("an answer").expect(201).text_of("id");
    let tool = json!({ "name": "look", "description": WORD, "parameters": {} });
    let request = json!({
        "title": WORD, "labels": { "place": WORD }, "system_prompt": format!("You live in {WORD}."), "tools": [tool],
        "content": [{ "type": "text", "text": format!("[[say I know {WORD}]]") }, { "type": "file", "file_id": file }],
        "workspace": { "template_id": "blank" },
    });
    let full = ChatClient::create(ada, request.clone()).await;
    full.rest().await;
    let write = json!({ "path": format!("{WORD}.txt"), "content": WORD });
    full.send(&format!("[[tool write_file {write}]]")).await.expect(202);
    full.rest().await;
    full.patch_title().await;
    let waiting = ChatClient::create(
        ada,
        json!({
            "content": format!("[[tool look {{\"place\": \"{WORD}\"}}]]"), "title": WORD, "tools": request["tools"],
        }),
    )
    .await;
    waiting.until_status("requires_action").await;
    let queued = waiting.send(&format!("And then {WORD}?")).await.expect(202).number("queued_id");
    let child = ChatClient::create(ada, json!({ "parent": full.id, "content": format!("[[say {WORD}]]") })).await;
    child.rest().await;

    let messages = full.get("/messages").await.expect(200);
    let message = messages.items()[0]["id"].to_string();
    let events = full.get("/events?limit=200").await.expect(200);
    let attempt = events.items().iter().find(|event| event["type"] == "attempt_recorded").expect("a model was called");
    let attempt = attempt["version"].to_string();
    let workspaces = admin.get("/workspaces").await.expect(200);
    let workspace = workspaces.items()[0]["id"].as_str().expect("an id").to_owned();
    read_models_are_there(admin).await;
    let inbox = ada.get("/inbox").await.expect(200);
    let notification = inbox.items()[0]["id"].clone();
    let notification = notification.as_str().map_or_else(|| notification.to_string(), str::to_owned);
    Belongings {
        chats: vec![full.id, waiting.id, child.id],
        named: BTreeMap::from([
            ("message", message),
            ("queued", queued.to_string()),
            ("attempt", attempt),
            ("file", file),
            ("key", key_id.to_owned()),
            ("workspace", workspace),
            ("id", notification.clone()),
            ("notification", notification),
            ("owner", "ada".to_owned()),
            ("template", "blank".to_owned()),
            ("provider", "demo".to_owned()),
            ("model", "demo".to_owned()),
            ("name", "demo".to_owned()),
            ("webhook", "demo".to_owned()),
        ]),
    }
}

/// Waits until the read models know all that has happened.
async fn read_models_are_there(admin: &Client) {
    let knows = async || {
        let models = admin.get("/projections").await.expect(200);
        models.items().iter().all(|model| model["lag_events"] == 0)
    };
    let waiting = async { while !knows().await {} };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the read models never come up to the log");
}

/// Everything that an owner can read, by address.
async fn everything(client: &Client, operations: &[Operation], house: &Belongings) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let endless = |operation: &&Operation| operation.reads() && !operation.is_open && !operation.is_socket();
    for operation in operations.iter().filter(endless) {
        if operation.streams() && !operation.answers.iter().any(|kind| kind == "application/json") {
            continue;
        }
        // Figures of the whole server go on while nobody does anything.
        if operation.path == "/metrics" {
            continue;
        }
        for address in house.addresses(operation) {
            let told = ask(client, &operation.method, &address, None).await;
            found.insert(address, told.text);
        }
    }
    found
}

/// One who may not see: whatever is asked for, nothing of the house is told.
async fn walk_as_another_owner(bob: &Client, operations: &[Operation], house: &Belongings) {
    for operation in operations.iter().filter(|operation| !operation.is_open) {
        for address in house.addresses(operation) {
            for query in house.queries(operation) {
                let asked = format!("{address}{query}");
                let told = ask(bob, &operation.method, &asked, operation.body.as_ref()).await;
                let (method, status) = (&operation.method, told.status);
                assert!(status < 500, "{method} {asked}: {status} {}", told.text);
                assert_eq!(house.betrayed(&asked, &told.text), [""; 0], "{method} {asked}: {}", told.text);
                if operation.is_of_a_chat() {
                    assert_eq!(
                        (status, told.code.as_str()),
                        (404, "chat_not_found"),
                        "{method} {asked}: {}",
                        told.text
                    );
                }
            }
        }
    }
}

/// What names another's things in a body of one's own is refused as what does not exist.
async fn reach_over(bob: &Client, house: &Belongings) {
    let own = ChatClient::begin(bob, "[[say mine]]").await;
    own.rest().await;
    let (chat, named) = (&house.chats[0], &house.named);
    let file = json!([{ "type": "text", "text": "Look" }, { "type": "file", "file_id": named["file"] }]);
    let reaches = [
        ("/chats".to_owned(), json!({ "parent": chat })),
        ("/chats".to_owned(), json!({ "content": file })),
        ("/chats".to_owned(), json!({ "workspace": { "id": named["workspace"] } })),
        (own.path("/messages"), json!({ "content": file })),
    ];
    for (path, body) in reaches {
        let told = bob.post(&path, body.clone()).await;
        assert!((400..500).contains(&told.status), "POST {path} {body}: {} {}", told.status, told.text);
        assert_eq!(house.betrayed(&body.to_string(), &told.text), [""; 0], "POST {path} {body}: {}", told.text);
    }
    for (tool, args) in
        [("message_agent", json!({ "agent_id": chat, "message": "x" })), ("wait_agent", json!({ "agent_id": chat }))]
    {
        own.send(&format!("[[tool {tool} {args}]]")).await.expect(202);
        own.rest().await;
    }
    let seen = own.get("/messages?limit=200").await.expect(200);
    assert_eq!(house.betrayed(chat, &seen.text), [""; 0], "{}", seen.text);
}

/// One who sees all and changes nothing.
async fn walk_as_auditor(eve: &Client, operations: &[Operation], house: &Belongings) {
    let mut seen = 0;
    for operation in operations.iter().filter(|operation| !operation.is_open) {
        for address in house.addresses(operation) {
            let told = ask(eve, &operation.method, &address, operation.body.as_ref()).await;
            let (method, status) = (&operation.method, told.status);
            assert!(status < 500, "{method} {address}: {status} {}", told.text);
            if operation.is_of_a_chat() && !operation.is_socket() {
                let expected: &[u16] = if operation.reads() { &[200, 404, 409] } else { &[403] };
                assert!(expected.contains(&status), "{method} {address}: {status} {}", told.text);
            }
            seen += usize::from(operation.reads() && told.text.contains(WORD));
        }
    }
    assert!(seen > 8, "an auditor reads what was said: {seen}");
}

/// One who may do everything: nothing is refused for want of a right.
async fn walk_as_administrator(admin: &Client, operations: &[Operation], house: &Belongings) {
    for operation in operations {
        for address in house.addresses(operation) {
            let told = ask(admin, &operation.method, &address, operation.body.as_ref()).await;
            let (method, status) = (&operation.method, told.status);
            assert!(status < 500 && ![401, 403].contains(&status), "{method} {address}: {status} {}", told.text);
            let is_read = operation.reads() && operation.is_of_a_chat() && !operation.is_socket();
            assert!(!is_read || [200, 404, 409, 410].contains(&status), "{method} {address}: {status} {}", told.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_or_changes_what_is_another_s() {
    let server = start().await;
    let admin = server.client();
    let (ada, ada_key, _) = key(admin, "ada", "user").await;
    let (bob, _, _) = key(admin, "bob", "user").await;
    let (eve, _, _) = key(admin, "eve", "auditor").await;
    let operations = operations(admin).await;
    assert!(operations.len() > 40, "the document has lost its routes: {}", operations.len());
    let house = move_in(&ada, admin, &ada_key).await;
    read_models_are_there(admin).await;
    let before = everything(&ada, &operations, &house).await;
    let telling = before.values().filter(|text| text.contains(WORD)).count();
    assert!(telling > 10, "there is enough to find: {telling} of {:#?}", before.keys());

    walk_as_another_owner(&bob, &operations, &house).await;
    reach_over(&bob, &house).await;
    walk_as_auditor(&eve, &operations, &house).await;
    read_models_are_there(admin).await;
    let after = everything(&ada, &operations, &house).await;
    for (address, text) in &before {
        assert_eq!(after.get(address), Some(text), "{address} is not what it was");
    }
    walk_as_administrator(admin, &operations, &house).await;
}

/// Reads a stream until it has told of `own` and has given so many signs of life since.
async fn told_by(mut stream: EventStream, own: &str) -> Vec<Frame> {
    let (mut heartbeats, mut is_there) = (0, false);
    let everything = |frame: &Frame| {
        is_there |= frame.raw.contains(own);
        heartbeats = if is_there { heartbeats + usize::from(frame.event == "heartbeat") } else { 0 };
        heartbeats >= HEARTBEATS
    };
    stream.until(everything).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_live_of_what_is_another_s() {
    let server = start().await;
    let admin = server.client();
    let (ada, ada_key, _) = key(admin, "ada", "user").await;
    let (bob, _, secret) = key(admin, "bob", "user").await;
    let house = move_in(&ada, admin, &ada_key).await;
    let operations = operations(admin).await;
    let own = |operation: &&Operation| operation.reads() && !operation.is_open && !operation.is_of_a_chat();
    let mut readers = Vec::new();
    let mut sockets = Vec::new();
    for operation in operations.iter().filter(own) {
        let path = operation.path.trim_start_matches("/api/v1");
        if operation.streams() {
            readers.push((path, EventStream::open(&bob, path, None).await.expect("one's own stream opens")));
        } else if operation.is_socket() {
            let url = admin.url().replace("http://", "ws://");
            let opened = connect_async(format!("{url}{}?access_token={secret}", operation.path)).await;
            sockets.push((path, opened.expect("one's own socket opens").0));
        }
    }
    assert!(readers.iter().any(|(path, _)| *path == "/watch") && !sockets.is_empty(), "{}", readers.len());

    // The first owner does all kinds of things, then the other one does something too.
    let [full, waiting] = [&house.chats[0], &house.chats[1]].map(|id| ChatClient::of(&ada, id));
    full.send(&format!("[[say live from {WORD}]]")).await.expect(202);
    full.rest().await;
    full.patch_title().await;
    waiting.post("/interrupt", json!({})).await.expect(202);
    ada.patch(&full.path(""), json!({ "archived": true })).await.expect(200);
    let mine = ChatClient::begin(&bob, "[[say mine]]").await;
    mine.rest().await;
    for (path, reader) in readers {
        for frame in told_by(reader, &mine.id).await {
            assert_eq!(house.betrayed("", &frame.raw), [""; 0], "{path}: {}", frame.raw);
        }
    }
    for (path, mut socket) in sockets {
        let (mut heartbeats, mut is_there) = (0, false);
        while heartbeats < HEARTBEATS {
            let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("it goes on").expect("it is open");
            let Message::Text(text) = message.expect("a message") else { continue };
            is_there |= text.contains(&mine.id);
            heartbeats += usize::from(is_there && text.contains("\"heartbeat\""));
            assert_eq!(house.betrayed("", &text), [""; 0], "{path}: {text}");
        }
    }
}

/// What a chat's owner does besides talking.
trait Renamed {
    /// Gives the chat another title with the word in it.
    async fn patch_title(&self);
}

impl Renamed for ChatClient {
    async fn patch_title(&self) {
        let title = json!({ "title": format!("All about {WORD}") });
        self.client().patch(&self.path(""), title).await.expect(200);
    }
}
