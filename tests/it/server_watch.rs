//! What happens in all of one's chats, over the ends of the server.

use serde_json::json;
use support::chat::ChatClient;
use support::events::{EventStream, Frame};
use support::http::Client;
use support::server::TestServer;

use crate::PROGRAM;

const WATCH: &str = "/watch";

async fn watch(client: &Client, after: Option<&str>) -> EventStream {
    EventStream::open(client, WATCH, after).await.expect("the stream opens")
}

fn place(frame: &Frame) -> &str {
    frame.id.as_deref().expect("every frame has a place")
}

/// What was told, without the signs of life.
fn told(frames: &[Frame]) -> Vec<&str> {
    frames.iter().filter(|frame| frame.event != "heartbeat").map(|frame| frame.raw.as_str()).collect()
}

#[tokio::test]
async fn a_watcher_that_comes_back_after_a_restart_misses_nothing_and_hears_nothing_twice() {
    let mut server = TestServer::start(PROGRAM).await;
    let begin = place(&watch(server.client(), None).await.expect_next().await).to_owned();
    let mut stream = watch(server.client(), Some(&begin)).await;
    let mut heard = Vec::new();
    for (round, graceful) in [true, false].into_iter().enumerate() {
        let chat = ChatClient::begin(server.client(), &format!("[[say {round}]]")).await;
        chat.rest().await;
        // The last thing heard before the end lies in the middle of what there is to hear.
        heard.extend(stream.until_event("chat_created").await);
        let before = heard.iter().rfind(|frame: &&Frame| frame.id.is_some()).map(|frame| place(frame).to_owned());
        if graceful {
            assert!(server.terminate().await.unwrap().success());
        } else {
            server.kill().await.unwrap();
        }
        server.start_again().await.unwrap();
        stream = watch(server.client(), before.as_deref()).await;
    }
    let last = ChatClient::create(server.client(), json!({ "title": "last" })).await;
    let is_last = |frame: &Frame| frame.event == "chat_created" && frame.data["chat_id"] == last.id.as_str();
    heard.extend(stream.until(is_last).await);
    let whole = watch(server.client(), Some(&begin)).await.until(is_last).await;
    assert_eq!(told(&heard), told(&whole));
    assert_eq!(heard.iter().filter(|frame| frame.event == "chat_created").count(), 3);
    assert!(heard.iter().any(|frame| frame.event == "status_changed"), "{:?}", told(&heard));
}
