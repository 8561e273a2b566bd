//! The live messages of a chat in order: a list that is cheap to clone, so that a decision can be tried on a copy and a
//! watcher can hold a state while the chat goes on.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::ids::MessageId;
use crate::message::{Message, Role};

/// Messages per sealed chunk: a clone copies one pointer per chunk plus the open tail.
const CHUNK_MESSAGES: usize = 128;

/// Messages in order of their ids, but for those that were let go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// How many live messages are not here any more.
    gone: usize,
    messages: Messages,
}

/// Messages in order of their ids.
#[derive(Clone, Debug, Default, PartialEq)]
struct Messages {
    sealed: Vec<Chunk>,
    tail: Vec<Arc<Message>>,
}

/// Messages that are not touched any more, unless some of them are withdrawn.
#[derive(Clone, Debug, PartialEq)]
struct Chunk {
    messages: Arc<Vec<Arc<Message>>>,
    /// Some of them are instructions, which every prompt holds however old they are.
    instructs: bool,
}

impl Chunk {
    fn of(messages: Vec<Arc<Message>>) -> Chunk {
        Chunk { instructs: messages.iter().any(|message| message.role == Role::System), messages: Arc::new(messages) }
    }
}

impl History {
    /// How many messages are here.
    pub fn len(&self) -> usize {
        self.messages.sealed.len() * CHUNK_MESSAGES + self.messages.tail.len()
    }

    /// None are here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all live messages are here.
    pub fn is_whole(&self) -> bool {
        self.gone == 0
    }

    /// Lets those go of the first `count` that are not to be kept.
    pub(super) fn let_go(&mut self, count: usize, keep: impl Fn(&Message) -> bool) {
        let mut kept = Messages::default();
        let mut gone = 0;
        for (index, message) in self.iter().enumerate() {
            if index < count && !keep(message) {
                gone += 1;
            } else {
                kept.push(Arc::clone(message));
            }
        }
        if gone > 0 {
            self.gone += gone;
            self.messages = kept;
        }
    }

    /// Adds a message; its id must be above all others.
    pub fn push(&mut self, message: Arc<Message>) {
        self.messages.push(message);
    }

    /// Removes the message `from` and all after it.
    pub fn withdraw_from(&mut self, from: MessageId) {
        self.messages.withdraw_from(from);
    }

    /// All messages that are here, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Message>> {
        self.messages.iter()
    }

    /// The messages with ids above `after`, oldest first, found without walking the whole list.
    pub fn after(&self, after: MessageId) -> impl Iterator<Item = &Arc<Message>> {
        let Messages { sealed, tail } = &self.messages;
        let chunk = sealed.partition_point(|chunk| chunk.messages.last().is_some_and(|message| message.id <= after));
        sealed[chunk..]
            .iter()
            .flat_map(|chunk| chunk.messages.iter())
            .chain(tail.iter())
            .skip_while(move |message| message.id <= after)
    }

    /// The instructions (messages of role system) with ids up to `last`, oldest first, found without walking the whole list.
    pub fn instructions_up_to(&self, last: MessageId) -> impl Iterator<Item = &Arc<Message>> {
        let Messages { sealed, tail } = &self.messages;
        let old = sealed.iter().filter(|chunk| chunk.instructs).flat_map(|chunk| chunk.messages.iter());
        old.chain(tail.iter())
            .take_while(move |message| message.id <= last)
            .filter(|message| message.role == Role::System)
    }

    /// The last `count` messages, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &Arc<Message>> {
        let mut newest: Vec<_> = self.iter().rev().take(count).collect();
        newest.reverse();
        newest.into_iter()
    }

    /// The message of this id, if it is here.
    pub fn get(&self, id: MessageId) -> Option<&Arc<Message>> {
        self.after(id.checked_sub(1)?).next().filter(|message| message.id == id)
    }
}

impl Messages {
    fn push(&mut self, message: Arc<Message>) {
        self.tail.push(message);
        if self.tail.len() == CHUNK_MESSAGES {
            self.sealed.push(Chunk::of(std::mem::take(&mut self.tail)));
        }
    }

    fn withdraw_from(&mut self, from: MessageId) {
        while self.tail.first().is_none_or(|message| message.id >= from) {
            let Some(chunk) = self.sealed.pop() else {
                self.tail.clear();
                return;
            };
            self.tail = Arc::unwrap_or_clone(chunk.messages);
        }
        self.tail.retain(|message| message.id < from);
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Message>> {
        self.sealed.iter().flat_map(|chunk| chunk.messages.iter()).chain(self.tail.iter())
    }
}

/// As one list, whatever the chunks.
impl Serialize for Messages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Arc::as_ref))
    }
}

/// Refuses messages whose ids do not rise.
impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Messages, D::Error> {
        deserializer.deserialize_seq(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Messages;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("messages in the order of their ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut messages: A) -> Result<Messages, A::Error> {
        let mut list = Messages::default();
        let mut last = 0;
        while let Some(message) = messages.next_element::<Message>()? {
            if message.id <= last {
                return Err(A::Error::custom(format!("message {} stands after {last}", message.id)));
            }
            last = message.id;
            list.push(Arc::new(message));
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::message::Origin;

    fn message(id: MessageId, role: Role) -> Arc<Message> {
        Arc::new(Message::new(id, role, Vec::new(), Origin::User, DateTime::UNIX_EPOCH))
    }

    /// Whatever is asked for without walking the whole list is what a walk finds, also after messages were withdrawn.
    #[test]
    fn what_is_found_without_a_walk_is_what_a_walk_finds() {
        let mut history = History::default();
        let role = |id: MessageId| if [3, 130, 131, 500].contains(&id) { Role::System } else { Role::User };
        (1..=600).for_each(|id| history.push(message(id, role(id))));
        for withdrawn in [601, 550, 500, 140, 131, 3, 1] {
            history.withdraw_from(withdrawn);
            for last in [0, 2, 3, 128, 129, 130, 131, 300, 600] {
                let found: Vec<MessageId> = history.instructions_up_to(last).map(|message| message.id).collect();
                let walk = history.iter().filter(|message| message.id <= last && message.role == Role::System);
                assert_eq!(found, walk.map(|message| message.id).collect::<Vec<_>>(), "up to {last} of {withdrawn}");
                let after: Vec<MessageId> = history.after(last).map(|message| message.id).collect();
                let walk = history.iter().filter(|message| message.id > last);
                assert_eq!(after, walk.map(|message| message.id).collect::<Vec<_>>(), "after {last} of {withdrawn}");
            }
        }
        assert!(history.is_empty());
    }
}
