//! The integration tests: one binary.

mod claim;
mod keys_postgres;
mod chaos;
mod repository;
mod log_contract;
mod read_models;
mod server_start;
mod server_input;
mod server_keys;
mod server_idempotency;
mod server_states;
mod server_provider;
mod server_stream;
mod server_damage;
mod server_postgres;
mod shell;
mod telemetry;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_verbatim");
