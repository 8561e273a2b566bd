//! The providers against a server that speaks raw bytes.

mod chat_completions;
mod native;
mod stand_in;
