//! What an append does, and when it does not.

use support::chain::{Chain, verify_chain};
use support::log_home::LogHome;
use verbatim_events::ids::Digest;
use verbatim_events::log::{Append, AppendError, Appended};

use super::{read_everything, verify_log};

pub async fn events_come_back_as_they_were(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    let append = chat.append(30);
    let written = append.streams[0].events.clone();
    assert_eq!(log.append(append).await.unwrap(), Appended { position: 30 });
    let read = log.read_chat(chat.chat_id, 0, 100).await.unwrap();
    assert_eq!(read.iter().map(|stored| stored.event.clone()).collect::<Vec<_>>(), written);
    assert_eq!(verify_chain(&read), (chat.version, chat.hash));
    let page = log.read_all(0, 100).await.unwrap();
    assert_eq!(page.events, read);
    open.close().await;
}

pub async fn positions_are_gapless_and_appends_are_not_interleaved(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let (mut one, mut other) = (Chain::new(), Chain::new());
    for count in [1, 3, 2, 5] {
        let before = log.head().await.unwrap();
        let append = Append { streams: vec![one.grow(count), other.grow(1)], receipt: None };
        let expected = append.streams.iter().flat_map(|stream| stream.events.clone()).collect::<Vec<_>>();
        let appended = log.append(append).await.unwrap();
        assert_eq!(appended.position, before + count as u64 + 1);
        assert_eq!(log.head().await.unwrap(), appended.position);
        assert_eq!(log.known_head(), appended.position);
        let page = log.read_all(before, 100).await.unwrap();
        assert_eq!(page.events.iter().map(|stored| stored.event.clone()).collect::<Vec<_>>(), expected);
    }
    verify_log(&read_everything(&log, 4).await);
    open.close().await;
}

pub async fn a_wrong_version_is_a_conflict(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    log.append(chat.append(2)).await.unwrap();
    let mut late = chat.clone();
    log.append(chat.append(1)).await.unwrap();
    expect_conflict(log.append(late.append(1)).await, chat.chat_id);
    let mut early = chat.clone();
    early.version += 1;
    expect_conflict(log.append(early.append(1)).await, chat.chat_id);
    assert_eq!(log.head().await.unwrap(), 3);
    log.append(chat.append(1)).await.unwrap();
    verify_log(&read_everything(&log, 100).await);
    open.close().await;
}

pub async fn a_wrong_hash_is_a_conflict(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    let mut forged = chat.clone();
    forged.hash = Digest::of(b"something");
    expect_conflict(log.append(forged.append(1)).await, chat.chat_id);
    log.append(chat.append(2)).await.unwrap();
    let mut forged = chat.clone();
    forged.hash = Digest::of(b"something else");
    expect_conflict(log.append(forged.append(1)).await, chat.chat_id);
    assert_eq!(log.head().await.unwrap(), 2);
    open.close().await;
}

pub async fn a_chat_that_exists_is_not_made_again(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    let mut again = chat.clone();
    log.append(chat.append(1)).await.unwrap();
    expect_conflict(log.append(again.append(1)).await, chat.chat_id);
    open.close().await;
}

pub async fn a_chat_that_does_not_exist_does_not_grow(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut chat = Chain::new();
    let _never_written = chat.append(1);
    expect_conflict(log.append(chat.append(1)).await, chat.chat_id);
    assert_eq!(log.read_chat(chat.chat_id, 0, 10).await.unwrap(), []);
    assert_eq!(log.head().await.unwrap(), 0);
    open.close().await;
}

pub async fn several_chats_grow_together_or_not_at_all(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let (mut old, mut moved_on, mut new) = (Chain::new(), Chain::new(), Chain::new());
    log.append(Append { streams: vec![old.grow(1), moved_on.grow(1)], receipt: None }).await.unwrap();
    let (mut old_late, mut late, mut new_late) = (old.clone(), moved_on.clone(), new.clone());
    log.append(moved_on.append(1)).await.unwrap();

    let streams = vec![new_late.grow(2), old_late.grow(1), late.grow(1)];
    expect_conflict(log.append(Append { streams, receipt: None }).await, moved_on.chat_id);
    assert_eq!(log.head().await.unwrap(), 3);
    assert_eq!(log.read_chat(new.chat_id, 0, 10).await.unwrap(), []);

    let streams = vec![new.grow(2), old.grow(1), moved_on.grow(1)];
    assert_eq!(log.append(Append { streams, receipt: None }).await.unwrap().position, 7);
    for chat in [&old, &moved_on, &new] {
        let events = log.read_chat(chat.chat_id, 0, 10).await.unwrap();
        assert_eq!(verify_chain(&events), (chat.version, chat.hash));
    }
    verify_log(&read_everything(&log, 100).await);
    open.close().await;
}

