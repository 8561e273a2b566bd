//! The settings' state machine by tables and properties, and their frozen samples.

mod golden;
mod properties;
mod rules;
mod templates;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::*;
use crate::envelope::{Actor, Cause, Stored};
use crate::ids::Digest;
use crate::template::{ProvisionerKind, TemplateConfig};

pub(super) fn at() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_790_000_000_000_000).expect("a time within range")
}

pub(super) fn cause() -> Cause {
    Cause { actor: Actor::User("admin".to_owned()), command_id: Uuid::nil(), causation_id: None, trace_id: None }
}

/// Two providers and two models of a file, beside the demo that is always there.
pub(super) fn base() -> Base {
    let local =
        Provider { base_url: Some("http://127.0.0.1:1/v1".to_owned()), ..Provider::of(ProviderKind::OpenAiChat) };
    let env = Provider { api_key_env: Some("House_Key_7".to_owned()), ..Provider::of(ProviderKind::OpenAiResponses) };
    let named = |name: &str| name.to_owned();
    Base {
        providers: [(named("local"), local), (named("env"), env), (named("demo"), Provider::of(ProviderKind::Demo))]
            .into(),
        models: [
            (named("small"), Model::of("local", "small-1")),
            (named("large"), Model::of("local", "large-1")),
            (named("demo"), Model::of("demo", "demo")),
        ]
        .into(),
        default_model: Some(named("small")),
        templates: [(named("blank"), local_template("/srv/templates/blank"))].into(),
        has_coder: false,
    }
}

/// A template that is a directory.
pub(super) fn local_template(path: &str) -> TemplateConfig {
    TemplateConfig { path: Some(path.into()), ..TemplateConfig::of(ProvisionerKind::Local) }
}

/// The settings after these events, through their stored form.
pub(super) fn after(settings: Settings, events: &[SettingsEvent]) -> Result<Settings, IllegalSetting> {
    let mut number = settings.version;
    let mut new_id = || {
        number += 1;
        Uuid::from_u128(number.into())
    };
    let sealed = seal(settings.version, settings.head_hash, events, &cause(), at(), &mut new_id);
    sealed.into_iter().try_fold(settings, |settings, event| {
        let stored = Stored::new(event.version, event);
        assert!(crate::wire::verify_link(&settings.head_hash, &stored), "the chain holds");
        settings.apply(&decode(&stored).expect("a sealed event"))
    })
}

#[test]
fn the_stream_is_no_chat() {
    assert!(!SETTINGS_STREAM.is_chat());
    assert_ne!(SETTINGS_STREAM.0.get_version_num(), 7, "chats have ids of version 7");
    assert_eq!(SETTINGS_STREAM.to_string(), "00000000-0000-8000-8000-000000000001", "it stands in logs for ever");
}

#[test]
fn the_chats_table_reads_nothing_of_it_and_it_reads_nothing_of_theirs() {
    for kind in SETTINGS_EVENT_TYPES {
        assert!(crate::wire::EVENT_TYPES.iter().all(|chats| chats.name != kind.name), "{} is a chat's too", kind.name);
    }
    let event = SettingsEvent::DefaultModelSet(DefaultModelSet { name: "m".to_owned() });
    let sealed = seal(0, Digest::ZERO, &[event], &cause(), at(), &mut Uuid::nil).remove(0);
    let stored = Stored::new(1, sealed);
    assert!(crate::wire::decode(&stored).is_err());
}
