//! The read models against a log in memory. Here on SQLite; the integration tests run the same files, `files` aside, on
//! PostgreSQL, with a `place` of their own.

mod agrees;
mod files;
mod inbox;
mod place;
mod rebuild;
mod rows;
mod runner;
mod snapshots;
mod usage;
mod world;
