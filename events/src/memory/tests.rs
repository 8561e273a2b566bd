use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use chrono::DateTime;

use super::*;
use crate::envelope::{Actor, Cause};
use crate::event::{CompactionSource, ContextCleared, Event};
use crate::log::NewReceipt;
use crate::part::LivePart;
use crate::wire;

/// Counts how often it was woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>, bell: &Arc<Bell>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(bell))))
}

/// The answer of a future that never has to wait.
#[track_caller]
fn now<T>(mut future: BoxFuture<'_, T>) -> T {
    match poll(&mut future, &Arc::default()) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the log made its caller wait"),
    }
}

fn chat(number: u128) -> ChatId {
    ChatId(Uuid::from_u128(number))
}

/// What a chat gains when it goes on from `version` and `hash` by `count` events.
fn stream_from(number: u128, version: Version, hash: Digest, count: usize) -> StreamAppend {
    let cause = Cause { actor: Actor::System, command_id: Uuid::nil(), causation_id: None, trace_id: None };
    let events = vec![Event::ContextCleared(ContextCleared { source: CompactionSource::Manual }); count];
    let mut new_id = || Uuid::from_u128(u128::from(version) + 1);
    let sealed = wire::seal(chat(number), version, hash, events, &cause, DateTime::UNIX_EPOCH, &mut new_id);
    StreamAppend {
        chat_id: chat(number),
        expected_version: version,
        expected_hash: hash,
        events: sealed.into_iter().map(|(new, _)| new).collect(),
    }
}

/// What a chat gains when it goes on from where the log has it.
fn stream(log: &MemoryLog, number: u128, count: usize) -> StreamAppend {
    let (version, hash) = log.state().last(chat(number));
    stream_from(number, version, hash, count)
}

fn append(streams: Vec<StreamAppend>) -> Append {
    Append { streams, receipt: None }
}

fn with_receipt(streams: Vec<StreamAppend>, owner: &str, key: &str) -> Append {
    let receipt = NewReceipt {
        owner: owner.to_owned(),
        key: key.to_owned(),
        request_hash: Digest::of(key.as_bytes()),
        outcome: b"outcome".to_vec(),
    };
    Append { streams, receipt: Some(receipt) }
}

/// A log with two chats, of three events and one.
fn filled() -> MemoryLog {
    let log = MemoryLog::default();
    for (number, count) in [(1, 2), (2, 1), (1, 1)] {
        let streams = vec![stream(&log, number, count)];
        now(log.append(append(streams))).expect("an append");
    }
    log
}

fn everything(log: &MemoryLog) -> Vec<Stored> {
    now(log.read_all(0, usize::MAX)).expect("a page").events
}

#[test]
fn positions_have_no_gaps_and_an_append_takes_consecutive_ones() {
    let log = MemoryLog::default();
    let both = vec![stream(&log, 1, 2), stream(&log, 2, 3)];
    assert_eq!(now(log.append(append(both))).expect("an append").position, 5);
    let more = vec![stream(&log, 2, 1)];
    assert_eq!(now(log.append(append(more))).expect("an append").position, 6);
    let places: Vec<_> =
        everything(&log).iter().map(|stored| (stored.position, stored.event.chat_id, stored.event.version)).collect();
    let expected =
        [(1, chat(1), 1), (2, chat(1), 2), (3, chat(2), 1), (4, chat(2), 2), (5, chat(2), 3), (6, chat(2), 4)];
    assert_eq!(places, expected);
    assert_eq!((now(log.head()).expect("a head"), log.known_head()), (6, 6));
}

#[test]
fn chains_verify_after_reading_back() {
    let log = filled();
    let events = now(log.read_chat(chat(1), 0, 10)).expect("events");
    let mut previous = Digest::ZERO;
    for stored in &events {
        assert!(wire::verify_link(&previous, stored));
        previous = stored.event.hash;
    }
    assert_eq!(events.len(), 3);
}

#[test]
fn a_chat_is_read_in_pages() {
    let log = filled();
    let versions = |after, limit| -> Vec<Version> {
        let events = now(log.read_chat(chat(1), after, limit)).expect("events");
        events.iter().map(|stored| stored.event.version).collect()
    };
    assert_eq!(versions(0, 2), [1, 2]);
    assert_eq!(versions(2, 2), [3]);
    assert!(versions(3, 2).is_empty());
    assert!(versions(u64::MAX, 2).is_empty());
    assert!(versions(0, 0).is_empty());
    assert_eq!(now(log.read_chat(chat(9), 0, 5)).expect("events"), []);
}

#[test]
fn the_whole_log_is_read_in_pages_that_say_how_far_they_looked() {
    let log = filled();
    let page = |after, limit| now(log.read_all(after, limit)).expect("a page");
    let positions = |page: &LogPage| page.events.iter().map(|stored| stored.position).collect::<Vec<_>>();
    let first = page(0, 3);
    assert_eq!((positions(&first), first.scanned_to, first.head), (vec![1, 2, 3], 3, 4));
    let second = page(3, 3);
    assert_eq!((positions(&second), second.scanned_to, second.head), (vec![4], 4, 4));
    let third = page(4, 3);
    assert_eq!((positions(&third), third.scanned_to, third.head), (vec![], 4, 4));
}

