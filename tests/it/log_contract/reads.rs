//! Reading, in pages of any size.

use support::chain::{Chain, verify_chain};
use support::log_home::LogHome;
use verbatim_events::log::LogPage;

use super::{read_everything, verify_log};

pub async fn an_unknown_chat_is_empty(home: LogHome) {
    let open = home.open().await;
    assert_eq!(open.log().read_chat(Chain::new().chat_id, 0, 10).await.unwrap(), []);
    assert_eq!(open.log().read_all(0, 10).await.unwrap(), LogPage { events: vec![], scanned_to: 0, head: 0 });
    open.close().await;
}

pub async fn chats_are_read_in_pages(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let (mut chat, mut other) = (Chain::new(), Chain::new());
    for _ in 0..10 {
        log.append(chat.append(1)).await.unwrap();
        log.append(other.append(2)).await.unwrap();
    }
    let whole = log.read_chat(chat.chat_id, 0, 100).await.unwrap();
    assert_eq!(verify_chain(&whole), (10, chat.hash));
    for limit in 1..=11 {
        let (mut pages, mut after) = (Vec::new(), 0);
        loop {
            let page = log.read_chat(chat.chat_id, after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = last.event.version;
            pages.extend(page);
        }
        assert_eq!(pages, whole, "in pages of {limit}");
    }
    assert_eq!(log.read_chat(chat.chat_id, 0, 0).await.unwrap(), []);
    open.close().await;
}

pub async fn the_log_is_read_in_pages(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chats: Vec<Chain> = (0..5).map(|_| Chain::new()).collect();
    for round in 0..4 {
        for chat in &mut chats {
            log.append(chat.append(1 + round % 2)).await.unwrap();
        }
    }
    let whole = read_everything(&log, 1000).await;
    assert_eq!(whole.len(), 30);
    verify_log(&whole);
    for limit in 1..=31 {
        assert_eq!(read_everything(&log, limit).await, whole, "in pages of {limit}");
    }
    open.close().await;
}

pub async fn pages_say_how_far_they_looked(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    log.append(Chain::new().append(5)).await.unwrap();
    let page = log.read_all(1, 2).await.unwrap();
    assert_eq!((page.events.len(), page.scanned_to, page.head), (2, 3, 5));
    let page = log.read_all(3, 2).await.unwrap();
    assert_eq!((page.events.len(), page.scanned_to, page.head), (2, 5, 5));
    let page = log.read_all(5, 2).await.unwrap();
    assert_eq!((page.events.len(), page.scanned_to, page.head), (0, 5, 5));
    let page = log.read_all(2, 0).await.unwrap();
    assert_eq!((page.events.len(), page.scanned_to, page.head), (0, 2, 5));
    open.close().await;
}

pub async fn beyond_the_end_there_is_nothing(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    log.append(chat.append(2)).await.unwrap();
    assert_eq!(log.read_chat(chat.chat_id, u64::MAX, 10).await.unwrap(), []);
    let page = log.read_all(u64::MAX, 10).await.unwrap();
    assert_eq!((page.events.len(), page.scanned_to, page.head), (0, u64::MAX, 2));
    open.close().await;
}

pub async fn long_reads_are_whole(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let (mut chat, mut other) = (Chain::new(), Chain::new());
    for _ in 0..5 {
        log.append(chat.append(500)).await.unwrap();
        log.append(other.append(1)).await.unwrap();
    }
    // Longer than what the databases read at once.
    let events = log.read_chat(chat.chat_id, 100, 2400).await.unwrap();
    assert_eq!((events.len(), events[0].event.version, events[2399].event.version), (2400, 101, 2500));
    let page = log.read_all(5, usize::MAX).await.unwrap();
    assert_eq!((page.events.len(), page.scanned_to, page.head), (2500, 2505, 2505));
    verify_log(&read_everything(&log, 2001).await);
    open.close().await;
}
