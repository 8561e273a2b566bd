//! Verbatim: a server for AI chats and agents that loses nothing and repeats nothing. The outside: HTTP, command line,
//! settings, and the place where everything is put together.

pub mod config;
pub mod locate;
pub mod models;
pub mod telemetry;
pub mod verify;
