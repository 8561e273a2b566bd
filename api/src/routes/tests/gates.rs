//! Who may ask from where, and how often.

use reqwest::Method;

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
