//! The persisted form of the settings' events: their own table of types and schema numbers, beside the chats'.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::event::SettingsEvent;
use super::{RecordedSetting, SETTINGS_STREAM};
use crate::envelope::{Cause, NewEvent, Stored};
use crate::ids::{Digest, Version};
use crate::upcast::{Step, unchanged};
use crate::wire::{StreamEnd, WireError, event_types, open};

event_types! {
    /// Every type of event of the settings stream.
    SETTINGS_EVENT_TYPES of SettingsEvent, raised by STEPS, else "no event of the settings has this type";
    ProviderSet "provider_set" 1;
    ProviderRemoved "provider_removed" 1;
    ModelSet "model_set" 2;
    ModelRemoved "model_removed" 1;
    DefaultModelSet "default_model_set" 1;
    BudgetSet "budget_set" 1;
    BudgetRemoved "budget_removed" 1;
    TemplateSet "template_set" 1;
    TemplateRemoved "template_removed" 1;
}

/// How events with an old schema number are read.
const STEPS: &[Step] = &[
    // Number 2 may say which media types the model takes; before, its protocol alone said which.
    Step { event_type: "model_set", from: 1, raise: unchanged },
];

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
    let mut end = StreamEnd { stream: SETTINGS_STREAM, version, hash: previous, cause, recorded_at };
    events.iter().map(|event| end.add(event, new_id())).collect()
}

/// Reads a stored event of the settings stream, whatever schema number it was written with.
pub fn decode(stored: &Stored) -> Result<RecordedSetting, WireError> {
    let event = open(stored)?;
    let NewEvent { version, recorded_at, hash, .. } = stored.event;
    Ok(RecordedSetting { position: stored.position, version, recorded_at, hash, event })
}
