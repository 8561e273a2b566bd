//! Who may ask from where, how, and how often.

use std::io::{Read as _, Write as _};

use reqwest::Method;
use serde_json::{Value, json};

use super::World;
use crate::config::HttpSettings;

#[actix_web::test]
async fn a_key_that_asks_too_often_waits_and_others_do_not() {
    let http = HttpSettings { requests_per_second_max: 1, requests_burst_max: 3, ..HttpSettings::default() };
    let world = World::start_with(http).await;
    let (ada, bob) = (world.client("ada"), world.client("bob"));
    for _ in 0..3 {
        ada.get("/chats").await.expect(200);
    }
    // However slow this machine is, it asks more than once a second.
    let mut refused = ada.get("/chats").await;
    for _ in 0..1000 {
        if refused.status == 429 {
            break;
        }
        refused = ada.get("/chats").await;
    }
    let refused = refused.expect_problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("1"));
    bob.get("/chats").await.expect(200);
    // A key that nobody knows is refused for that alone.
    for _ in 0..10 {
        world.client("nobody").get("/chats").await.expect_problem(401, "unauthorized");
    }
    world.stop().await;
}

#[actix_web::test]
async fn pages_of_other_origins_ask_only_if_a_setting_lets_them() {
    let origin = "https://chat.example";
    let ask = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,idempotency-key,last-event-id"),
    ];
    let closed = World::start().await;
    let answer = closed.client("ada").call(Method::GET, "/chats", None, &ask[..1]).await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    closed.stop().await;

    let http = HttpSettings { allowed_origins: vec![origin.to_owned()], ..HttpSettings::default() };
    let world = World::start_with(http).await;
    let ada = world.client("ada");
    let allowed = ada.with_key(None).call(Method::OPTIONS, "/chats", None, &ask).await.expect(200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(origin));
    let headers = allowed.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
    for name in ["authorization", "idempotency-key", "last-event-id", "verbatim-position"] {
        assert!(headers.contains(name), "{name} is missing in {headers:?}");
    }
    let answer = ada.call(Method::GET, "/chats", None, &ask[..1]).await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
    assert!(exposed.contains("verbatim-position") && exposed.contains("retry-after"), "{exposed:?}");
    let other = ada.call(Method::GET, "/chats", None, &[("origin", "https://other.example")]).await;
    assert_eq!(other.header("access-control-allow-origin"), None);
    // A refusal can be read by the page as well.
    let refused = ada.with_key(None).call(Method::GET, "/chats", None, &ask[..1]).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some(origin)));
    world.stop().await;
}

#[actix_web::test]
async fn heads_are_answered_where_there_is_an_end() {
    let world = World::start().await;
    let ada = world.client("ada");
    let chat = ada.post("/chats", json!({})).await.expect(201).body["id"].as_str().unwrap().to_owned();
    for (path, status) in [
        ("//healthz".to_owned(), 200),
        ("/chats".to_owned(), 200),
        (format!("/chats/{chat}"), 200),
        ("/chats/nothing".to_owned(), 404),
        (format!("/chats/{chat}/interrupt"), 405),
        (format!("/chats/{chat}/stream"), 405),
        (format!("/chats/{chat}/events?follow=true"), 405),
        ("/watch".to_owned(), 405),
    ] {
        let answer = ada.send(ada.request(Method::HEAD, &path)).await.unwrap();
        assert_eq!((answer.status, &answer.body), (status, &Value::Null), "{path}");
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        assert!(length > 0, "{path}: the length is that of the answer to GET");
    }
    let unknown = ada.with_key(None).request(Method::HEAD, "/chats");
    assert_eq!(ada.send(unknown).await.unwrap().status, 401);
    world.stop().await;
}

#[actix_web::test]
async fn bodies_that_cannot_be_meant_are_refused_at_once() {
    let world = World::start().await;
    let ada = world.client("ada");
    for (name, value, status, start) in [
        ("Content-Length", "99999999999", "413", "body_too_large"),
        ("Content-Encoding", "gzip\r\nContent-Length: 2", "415", "unsupported_media_type"),
    ] {
        // The rest of the body never comes; the answer does.
        let text =
            format!("POST /api/v1/chats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada\r\n{name}: {value}\r\n\r\n{{");
        let address = world.url.trim_start_matches("http://").to_owned();
        let answer = tokio::task::spawn_blocking(move || {
            let mut connection = std::net::TcpStream::connect(address).unwrap();
            connection.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
            connection.write_all(text.as_bytes()).unwrap();
            let mut answer = vec![0; 4096];
            let read = connection.read(&mut answer).unwrap();
            String::from_utf8(answer[..read].to_vec()).unwrap()
        })
        .await
        .unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(start), "{answer}");
    }
    ada.with_key(None).post("/chats?access_token=ada", json!({})).await.expect_problem(401, "unauthorized");
    world.stop().await;
}
