//! When the database fails, hesitates or loses its answer.

use std::sync::Arc;
use std::time::Duration;

use support::chain::{Chain, receipt, verify_chain};
use support::faults::ScriptedFaults;
use support::log_home::LogHome;
use verbatim_events::log::{Append, AppendError, Appended, EventLog};
use verbatim_events_sql::FaultPoint;

use super::appends::expect_conflict;
use super::concurrency::follow;
use super::{read_everything, verify_log};

/// The longest a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

fn expect_failed(answer: Result<Appended, AppendError>) {
    assert!(matches!(answer, Err(AppendError::Failed(_))), "a failure was expected, not {answer:?}");
}

fn expect_unknown(answer: Result<Appended, AppendError>) {
    assert!(matches!(answer, Err(AppendError::Unknown(_))), "an unknown outcome was expected, not {answer:?}");
}

pub async fn a_failure_before_the_commit_writes_nothing(home: LogHome) {
    for point in [FaultPoint::BeforeWrite, FaultPoint::BeforeCommit] {
        let faults = ScriptedFaults::new();
        let open = home.open_with(faults.options()).await;
        let log = open.log();
        let before = log.head().await.unwrap();
        let key = format!("{point:?}");
        let mut chat = Chain::new();
        let append = chat.append_with(2, receipt(&key, "sent"));
        faults.fail_next(point);
        expect_failed(log.append(append.clone()).await);
        assert_eq!(log.head().await.unwrap(), before);
        assert_eq!(log.read_chat(chat.chat_id, 0, 10).await.unwrap(), []);
        assert_eq!(log.receipt("ada", &key).await.unwrap(), None);
        // The same append is as good as before.
        assert_eq!(log.append(append).await.unwrap().position, before + 2);
        verify_log(&read_everything(&log, 10).await);
        open.close().await;
    }
}

pub async fn a_lost_answer_is_found_by_reading_again(home: LogHome) {
    let faults = ScriptedFaults::new();
    let open = home.open_with(faults.options()).await;
    let log = open.log();
    let mut chat = Chain::new();
    log.append(chat.append(1)).await.unwrap();
    let append = chat.append_with(2, receipt("k1", "sent"));
    faults.fail_next(FaultPoint::AfterCommit);
    expect_unknown(log.append(append.clone()).await);
    let events = log.read_chat(chat.chat_id, 0, 10).await.unwrap();
    assert_eq!(verify_chain(&events), (3, chat.hash));
    // The receipt tells a retry what happened; without it the retry finds that the chat moved on.
    match log.append(append.clone()).await {
        Err(AppendError::Duplicate(known)) => assert_eq!((known.position, &known.outcome[..]), (3, &b"sent"[..])),
        other => panic!("a duplicate was expected, not {other:?}"),
    }
    expect_conflict(log.append(Append { receipt: None, ..append }).await, chat.chat_id);
    assert_eq!(log.append(chat.append(1)).await.unwrap().position, 4);
    assert_eq!(log.known_head(), 4);
    open.close().await;
}

pub async fn an_unknown_outcome_that_did_not_happen_is_found_by_reading_again(home: LogHome) {
    let faults = ScriptedFaults::new();
    let open = home.open_with(faults.options()).await;
    let log = open.log();
    let mut chat = Chain::new();
    log.append(chat.append(1)).await.unwrap();
    faults.fail_next(FaultPoint::BeforeCommit);
    let mut failed = chat.clone();
    expect_failed(log.append(failed.append(1)).await);
    // Whoever does not trust the answer reads, and goes on from what there is.
    let events = log.read_chat(chat.chat_id, 0, 10).await.unwrap();
    assert_eq!(verify_chain(&events), (chat.version, chat.hash));
    log.append(chat.append(1)).await.unwrap();
    open.close().await;
}

pub async fn a_batch_fails_as_a_whole(home: LogHome) {
    for (point, known) in [(FaultPoint::BeforeCommit, true), (FaultPoint::AfterCommit, false)] {
        let faults = ScriptedFaults::new();
        let open = home.open_with(faults.options()).await;
        let log = open.log();
        let before = log.head().await.unwrap();
        // One batch is held, so that the next one is full of requests.
        let held = faults.hold_next(FaultPoint::AfterCommit);
        let first = spawn(&log, Chain::new().append(1));
        let gate = held.reached().await;
        let mut chats: Vec<Chain> = (0..10).map(|_| Chain::new()).collect();
        let appends = chats.iter_mut().map(|chat| chat.append(1)).map(|append| log.append(append));
        let mut appends: Vec<_> = appends.collect();
        for append in &mut appends {
            // Looked at once, an append is in the queue.
            assert!(futures_util::poll!(append).is_pending());
        }
        faults.fail_next(point);
        drop(gate);
        assert_eq!(first.await.unwrap().unwrap().position, before + 1);
        for append in appends {
            match known {
                true => expect_failed(append.await),
                false => expect_unknown(append.await),
            }
        }
        // What each caller finds by reading: all or nothing.
        let written = if known { 0 } else { 1 };
        for chat in &chats {
            assert_eq!(log.read_chat(chat.chat_id, 0, 10).await.unwrap().len(), written);
        }
        assert_eq!(log.head().await.unwrap(), before + 1 + 10 * written as u64);
        log.append(Chain::new().append(1)).await.unwrap();
        verify_log(&read_everything(&log, 100).await);
        open.close().await;
    }
}

pub async fn a_delayed_commit_is_never_skipped(home: LogHome) {
    let faults = ScriptedFaults::new();
    let open = home.open_with(faults.options()).await;
    let log = open.log();
    log.append(Chain::new().append(2)).await.unwrap();
    const ROUNDS: u64 = 10;
    let reader = tokio::spawn(follow(log.clone(), 2 + ROUNDS * 4));
    for round in 0..ROUNDS {
        let head = 2 + round * 4;
        let held = faults.hold_next(FaultPoint::BeforeCommit);
        let delayed = spawn(&log, Chain::new().append(3));
        let gate = held.reached().await;
        let late = spawn(&log, Chain::new().append(1));
        // Written, not committed: nobody sees it, and nobody sees what comes after it.
        let page = log.read_all(0, 1000).await.unwrap();
        assert_eq!((page.events.len() as u64, page.scanned_to, page.head), (head, head, head));
        drop(gate);
        assert_eq!(delayed.await.unwrap().unwrap().position, head + 3);
        assert_eq!(late.await.unwrap().unwrap().position, head + 4);
    }
    let seen = tokio::time::timeout(PATIENCE, reader).await.expect("the reader waits for an event it missed").unwrap();
    let missed = read_everything(&log, 1000).await.len() - seen.len();
    assert_eq!(missed, 0);
    verify_log(&seen);
    open.close().await;
}

fn spawn(log: &Arc<dyn EventLog>, append: Append) -> tokio::task::JoinHandle<Result<Appended, AppendError>> {
    let log = log.clone();
    tokio::spawn(async move { log.append(append).await })
}
