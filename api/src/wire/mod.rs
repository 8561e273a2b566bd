//! What goes over HTTP, shape by shape. Every shape is written out by hand here and pinned by a test, so that neither the
//! log's format nor the state's fields leak out by accident.

pub(crate) mod attempt;
pub mod budget;
pub mod chat;
pub mod diff;
pub mod event;
pub mod file;
pub mod key;
pub mod message;
pub mod notification;
pub mod page;
pub mod part;
pub mod raw;
pub mod reader;
pub mod request;
pub mod settings;
pub mod turn;
pub mod usage;
pub mod words;
pub mod workspace;

#[cfg(test)]
pub(crate) mod samples;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

/// A moment, as everything outside sees it: RFC 3339, UTC, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub DateTime<Utc>);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}
