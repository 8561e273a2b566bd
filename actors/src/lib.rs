//! The imperative shell of Verbatim: each chat is an actor whose state is rebuilt from the log; a supervisor routes
//! commands to actors; attempts do what a running turn needs; a hub shows it live.
//!
//! **Invariants:** events are appended before anything they imply is done. Only this crate names `actix::`. Nobody outside
//! sees an actor's address: callers hold a `Handle`.

mod attempt;
pub mod background;
pub mod budgets;
mod capacity;
mod chat;
pub mod clock;
mod core;
mod family;
pub mod handle;
pub mod hub;
mod hydrate;
mod leftovers;
mod messages;
mod metrics;
pub mod node;
mod plan;
pub mod ports;
mod spans;
mod supervisor;
mod traces;
