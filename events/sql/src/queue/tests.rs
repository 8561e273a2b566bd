use chrono::DateTime;
use uuid::Uuid;
use verbatim_events::envelope::{Actor, Encoding, NewEvent};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::log::{Append, AppendError, NewReceipt, StreamAppend};

use super::{Queue, Request, check};
use crate::options::{BATCH_BYTES_MAX, BATCH_REQUESTS_MAX};

fn event(chat: u128, version: u64, size_bytes: usize) -> NewEvent {
    NewEvent {
        chat_id: ChatId(Uuid::from_u128(chat)),
        version,
        event_id: Uuid::from_u128(1),
        event_type: "message_committed".to_owned(),
        schema: 1,
        recorded_at: DateTime::UNIX_EPOCH,
        actor: Actor::System,
        command_id: Uuid::from_u128(2),
        causation_id: None,
        trace_id: None,
        encoding: Encoding::Plain,
        data: vec![b'x'; size_bytes],
        hash: Digest::ZERO,
    }
}

fn stream(chat: u128, events: Vec<NewEvent>) -> StreamAppend {
    let chat_id = ChatId(Uuid::from_u128(chat));
    StreamAppend { chat_id, expected_version: 0, expected_hash: Digest::ZERO, events }
}

fn append(chat: u128, size_bytes: usize) -> Append {
    Append { streams: vec![stream(chat, vec![event(chat, 1, size_bytes)])], receipt: None }
}

fn keyed(chat: u128, key: &str) -> Append {
    let receipt =
        NewReceipt { owner: "ada".to_owned(), key: key.to_owned(), request_hash: Digest::ZERO, outcome: vec![] };
    Append { receipt: Some(receipt), ..append(chat, 1) }
}

fn request(append: Append) -> Request {
    Request::new(append).0
}

fn chats(batch: &[Request]) -> Vec<u128> {
    batch.iter().map(|request| request.append.streams[0].chat_id.0.as_u128()).collect()
}

#[tokio::test]
async fn a_batch_takes_what_waits_up_to_its_bounds() {
    let (queue, mut inbox) = Queue::new(1000);
    for chat in 0..BATCH_REQUESTS_MAX as u128 + 10 {
        queue.sender.try_send(request(append(chat, 1))).unwrap();
    }
    let first = inbox.next().await.unwrap();
    assert_eq!(inbox.drain(first).len(), BATCH_REQUESTS_MAX);
    let first = inbox.next().await.unwrap();
    assert_eq!(inbox.drain(first).len(), 10);

    for chat in 0..4 {
        queue.sender.try_send(request(append(chat, BATCH_BYTES_MAX / 2))).unwrap();
    }
    let first = inbox.next().await.unwrap();
    assert_eq!(chats(&inbox.drain(first)), [0, 1]);
    let first = inbox.next().await.unwrap();
    assert_eq!(chats(&inbox.drain(first)), [2, 3]);
}

#[tokio::test]
async fn a_distinct_batch_puts_off_equal_chats_and_keys_in_their_order() {
    let (queue, mut inbox) = Queue::new(1000);
    let appends = [keyed(1, "a"), append(2, 1), append(1, 1), keyed(3, "a"), append(3, 1), append(4, 1), append(1, 2)];
    for append in appends {
        queue.sender.try_send(request(append)).unwrap();
    }
    let first = inbox.next().await.unwrap();
    assert_eq!(chats(&inbox.drain_distinct(first)), [1, 2, 4]);
    // The second request of chat 3 waits behind the first, which waits for its key.
    let first = inbox.next().await.unwrap();
    assert_eq!(chats(&inbox.drain_distinct(first)), [1, 3]);
    queue.sender.try_send(request(append(5, 1))).unwrap();
    let first = inbox.next().await.unwrap();
    let batch = inbox.drain_distinct(first);
    assert_eq!(chats(&batch), [3, 1, 5]);
    assert_eq!(batch[1].append.streams[0].events[0].data.len(), 2);
}

#[tokio::test]
async fn a_full_queue_is_busy_and_a_closed_one_says_so() {
    let (queue, mut inbox) = Queue::new(1);
    queue.sender.try_send(request(append(1, 1))).unwrap();
    assert!(matches!(queue.append(append(2, 1)).await, Err(AppendError::Busy)));
    inbox.close();
    assert!(inbox.next().await.is_some(), "what waited is still served");
    assert!(inbox.next().await.is_none());
    assert!(matches!(queue.append(append(2, 1)).await, Err(AppendError::Failed(_))));
}

#[tokio::test]
async fn a_writer_that_dies_leaves_the_outcome_unknown() {
    let (queue, mut inbox) = Queue::new(1);
    let waiting = tokio::spawn(async move { queue.append(append(1, 1)).await });
    drop(inbox.next().await.unwrap());
    assert!(matches!(waiting.await.unwrap(), Err(AppendError::Unknown(_))));
}

#[test]
fn malformed_appends_are_named() {
    let good = |streams| check(&Append { streams, receipt: None });
    assert_eq!(good(vec![]), Ok(()));
    assert_eq!(good(vec![stream(1, vec![event(1, 1, 0), event(1, 2, 0)]), stream(2, vec![])]), Ok(()));
    for (streams, problem) in [
        (vec![stream(1, vec![]), stream(1, vec![])], "occurs twice"),
        (vec![stream(1, vec![event(1, 1, 0), event(1, 3, 0)])], "where event 2 of"),
        (vec![stream(1, vec![event(1, 2, 0)])], "where event 1 of"),
        (vec![stream(1, vec![event(2, 1, 0)])], "where event 1 of"),
    ] {
        let error = good(streams).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
    let mut huge = stream(1, vec![]);
    huge.expected_version = u64::MAX;
    assert!(good(vec![huge]).unwrap_err().contains("too large"));
}
