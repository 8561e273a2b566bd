//! The actors over a log in memory, with scripted models and a clock moved by hand.

mod bounds;
mod capacity;
mod context;
mod crash;
mod family;
mod past;
mod snapshots;
mod spending;
mod tools;
mod traces;
mod turn;
