//! Judging a batch in memory: which requests hold, what is written for them, what each caller is told.

use std::collections::HashMap;

use verbatim_events::envelope::NewEvent;
use verbatim_events::ids::{ChatId, Position};
use verbatim_events::log::{Append, AppendError, Appended, NewReceipt, Receipt, StreamAppend};

use super::heads::StreamHead;
use crate::queue::Answer;

/// Whose key, and which.
pub(crate) type ReceiptKey = (String, String);

/// What the database knew before the batch, for everything the batch touches.
pub(crate) struct Known {
    /// The log's head.
    pub(crate) head: Position,
    /// The heads of all chats of the batch.
    pub(crate) streams: HashMap<ChatId, StreamHead>,
    /// The receipts that exist under keys of the batch.
    pub(crate) receipts: HashMap<ReceiptKey, Receipt>,
}

/// How a chat's head moves over a whole batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StreamMove {
    /// The head before the batch.
    pub(crate) before: StreamHead,
    /// The head after it.
    pub(crate) after: StreamHead,
}

/// What a batch comes to.
#[derive(Default)]
pub(crate) struct Judgement {
    /// Events to write, in order; the first one's position is the old head + 1.
    pub(crate) events: Vec<NewEvent>,
    /// The chats whose heads move.
    pub(crate) streams: HashMap<ChatId, StreamMove>,
    /// Receipts to write, with their positions.
    pub(crate) receipts: Vec<(NewReceipt, Position)>,
    /// One answer per request, in order; given once the batch is committed.
    pub(crate) answers: Vec<Answer>,
}

impl Judgement {
    /// Whether nothing needs to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.receipts.is_empty()
    }
}

/// Judges requests one after the other, each against what the ones before it made of the log. A chat that is missing
/// from `known.streams` does not exist.
pub(crate) fn judge(known: &Known, appends: Vec<Append>) -> Judgement {
    let mut judgement = Judgement::default();
    let mut fresh: HashMap<ReceiptKey, Receipt> = HashMap::new();
    for append in appends {
        let answer = judge_one(known, &mut fresh, &mut judgement, append);
        judgement.answers.push(answer);
    }
    judgement
}

fn judge_one(
    known: &Known,
    fresh: &mut HashMap<ReceiptKey, Receipt>,
    judgement: &mut Judgement,
    append: Append,
) -> Answer {
    let key = append.receipt.as_ref().map(|receipt| (receipt.owner.clone(), receipt.key.clone()));
    if let Some(receipt) = key.as_ref().and_then(|key| known.receipts.get(key).or_else(|| fresh.get(key))) {
        return Err(AppendError::Duplicate(Box::new(receipt.clone())));
    }
    let head_of = |judgement: &Judgement, chat_id| match judgement.streams.get(&chat_id) {
        Some(moved) => moved.after,
        None => known.streams.get(&chat_id).copied().unwrap_or(super::heads::NO_STREAM),
    };
    let expected = |stream: &StreamAppend| (stream.expected_version, stream.expected_hash);
    if let Some(stream) = append.streams.iter().find(|stream| head_of(judgement, stream.chat_id) != expected(stream)) {
        return Err(AppendError::Conflict { chat_id: stream.chat_id });
    }
    for stream in append.streams {
        let Some(last) = stream.events.last() else { continue };
        let before = (stream.expected_version, stream.expected_hash);
        let after = (last.version, last.hash);
        judgement.streams.entry(stream.chat_id).or_insert(StreamMove { before, after }).after = after;
        judgement.events.extend(stream.events);
    }
    let position = known.head + judgement.events.len() as u64;
    if let (Some(key), Some(receipt)) = (key, append.receipt) {
        let kept = Receipt { request_hash: receipt.request_hash, position, outcome: receipt.outcome.clone() };
        fresh.insert(key, kept);
        judgement.receipts.push((receipt, position));
    }
    Ok(Appended { position })
}

#[cfg(test)]
mod tests;
