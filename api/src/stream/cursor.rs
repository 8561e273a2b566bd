//! Cursors: where a reader of a chat's stream stopped.

use std::fmt;
use std::str::FromStr;

use verbatim_events::chat::Chat;
use verbatim_events::ids::{AttemptId, Version};

/// A place in the one order of a chat's events and parts: after an event, or after a part that followed an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// After the event of this version; 0 is before the first.
    Event(Version),
    /// After a part.
    Part {
        /// The version of the last event before it.
        version: Version,
        /// The attempt it belongs to.
        attempt: AttemptId,
        /// Its number.
        n: u64,
    },
}

impl Cursor {
    /// The version of the last event that the reader has.
    pub fn version(self) -> Version {
        match self {
            Cursor::Event(version) | Cursor::Part { version, .. } => version,
        }
    }

    /// Whether a chat in this state, whose open attempt has said `parts` parts, can have given this cursor away.
    pub fn fits(self, chat: &Chat, parts: u64) -> bool {
        let outline = &chat.outline;
        match self {
            Cursor::Event(version) => version <= outline.version,
            Cursor::Part { version, attempt, n } => {
                let open = outline.attempt.as_ref().map(|open| open.id);
                version <= outline.version && attempt <= version && (open != Some(attempt) || n <= parts)
            }
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cursor::Event(version) => write!(formatter, "{version}"),
            Cursor::Part { version, attempt, n } => write!(formatter, "{version}-{attempt}-{n}"),
        }
    }
}

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is VERSION or VERSION-ATTEMPT-NUMBER")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Cursor, NoCursor> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u64>().ok()).flatten().ok_or(NoCursor)
        };
        let fields: Vec<&str> = text.splitn(4, '-').collect();
        match fields.as_slice() {
            [version] => Ok(Cursor::Event(number(version)?)),
            [version, attempt, n] => {
                let (version, attempt, n) = (number(version)?, number(attempt)?, number(n)?);
                // Attempts and parts are numbered from 1.
                if attempt == 0 || n == 0 { Err(NoCursor) } else { Ok(Cursor::Part { version, attempt, n }) }
            }
            _ => Err(NoCursor),
        }
    }
}

#[cfg(test)]
mod tests;
