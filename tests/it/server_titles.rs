//! Titles and labels that a model writes, through the real server.

use serde_json::{Value, json};
use support::chat::ChatClient;
use support::events::Frame;
use support::provider::{Gate, Piece, Provider, Reply};
use support::server::{ServerOptions, TestServer};

use crate::PROGRAM;

/// A server whose chats answer with the demo model and whose titles a scripted one writes.
async fn titled_by(more: &str, script: impl IntoIterator<Item = Reply>) -> (TestServer, Provider) {
    let provider = Provider::start(script).await.unwrap();
    let scripted = provider.config("retry_base_ms = 1").replace("default = true\n", "");
    let config = format!(
        "[titles]\nmodel = \"scripted\"\n{more}\n[models.d]\nprovider = \"demo\"\ndefault = true\n\n{scripted}"
    );
    let environment = vec![("SCRIPTED_KEY".to_owned(), "sk-scripted-secret".to_owned())];
    let options = ServerOptions { environment, ..ServerOptions::with_config(&config) };
    (TestServer::start_with(PROGRAM, options).await, provider)
}

fn titled(frame: &Frame) -> bool {
    frame.event == "settings_changed" && frame.data["data"]["title_source"] == "model"
}

fn labelled(frame: &Frame) -> bool {
    frame.event == "settings_changed" && frame.data["data"]["status_label"].is_string()
}

fn spent(frames: &[Frame]) -> Vec<&Value> {
    let spent = frames.iter().filter(|frame| frame.event == "usage_recorded");
    spent.map(|frame| &frame.data["data"]["purpose"]).collect()
}

#[tokio::test]
async fn a_model_names_a_chat_once_beside_its_first_turn() {
    let gate = Gate::default();
    let pieces = vec![
        Piece::Wait(gate.clone()),
        Piece::Text("\"Looms of the north\"\nBecause."),
        Piece::Finish("stop"),
        Piece::Done,
    ];
    let (server, provider) = titled_by("", [Reply::Stream(pieces)]).await;
    let chat = ChatClient::begin(server.client(), "What is a loom, in a few plain words?").await;
    let rested = chat.rest().await;
    assert_eq!(
        (&rested["status"], &rested["title"]),
        (&json!("waiting"), &json!("What is a loom, in a")),
        "no turn waits"
    );
    let mut stream = chat.stream(Some("0")).await;
    gate.open();
    let frames = stream.until(titled).await;
    assert_eq!(frames.last().unwrap().data["data"]["title"], "Looms of the north");
    assert_eq!(spent(&frames), ["title"]);
    let asked = provider.requests(1).await.unwrap()[0].body["messages"].clone();
    assert_eq!(asked[1]["content"], "<conversation>\nWhat is a loom, in a few plain words?\n</conversation>");
    chat.send("And a weaver?").await.expect(202);
    assert_eq!(chat.rest().await["title"], "Looms of the north");
    assert_eq!(provider.requests(1).await.unwrap().len(), 1, "nobody is asked twice");
}

#[tokio::test]
async fn a_models_title_never_takes_the_place_of_a_users_unless_asked_for() {
    let gate = Gate::default();
    let late = vec![Piece::Wait(gate.clone()), Piece::Text("Late"), Piece::Finish("stop"), Piece::Done];
    let script = [Reply::Stream(late), Reply::text("Proposed"), Reply::text("# Asked for.")];
    let (server, provider) = titled_by("", script).await;
    let chat = ChatClient::begin(server.client(), "What is a loom?").await;
    provider.requests(1).await.unwrap();
    server.client().patch(&chat.path(""), json!({ "title": "Mine" })).await.expect(200);
    gate.open();
    chat.stream(Some("0")).await.until_event("usage_recorded").await;
    assert_eq!(chat.post("/title/propose", json!({})).await.expect(200).body, json!({ "title": "Proposed" }));
    assert_eq!(chat.rest().await["title"], "Mine");
    assert_eq!(chat.post("/title/regenerate", json!({})).await.expect(200).body["title"], "Asked for");
    // The script is over: the provider refuses.
    chat.post("/title/regenerate", json!({})).await.expect_problem(502, "model_failed");
    assert_eq!(chat.rest().await["title"], "Asked for");
    let frames = chat.replay().await;
    assert_eq!(spent(&frames), ["title", "title", "title"]);
}

#[tokio::test]
async fn a_turn_has_a_label_until_the_next_one() {
    let gate = Gate::default();
    let late = vec![Piece::Wait(gate.clone()), Piece::Text("Explained weavers"), Piece::Finish("stop"), Piece::Done];
    let (server, _provider) =
        titled_by("status_labels = true", [Reply::text("Explained looms"), Reply::Stream(late)]).await;
    let chat = ChatClient::create(server.client(), json!({ "title": "Mine", "content": "What is a loom?" })).await;
    let frames = chat.stream(Some("0")).await.until(labelled).await;
    assert_eq!(spent(&frames), ["label"]);
    let rested = chat.rest().await;
    assert_eq!((&rested["title"], &rested["status_label"]), (&json!("Mine"), &json!("Explained looms")));
    chat.send("And a weaver?").await.expect(202);
    assert_eq!(chat.rest().await["status_label"], Value::Null);
    let mut stream = chat.stream(None).await;
    gate.open();
    stream.until(labelled).await;
    assert_eq!(chat.rest().await["status_label"], "Explained weavers");
}

#[tokio::test]
async fn nobody_is_asked_over_the_budget() {
    let budget = "[budgets.default]\nperiod = \"month\"\nlimit_tokens = 1\n";
    let (server, provider) = titled_by(budget, [Reply::text("Looms"), Reply::text("Too much")]).await;
    let chat = ChatClient::begin(server.client(), "What is a loom?").await;
    chat.stream(Some("0")).await.until_event("turn_finished").await;
    chat.post("/title/regenerate", json!({})).await.expect_problem(409, "usage_limit");
    assert!(provider.requests(0).await.unwrap().len() <= 1, "the title that came with the first turn at most");
}
