//! The read models on PostgreSQL: the same cases as on SQLite, which stand beside their crate, and what only several
//! nodes on one database can do to each other.

#[path = "../../../projections/src/tests/agrees.rs"]
mod agrees;
#[path = "../../../projections/src/tests/inbox.rs"]
mod inbox;
mod nodes;
mod place;
#[path = "../../../projections/src/tests/rebuild.rs"]
mod rebuild;
#[path = "../../../projections/src/tests/rows.rs"]
mod rows;
#[path = "../../../projections/src/tests/runner.rs"]
mod runner;
mod silence;
#[path = "../../../projections/src/tests/snapshots.rs"]
mod snapshots;
#[path = "../../../projections/src/tests/usage.rs"]
mod usage;
#[path = "../../../projections/src/tests/world.rs"]
mod world;
