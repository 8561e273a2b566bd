//! Why a log or a journal could not be opened.

use std::io;
use std::path::PathBuf;

/// Why a log or a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has the log open for writing.
    #[error("{} is in use: another server holds {}", path.display(), lock.display())]
    InUse {
        /// The log.
        path: PathBuf,
        /// The lock file that is held.
        lock: PathBuf,
    },
    /// Another server serves from the same database.
    #[error("another server serves from this database; stop it first")]
    ServedElsewhere,
    /// The linked SQLite is older than the oldest one without a known way to damage a database.
    #[error("SQLite {found} is too old: {needed} or newer is needed")]
    SqliteTooOld {
        /// What is linked.
        found: String,
        /// What is needed.
        needed: &'static str,
    },
    /// The PostgreSQL server is older than the log is made for.
    #[error("PostgreSQL {found} is too old: {needed} or newer is needed")]
    PostgresTooOld {
        /// What answers.
        found: String,
        /// What is needed.
        needed: i32,
    },
    /// A file or directory could not be made or locked.
    #[error("{} cannot be used: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address is neither `sqlite:PATH` nor `postgres://…`.
    #[error("{0:?} is no database address: sqlite:PATH or postgres://… is needed")]
    BadAddress(String),
    /// The database does not answer, or not as it should.
    #[error("the database cannot be opened: {0}")]
    Database(#[from] sqlx::Error),
    /// The SQLite file cannot be written.
    #[error("the database cannot be opened for writing: {0}")]
    Writer(#[from] rusqlite::Error),
    /// The tables could not be brought to this version.
    #[error("the database cannot be migrated: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Another master key wraps the keys of this log.
    #[error(
        "the keys of this log are wrapped by the master key {expected}, not by {given}; give the right one by \
         VERBATIM_MASTER_KEY, or put its file back"
    )]
    WrongMasterKey {
        /// The mark of the one that does.
        expected: String,
        /// The mark of the one at hand.
        given: String,
    },
    /// The log is sealed, and no master key is at hand.
    #[error("this log is sealed with the master key {expected}; give it by VERBATIM_MASTER_KEY, or put its file back")]
    NoMasterKey {
        /// Its mark.
        expected: String,
    },
    /// The log is sealed, but its keys are not where they belong.
    #[error("the log is sealed, but its keys are not there: {place} is new; restore it from a backup of the same log")]
    KeysMissing {
        /// Where they belong.
        place: String,
    },
    /// The log was to be filled from elsewhere, and that was cut short.
    #[error(
        "an import into this log was cut short, and the log is empty: run `verbatim audit import` again, which begins anew, \
         or remove {place} to serve the empty log"
    )]
    HalfFilled {
        /// Where what was imported lies.
        place: String,
    },
    /// What the log says about itself is not consistent.
    #[error("the log is damaged: {0}")]
    Damaged(String),
    /// The runtime that was to do the work is gone.
    #[error("the runtime stopped before the log was open")]
    RuntimeStopped,
}
