//! A request's body in the making: fields, a list in the middle that may be long, fields.
//!
//! What a message becomes in the list is kept beside the message, so that a body costs one copy of bytes per message and
//! not their making. The bytes are the same either way.

use serde::Serialize;
use verbatim_events::form::{Form, FormKey};
use verbatim_events::ids::Digest;
use verbatim_events::message::Message;

/// Bytes that a message mostly needs; only a guess, to begin with enough room.
const MESSAGE_BYTES: usize = 256;

/// Why a body cannot be written; nothing that a message can hold is a reason.
pub(crate) type Written<T = ()> = Result<T, serde_json::Error>;

/// The body so far: an object with an open list.
pub(crate) struct Body {
    bytes: Vec<u8>,
    is_first: bool,
}

impl Body {
    /// Begins with the fields of `head` and the list `name`, for so many messages.
    pub(crate) fn open(head: &impl Serialize, name: &str, messages: usize) -> Written<Body> {
        let mut bytes = Vec::with_capacity(messages.saturating_mul(MESSAGE_BYTES));
        serde_json::to_writer(&mut bytes, head)?;
        bytes.pop();
        bytes.extend_from_slice(b",\"");
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b"\":[");
        Ok(Body { bytes, is_first: true })
    }

    /// Adds bytes that are items of the list, separated by commas; none at all is none.
    pub(crate) fn add(&mut self, items: &[u8]) {
        if !items.is_empty() {
            self.begin_item();
            self.bytes.extend_from_slice(items);
        }
    }

    /// Makes room for an item that whoever asks writes into `bytes`.
    pub(crate) fn begin_item(&mut self) {
        if !self.is_first {
            self.bytes.push(b',');
        }
        self.is_first = false;
    }

    /// The bytes so far.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends with the fields of `tail`, which must have some.
    pub(crate) fn close(mut self, tail: &impl Serialize) -> Written<Vec<u8>> {
        self.bytes.push(b']');
        let at = self.bytes.len();
        serde_json::to_writer(&mut self.bytes, tail)?;
        self.bytes[at] = b',';
        Ok(self.bytes)
    }
}

/// The key of the forms that depend on these words besides the message.
pub(crate) fn form_key<'a>(words: impl IntoIterator<Item = &'a str>) -> FormKey {
    let mut all = String::new();
    for word in words {
        all.push_str(word);
        all.push('\0');
    }
    let digest = Digest::of(all.as_bytes()).0;
    let mut key = FormKey::default();
    key.iter_mut().zip(digest).for_each(|(place, byte)| *place = byte);
    key
}

/// Adds the message's items: as they are kept under `key`, or as `make` makes them now.
pub(crate) fn add_kept(
    body: &mut Body,
    message: &Message,
    key: FormKey,
    make: impl FnOnce() -> Written<Vec<u8>>,
) -> Written {
    let make = || Ok(Form { bytes: make()?, ..Form::default() });
    message.form.with(key, make, |form| body.add(&form.bytes))
}

/// Items of a list, separated by commas.
pub(crate) fn items<T: Serialize>(items: impl IntoIterator<Item = T>) -> Written<Vec<u8>> {
    let mut bytes = Vec::new();
    for item in items {
        if !bytes.is_empty() {
            bytes.push(b',');
        }
        serde_json::to_writer(&mut bytes, &item)?;
    }
    Ok(bytes)
}