#[test]
fn a_wrong_expectation_is_a_conflict_and_writes_nothing() {
    let log = filled();
    let (version, hash) = log.state().last(chat(1));
    let wrong = [
        (1, version - 1, hash, "an old version"),
        (1, version + 1, hash, "a future version"),
        (1, version, Digest::of(b"another"), "another hash"),
        (1, 0, Digest::ZERO, "a chat that exists"),
        (9, 1, hash, "a chat that does not exist"),
    ];
    let before = everything(&log);
    for (number, version, hash, what) in wrong {
        for count in [1, 0] {
            let stale = with_receipt(vec![stream_from(number, version, hash, count)], "ada", what);
            match now(log.append(stale)) {
                Err(AppendError::Conflict { chat_id }) => assert_eq!(chat_id, chat(number), "{what}"),
                other => panic!("{what}: {other:?}"),
            }
        }
        assert_eq!(now(log.receipt("ada", what)).expect("an answer"), None, "{what}");
    }
    assert_eq!(everything(&log), before);
}

#[test]
fn several_streams_are_appended_together_or_not_at_all() {
    let log = filled();
    let before = everything(&log);
    let stale = stream_from(2, 0, Digest::ZERO, 1);
    let mixed = vec![stream(&log, 1, 1), stale];
    match now(log.append(append(mixed))) {
        Err(AppendError::Conflict { chat_id }) => assert_eq!(chat_id, chat(2)),
        other => panic!("{other:?}"),
    }
    assert_eq!(everything(&log), before);
}

#[test]
fn a_malformed_append_is_refused_whole() {
    let log = filled();
    let before = everything(&log);
    let twice = vec![stream(&log, 1, 1), stream(&log, 1, 1)];
    let mut skipping = stream(&log, 1, 2);
    skipping.events.remove(0);
    let mut foreign = stream(&log, 1, 1);
    foreign.events[0].chat_id = chat(2);
    for streams in [twice, vec![skipping], vec![foreign]] {
        assert!(matches!(now(log.append(append(streams))), Err(AppendError::Failed(_))));
    }
    assert_eq!(everything(&log), before);
}

