//! The settings' frozen samples.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::budget::{Budget, BudgetPeriod};
use crate::price::Price;
use crate::template::{ParameterConfig, ParameterType};
use crate::wire::golden::{Golden, golden_tests};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Every event with everything in it that can be, and those that can hold less with as little as they can. Written field
/// by field, so that a new field makes somebody decide whether the schema number must rise.
fn values() -> Vec<(&'static str, SettingsEvent)> {
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
                    accepts: Some(vec!["image/png".to_owned(), "application/pdf".to_owned()]),
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
                    accepts: None,
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
        (
            "",
            SettingsEvent::TemplateSet(TemplateSet {
                name: "web.app".to_owned(),
                template: TemplateConfig {
                    provisioner: ProvisionerKind::Local,
                    path: Some("/srv/templates/web".into()),
                    template: None,
                    description: some("A site"),
                    parameters: [
                        (
                            "colour".to_owned(),
                            ParameterConfig {
                                kind: ParameterType::String,
                                description: "Of the front".to_owned(),
                                default: Some(json!("red")),
                                options: vec![json!("red"), json!("blue")],
                            },
                        ),
                        (
                            "tools".to_owned(),
                            ParameterConfig {
                                kind: ParameterType::List,
                                description: String::new(),
                                default: None,
                                options: Vec::new(),
                            },
                        ),
                    ]
                    .into(),
                },
            }),
        ),
        (
            ".min",
            SettingsEvent::TemplateSet(TemplateSet {
                name: "bare".to_owned(),
                template: TemplateConfig {
                    provisioner: ProvisionerKind::Local,
                    path: Some("/srv/bare".into()),
                    template: None,
                    description: None,
                    parameters: BTreeMap::new(),
                },
            }),
        ),
        (
            ".coder",
            SettingsEvent::TemplateSet(TemplateSet {
                name: "machine".to_owned(),
                template: TemplateConfig {
                    provisioner: ProvisionerKind::Coder,
                    path: None,
                    template: some("docker"),
                    description: None,
                    parameters: BTreeMap::new(),
                },
            }),
        ),
        ("", SettingsEvent::TemplateRemoved(TemplateRemoved { name: "web.app".to_owned() })),
    ]
}

fn golden() -> Golden<SettingsEvent> {
    Golden { folder: "golden/settings", values: values() }
}

golden_tests!(golden);

#[test]
fn kinds_are_named_as_they_are_stored() {
    let stored = ProviderKind::ALL.map(|kind| json!(kind));
    assert_eq!(stored, ProviderKind::ALL.map(|kind| json!(kind.name())));
    assert_eq!(json!(stored).to_string(), r#"["openai_responses","openai_chat","anthropic","demo"]"#);
}
