//! Files on their way to models, through the real server: what each provider is sent, what becomes of a file that is gone or
//! refused, and prompts that are made again without any of them.

use reqwest::Method;
use serde_json::{Value, json};
use support::chat::ChatClient;
use support::http::Client;
use support::provider::{Provider, Reply};
use support::responses::{Responses, says};
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n...";
const PNG_BASE64: &str = "iVBORw0KGgouLi4=";
const PDF: &[u8] = b"%PDF-1.7";
const PDF_BASE64: &str = "JVBERi0xLjc=";
const CSV: &[u8] = b"loom,\"width\"\n";
const CSV_WORDS: &str = "[attached file \"file.csv\", text/csv]\nloom,\"width\"\n";

async fn start(config: String) -> TestServer {
    let environment = vec![("SCRIPTED_KEY".to_owned(), "sk-scripted-secret".to_owned())];
    TestServer::start_with(PROGRAM, ServerOptions { environment, ..ServerOptions::with_config(&config) }).await
}

async fn kept(client: &Client, media_type: &str, content: &[u8]) -> Value {
    let request = client.request(Method::POST, "/files").header("content-type", media_type).body(content.to_vec());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let file: Value = answer.json().await.unwrap();
    json!({ "type": "file", "file_id": file["id"] })
}

/// What a user says with one file of each kind.
async fn content(client: &Client) -> Value {
    json!([
        { "type": "text", "text": "see" },
        kept(client, "image/png", PNG).await,
        kept(client, "application/pdf", PDF).await,
        kept(client, "text/csv", CSV).await,
    ])
}

async fn check(server: &TestServer, chat: &ChatClient) {
    let audit = server.run(&["replay", &chat.id, "--check", "--json"]).await.unwrap();
    let told = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(audit.status.success(), "{told}");
    let verdict: Value = serde_json::from_str(&told).unwrap();
    let prompts = verdict["prompts"].as_array().unwrap();
    assert!(!prompts.is_empty() && prompts.iter().all(|prompt| prompt["verdict"] == "same"), "{verdict:#}");
}

#[tokio::test]
async fn responses_is_sent_the_bytes_of_files() {
    let provider = Responses::start([says("A loom.")]).await.unwrap();
    let server = start(provider.config("", "")).await;
    let chat = ChatClient::create(server.client(), json!({ "content": content(server.client()).await })).await;
    assert_eq!(chat.rest().await["status"], "waiting");
    let sent = provider.requests(1).await.unwrap()[0].body["input"][0]["content"].clone();
    let image = json!({ "type": "input_image", "image_url": format!("data:image/png;base64,{PNG_BASE64}") });
    let document = format!("data:application/pdf;base64,{PDF_BASE64}");
    let document = json!({ "type": "input_file", "filename": "file.pdf", "file_data": document });
    let text = |text: &str| json!({ "type": "input_text", "text": text });
    assert_eq!(sent, json!([text("see"), image, document, text(CSV_WORDS)]));
    check(&server, &chat).await;
}

#[tokio::test]
async fn a_file_that_is_gone_or_refused_is_named_and_prompts_can_be_made_again() {
    let refused = Reply::Status(400, vec![], "{\"error\": {\"message\": \"this model does not support image input\"}}");
    let script = [Reply::text("One."), refused, Reply::text("Two."), Reply::text("Three.")];
    let provider = Provider::start(script).await.unwrap();
    let server = start(provider.config("retry_base_ms = 10")).await;
    let chat = ChatClient::create(server.client(), json!({ "content": content(server.client()).await })).await;
    chat.rest().await;
    let image = json!({ "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{PNG_BASE64}") } });
    let named = "[attached file \"file.pdf\", application/pdf: this model cannot be shown files of this type]";
    let text = |text: &str| json!({ "type": "text", "text": text });
    let shown = json!([text("see"), image, text(named), text(CSV_WORDS)]);
    let requests = provider.requests(1).await.unwrap();
    assert_eq!(requests[0].body["messages"][0]["content"], shown);

    // A provider that refuses the picture is asked again without it, for this turn.
    chat.send("again").await.expect(202);
    assert_eq!(chat.rest().await["status"], "waiting");
    let requests = provider.requests(3).await.unwrap();
    assert_eq!(requests[1].body["messages"][0]["content"], shown);
    let unseen = "[attached file \"file.png\", image/png: this model cannot be shown files of this type]";
    let words = format!("see\n\n{unseen}\n\n{named}\n\n{CSV_WORDS}");
    assert_eq!(requests[2].body["messages"][0]["content"], words);

    // Somebody removed what stands in the files: the turn goes on, and says so to the model.
    std::fs::remove_dir_all(server.data_dir().join("files/contents")).unwrap();
    chat.send("and now?").await.expect(202);
    let rested = chat.rest().await;
    assert_eq!(rested["status"], "waiting", "{rested}");
    let requests = provider.requests(4).await.unwrap();
    let gone = |name: &str, kind: &str| format!("[attached file {name:?}, {kind}: it is gone]");
    let words = format!("see\n\n{}\n\n{named}\n\n{}", gone("file.png", "image/png"), gone("file.csv", "text/csv"));
    assert_eq!(requests[3].body["messages"][0]["content"], words);
    check(&server, &chat).await;
}

#[tokio::test]
async fn an_expired_file_is_named_to_the_model() {
    let provider = Provider::start([Reply::text("One."), Reply::text("Two.")]).await.unwrap();
    let server = start(provider.config("")).await;
    let client = server.client();
    let first = kept(client, "text/csv", CSV).await;
    let chat = ChatClient::create(client, json!({ "content": [first] })).await;
    chat.rest().await;
    let mut many = Vec::new();
    for number in 0..50 {
        many.push(kept(client, "text/plain", format!("{number}").as_bytes()).await);
    }
    chat.post("/messages", json!({ "content": many })).await.expect(202);
    chat.rest().await;
    let requests = provider.requests(2).await.unwrap();
    assert_eq!(requests[0].body["messages"][0]["content"], CSV_WORDS);
    let words = "[attached file \"file.csv\", text/csv: it is expired and cannot be read any more]";
    assert_eq!(requests[1].body["messages"][0]["content"], words);
    let file = first["file_id"].as_str().unwrap();
    client.get(&format!("/files/{file}")).await.expect_problem(410, "file_expired");
    let messages = chat.get("/messages").await.expect(200);
    assert_eq!(messages.items()[0]["content"][0]["expired"], true);
    assert_eq!(messages.items()[2]["content"][49]["expired"], Value::Null);
    check(&server, &chat).await;
}
