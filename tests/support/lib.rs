//! What the tests are made with.

pub mod clock;
pub mod script;
pub mod shell;