pub async fn a_chat_may_be_expected_without_growing(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let (mut parent, mut child) = (Chain::new(), Chain::new());
    log.append(parent.append(1)).await.unwrap();
    let mut late = parent.clone();
    let streams = vec![parent.grow(0), child.grow(1)];
    assert_eq!(log.append(Append { streams, receipt: None }).await.unwrap().position, 2);
    log.append(parent.append(1)).await.unwrap();
    let streams = vec![child.clone().grow(1), late.grow(0)];
    expect_conflict(log.append(Append { streams, receipt: None }).await, parent.chat_id);
    assert_eq!(log.append(Append { streams: vec![], receipt: None }).await.unwrap().position, 3);
    open.close().await;
}

pub async fn malformed_appends_are_refused(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let chat = Chain::new();
    let mut twice = chat.clone();
    let streams = vec![twice.grow(1), twice.grow(1)];
    expect_failed(log.append(Append { streams, receipt: None }).await);
    let mut gap = chat.clone().append(3);
    gap.streams[0].events.remove(1);
    expect_failed(log.append(gap).await);
    let mut foreign = chat.clone().append(1);
    foreign.streams[0].events[0].chat_id = Chain::new().chat_id;
    expect_failed(log.append(foreign).await);
    assert_eq!(log.head().await.unwrap(), 0);
    open.close().await;
}

pub async fn large_appends_are_whole(home: LogHome) {
    let open = home.open().await;
    let log = open.log();
    let mut many = Chain::new();
    assert_eq!(log.append(many.append(700)).await.unwrap().position, 700);
    let mut large = Chain::new();
    let append = Append { streams: vec![large.grow_with(3, 2 * 1024 * 1024)], receipt: None };
    assert_eq!(log.append(append).await.unwrap().position, 703);
    let mut family: Vec<Chain> = (0..300).map(|_| Chain::new()).collect();
    let streams = family.iter_mut().map(|chat| chat.grow(2)).collect();
    assert_eq!(log.append(Append { streams, receipt: None }).await.unwrap().position, 1303);
    let streams = family.iter_mut().map(|chat| chat.grow(1)).collect();
    assert_eq!(log.append(Append { streams, receipt: None }).await.unwrap().position, 1603);
    assert_eq!(verify_chain(&log.read_chat(many.chat_id, 0, 1000).await.unwrap()).0, 700);
    let events = log.read_chat(large.chat_id, 0, 10).await.unwrap();
    assert!(events.iter().all(|stored| stored.event.data.len() > 2 * 1024 * 1024 - 100));
    verify_log(&read_everything(&log, 500).await);
    open.close().await;
}

pub async fn the_log_survives_being_closed(home: LogHome) {
    let (mut chat, mut other) = (Chain::new(), Chain::new());
    let open = home.open().await;
    open.log().append(chat.append(5)).await.unwrap();
    let before = read_everything(&open.log(), 100).await;
    open.close().await;
    for round in 0..3 {
        let open = home.open().await;
        let log = open.log();
        assert_eq!(log.known_head(), 5 + 2 * round);
        assert_eq!(log.read_all(0, 5).await.unwrap().events, before);
        let mut stale = chat.clone();
        stale.version -= 1;
        expect_conflict(log.append(stale.append(1)).await, chat.chat_id);
        log.append(chat.append(1)).await.unwrap();
        log.append(other.append(1)).await.unwrap();
        verify_log(&read_everything(&log, 100).await);
        open.close().await;
    }
}

pub async fn the_timeline_stays(home: LogHome) {
    let open = home.open().await;
    let timeline = open.log().timeline();
    open.close().await;
    let open = home.open().await;
    assert_eq!(open.log().timeline(), timeline);
    assert!(!timeline.is_nil());
    open.close().await;
}

pub fn expect_conflict(answer: Result<Appended, AppendError>, of: verbatim_events::ids::ChatId) {
    match answer {
        Err(AppendError::Conflict { chat_id }) => assert_eq!(chat_id, of),
        other => panic!("a conflict was expected, not {other:?}"),
    }
}

fn expect_failed(answer: Result<Appended, AppendError>) {
    assert!(matches!(answer, Err(AppendError::Failed(_))), "a refusal was expected, not {answer:?}");
}
