//! What a message became in a request, kept beside the message, so that a long conversation is not written anew for every
//! prompt: messages never change, so neither does what they become.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Names everything that a message's form depends on besides the message.
pub type FormKey = [u8; 16];

/// A message in the words of one protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// The bytes as they stand in a request; empty where the message leaves no trace in it.
    pub bytes: Vec<u8>,
    /// A place in the bytes that the protocol's encoder must find again.
    pub mark: Option<usize>,
    /// What the encoder wants to know of the bytes without reading them.
    pub flags: u8,
}

/// Room for one form of a message: the one that was asked for last.
///
/// No part of the message: it is equal to every other, a clone starts empty, and nothing stores it. It lives as long as
/// the message is in memory, and one form is about as large as its message.
#[derive(Default)]
pub struct FormCell(Mutex<Option<(FormKey, Form)>>);

impl FormCell {
    /// Gives `take` the form under `key`: the kept one, or else the one that `make` makes now, which is then kept. Fails
    /// only as `make` does.
    pub fn with<T, E>(
        &self,
        key: FormKey,
        make: impl FnOnce() -> Result<Form, E>,
        take: impl FnOnce(&Form) -> T,
    ) -> Result<T, E> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((known, form)) if *known == key => Ok(take(form)),
            _ => {
                let (_, form) = kept.insert((key, make()?));
                Ok(take(form))
            }
        }
    }
}

impl FormCell {
    /// Gives the room back: the message will hardly be asked for again.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Clone for FormCell {
    fn clone(&self) -> FormCell {
        FormCell::default()
    }
}

impl PartialEq for FormCell {
    fn eq(&self, _other: &FormCell) -> bool {
        true
    }
}

impl fmt::Debug for FormCell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FormCell")
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn ask(cell: &FormCell, key: u8, text: &str) -> Vec<u8> {
        let make = || Ok::<_, Infallible>(Form { bytes: text.as_bytes().to_vec(), ..Form::default() });
        let Ok(bytes) = cell.with([key; 16], make, |form| form.bytes.clone());
        bytes
    }

    #[test]
    fn a_form_is_made_once_under_a_key_and_anew_under_another() {
        let cell = FormCell::default();
        assert_eq!(ask(&cell, 1, "first"), b"first");
        assert_eq!(ask(&cell, 1, "second"), b"first");
        assert_eq!(ask(&cell, 2, "third"), b"third");
        assert_eq!(ask(&cell, 1, "fourth"), b"fourth");
    }

    #[test]
    fn what_could_not_be_made_is_not_kept() {
        let cell = FormCell::default();
        assert_eq!(cell.with([1; 16], || Err("no"), |_| ()), Err("no"));
        assert_eq!(ask(&cell, 1, "first"), b"first");
    }

    #[test]
    fn what_was_forgotten_is_made_anew() {
        let cell = FormCell::default();
        ask(&cell, 1, "first");
        cell.forget();
        assert_eq!(ask(&cell, 1, "second"), b"second");
    }

    #[test]
    fn a_clone_begins_without_one() {
        let cell = FormCell::default();
        ask(&cell, 0, "first");
        assert_eq!(ask(&cell.clone(), 0, "second"), b"second");
    }
}
