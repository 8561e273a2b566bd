//! What a table of stored types gives, and how stored bytes become an event by it. There is a table for each kind of stream:
//! the chats', the settings' and the inboxes'.

use serde_json::Value;

use super::json::{NESTING_MAX, read_json};
use crate::envelope::Stored;
use crate::ids::{ChatId, Position, Version};
use crate::upcast::{self, Step};

/// Why stored bytes could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "event {version} of {chat_id} at position {position} ({event_type}, schema {schema}) cannot be read: {problem}"
)]
pub struct WireError {
    /// The chat.
    pub chat_id: ChatId,
    /// The event.
    pub version: Version,
    /// Its position.
    pub position: Position,
    /// The stored type.
    pub event_type: String,
    /// The stored schema number.
    pub schema: u32,
    /// What is wrong.
    pub problem: String,
    /// Nothing is wrong: what it said was erased.
    pub erased: bool,
}

/// A type of event as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventType {
    /// The stored name: the event's name in snake case.
    pub name: &'static str,
    /// The schema number that is written now. All numbers from 1 on are read.
    pub schema: u32,
}

/// Events of one kind of stream, by their table of stored types. What `event_types!` makes.
pub(crate) trait StreamEvent: Sized {
    /// The table.
    const TYPES: &'static [EventType];
    /// How events with an old schema number are read.
    const STEPS: &'static [Step];
    /// What is said of a type that is not in the table.
    const NO_SUCH_TYPE: &'static str;

    /// The stored type.
    fn stored_type(&self) -> EventType;

    /// The JSON in the type's current schema.
    fn encode(&self) -> Vec<u8>;

    /// Reads the JSON of a type's current schema.
    fn read_current(name: &str, data: &[u8]) -> Result<Self, String>;
}

/// Makes a kind of stream's table: each event, its stored name, the schema number it is written with.
macro_rules! event_types {
    (
        $(#[$about:meta])*
        $table:ident of $events:ident, raised by $steps:expr, else $no_such_type:literal;
        $($variant:ident $name:literal $schema:literal;)+
    ) => {
        $(#[$about])*
        pub const $table: &[$crate::wire::EventType] =
            &[$($crate::wire::EventType { name: $name, schema: $schema },)+];

        impl $crate::wire::StreamEvent for $events {
            const TYPES: &'static [$crate::wire::EventType] = $table;
            const STEPS: &'static [$crate::upcast::Step] = $steps;
            const NO_SUCH_TYPE: &'static str = $no_such_type;

            fn stored_type(&self) -> $crate::wire::EventType {
                match self {
                    $($events::$variant(_) => $crate::wire::EventType { name: $name, schema: $schema },)+
                }
            }

            fn encode(&self) -> Vec<u8> {
                match self {
                    $($events::$variant(body) => serde_json::to_vec(body),)+
                }
                .expect("an event's JSON has string keys and finite numbers alone")
            }

            fn read_current(name: &str, data: &[u8]) -> Result<Self, String> {
                match name {
                    $($name => $crate::wire::read_json(data, $crate::wire::NESTING_MAX).map($events::$variant),)+
                    _ => Err(Self::NO_SUCH_TYPE.to_owned()),
                }
            }
        }

        /// Every (type, schema number) that may stand in the log, for audits.
        pub fn readable_schemas() -> impl Iterator<Item = (&'static str, u32)> {
            $table.iter().flat_map(|kind| (1..=kind.schema).map(|schema| (kind.name, schema)))
        }

        /// The stored name of an event's type.
        pub fn event_type(event: &$events) -> &'static str {
            $crate::wire::StreamEvent::stored_type(event).name
        }
    };
}
pub(crate) use event_types;

/// Reads what a stored event says, whatever schema number it was written with.
pub(crate) fn open<E: StreamEvent>(stored: &Stored) -> Result<E, WireError> {
    let Stored { position, event: new, .. } = stored;
    let event = match stored.json() {
        Some(json) => read(&new.event_type, new.schema, json),
        None if stored.is_erased() => Err("what it said was erased".to_owned()),
        None => Err("it is sealed, and no key opened it".to_owned()),
    };
    event.map_err(|problem| WireError {
        chat_id: new.chat_id,
        version: new.version,
        position: *position,
        event_type: new.event_type.clone(),
        schema: new.schema,
        problem,
        erased: stored.is_erased(),
    })
}

/// Reads the JSON of a type and schema number.
pub(crate) fn read<E: StreamEvent>(name: &str, schema: u32, data: &[u8]) -> Result<E, String> {
    read_by(name, schema, data, E::TYPES, E::STEPS)
}

/// As `read`, by the given table and steps.
pub(super) fn read_by<E: StreamEvent>(
    name: &str,
    schema: u32,
    data: &[u8],
    types: &[EventType],
    steps: &[Step],
) -> Result<E, String> {
    let current = types.iter().find(|kind| kind.name == name).ok_or(E::NO_SUCH_TYPE)?.schema;
    if schema == current {
        return E::read_current(name, data);
    }
    if schema == 0 || schema > current {
        return Err(format!("schema {schema} is unknown; this program reads 1 to {current}"));
    }
    let raised = upcast::raise(steps, name, schema, current, read_json::<Value>(data, NESTING_MAX)?)?;
    E::read_current(name, &serde_json::to_vec(&raised).map_err(|problem| problem.to_string())?)
}
