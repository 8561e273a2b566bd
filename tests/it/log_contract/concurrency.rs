//! Many at once.

use std::sync::Arc;
use std::time::Duration;

use support::chain::{Chain, verify_chain};
use support::log_home::LogHome;
use tokio::task::JoinSet;
use verbatim_events::envelope::Stored;
use verbatim_events::ids::Position;
use verbatim_events::log::{AppendError, EventLog};

use super::{read_everything, verify_log};

/// The longest a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Follows a log from its beginning as a subscriber does, until it has seen `until` positions. Never looks back.
pub async fn follow(log: Arc<dyn EventLog>, until: Position) -> Vec<Stored> {
    let (mut seen, mut after) = (Vec::new(), 0);
    while after < until {
        let page = log.read_all(after, 50).await.unwrap();
        after = page.scanned_to;
        if page.events.is_empty() {
            log.wait_beyond(after).await;
        }
        seen.extend(page.events);
    }
    seen
}

pub async fn a_reader_misses_nothing_of_sixteen_writers(home: LogHome) {
    const WRITERS: u64 = 16;
    const APPENDS: u64 = 40;
    let open = home.open().await;
    let log = open.log();
    let reader = tokio::spawn(follow(log.clone(), WRITERS * APPENDS));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let log = log.clone();
        writers.spawn(async move {
            let mut chat = Chain::new();
            let mut last = 0;
            for _ in 0..APPENDS {
                let appended = log.append(chat.append(1)).await.unwrap();
                assert!(appended.position > last);
                last = appended.position;
            }
            chat
        });
    }
    let chats = writers.join_all().await;
    let seen = tokio::time::timeout(PATIENCE, reader).await.expect("the reader waits for an event it missed").unwrap();
    assert_eq!(seen, read_everything(&log, 1000).await);
    verify_log(&seen);
    for chat in chats {
        let events = log.read_chat(chat.chat_id, 0, 100).await.unwrap();
        assert_eq!(verify_chain(&events), (chat.version, chat.hash));
    }
    open.close().await;
}

pub async fn one_of_many_equal_appends_wins(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    log.append(chat.append(1)).await.unwrap();
    for round in 1..=20 {
        let mut running = JoinSet::new();
        for _ in 0..8 {
            let (log, mut mine) = (log.clone(), chat.clone());
            running.spawn(async move { log.append(mine.append(1)).await.map(|_| mine) });
        }
        let mut winners = Vec::new();
        for outcome in running.join_all().await {
            match outcome {
                Ok(winner) => winners.push(winner),
                Err(AppendError::Conflict { chat_id }) => assert_eq!(chat_id, chat.chat_id),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        chat = winners.remove(0);
    }
    let events = log.read_chat(chat.chat_id, 0, 100).await.unwrap();
    assert_eq!(verify_chain(&events), (21, chat.hash));
    open.close().await;
}

pub async fn a_follower_is_woken(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    log.wait_beyond_at_once(0, false).await;
    for position in 1..=5 {
        let waiting = tokio::spawn({
            let log = log.clone();
            async move { log.wait_beyond(position - 1).await }
        });
        log.append(chat.append(1)).await.unwrap();
        tokio::time::timeout(PATIENCE, waiting).await.expect("nobody woke the follower").unwrap();
        assert!(log.known_head() >= position);
        log.wait_beyond_at_once(position - 1, true).await;
        log.wait_beyond_at_once(position, false).await;
    }
    open.close().await;
}

pub async fn an_append_is_done_even_if_nobody_waits(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chats: Vec<Chain> = (0..10).map(|_| Chain::new()).collect();
    for chat in &mut chats {
        let mut appending = log.append(chat.append(1));
        // Polled once, so that it was asked for; then its caller goes away.
        let _ = futures_util::poll!(&mut appending);
        drop(appending);
    }
    // The writer works in order: what comes after is done after.
    log.append(Chain::new().append(1)).await.unwrap();
    for chat in &chats {
        let events = log.read_chat(chat.chat_id, 0, 10).await.unwrap();
        assert_eq!(verify_chain(&events), (1, chat.hash));
    }
    open.close().await;
}

/// Whether `wait_beyond` returns when it is first looked at.
trait WaitAtOnce {
    async fn wait_beyond_at_once(&self, position: Position, expected: bool);
}

impl WaitAtOnce for Arc<dyn EventLog> {
    async fn wait_beyond_at_once(&self, position: Position, expected: bool) {
        let waits = futures_util::poll!(self.wait_beyond(position)).is_pending();
        assert_eq!(waits, !expected, "waiting for a head beyond {position}, the head being {}", self.known_head());
    }
}
