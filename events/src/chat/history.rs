//! The live messages of a chat in order: a list that is cheap to clone, so that a decision can be tried on a copy and a
//! watcher can hold a state while the chat goes on.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::ids::MessageId;
use crate::message::Message;

/// Messages per sealed chunk: a clone copies one pointer per chunk plus the open tail.
const CHUNK_MESSAGES: usize = 128;

/// Messages in order of their ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    sealed: Vec<Arc<Vec<Arc<Message>>>>,
    tail: Vec<Arc<Message>>,
}

impl History {
    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.sealed.len() * CHUNK_MESSAGES + self.tail.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.tail.is_empty() && self.sealed.is_empty()
    }

    /// Adds a message; its id must be above all others.
    pub fn push(&mut self, message: Arc<Message>) {
        self.tail.push(message);
        if self.tail.len() == CHUNK_MESSAGES {
            self.sealed.push(Arc::new(std::mem::take(&mut self.tail)));
        }
    }

    /// Removes the message `from` and all after it.
    pub fn withdraw_from(&mut self, from: MessageId) {
        while self.tail.first().is_none_or(|message| message.id >= from) {
            let Some(chunk) = self.sealed.pop() else {
                self.tail.clear();
                return;
            };
            self.tail = Arc::unwrap_or_clone(chunk);
        }
        self.tail.retain(|message| message.id < from);
    }

    /// All messages, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Message>> {
        self.sealed.iter().flat_map(|chunk| chunk.iter()).chain(self.tail.iter())
    }

    /// The messages with ids above `after`, oldest first, found without walking the whole list.
    pub fn after(&self, after: MessageId) -> impl Iterator<Item = &Arc<Message>> {
        let chunk = self.sealed.partition_point(|chunk| chunk.last().is_some_and(|message| message.id <= after));
        self.sealed[chunk..]
            .iter()
            .flat_map(|chunk| chunk.iter())
            .chain(self.tail.iter())
            .skip_while(move |message| message.id <= after)
    }

    /// The last `count` messages, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &Arc<Message>> {
        let mut newest: Vec<_> = self.iter().rev().take(count).collect();
        newest.reverse();
        newest.into_iter()
    }

    /// The message of this id.
    pub fn get(&self, id: MessageId) -> Option<&Arc<Message>> {
        self.after(id.checked_sub(1)?).next().filter(|message| message.id == id)
    }
}

/// As one list, whatever the chunks.
impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Arc::as_ref))
    }
}

/// Refuses messages whose ids do not rise.
impl<'de> Deserialize<'de> for History {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<History, D::Error> {
        deserializer.deserialize_seq(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = History;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("messages in the order of their ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut messages: A) -> Result<History, A::Error> {
        let mut history = History::default();
        let mut last = 0;
        while let Some(message) = messages.next_element::<Message>()? {
            if message.id <= last {
                return Err(A::Error::custom(format!("message {} stands after {last}", message.id)));
            }
            last = message.id;
            history.push(Arc::new(message));
        }
        Ok(history)
    }
}
