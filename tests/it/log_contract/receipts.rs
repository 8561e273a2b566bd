//! What is remembered under idempotency keys.

use std::sync::Arc;

use chrono::TimeDelta;
use parking_lot::Mutex;
use support::chain::{Chain, receipt, some_moment};
use support::log_home::{LogHome, OpenLog};
use verbatim_events::ids::{Digest, Position};
use verbatim_events::log::{Append, AppendError, Appended, Receipt};
use verbatim_events_sql::{Forgotten, LogOptions, OUTCOME_PREFIX_BYTES};

use super::appends::expect_conflict;
use super::read_everything;

fn kept(what: &str, position: Position) -> Receipt {
    Receipt { request_hash: Digest::of(what.as_bytes()), position, outcome: what.as_bytes().to_vec() }
}

fn expect_duplicate(answer: Result<Appended, AppendError>, of: &Receipt) {
    match answer {
        Err(AppendError::Duplicate(known)) => assert_eq!(*known, *of),
        other => panic!("a duplicate was expected, not {other:?}"),
    }
}

pub async fn a_receipt_is_kept_with_its_events(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    log.append(chat.append(1)).await.unwrap();
    assert_eq!(log.receipt("ada", "k1").await.unwrap(), None);
    let append = chat.append_with(3, receipt("k1", "sent"));
    assert_eq!(log.append(append.clone()).await.unwrap().position, 4);
    assert_eq!(log.receipt("ada", "k1").await.unwrap(), Some(kept("sent", 4)));
    expect_duplicate(log.append(append).await, &kept("sent", 4));
    assert_eq!(log.head().await.unwrap(), 4);
    open.close().await;
}

pub async fn a_receipt_needs_no_events(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    let nothing = Append { streams: vec![], receipt: Some(receipt("k0", "empty")) };
    assert_eq!(log.append(nothing).await.unwrap().position, 0);
    log.append(chat.append(2)).await.unwrap();
    assert_eq!(log.append(chat.append_with(0, receipt("k1", "nothing"))).await.unwrap().position, 2);
    assert_eq!(log.receipt("ada", "k0").await.unwrap(), Some(kept("empty", 0)));
    assert_eq!(log.receipt("ada", "k1").await.unwrap(), Some(kept("nothing", 2)));
    assert_eq!(log.head().await.unwrap(), 2);
    open.close().await;
}

pub async fn a_known_key_is_a_duplicate_whatever_is_asked(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let (mut chat, mut other) = (Chain::new(), Chain::new());
    log.append(chat.append_with(1, receipt("k1", "first"))).await.unwrap();
    // Whether the request is the same one is for the caller to compare: it gets the first one's hash.
    expect_duplicate(log.append(chat.append_with(1, receipt("k1", "second"))).await, &kept("first", 1));
    expect_duplicate(log.append(other.append_with(1, receipt("k1", "first"))).await, &kept("first", 1));
    assert_eq!(log.head().await.unwrap(), 1);
    open.close().await;
}

pub async fn keys_of_other_owners_are_other_keys(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    log.append(chat.append_with(1, receipt("k1", "ada's"))).await.unwrap();
    let mut bobs = receipt("k1", "bob's");
    bobs.owner = "bob".to_owned();
    assert_eq!(log.append(chat.append_with(1, bobs)).await.unwrap().position, 2);
    assert_eq!(log.receipt("ada", "k1").await.unwrap(), Some(kept("ada's", 1)));
    assert_eq!(log.receipt("bob", "k1").await.unwrap(), Some(kept("bob's", 2)));
    open.close().await;
}

pub async fn a_conflict_keeps_no_receipt(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    let mut late = chat.clone();
    log.append(chat.append(1)).await.unwrap();
    expect_conflict(log.append(late.append_with(1, receipt("k1", "late"))).await, chat.chat_id);
    assert_eq!(log.receipt("ada", "k1").await.unwrap(), None);
    assert_eq!(log.append(chat.append_with(1, receipt("k1", "again"))).await.unwrap().position, 2);
    open.close().await;
}

pub async fn equal_keys_at_once_are_done_once(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut running = tokio::task::JoinSet::new();
    for key in 0..20 {
        for _ in 0..8 {
            let log = log.clone();
            // Each caller makes a chat of its own: only the key tells that they are one command.
            let append = Chain::new().append_with(2, receipt(&format!("k{key}"), "once"));
            running.spawn(async move { (key, log.append(append).await) });
        }
    }
    let (mut done, mut duplicates) = (vec![None; 20], Vec::new());
    while let Some(finished) = running.join_next().await {
        match finished.unwrap() {
            (key, Ok(appended)) => assert_eq!(done[key].replace(appended.position), None, "key {key} was done twice"),
            (key, Err(AppendError::Duplicate(known))) => duplicates.push((key, known.position)),
            (key, Err(other)) => panic!("key {key}: {other}"),
        }
    }
    assert_eq!(duplicates.len(), 20 * 7);
    for (key, position) in duplicates {
        assert_eq!(done[key], Some(position), "key {key}: the duplicate names another position");
    }
    assert_eq!(read_everything(&log, 1000).await.len(), 40);
    open.close().await;
}