#[test]
fn a_known_key_is_a_duplicate_before_it_is_a_conflict() {
    let log = filled();
    let request = with_receipt(vec![stream(&log, 1, 2)], "ada", "key");
    assert_eq!(now(log.append(request.clone())).expect("an append").position, 6);
    let before = everything(&log);
    let expected = Receipt { request_hash: Digest::of(b"key"), position: 6, outcome: b"outcome".to_vec() };
    for _ in 0..2 {
        match now(log.append(request.clone())) {
            Err(AppendError::Duplicate(receipt)) => assert_eq!(*receipt, expected),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(everything(&log), before);
    assert_eq!(now(log.receipt("ada", "key")).expect("an answer"), Some(expected));
    assert_eq!(now(log.receipt("bob", "key")).expect("an answer"), None);
    let of_another = with_receipt(vec![stream(&log, 1, 1)], "bob", "key");
    assert!(now(log.append(of_another)).is_ok());
}

#[test]
fn a_receipt_may_come_without_events() {
    let log = filled();
    let nothing = with_receipt(vec![stream(&log, 1, 0)], "ada", "key");
    assert_eq!(now(log.append(nothing)).expect("an append").position, 4);
    assert_eq!(now(log.receipt("ada", "key")).expect("an answer").map(|receipt| receipt.position), Some(4));
    assert_eq!(log.known_head(), 4);
}

#[test]
fn who_waits_is_woken_by_the_next_event_and_by_nothing_else() {
    let log = filled();
    let bell = Arc::new(Bell::default());
    let mut waiting = log.wait_beyond(4);
    assert!(poll(&mut waiting, &bell).is_pending());
    now(log.append(append(vec![]))).expect("an empty append");
    now(log.append(append(vec![stream_from(1, 0, Digest::ZERO, 1)]))).expect_err("a conflict");
    assert_eq!(bell.0.load(Ordering::SeqCst), 0);
    assert!(poll(&mut waiting, &bell).is_pending());
    let one = vec![stream(&log, 1, 1)];
    now(log.append(append(one))).expect("an append");
    assert_eq!(bell.0.load(Ordering::SeqCst), 1);
    assert!(poll(&mut waiting, &bell).is_ready());
}

#[test]
fn who_comes_late_does_not_wait() {
    let log = filled();
    let bell = Arc::new(Bell::default());
    assert!(poll(&mut log.wait_beyond(3), &bell).is_ready());
}

#[test]
fn who_stops_waiting_leaves_nothing_behind() {
    let log = filled();
    let bell = Arc::new(Bell::default());
    for _ in 0..3 {
        let mut waiting = log.wait_beyond(4);
        assert!(poll(&mut waiting, &bell).is_pending());
        assert!(poll(&mut waiting, &bell).is_pending());
        assert_eq!(log.state().waiting.len(), 1);
    }
    assert_eq!(log.state().waiting.len(), 0);
    let one = vec![stream(&log, 1, 1)];
    now(log.append(append(one))).expect("an append");
    assert_eq!(bell.0.load(Ordering::SeqCst), 0);
}

#[test]
fn faults_come_in_order_and_do_what_they_say() {
    let log = MemoryLog::default();
    for fault in [Fault::Busy, Fault::Refused, Fault::LostBefore, Fault::LostAfter] {
        log.fail_next_append(fault);
    }
    let one = || append(vec![stream_from(1, 0, Digest::ZERO, 1)]);
    assert!(matches!(now(log.append(one())), Err(AppendError::Busy)));
    assert!(matches!(now(log.append(one())), Err(AppendError::Failed(_))));
    assert!(matches!(now(log.append(one())), Err(AppendError::Unknown(_))));
    assert_eq!(log.known_head(), 0);
    assert!(matches!(now(log.append(one())), Err(AppendError::Unknown(_))));
    assert_eq!(log.known_head(), 1);
    assert!(matches!(now(log.append(one())), Err(AppendError::Conflict { .. })));
}

#[test]
fn an_append_whose_answer_was_lost_still_wakes() {
    let log = MemoryLog::default();
    let bell = Arc::new(Bell::default());
    let mut waiting = log.wait_beyond(0);
    assert!(poll(&mut waiting, &bell).is_pending());
    log.fail_next_append(Fault::LostAfter);
    now(log.append(append(vec![stream_from(1, 0, Digest::ZERO, 1)]))).expect_err("a lost answer");
    assert_eq!(bell.0.load(Ordering::SeqCst), 1);
}

#[test]
fn reads_fail_as_often_as_asked() {
    let log = filled();
    log.fail_next_reads(4);
    assert!(matches!(now(log.head()), Err(LogError::Unavailable(_))));
    assert!(now(log.read_all(0, 1)).is_err());
    assert!(now(log.read_chat(chat(1), 0, 1)).is_err());
    assert!(now(log.receipt("ada", "key")).is_err());
    assert_eq!(now(log.head()).expect("a head"), 4);
}

#[test]
fn concurrent_writers_lose_nothing_and_repeat_nothing() {
    let log = MemoryLog::default();
    let (writers, each) = (8, 50);
    std::thread::scope(|scope| {
        for _ in 0..writers {
            scope.spawn(|| {
                let mut done = 0;
                while done < each {
                    let shared = stream(&log, 1, 1);
                    match now(log.append(append(vec![shared]))) {
                        Ok(_) => done += 1,
                        Err(AppendError::Conflict { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    let versions: Vec<_> = everything(&log).iter().map(|stored| (stored.position, stored.event.version)).collect();
    assert_eq!(versions, (1..=writers * each).map(|number| (number, number)).collect::<Vec<_>>());
}

#[test]
fn timelines_are_told_apart() {
    let timeline = Uuid::from_u128(7);
    assert_eq!(MemoryLog::new(timeline).timeline(), timeline);
    assert_ne!(MemoryLog::default().timeline(), timeline);
}

fn part(n: u64, text: &str) -> NumberedPart {
    NumberedPart { n, after_version: 3, part: LivePart::TextDelta { text: text.to_owned() } }
}

#[test]
fn a_journal_keeps_parts_in_order_and_each_once() {
    let journal = MemoryJournal::default();
    let write = |attempt, parts| now(journal.write(chat(1), attempt, parts)).expect("a write");
    write(5, vec![part(1, "a"), part(2, "b")]);
    write(5, vec![part(2, "b"), part(3, "c")]);
    write(6, vec![part(1, "d")]);
    let read = |number, attempt| now(journal.read(chat(number), attempt)).expect("parts");
    assert_eq!(read(1, 5), [part(1, "a"), part(2, "b"), part(3, "c")]);
    assert_eq!(read(1, 6), [part(1, "d")]);
    assert_eq!(read(1, 7), []);
    assert_eq!(read(2, 5), []);
}

#[test]
fn a_journal_forgets_up_to_an_attempt_of_one_chat() {
    let journal = MemoryJournal::default();
    for (number, attempt) in [(1, 5), (1, 6), (1, 7), (2, 5)] {
        now(journal.write(chat(number), attempt, vec![part(1, "a")])).expect("a write");
    }
    now(journal.forget(chat(1), 6)).expect("forgotten");
    let kept: Vec<_> = journal.attempts().keys().copied().collect();
    assert_eq!(kept, [(chat(1), 7), (chat(2), 5)]);
}
