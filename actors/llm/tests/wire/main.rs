//! The providers against a server that speaks raw bytes.

mod chat_completions;
mod native;
mod pauses;
mod stand_in;
