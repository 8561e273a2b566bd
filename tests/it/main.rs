//! The integration tests: one binary.

mod backup;
mod chaos;
mod claim;
mod coder;
mod erasure;
mod histories;
mod housekeeping;
mod keys_postgres;
mod log_contract;
mod long_chat;
mod long_life;
mod mcp;
mod process;
mod read_models;
mod readme;
mod repository;
mod server_agents;
mod server_bombs;
mod server_capacity;
mod server_compaction;
mod server_continues;
mod server_damage;
mod server_files;
mod server_idempotency;
mod server_inbox;
mod server_input;
mod server_keys;
mod server_mcp;
mod server_owners;
mod server_postgres;
mod server_provider;
mod server_settings;
mod server_start;
mod server_states;
mod server_stream;
mod server_titles;
mod server_tools_kill;
mod server_usage;
mod server_watch;
mod server_workspace;
mod shell;
mod telemetry;
mod webhooks;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_verbatim");
mod workspaces;
