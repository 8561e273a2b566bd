//! What the tests are made with.

pub mod chain;
pub mod chaos;
pub mod chat;
pub mod clock;
pub mod coder;
pub mod collector;
pub mod event_source;
pub mod events;
pub mod faults;
pub mod histories;
pub mod http;
pub mod log_home;
pub mod mcp;
pub mod mcp_peer;
pub mod postgres;
pub mod provider;
pub mod random;
pub mod receiver;
pub mod responses;
pub mod saga;
pub mod script;
pub mod server;
pub mod shell;
