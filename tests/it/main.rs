//! The integration tests: one binary.

mod repository;
mod log_contract;
mod read_models;
mod shell;
