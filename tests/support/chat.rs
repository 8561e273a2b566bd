//! One chat of a running server, as a client sees it.

use serde_json::{Value, json};

use crate::events::{EventStream, Frame, message_text};
use crate::http::{Answer, Client};

/// A chat.
#[derive(Clone, Debug)]
pub struct ChatClient {
    client: Client,
    /// Its id.
    pub id: String,
}

impl ChatClient {
    /// Makes a chat of this request.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn create(client: &Client, request: Value) -> ChatClient {
        let answer = client.post("/chats", request).await.expect(201);
        ChatClient { client: client.clone(), id: answer.text_of("id") }
    }

    /// Makes a chat that begins with a message.
    pub async fn begin(client: &Client, content: &str) -> ChatClient {
        ChatClient::create(client, json!({ "content": content })).await
    }

    /// The chat of this id.
    pub fn of(client: &Client, id: &str) -> ChatClient {
        ChatClient { client: client.clone(), id: id.to_owned() }
    }

    /// The same chat seen through another client, after a restart.
    pub fn through(&self, client: &Client) -> ChatClient {
        ChatClient { client: client.clone(), id: self.id.clone() }
    }

    /// The client it is seen through.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// An address below the chat's own; empty for itself.
    pub fn path(&self, rest: &str) -> String {
        format!("/chats/{}{rest}", self.id)
    }

    /// `GET` of an address below the chat's own.
    pub async fn get(&self, rest: &str) -> Answer {
        self.client.get(&self.path(rest)).await
    }

    /// `POST` to an address below the chat's own.
    pub async fn post(&self, rest: &str, body: Value) -> Answer {
        self.client.post(&self.path(rest), body).await
    }

    /// Sends a message that waits if the chat is busy.
    pub async fn send(&self, content: &str) -> Answer {
        self.post("/messages", json!({ "content": content })).await
    }

    /// Sends a message.
    pub async fn send_busy(&self, content: &str, busy: &str) -> Answer {
        self.post("/messages", json!({ "content": content, "busy": busy })).await
    }

    /// The chat's version.
    pub async fn version(&self) -> u64 {
        self.get("").await.expect(200).number("version")
    }

    /// Its stream, from a snapshot on or after an id.
    pub async fn stream(&self, last_event_id: Option<&str>) -> EventStream {
        EventStream::of_chat(&self.client, &self.id, last_event_id).await
    }

    /// Waits until the chat is in this status, and returns its snapshot or the event that brought it there.
    pub async fn until_status(&self, status: &str) -> Frame {
        let mut stream = self.stream(None).await;
        let fits = |frame: &Frame| frame.data["status"] == status || frame.data["chat"]["status"] == status;
        stream.until(fits).await.pop().expect("the frame that fits")
    }

    /// Waits until the chat rests, and returns it.
    pub async fn rest(&self) -> Value {
        self.stream(None).await.until(Frame::rests).await;
        self.get("").await.expect(200).body
    }

    /// What was said so far: role and text of each message of the history.
    pub async fn history(&self) -> Vec<(String, String)> {
        let answer = self.get("/messages?limit=200").await.expect(200);
        let role = |message: &Value| message["role"].as_str().unwrap_or_default().to_owned();
        answer.items().iter().map(|message| (role(message), message_text(message))).collect()
    }

    /// Every event and part that the chat has told of, read from its first event until it is up to date and rests.
    pub async fn replay(&self) -> Vec<Frame> {
        let version = self.rest().await["version"].as_u64();
        self.stream(Some("0")).await.until(|frame| frame.data["version"].as_u64() == version).await
    }
}
