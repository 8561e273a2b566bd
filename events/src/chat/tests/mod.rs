//! Tests of the state machine: its table, its rules, its properties.

mod actions;
mod compaction;
mod next_action;
mod rules;
mod settings;
mod support;
mod table;
mod turns;
