//! The integration tests: one binary.

mod repository;
mod log_contract;
mod shell;
