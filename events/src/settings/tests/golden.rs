//! The frozen samples: what was once written must be readable for ever, and what is written now must not change its shape.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::wire::{encode, read, stored_type};
use super::*;
use crate::budget::{Budget, BudgetPeriod};
use crate::price::Price;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/settings")
}

/// Every sample by its file's name, without the newline that ends the file.
fn frozen() -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder()).expect("the folder of samples").map(|file| {
        let file = file.expect("a sample's entry");
        let bytes = fs::read(file.path()).expect("a sample");
        let bytes = bytes.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(bytes);
        (file.file_name().into_string().expect("a sample's name"), bytes)
    });
    files.collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Every event with everything in it that can be, and those that can hold less with as little as they can. Written field
/// by field, so that a new field makes somebody decide whether the schema number must rise.
fn samples() -> Vec<(&'static str, SettingsEvent)> {
    let prices = Price {
        input_micros: 3_000_000,
        output_micros: 15_000_000,
        cache_read_micros: Some(300_000),
        cache_write_micros: Some(3_750_000),
    };
    vec![
        (
            "",
            SettingsEvent::ProviderSet(ProviderSet {
                name: "openai".to_owned(),
                provider: Provider {
                    kind: ProviderKind::OpenAiResponses,
                    base_url: some("https://api.example.com/v1"),
                    api_key_env: None,
                    api_key_sealed: some("c2VhbGVk"),
                    store: true,
                    enabled: false,
                },
            }),
        ),
        (
            ".min",
            SettingsEvent::ProviderSet(ProviderSet {
                name: "demo-2".to_owned(),
                provider: Provider {
                    kind: ProviderKind::Demo,
                    base_url: None,
                    api_key_env: None,
                    api_key_sealed: None,
                    store: false,
                    enabled: true,
                },
            }),
        ),
        (
            ".env",
            SettingsEvent::ProviderSet(ProviderSet {
                name: "anthropic".to_owned(),
                provider: Provider {
                    kind: ProviderKind::Anthropic,
                    base_url: None,
                    api_key_env: some("ANTHROPIC_API_KEY"),
                    api_key_sealed: None,
                    store: false,
                    enabled: true,
                },
            }),
        ),
        ("", SettingsEvent::ProviderRemoved(ProviderRemoved { name: "openai".to_owned() })),
        (
            "",
            SettingsEvent::ModelSet(ModelSet {
                name: "vendor/large".to_owned(),
                model: Model {
                    provider: "openai".to_owned(),
                    provider_model: "large-2026".to_owned(),
                    context_window: Some(400_000),
                    max_output_tokens: Some(16_384),
                    efforts: Some(vec!["low".to_owned(), "high".to_owned()]),
                    provider_tools: vec![json!({ "type": "web_search", "max_uses": 3 })],
                    prices: Some(prices),
                    enabled: false,
                },
            }),
        ),
        (
            ".min",
            SettingsEvent::ModelSet(ModelSet {
                name: "small".to_owned(),
                model: Model {
                    provider: "demo-2".to_owned(),
                    provider_model: "demo".to_owned(),
                    context_window: None,
                    max_output_tokens: None,
                    efforts: None,
                    provider_tools: Vec::new(),
                    prices: None,
                    enabled: true,
                },
            }),
        ),
        ("", SettingsEvent::ModelRemoved(ModelRemoved { name: "small".to_owned() })),
        ("", SettingsEvent::DefaultModelSet(DefaultModelSet { name: "small".to_owned() })),
        (
            "",
            SettingsEvent::BudgetSet(BudgetSet {
                owner: "ada".to_owned(),
                budget: Budget {
                    period: BudgetPeriod::Month,
                    limit_micros: Some(50_000_000),
                    limit_tokens: Some(1_000_000),
                },
            }),
        ),
        (
            ".min",
            SettingsEvent::BudgetSet(BudgetSet {
                owner: "ada".to_owned(),
                budget: Budget { period: BudgetPeriod::Day, limit_micros: None, limit_tokens: None },
            }),
        ),
        ("", SettingsEvent::BudgetRemoved(BudgetRemoved { owner: "ada".to_owned() })),
    ]
}

fn current() -> BTreeMap<String, SettingsEvent> {
    let named = samples().into_iter().map(|(variant, event)| {
        let kind = stored_type(&event);
        (format!("{}.{}{variant}.json", kind.name, kind.schema), event)
    });
    named.collect()
}

#[test]
fn every_type_and_schema_number_has_its_sample() {
    let frozen = frozen();
    for (name, schema) in readable_schemas() {
        let file = format!("{name}.{schema}.json");
        assert!(frozen.contains_key(&file), "golden/settings/{file} is missing");
    }
}

#[test]
fn every_sample_belongs_to_a_declared_type_and_schema_number() {
    let declared: BTreeSet<String> = readable_schemas().map(|(name, schema)| format!("{name}.{schema}")).collect();
    for file in frozen().keys() {
        let kind: Vec<&str> = file.split('.').take(2).collect();
        assert!(declared.contains(&kind.join(".")), "golden/settings/{file} belongs to nothing");
    }
}

#[test]
fn what_is_written_now_is_what_was_frozen() {
    let frozen = frozen();
    for (file, event) in current() {
        let written = String::from_utf8(encode(&event)).expect("JSON is UTF-8");
        match frozen.get(&file) {
            Some(bytes) => {
                assert_eq!(String::from_utf8_lossy(bytes), written, "golden/settings/{file} differs: raise the schema")
            }
            None => panic!("golden/settings/{file} is missing; it would be\n{written}"),
        }
    }
}

#[test]
fn every_sample_is_read() {
    let current = current();
    for (file, bytes) in frozen() {
        let mut pieces = file.split('.');
        let name = pieces.next().expect("a type");
        let schema = pieces.next().and_then(|number| number.parse().ok()).expect("a schema number");
        let event = read(name, schema, &bytes).unwrap_or_else(|problem| panic!("golden/settings/{file}: {problem}"));
        assert_eq!(event_type(&event), name, "golden/settings/{file}");
        if let Some(expected) = current.get(&file) {
            assert_eq!(event, *expected, "golden/settings/{file}");
            assert_eq!(encode(&event), bytes, "golden/settings/{file} is not written as it was read");
        }
    }
}

#[test]
fn a_field_that_nobody_knows_is_refused() {
    for (file, bytes) in frozen() {
        let kind =
            SETTINGS_EVENT_TYPES.iter().find(|kind| file.starts_with(&format!("{}.{}.", kind.name, kind.schema)));
        let Some(kind) = kind else { continue };
        let mut value: Value = serde_json::from_slice(&bytes).expect("JSON");
        value["smuggled"] = json!(1);
        let problem = read(kind.name, kind.schema, value.to_string().as_bytes()).expect_err(&file);
        assert!(problem.contains("smuggled"), "{file}: {problem}");
    }
}

#[test]
fn other_schema_numbers_are_refused() {
    for kind in SETTINGS_EVENT_TYPES {
        assert!(read(kind.name, 0, b"{}").is_err(), "{}", kind.name);
        assert!(read(kind.name, kind.schema + 1, b"{}").is_err(), "{}", kind.name);
    }
    assert!(read("chat_created", 1, b"{}").is_err());
}

#[test]
fn kinds_are_named_as_they_are_stored() {
    let stored = ProviderKind::ALL.map(|kind| json!(kind));
    assert_eq!(stored, ProviderKind::ALL.map(|kind| json!(kind.name())));
    assert_eq!(json!(stored).to_string(), r#"["openai_responses","openai_chat","anthropic","demo"]"#);
}
