//! What auditors read: the whole log, its check, and what was sent to a model.

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use support::http::Client;
use verbatim_events::envelope::{NewEvent, chain_hash};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::log::{Append, StreamAppend};

use super::streams::{Reader, until_rested};
use super::{World, id_of};

/// The lines of an answer that ends.
async fn lines(client: &Client, path: &str) -> Vec<Value> {
    let response = client.request(Method::GET, path).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The last frame of an audit.
async fn audited(client: &Client) -> (String, Value) {
    let response = client.request(Method::POST, "/audit/verify").send().await.unwrap();
    let text = response.text().await.unwrap();
    let last = text.trim_end().rsplit("\n\n").next().unwrap().to_owned();
    let line = |name: &str| last.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    (line("event: "), serde_json::from_str(&line("data: ")).unwrap())
}

#[actix_web::test]
async fn the_whole_log_is_told_in_order_and_goes_on_after_any_event() {
    let world = World::start().await;
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(|key| world.client(key));
    let chats = [
        id_of(&ada.post("/chats", json!({"content": "[[say one]]"})).await.expect(201)),
        id_of(&bob.post("/chats", json!({"title": "Bob's"})).await.expect(201)),
    ];
    until_rested(&ada, &chats[0]).await;
    let all = lines(&eve, "/log").await;
    assert_eq!(all.len() as u64, world.state.log.known_head());
    for (id, first) in chats.iter().zip(["chat_created", "chat_created"]) {
        let own: Vec<_> = all.iter().filter(|event| event["chat_id"] == id.as_str()).collect();
        assert_eq!((&own[0]["type"], &own[0]["version"]), (&json!(first), &json!(1)));
        assert!(own.windows(2).all(|pair| pair[1]["version"].as_u64() == pair[0]["version"].as_u64().map(|v| v + 1)));
    }
    let third = all[2]["position"].as_str().unwrap();
    assert_eq!(lines(&eve, &format!("/log?after={third}")).await, all[3..]);
    assert_eq!(
        lines(&eve, &format!("/log?after={}", all.last().unwrap()["position"].as_str().unwrap())).await,
        [] as [Value; 0]
    );
    for nonsense in ["after=3", "after=00000000-0-1", "limit=3"] {
        eve.get(&format!("/log?{nonsense}")).await.expect_problem(400, "invalid_request");
    }
    world.stop().await;
}

#[actix_web::test]
async fn who_follows_the_log_hears_what_comes_and_signs_of_life() {
    let world = World::start().await;
    let [ada, eve] = ["ada", "eve"].map(|key| world.client(key));
    ada.post("/chats", json!({"title": "First"})).await.expect(201);
    let response = eve.request(Method::GET, "/log?follow=true").send().await.unwrap();
    let mut body = response.bytes_stream();
    let mut next = async || String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(next().await.contains("First"));
    let heard = async {
        loop {
            let text = next().await;
            if text != "\n" {
                return text;
            }
        }
    };
    let written = async { ada.post("/chats", json!({"title": "Second"})).await.expect(201) };
    let (text, _) = tokio::join!(heard, written);
    assert!(text.contains("Second") && text.ends_with('\n'), "{text}");
    world.stop().await;
}

#[actix_web::test]
async fn an_audit_says_that_all_is_well_or_what_is_not() {
    let world = World::start().await;
    let [ada, eve] = ["ada", "eve"].map(|key| world.client(key));
    let id = id_of(&ada.post("/chats", json!({"content": "[[say one]]"})).await.expect(201));
    until_rested(&ada, &id).await;
    let (event, report) = audited(&eve).await;
    let head = world.state.log.known_head();
    assert_eq!(event, "done");
    assert_eq!((&report["clean"], &report["events"], &report["chats"]), (&json!(true), &json!(head), &json!(1)));
    assert_eq!(report.get("finding"), None);

    // The chat is unarchived, though nobody archived it: well sealed, and still it cannot have happened.
    let chat_id: ChatId = id.parse().unwrap();
    let events = world.state.log.read_chat(chat_id, 0, usize::MAX).await.unwrap();
    let last = &events.last().unwrap().event;
    let mut illegal = NewEvent {
        version: last.version + 1,
        event_id: uuid::Uuid::now_v7(),
        event_type: "chat_unarchived".to_owned(),
        schema: 1,
        data: b"{}".to_vec(),
        hash: Digest::ZERO,
        ..last.clone()
    };
    illegal.hash = chain_hash(&last.hash, &illegal);
    let bad_version = illegal.version;
    let stream =
        StreamAppend { chat_id, expected_version: last.version, expected_hash: last.hash, events: vec![illegal] };
    world.state.log.append(Append { streams: vec![stream], receipt: None }).await.unwrap();
    world.histories.skip_histories();
    let (event, report) = audited(&eve).await;
    assert_eq!((event.as_str(), &report["clean"]), ("done", &json!(false)));
    let finding = &report["finding"];
    assert_eq!((&finding["chat_id"], &finding["version"]), (&json!(id), &json!(bad_version)), "{finding}");
    assert!(finding["problem"].as_str().unwrap().contains("cannot have happened"), "{finding}");
    world.stop().await;
}

#[actix_web::test]
async fn no_more_audits_run_at_once_than_the_server_can_bear() {
    let world = World::start().await;
    let eve = world.client("eve");
    let held = world.state.audits.clone().acquire_many_owned(crate::state::AUDITS_MAX as u32).await.unwrap();
    eve.post("/audit/verify", json!({})).await.expect_problem(409, "already_running");
    drop(held);
    assert_eq!(audited(&eve).await.0, "done");
    world.stop().await;
}

#[actix_web::test]
async fn what_was_sent_is_made_again_and_shown_to_each_as_far_as_they_may_see() {
    let world = World::start().await;
    let [ada, eve] = ["ada", "eve"].map(|key| world.client(key));
    let body = json!({"system_prompt": "a secret of the house", "content": "[[say one]]"});
    let id = id_of(&ada.post("/chats", body).await.expect(201));
    until_rested(&ada, &id).await;
    ada.post(&format!("/chats/{id}/messages"), json!({"content": "[[say two]]"})).await.expect(202);
    until_rested(&ada, &id).await;
    let events = eve.get(&format!("/chats/{id}/events")).await.expect(200);
    let attempts: Vec<u64> = events
        .items()
        .iter()
        .filter(|event| event["type"] == "attempt_recorded")
        .map(|event| event["version"].as_u64().unwrap())
        .collect();
    assert_eq!(attempts.len(), 2);
    let path = format!("/chats/{id}/attempts/{}", attempts[1]);
    let own = ada.get(&path).await.expect(200);
    assert_eq!((&own.body["prompt"], &own.body["attempt_id"]), (&json!("same"), &json!(attempts[1])));
    let said: Vec<_> =
        own.body["messages"].as_array().unwrap().iter().map(|message| &message["content"][0]["text"]).collect();
    assert_eq!(said, ["[[say one]]", "one", "[[say two]]"]);
    assert!(!own.text.contains("secret") && own.body.get("audit").is_none(), "{}", own.text);
    let whole = eve.get(&path).await.expect(200).body;
    let audit = &whole["audit"];
    assert_eq!(audit["sent_digest"], audit["rebuilt_digest"]);
    assert!(audit["request"].to_string().contains("a secret of the house"), "{audit}");
    // The first prompt is the chat as it was then.
    let first = ada.get(&format!("/chats/{id}/attempts/{}", attempts[0])).await.expect(200);
    assert_eq!((&first.body["prompt"], first.body["messages"].as_array().unwrap().len()), (&json!("same"), 1));
    for nothing in [0, 1, attempts[0] + 1, 9999] {
        ada.get(&format!("/chats/{id}/attempts/{nothing}")).await.expect_problem(404, "attempt_not_found");
    }
    world.stop().await;
}

#[actix_web::test]
async fn prompts_are_what_users_said_the_newest_first() {
    let world = World::start().await;
    let ada = world.client("ada");
    let id = id_of(&ada.post("/chats", json!({})).await.expect(201));
    for number in 1..=3 {
        ada.post(&format!("/chats/{id}/messages"), json!({"content": format!("number {number}")})).await.expect(202);
        until_rested(&ada, &id).await;
    }
    let texts = |answer: &support::http::Answer| -> Vec<String> {
        answer.items().iter().map(|message| message["content"][0]["text"].as_str().unwrap().to_owned()).collect()
    };
    let page = ada.get(&format!("/chats/{id}/prompts?limit=2")).await.expect(200);
    assert_eq!(texts(&page), ["number 3", "number 2"]);
    let rest = ada.get(&format!("/chats/{id}/prompts?cursor={}", page.text_of("next_cursor"))).await.expect(200);
    assert_eq!((texts(&rest), &rest.body["next_cursor"]), (vec!["number 1".to_owned()], &Value::Null));
    let second = page.items()[1]["id"].clone();
    ada.patch(&format!("/chats/{id}/messages/{second}"), json!({"content": "rather this"})).await.expect(202);
    Reader::open(&ada, &format!("/chats/{id}/stream"), None).await.next().await.unwrap();
    let now = ada.get(&format!("/chats/{id}/prompts")).await.expect(200);
    assert_eq!(texts(&now), ["rather this", "number 1"]);
    world.stop().await;
}

#[actix_web::test]
async fn a_fork_goes_on_from_an_earlier_point_and_leaves_the_other_chat_alone() {
    let world = World::start().await;
    let [ada, eve] = ["ada", "eve"].map(|key| world.client(key));
    let body =
        json!({"title": "Engines", "system_prompt": "Be brief.", "content": "[[say one]]", "labels": {"a": "b"}});
    let id = id_of(&ada.post("/chats", body).await.expect(201));
    until_rested(&ada, &id).await;
    let at = ada.get(&format!("/chats/{id}")).await.expect(200).number("version");
    ada.post(&format!("/chats/{id}/messages"), json!({"content": "[[say two]]"})).await.expect(202);
    until_rested(&ada, &id).await;
    let before = ada.get(&format!("/chats/{id}")).await.expect(200).body;

    let path = format!("/chats/{id}/fork");
    let key = [(support::http::IDEMPOTENCY_KEY, "once")];
    let fork = ada.call(Method::POST, &path, Some(&json!({"at": at})), &key).await.expect(201);
    let forked = id_of(&fork);
    assert_eq!(fork.header("location"), Some(&*format!("/api/v1/chats/{forked}")));
    assert_eq!(
        (&fork.body["title"], &fork.body["labels"], &fork.body["status"]),
        (&json!("Engines"), &json!({"a": "b"}), &json!("waiting"))
    );
    assert_eq!((&fork.body["owner"], &fork.body["root"]), (&json!("ada"), &json!(forked)));
    let again = ada.call(Method::POST, &path, Some(&json!({"at": at})), &key).await.expect(201);
    assert_eq!(id_of(&again), forked, "the same key makes one fork");
    let events = eve.get(&format!("/chats/{forked}/events")).await.expect(200);
    let origin = &events.items()[0]["data"]["forked_from"];
    assert_eq!((&origin["chat_id"], &origin["version"]), (&json!(id), &json!(at)));

    ada.post(&format!("/chats/{forked}/messages"), json!({"content": "[[say another]]"})).await.expect(202);
    until_rested(&ada, &forked).await;
    let messages = ada.get(&format!("/chats/{forked}/messages")).await.expect(200);
    let said: Vec<_> = messages.items().iter().map(|message| &message["content"][0]["text"]).collect();
    assert_eq!(said, ["[[say one]]", "one", "[[say another]]", "another"]);
    assert_eq!(ada.get(&format!("/chats/{id}")).await.expect(200).body, before);
    for nothing in [0, 9999] {
        ada.post(&path, json!({"at": nothing})).await.expect_problem(404, "version_not_found");
    }
    for wrong in [json!({}), json!({"at": "1"}), json!({"at": -1}), json!({"at": 1, "more": 1})] {
        ada.post(&path, wrong).await.expect_problem(400, "invalid_request");
    }
    world.stop().await;
}
