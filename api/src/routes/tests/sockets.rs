//! The streams over WebSockets.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::streams::{Reader, until_rested};
use super::{World, id_of};

/// Only a failing test ever waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(world: &World, path: &str, key: &str) -> Result<Socket, Error> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let url = format!("{}/api/v1{path}{mark}access_token={key}", world.url.replace("http://", "ws://"));
        connect_async(url).await.map(|(socket, _)| Socket(socket))
    }

    async fn message(&mut self) -> Message {
        tokio::time::timeout(PATIENCE, self.0.next()).await.expect("it goes on").expect("it is open").unwrap()
    }

    async fn next(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.message().await {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    async fn until(&mut self, event: &str) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await;
            let done = frame["event"] == event;
            frames.push(frame);
            if done {
                return frames;
            }
        }
    }

    async fn farewell(&mut self) -> CloseCode {
        loop {
            if let Message::Close(close) = self.message().await {
                return close.expect("a reason").code;
            }
        }
    }
}

#[actix_web::test]
async fn a_socket_says_the_same_as_the_stream() {
    let world = World::start().await;
    let ada = world.client("ada");
    let id = id_of(&ada.post("/chats", json!({"content": "[[say hello to you]]"})).await.expect(201));
    until_rested(&ada, &id).await;
    for after in ["0", "2"] {
        let finished = |frame: &super::streams::Frame| frame.event == "turn_finished";
        let told = Reader::open(&ada, &format!("/chats/{id}/stream"), Some(after)).await.until(finished).await;
        let mut socket = Socket::open(&world, &format!("/chats/{id}/ws?after={after}"), "ada").await.unwrap();
        let said = socket.until("turn_finished").await;
        let told: Vec<_> =
            told.iter().map(|frame| json!({"event": frame.event, "id": frame.id, "data": frame.data})).collect();
        assert_eq!(said, told);
    }
    let mut socket = Socket::open(&world, &format!("/chats/{id}/ws"), "ada").await.unwrap();
    assert_eq!(socket.next().await["event"], "snapshot");
    socket.0.send(Message::Ping(b"are you there"[..].into())).await.unwrap();
    assert_eq!(socket.message().await, Message::Pong(b"are you there"[..].into()));
    // What is far too long for a client that has nothing to say.
    socket.0.send(Message::Text("x".repeat(64 * 1024).into())).await.unwrap();
    assert_eq!(socket.farewell().await, CloseCode::Protocol);
    world.stop().await;
}

#[actix_web::test]
async fn a_frame_without_an_end_is_not_waited_for() {
    let world = World::start().await;
    let id = id_of(&world.client("ada").post("/chats", json!({})).await.expect(201));
    let mut connection = TcpStream::connect(world.url.trim_start_matches("http://")).await.unwrap();
    let request = format!(
        "GET /api/v1/chats/{id}/ws?access_token=ada HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDAwMDAwMDAwMDAwMDAwMA==\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let (mut answers, mut words) = connection.into_split();
    // A text of a tebibyte, masked with zeros.
    words.write_all(&[0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
    // Far more than is kept, and not without an end.
    let talk = tokio::spawn(async move {
        for _ in 0..64 {
            if words.write_all(&[b'x'; 1024 * 1024]).await.is_err() {
                break;
            }
        }
        words
    });
    // It ends, with a farewell if that overtakes the reset that unread words cause.
    let mut told = Vec::new();
    let heard = async { while answers.read_buf(&mut told).await.is_ok_and(|bytes| bytes > 0) {} };
    tokio::time::timeout(PATIENCE, heard).await.expect("the server does not wait for the rest");
    talk.abort();
    world.stop().await;
}

#[actix_web::test]
async fn a_watching_socket_resumes_and_ends_in_order() {
    let world = World::start().await;
    let ada = world.client("ada");
    let mut first = Socket::open(&world, "/watch/ws", "ada").await.unwrap();
    let place = first.next().await["id"].as_str().unwrap().to_owned();
    let id = id_of(&ada.post("/chats", json!({})).await.expect(201));
    let live = first.until("chat_created").await.pop().unwrap();
    assert_eq!(live["data"]["chat_id"], id.as_str());
    first.0.close(None).await.unwrap();
    let mut again = Socket::open(&world, &format!("/watch/ws?after={place}"), "ada").await.unwrap();
    assert_eq!(again.next().await, live);
    for (path, key, status) in [
        ("/watch/ws".to_owned(), "nobody", 401),
        (format!("/chats/{id}/ws"), "bob", 404),
        (format!("/chats/{id}/ws?raw=1"), "ada", 403),
    ] {
        match Socket::open(&world, &path, key).await {
            Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), status, "{path}"),
            Err(other) => panic!("{path}: {other}"),
            Ok(_) => panic!("{path} let {key} in"),
        }
    }
    world.state.stopping.cancel();
    assert_eq!(again.farewell().await, CloseCode::Away);
    world.stop().await;
}

#[actix_web::test]
async fn a_socket_ends_when_its_key_is_revoked() {
    let world = World::start().await;
    let admin = world.client("admin");
    let made = admin.post("/keys", json!({"name": "phone", "owner": "ada", "roles": ["user"]})).await.expect(201);
    let mut socket = Socket::open(&world, "/watch/ws", &made.text_of("key")).await.unwrap();
    assert_eq!(socket.next().await["event"], "heartbeat");
    admin.delete(&format!("/keys/{}", id_of(&made))).await.expect(204);
    assert_eq!(socket.farewell().await, CloseCode::Policy);
    world.stop().await;
}
