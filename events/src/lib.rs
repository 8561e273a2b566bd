//! The functional core of Verbatim: what can happen to a chat and what follows from it.
//!
//! **Invariant:** nothing here does I/O, awaits, reads a clock or draws a random number. Time and ids come in as
//! arguments. The ports (`log`, `journal`, `model`, `snapshot`) are traits alone; `memory` is the log's reference implementation.

pub mod budget;
pub mod chat;
pub mod command;
pub mod envelope;
pub mod episode;
pub mod error;
pub mod event;
pub mod form;
pub mod ids;
pub mod inbox;
pub mod journal;
pub mod limits;
pub mod line;
pub mod log;
pub mod memory;
pub mod message;
pub mod model;
pub mod notification;
pub mod outcome;
pub mod part;
pub mod price;
pub mod prompt;
pub mod rejection;
pub mod retry;
pub mod settings;
pub mod snapshot;
pub mod spending;
pub mod template;
pub mod tool;
pub mod tool_result;
pub mod upcast;
pub mod vault;
pub mod wire;
