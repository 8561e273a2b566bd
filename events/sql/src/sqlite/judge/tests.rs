use std::collections::HashMap;

use chrono::DateTime;
use uuid::Uuid;
use verbatim_events::envelope::{Actor, Encoding, NewEvent};
use verbatim_events::ids::{ChatId, Digest, Version};
use verbatim_events::log::{Append, AppendError, NewReceipt, Receipt, StreamAppend};

use super::{Known, StreamMove, judge};
use crate::sqlite::heads::StreamHead;

fn chat(number: u128) -> ChatId {
    ChatId(Uuid::from_u128(number))
}

/// A head whose hash follows from its version, so that heads of a chat are told apart.
fn head(version: Version) -> StreamHead {
    match version {
        0 => (0, Digest::ZERO),
        _ => (version, Digest::of(&version.to_be_bytes())),
    }
}

fn grow(number: u128, after: Version, count: u64) -> StreamAppend {
    let events = (after + 1..=after + count).map(|version| NewEvent {
        chat_id: chat(number),
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
        data: vec![],
        hash: head(version).1,
    });
    let events = events.collect();
    StreamAppend { chat_id: chat(number), expected_version: after, expected_hash: head(after).1, events }
}

fn append(streams: Vec<StreamAppend>) -> Append {
    Append { streams, receipt: None }
}

fn keyed(streams: Vec<StreamAppend>, key: &str) -> Append {
    let receipt =
        NewReceipt { owner: "ada".to_owned(), key: key.to_owned(), request_hash: Digest::ZERO, outcome: vec![1] };
    Append { streams, receipt: Some(receipt) }
}

/// A log at position 10 in which chat 1 is at version 4.
fn known() -> Known {
    Known { head: 10, streams: HashMap::from([(chat(1), head(4))]), receipts: HashMap::new() }
}

/// The answers in short: a position, `conflict` with a chat, or `duplicate` of a position.
fn told(answers: &[crate::queue::Answer]) -> Vec<String> {
    let short = |answer: &crate::queue::Answer| match answer {
        Ok(appended) => appended.position.to_string(),
        Err(AppendError::Conflict { chat_id }) => format!("conflict {}", chat_id.0.as_u128()),
        Err(AppendError::Duplicate(receipt)) => format!("duplicate {}", receipt.position),
        Err(other) => other.to_string(),
    };
    answers.iter().map(short).collect()
}

#[test]
fn each_request_is_judged_against_the_ones_before_it() {
    let appends = vec![
        append(vec![grow(1, 4, 2)]),
        append(vec![grow(1, 4, 1)]),
        append(vec![grow(1, 6, 1)]),
        append(vec![grow(2, 0, 1)]),
        append(vec![grow(2, 0, 1)]),
        append(vec![grow(3, 1, 1)]),
    ];
    let judgement = judge(&known(), appends);
    assert_eq!(told(&judgement.answers), ["12", "conflict 1", "13", "14", "conflict 2", "conflict 3"]);
    let moves = HashMap::from([
        (chat(1), StreamMove { before: head(4), after: head(7) }),
        (chat(2), StreamMove { before: head(0), after: head(1) }),
    ]);
    assert_eq!(judgement.streams, moves);
    let written: Vec<_> = judgement.events.iter().map(|event| (event.chat_id, event.version)).collect();
    assert_eq!(written, [(chat(1), 5), (chat(1), 6), (chat(1), 7), (chat(2), 1)]);
}

#[test]
fn several_chats_move_together_or_not_at_all() {
    let appends = vec![
        append(vec![grow(2, 0, 1), grow(1, 3, 1)]),
        append(vec![grow(2, 0, 1), grow(1, 4, 0)]),
        append(vec![grow(1, 4, 1), grow(2, 1, 1)]),
    ];
    let judgement = judge(&known(), appends);
    assert_eq!(told(&judgement.answers), ["conflict 1", "11", "13"]);
    assert_eq!(judgement.streams[&chat(2)], StreamMove { before: head(0), after: head(2) });
}

#[test]
fn equal_keys_are_done_once() {
    let mut known = known();
    let receipt = Receipt { request_hash: Digest::ZERO, position: 3, outcome: vec![] };
    known.receipts.insert(("ada".to_owned(), "old".to_owned()), receipt);
    let appends = vec![
        keyed(vec![grow(1, 4, 1)], "old"),
        keyed(vec![grow(1, 3, 1)], "new"),
        keyed(vec![grow(1, 4, 1)], "new"),
        keyed(vec![grow(1, 4, 1)], "new"),
        keyed(vec![], "other"),
    ];
    let judgement = judge(&known, appends);
    // The second request fails by itself and leaves its key to the third.
    assert_eq!(told(&judgement.answers), ["duplicate 3", "conflict 1", "11", "duplicate 11", "11"]);
    let kept: Vec<_> = judgement.receipts.iter().map(|(receipt, position)| (&receipt.key[..], *position)).collect();
    assert_eq!(kept, [("new", 11), ("other", 11)]);
}

#[test]
fn nothing_to_write_is_noticed() {
    assert!(judge(&known(), vec![append(vec![]), append(vec![grow(1, 4, 0)]), append(vec![grow(1, 1, 1)])]).is_empty());
    assert!(!judge(&known(), vec![keyed(vec![], "key")]).is_empty());
}
