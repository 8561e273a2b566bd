//! Verbatim: a server for AI chats and agents that loses nothing and repeats nothing. The outside: HTTP, command line,
//! settings, and the place where everything is put together.

pub mod app;
pub mod auth;
pub mod backup;
pub mod cli;
pub mod compose;
pub mod config;
pub mod erasure;
pub mod error;
pub mod files;
pub mod housekeeping;
pub mod idempotency;
pub mod inbox;
pub mod locate;
pub mod models;
pub mod openapi;
pub mod position;
pub mod routes;
pub mod state;
pub mod stream;
pub mod telemetry;
pub mod tools;
pub mod transfer;
pub mod verify;
pub mod watch;
pub mod webhooks;
pub mod wire;
