//! Why a read model could not be read, written or rebuilt.

use std::io;
use std::path::PathBuf;

use verbatim_events::ids::{ChatId, Position};
use verbatim_events::log::LogError;

use crate::fingerprint::Stale;

/// Why the read models could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database does not answer, or refused.
    #[error("the read models could not be reached: {0}")]
    Database(#[from] sqlx::Error),
    /// A row is not what was written. A rebuild mends it.
    #[error("the read models are damaged: {0}")]
    Damaged(String),
    /// A file or directory of the read models could not be used.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The linked SQLite has a bug that can damage a database.
    #[error("SQLite {found} is too old: 3.51.3 or newer is needed")]
    SqliteTooOld {
        /// Its version.
        found: String,
    },
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The rows belong to another program version or another log, or may be damaged; only a rebuild helps.
    #[error("the read models must be rebuilt: {0}")]
    Stale(Stale),
    /// Another process moved the checkpoint first. Nothing was written; the next try starts from where it stands now.
    #[error("another process moved the checkpoint from {expected}")]
    Contended {
        /// Where this process believed it to be.
        expected: Position,
    },
    /// An event that cannot be applied; it fails a rebuild.
    #[error("event at position {position} of {chat_id} cannot be applied: {problem}")]
    Poison {
        /// Its chat.
        chat_id: ChatId,
        /// Its position.
        position: Position,
        /// Why.
        problem: String,
    },
    /// The rebuilt rows are not those of the live generation.
    #[error("table {table}: row {row} differs from what the log says: live {live}, rebuilt {rebuilt}")]
    Differs {
        /// The table.
        table: &'static str,
        /// The row's key.
        row: String,
        /// The live row.
        live: String,
        /// The rebuilt row.
        rebuilt: String,
    },
    /// No projection has this name.
    #[error("there is no projection {name:?}; there are {known}")]
    UnknownProjection {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// The database did not give the rows in time: it is busy, or gone.
    #[error("the read models did not answer within {limit_ms} ms")]
    TooSlow {
        /// How long that may take.
        limit_ms: u64,
    },
    /// Readers were in the way for long. Nothing changed.
    #[error("the read models are being read")]
    BeingRead,
    /// A rebuild is under way already.
    #[error("a rebuild is under way already")]
    RebuildRunning,
    /// The cursor was not made by this server.
    #[error("the cursor is not one of this server's")]
    BadCursor,
    /// The program failed while it worked on this; the rows are as they were.
    #[error("the read models failed: {0}")]
    Panicked(String),
    /// The process is stopping.
    #[error("the server is stopping")]
    Stopped,
}

impl ReadError {
    /// The rows themselves are broken, so that trying again cannot help but a rebuild can.
    pub fn is_damage(&self) -> bool {
        match self {
            ReadError::Damaged(_) => true,
            ReadError::Database(sqlx::Error::Database(error)) => {
                // SQLITE_CORRUPT and SQLITE_NOTADB in the low byte; PostgreSQL's codes are five characters long.
                error.code().is_some_and(|code| {
                    code.len() < 5 && code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 11 | 26))
                })
            }
            _ => false,
        }
    }

    /// The database does not take a row, now or later: its content is at fault, not the database.
    pub(crate) fn is_refusal(&self) -> bool {
        let ReadError::Database(sqlx::Error::Database(error)) = self else {
            return false;
        };
        error.code().is_some_and(|code| match code.parse::<u32>() {
            // SQLITE_TOOBIG, SQLITE_CONSTRAINT and SQLITE_MISMATCH.
            Ok(number) if code.len() < 5 => matches!(number & 0xff, 18..=20),
            // Data exceptions, violated constraints and exceeded program limits.
            _ => matches!(code.get(..2), Some("22" | "23" | "54")),
        })
    }

    /// As `is_damage`, or the tables are not those of any generation.
    pub(crate) fn is_unreadable(&self) -> bool {
        match self {
            ReadError::Database(sqlx::Error::RowNotFound) => true,
            ReadError::Database(sqlx::Error::Database(error)) => {
                // SQLITE_ERROR is a missing table here; PostgreSQL names a missing table or column.
                self.is_damage() || error.code().is_some_and(|code| matches!(&*code, "1" | "42P01" | "42703" | "3F000"))
            }
            _ => self.is_damage(),
        }
    }
}

/// A position that a reader waited for was not reached in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the read models are at {applied}, not yet at {wanted}")]
pub struct Behind {
    /// Where they are.
    pub applied: Position,
    /// Where the reader wanted them.
    pub wanted: Position,
}
