//! Tests of the state machine: its table, its rules, its properties.

mod actions;
mod capacity;
mod chain;
mod compaction;
mod erasure;
mod illegal;
mod next_action;
mod past;
mod properties;
mod rules;
mod settings;
mod spending;
mod support;
mod table;
mod turns;
