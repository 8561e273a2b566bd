//! The read models of Verbatim: rows computed from the log alone, kept in a database of their own.
//!
//! They may be thrown away at any time. A **generation** is one database (a SQLite file or a PostgreSQL schema) with the
//! rows of all **projections** and one **checkpoint**: the log's position that the rows show. Rows and checkpoint change
//! in one transaction. A **rebuild** grows a new generation beside the live one and swaps.
//!
//! - `models/`: the projections, one file each: chats, messages, search, queue, turns, usage, inbox, work, snapshots.
//! - `snapshots`: folds the states that are due to be kept.
//! - `batch`: a page of the log, decoded and folded, once for all projections.
//! - `engine`: applies pages to one generation; `runner`: keeps the live one at the head; `rebuild`, `verify`.
//! - `generation`, `database/`: where generations live, in either dialect.
//! - `query/`: what readers ask.
//!
//! **Invariant:** nothing here writes to the log or acts on the world, so a rebuild repeats nothing.

mod batch;
mod database;
mod engine;
mod error;
mod fingerprint;
mod generation;
mod handle;
mod metrics;
mod models;
mod outlines;
mod pipeline;
mod query;
mod rebuild;
mod runner;
mod snapshots;
mod verify;

#[cfg(test)]
mod tests;
// The tests speak of this crate by its name, so that they can stand in another crate too.
#[cfg(test)]
extern crate self as verbatim_projections;

pub use batch::DeadLetter;
pub use engine::Progress;
pub use error::{Behind, ReadError};
pub use fingerprint::{Stale, fingerprint};
pub use generation::ReadLocation;
pub use handle::{Inspection, Lag, ReadModels, ReadSettings};
pub use models::projection_names;
pub use query::{
    ChatFilter, FileStanding, INBOX_MAX, InboxEntry, InboxFilter, Listing, MessagePage, MessageQuery, MessageRow,
    Parent, SpentOnDay, TurnSummary, Unread, UsageFilter, UsageGroup, UsageSum,
};
pub use rebuild::{PoisonPolicy, RebuildPhase, RebuildProgress, RebuildReport, RebuildRequest, Verify};
