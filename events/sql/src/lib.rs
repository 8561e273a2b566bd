//! The event log of Verbatim on SQLite and PostgreSQL, and the part journal beside it.
//!
//! Appends go to one writer per log, which takes what waits, judges each request by itself, commits once and answers
//! each. The writer of a SQLite log has a thread of its own; everything else that touches a database runs on the runtime
//! that the log was opened with, whoever waits for it.

mod error;
mod faults;
mod head;
mod keys;
mod metrics;
mod migrate;
mod options;
mod parts;
mod port;
pub mod postgres;
mod prune;
mod queue;
mod raw;
mod reads;
mod receipts;
pub mod seal;
pub mod sqlite;
mod staging;
mod storage;
mod task;
mod vault;

pub use error::OpenError;
pub use faults::{FaultPoint, Faults};
pub use keys::{KeyStore, KeyStoreError, KeyTally, StoredKey};
pub use options::{Clock, LogOptions};
pub use postgres::{PostgresJournal, PostgresLog};
pub use receipts::{Forgotten, OUTCOME_PREFIX_BYTES};
pub use sqlite::{SqliteJournal, SqliteLog};
pub use staging::{Staging, StagingError};
pub use storage::{Storage, Sweeper, master_key_mark, open_as_stored, open_read_only, rotate_master_key};
pub use vault::{ChatVault, Erasure, Sealing, key_of};
