//! The persisted form of the settings' events: their own table of types and schema numbers, beside the chats'.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::event::{self, SettingsEvent};
use super::{RecordedSetting, SETTINGS_STREAM};
use crate::envelope::{Cause, Encoding, NewEvent, Stored, chain_hash, microseconds};
use crate::ids::{Digest, Version};
use crate::upcast::{self, Step};
use crate::wire::{EventType, NESTING_MAX, WireError, read_json};

/// The one table: each event, its stored name, the schema number it is written with.
macro_rules! settings_event_types {
    ($($variant:ident $name:literal $schema:literal;)+) => {
        /// Every type of event of the settings stream.
        pub const SETTINGS_EVENT_TYPES: &[EventType] = &[$(EventType { name: $name, schema: $schema },)+];

        /// The stored type of an event.
        pub(super) fn stored_type(event: &SettingsEvent) -> EventType {
            match event {
                $(SettingsEvent::$variant(_) => EventType { name: $name, schema: $schema },)+
            }
        }

        /// An event's JSON in its type's current schema.
        pub(super) fn encode(event: &SettingsEvent) -> Vec<u8> {
            match event {
                $(SettingsEvent::$variant(body) => serde_json::to_vec(body),)+
            }
            .expect("an event's JSON has string keys and finite numbers alone")
        }

        /// Reads the JSON of a type's current schema.
        fn read_current(name: &str, data: &[u8]) -> Result<SettingsEvent, String> {
            match name {
                $($name => read_json::<event::$variant>(data, NESTING_MAX).map(SettingsEvent::$variant),)+
                _ => Err("no event of the settings has this type".to_owned()),
            }
        }
    };
}

settings_event_types! {
    ProviderSet "provider_set" 1;
    ProviderRemoved "provider_removed" 1;
    ModelSet "model_set" 1;
    ModelRemoved "model_removed" 1;
    DefaultModelSet "default_model_set" 1;
    BudgetSet "budget_set" 1;
    BudgetRemoved "budget_removed" 1;
}

/// How events with an old schema number are read.
const STEPS: &[Step] = &[];

/// Every (type, schema number) that may stand in the settings stream.
pub fn readable_schemas() -> impl Iterator<Item = (&'static str, u32)> {
    SETTINGS_EVENT_TYPES.iter().flat_map(|kind| (1..=kind.schema).map(|schema| (kind.name, schema)))
}

/// The stored name of an event's type.
pub fn event_type(event: &SettingsEvent) -> &'static str {
    stored_type(event).name
}

/// Seals decided events into the stream's chain after the event of `version` and hash `previous`. What they hold is
/// stored as it is: a key in them is sealed by itself.
pub fn seal(
    version: Version,
    previous: Digest,
    events: &[SettingsEvent],
    cause: &Cause,
    recorded_at: DateTime<Utc>,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Vec<NewEvent> {
    let recorded_at = microseconds(recorded_at);
    let mut previous = previous;
    (version + 1..)
        .zip(events)
        .map(|(version, event)| {
            let kind = stored_type(event);
            let mut new = NewEvent {
                chat_id: SETTINGS_STREAM,
                version,
                event_id: new_id(),
                event_type: kind.name.to_owned(),
                schema: kind.schema,
                recorded_at,
                actor: cause.actor.clone(),
                command_id: cause.command_id,
                causation_id: cause.causation_id,
                trace_id: cause.trace_id.clone(),
                encoding: Encoding::Plain,
                data: encode(event),
                hash: Digest::ZERO,
            };
            new.hash = chain_hash(&previous, &new);
            previous = new.hash;
            new
        })
        .collect()
}

/// Reads a stored event of the settings stream, whatever schema number it was written with.
pub fn decode(stored: &Stored) -> Result<RecordedSetting, WireError> {
    let Stored { position, event: new, .. } = stored;
    let event = match stored.json() {
        Some(json) => read(&new.event_type, new.schema, json),
        None => Err("it is sealed, and no key opened it".to_owned()),
    };
    match event {
        Ok(event) => Ok(RecordedSetting {
            position: *position,
            version: new.version,
            recorded_at: new.recorded_at,
            hash: new.hash,
            event,
        }),
        Err(problem) => Err(WireError {
            chat_id: new.chat_id,
            version: new.version,
            position: *position,
            event_type: new.event_type.clone(),
            schema: new.schema,
            problem,
            erased: false,
        }),
    }
}

/// Reads the JSON of a type and schema number.
pub(super) fn read(name: &str, schema: u32, data: &[u8]) -> Result<SettingsEvent, String> {
    let kind = SETTINGS_EVENT_TYPES.iter().find(|kind| kind.name == name);
    let current = kind.ok_or("no event of the settings has this type")?.schema;
    if schema == current {
        return read_current(name, data);
    }
    if schema == 0 || schema > current {
        return Err(format!("schema {schema} is unknown; this program reads 1 to {current}"));
    }
    let raised = upcast::raise(STEPS, name, schema, current, read_json::<Value>(data, NESTING_MAX)?)?;
    read_current(name, &serde_json::to_vec(&raised).map_err(|problem| problem.to_string())?)
}
