//! The read models against a log in memory, on SQLite; and on PostgreSQL where a server is at hand.

mod place;
mod rebuild;
mod rows;
mod runner;
mod world;
