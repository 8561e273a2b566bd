//! What the tests are made with.

pub mod chain;
pub mod clock;
pub mod log_home;
pub mod postgres;
pub mod script;
pub mod shell;
