//! What must hold for any sequence of commands.

use proptest::prelude::*;

use super::*;
use crate::budget::{Budget, BudgetPeriod};

/// Few names, so that commands meet.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["local", "env", "demo", "small", "large", "a", "b", "not good", "x/y"])
        .prop_map(str::to_owned)
}

fn given() -> impl Strategy<Value = Given> {
    prop::sample::select(vec![Given::New, Given::Whole, Given::Part])
}

fn key() -> impl Strategy<Value = Option<KeyChange>> {
    prop::sample::select(vec![
        None,
        Some(KeyChange::Gone),
        Some(KeyChange::Variable("SOME_API_KEY".to_owned())),
        Some(KeyChange::Variable("HOME".to_owned())),
        Some(KeyChange::Sealed("c2VhbGVk".to_owned())),
    ])
}

fn provider_change() -> impl Strategy<Value = ProviderChange> {
    let kind = prop::option::of(prop::sample::select(ProviderKind::ALL.to_vec()));
    let urls = vec![None, Some(None), Some(Some("https://h/v1".to_owned())), Some(Some("ftp://h".to_owned()))];
    let switch = || prop::option::of(any::<bool>());
    (kind, prop::sample::select(urls), key(), switch(), switch())
        .prop_map(|(kind, base_url, key, store, enabled)| ProviderChange { kind, base_url, key, store, enabled })
}

fn model_change() -> impl Strategy<Value = ModelChange> {
    let switch = || prop::option::of(any::<bool>());
    let tokens = prop::option::of(prop::option::of(0_u64..3));
    (prop::option::of(name()), tokens, switch(), switch()).prop_map(|(provider, context_window, enabled, default)| {
        ModelChange { provider, context_window, enabled, default, ..ModelChange::default() }
    })
}

fn owner() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["ada", "bob", "", "\n"]).prop_map(str::to_owned)
}

fn budget() -> impl Strategy<Value = Budget> {
    (any::<bool>(), prop::option::of(0_u64..3), prop::option::of(0_u64..3)).prop_map(
        |(day, limit_micros, limit_tokens)| {
            let period = if day { BudgetPeriod::Day } else { BudgetPeriod::Month };
            Budget { period, limit_micros, limit_tokens }
        },
    )
}

fn template_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["blank", "web", "..", "a/b"]).prop_map(str::to_owned)
}

fn template_change() -> impl Strategy<Value = TemplateChange> {
    let provisioner = prop::option::of(prop::sample::select(ProvisionerKind::ALL.to_vec()));
    let paths = vec![None, Some(None), Some(Some("/srv/a".into())), Some(Some("srv/a".into()))];
    let texts = vec![None, Some(None), Some(Some("text".to_owned()))];
    (provisioner, prop::sample::select(paths), prop::sample::select(texts.clone()), prop::sample::select(texts))
        .prop_map(|(provisioner, path, template, description)| TemplateChange {
            provisioner,
            path,
            template,
            description,
            parameters: None,
        })
}

fn command() -> impl Strategy<Value = SettingsCommand> {
    prop_oneof![
        3 => (name(), provider_change(), given())
            .prop_map(|(name, change, given)| SettingsCommand::SetProvider { name, change, given }),
        1 => name().prop_map(|name| SettingsCommand::RemoveProvider { name }),
        4 => (name(), model_change(), given())
            .prop_map(|(name, change, given)| SettingsCommand::SetModel { name, change, given }),
        1 => name().prop_map(|name| SettingsCommand::RemoveModel { name }),
        2 => (owner(), budget()).prop_map(|(owner, budget)| SettingsCommand::SetBudget { owner, budget }),
        1 => owner().prop_map(|owner| SettingsCommand::RemoveBudget { owner }),
        2 => (template_name(), template_change(), given())
            .prop_map(|(name, change, given)| SettingsCommand::SetTemplate { name, change, given }),
        1 => template_name().prop_map(|name| SettingsCommand::RemoveTemplate { name }),
    ]
}

proptest! {
    #[test]
    fn what_is_decided_is_applied_and_leaves_settings_that_work(commands in prop::collection::vec(command(), 1..60)) {
        let base = base();
        let mut settings = Settings::default();
        for command in commands {
            let before = Effective::of(&base, &settings);
            let Ok(events) = decide(&settings, &base, &command) else { continue };
            let count = events.len() as u64;
            let next = after(settings.clone(), &events).expect("what is decided is accepted");
            prop_assert_eq!(next.version, settings.version + count);
            let effective = Effective::of(&base, &next);
            // There is a default model, and it changes where somebody asked for it alone.
            let default = effective.default_model.clone().expect("a default model");
            prop_assert!(effective.may_be_used(&default));
            let asked = matches!(&command, SettingsCommand::SetModel { name, change, .. }
                if change.default == Some(true) && *name == default);
            prop_assert!(asked || before.default_model == Some(default));
            // Every model has its provider, every entry is whole.
            for entry in effective.models.values() {
                prop_assert!(effective.providers.contains_key(&entry.value.provider));
                prop_assert_eq!(entry.value.check(), Ok(()));
            }
            for entry in effective.providers.values() {
                prop_assert_eq!(entry.value.check(), Ok(()));
            }
            for entry in effective.templates.values() {
                prop_assert_eq!(entry.value.check().and_then(|()| entry.value.check_place()), Ok(()));
            }
            // Done once more it is so already, but for what must be new or be there.
            let again = decide(&next, &base, &command);
            prop_assert!(again.is_err() || again == Ok(Vec::new()), "{:?}", again);
            settings = next;
        }
    }

    #[test]
    fn no_change_sends_a_key_elsewhere_that_it_does_not_name(commands in prop::collection::vec(command(), 1..60)) {
        let base = base();
        let mut settings = Settings::default();
        for command in commands {
            let Ok(events) = decide(&settings, &base, &command) else { continue };
            let next = after(settings.clone(), &events).expect("what is decided is accepted");
            let given_anew = matches!(&command, SettingsCommand::SetProvider { change, .. } if change.key.is_some());
            for (name, provider) in &next.providers {
                let before = Effective::of(&base, &settings).providers.remove(name).map(|entry| entry.value);
                let key = provider.api_key_sealed.as_ref().or(provider.api_key_env.as_ref());
                if let (Some(_), Some(before), false) = (key, before, given_anew) {
                    prop_assert_eq!((&before.base_url, before.kind), (&provider.base_url, provider.kind));
                }
            }
            settings = next;
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(kind in 0..SETTINGS_EVENT_TYPES.len(), data in prop::collection::vec(any::<u8>(), 0..200)) {
        let event = SettingsEvent::ModelRemoved(ModelRemoved { name: "m".to_owned() });
        let mut stored = Stored::new(1, seal(0, Digest::ZERO, &[event], &cause(), at(), &mut Uuid::nil).remove(0));
        stored.event.event_type = SETTINGS_EVENT_TYPES[kind].name.to_owned();
        stored.event.data = data;
        if let Ok(recorded) = decode(&stored) {
            prop_assert_eq!(event_type(&recorded.event), SETTINGS_EVENT_TYPES[kind].name);
        }
    }
}