pub async fn receipts_survive_being_closed(home: LogHome) {
    let open = home.open().await;
    let mut chat = Chain::new();
    let append = chat.append_with(1, receipt("k1", "sent"));
    open.log().append(append.clone()).await.unwrap();
    open.close().await;
    let open = home.open().await;
    assert_eq!(open.log().receipt("ada", "k1").await.unwrap(), Some(kept("sent", 1)));
    expect_duplicate(open.log().append(append).await, &kept("sent", 1));
    open.close().await;
}

/// What a database keeps for a while goes in time, and what is younger stays.
async fn old_receipts_go(home: LogHome) {
    let now = Arc::new(Mutex::new(some_moment()));
    let clock = now.clone();
    let options = LogOptions { receipts_days: 7, clock: Arc::new(move || *clock.lock()), ..LogOptions::default() };
    let open = home.open_with(options).await;
    let log = open.log();
    let mut chat = Chain::new();
    log.append(chat.append_with(1, receipt("old", "a"))).await.unwrap();
    *now.lock() += TimeDelta::days(4);
    log.append(chat.append_with(1, receipt("young", "b"))).await.unwrap();
    *now.lock() += TimeDelta::days(4);
    // The writer prunes after a batch, before it takes the next.
    log.append(chat.append(1)).await.unwrap();
    log.append(chat.append(1)).await.unwrap();
    assert_eq!(log.receipt("ada", "old").await.unwrap(), None);
    assert!(log.receipt("ada", "young").await.unwrap().is_some());
    assert_eq!(read_everything(&log, 10).await.len(), 4);
    open.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_receipts_go_on_sqlite() {
    old_receipts_go(LogHome::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_receipts_go_on_postgres() {
    old_receipts_go(LogHome::postgres().await).await;
}

/// An outcome as long as those of chats, which begins with whose it is.
fn outcome_of(chat: &str, what: &str) -> String {
    format!("{chat:-<OUTCOME_PREFIX_BYTES$}{what}")
}

/// Of an erased chat's receipts nothing stays but the key that made it and the answer that it was erased.
async fn an_erased_chats_receipts_go(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let (mut one, mut other) = (Chain::new(), Chain::new());
    // Enough of both, in each other's way, that pages are split and merged.
    let mut positions = Vec::new();
    for number in 0..300 {
        let kept = receipt(&format!("other-{number:04}-{}", "o".repeat(150)), &outcome_of("two", "kept"));
        log.append(other.append_with(1, kept)).await.unwrap();
        let said = outcome_of("one", &format!("zephyrine-{number:04}"));
        let gone = receipt(&format!("marzipania-{number:04}-{}", "m".repeat(150)), &said);
        positions.push(log.append(one.append_with(1, gone)).await.unwrap().position);
        if number == 150 {
            // One that appends nothing stands where the head was.
            let nothing = receipt("nothing", &outcome_of("one", "zephyrine-none"));
            log.append(one.append_with(0, nothing)).await.unwrap();
        }
    }
    let key_of = |number: usize| format!("marzipania-{number:04}-{}", "m".repeat(150));
    let forgotten = Forgotten {
        outcome_prefix: outcome_of("one", "").into_bytes(),
        made_at: positions[0],
        erased_at: positions[299],
    };
    for _ in 0..2 {
        match &open {
            OpenLog::Sqlite(log) => log.forget_receipts(forgotten.clone()).await.unwrap(),
            OpenLog::Postgres(log) => log.forget_receipts(forgotten.clone()).await.unwrap(),
            OpenLog::Memory(_) => panic!("a log in memory keeps nothing on a disk"),
        }
        let made = log.receipt("ada", &key_of(0)).await.unwrap().expect("the key that made it");
        assert_eq!(made, Receipt { request_hash: Digest::ZERO, position: positions[0], outcome: Vec::new() });
        let erased = log.receipt("ada", &key_of(299)).await.unwrap();
        assert_eq!(erased, Some(kept(&outcome_of("one", "zephyrine-0299"), positions[299])));
        for key in (1..299).map(key_of) {
            assert_eq!(log.receipt("ada", &key).await.unwrap(), None, "{key}");
        }
        for number in 0..300 {
            let key = format!("other-{number:04}-{}", "o".repeat(150));
            assert!(log.receipt("ada", &key).await.unwrap().is_some(), "{key}");
        }
    }
    if let OpenLog::Sqlite(_) = &open {
        for path in std::fs::read_dir(home.file().parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()) {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            let keys = (1..299).map(|number| format!("marzipania-{number:04}-"));
            let answers = (0..299).map(|number| format!("zephyrine-{number:04}"));
            for gone in keys.chain(answers).chain(["zephyrine-none".to_owned()]) {
                assert!(!text.contains(&gone), "{gone} in {}", path.display());
            }
        }
    }
    // What comes next is remembered as ever.
    log.append(other.append_with(1, receipt(&key_of(1), "again"))).await.unwrap();
    open.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_chats_receipts_go_on_sqlite() {
    an_erased_chats_receipts_go(LogHome::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_chats_receipts_go_on_postgres() {
    an_erased_chats_receipts_go(LogHome::postgres().await).await;
}
