//! The log as a file that anybody can read, keep and check, and the way back into an empty log.
//!
//! An export is NDJSON: a header, one event a line in the order of the log, and a last line that says how many there were and
//! what all lines before it come to, so that a cut file is noticed. It has one of two forms. *Opened* holds what was said
//! as JSON; what is sealed in the log has its hash there, but the hash is over the sealed bytes, so that it can only be held
//! against the log itself; an import seals it anew, and the chain with it. *Sealed* holds the stored bytes: every hash can be
//! computed again from the file alone, an import has the very same chains, and words are had by the keys of the log alone.
//!
//! **Invariant:** what an erasure took away stays away: a chat's words are in an export only if no erasure of it is.
//! **Invariant:** a log holds nothing of an import, or all of it, checked.

mod check;
mod export;
mod import;
mod line;
mod lines;
mod select;
#[cfg(test)]
mod tests;

use std::io;

use verbatim_events::ids::{ChatId, Position};
use verbatim_events::log::LogError;
use verbatim_events_sql::{OpenError, StagingError};

pub use export::{ExportOptions, Exported, export};
pub use import::{Imported, Target, import};
pub use line::{EventLine, FORMAT, Filters, Form, Header, Trailer};
pub use lines::LINE_BYTES_MAX;

/// How far an export or an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Events are read; of an import nobody knows how many there are.
    Events {
        /// Events read.
        done: u64,
    },
    /// What was imported is checked, each event twice.
    Check {
        /// Events checked.
        done: u64,
        /// Twice the events.
        total: u64,
    },
}

/// Why there is no whole export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A chat of this id was asked for and is not there.
    #[error("there is no chat {0} in the log")]
    NoSuchChat(ChatId),
    /// A chat was erased while its words were being written.
    #[error("chat {0} was erased while it was exported, and the file holds words of it: remove it and export again")]
    ErasedMeanwhile(ChatId),
    /// Words cannot be read, and no erasure says why.
    #[error(
        "what chat {0} says cannot be read: it is being erased just now, then export again; or its key is lost, then \
         `verbatim audit verify` says more, and --sealed exports it as it is stored"
    )]
    KeyGone(ChatId),
    /// Words do not open.
    #[error(
        "the event at position {position} of chat {chat_id} does not open, though its key is there: it was changed; \
         `verbatim audit verify` says more, and --sealed exports it as it is stored"
    )]
    Changed {
        /// Where.
        position: Position,
        /// In which chat.
        chat_id: ChatId,
    },
    /// An event is larger than an import would read.
    #[error("the event at position {0} is longer than {LINE_BYTES_MAX} bytes as a line; no import would read it")]
    TooLong(Position),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The export cannot be written.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line is wrong.
    #[error("line {line}: {problem}; nothing was imported")]
    Line {
        /// Which; the first is 1.
        line: u64,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The export is not whole.
    #[error("the export is cut: it ends after line {line} without its last line; get it again; nothing was imported")]
    Cut {
        /// The last line that is there.
        line: u64,
    },
    /// The export holds parts of chats.
    #[error(
        "the export holds only what was recorded in a span of time ({span}): its chats are not whole, and a log has whole chats; \
         export again without --since and --until"
    )]
    Excerpt {
        /// The span.
        span: String,
    },
    /// The export is sealed with keys that are not there.
    #[error(
        "the export is sealed, and the keys of the log that it is from are not here: put its keys.db beside the new log (on \
         PostgreSQL its schema chat_vault) and give its master key; or export again without --sealed"
    )]
    NoKeys,
    /// The log to be cannot be filled.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// Its keys cannot be used.
    #[error(transparent)]
    Keys(#[from] OpenError),
    /// What was imported cannot be read again.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The export cannot be read.
    #[error("the export cannot be read: {0}")]
    Read(#[from] io::Error),
}
