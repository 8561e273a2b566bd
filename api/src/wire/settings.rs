//! Providers and models, as people and programs see them. A key is never shown, only whether there is one.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use verbatim_events::price::Price;
use verbatim_events::settings::{Effective, Entry, Model, Provider, SettingsCommand, Source};

use super::budget::BudgetView;
use super::words;
use super::workspace::TemplateView;
use crate::config::without_password;
use crate::models::ProviderKeys;

/// Where an entry comes from: `file` or `api`.
pub(super) fn source(source: Source) -> &'static str {
    match source {
        Source::File => "file",
        Source::Set | Source::SetOverFile => "api",
    }
}

/// A provider: `{name, kind, base_url?, api_key_env?, has_key, enabled, store, source, overrides_file, models}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Provider)]
pub struct ProviderView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its wire protocol.
    #[schema(value_type = words::ProviderKind)]
    pub kind: &'static str,
    /// Where it is; absent where its protocol's makers listen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The variable of the server's environment that holds its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<&'a str>,
    /// Its key is at hand.
    pub has_key: bool,
    /// Calls are made.
    pub enabled: bool,
    /// It is told to keep its answers.
    pub store: bool,
    /// Where it comes from: `file` or `api`.
    pub source: &'static str,
    /// It was set over one of the server's file, which counts again when this is deleted.
    pub overrides_file: bool,
    /// The names of its models.
    pub models: Vec<String>,
}

impl<'a> ProviderView<'a> {
    /// A provider in force.
    pub fn of(name: &'a str, entry: &'a Entry<Provider>, effective: &Effective, keys: &ProviderKeys) -> Self {
        let provider = &entry.value;
        ProviderView {
            name,
            kind: provider.kind.name(),
            base_url: provider.base_url.as_deref().map(without_password),
            api_key_env: provider.api_key_env.as_deref(),
            has_key: keys.has(name, provider),
            enabled: provider.enabled,
            store: provider.store,
            source: source(entry.source),
            overrides_file: entry.source == Source::SetOverFile,
            models: effective.models_of(name),
        }
    }
}

/// A model: `{name, provider, model, context_window?, max_output_tokens?, efforts?, provider_tools?, accepts?, prices?,
/// enabled, available, default, source, overrides_file}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub struct ModelView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its provider's name.
    pub provider: &'a str,
    /// What the provider calls it.
    pub model: &'a str,
    /// Tokens it can take in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Tokens it may put out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// The efforts it knows; any where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efforts: Option<&'a [String]>,
    /// The tools that its provider may run itself, in the provider's own words; for auditors and administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_tools: Option<&'a [Value]>,
    /// The media types of files that it takes besides text, `image/*` for all pictures; what its protocol takes where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepts: Option<&'a [String]>,
    /// What its tokens cost, in millionths of a US dollar per million tokens; unknown where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Price>)]
    pub prices: Option<Price>,
    /// Chats may use it.
    pub enabled: bool,
    /// It is enabled, and so is its provider.
    pub available: bool,
    /// Chats that name no model use it.
    pub default: bool,
    /// Where it comes from: `file` or `api`.
    pub source: &'static str,
    /// It was set over one of the server's file, which counts again when this is deleted.
    pub overrides_file: bool,
}

impl<'a> ModelView<'a> {
    /// A model in force; `whole` for those who may see what its provider's tools are set to.
    pub fn of(name: &'a str, entry: &'a Entry<Model>, effective: &Effective, whole: bool) -> Self {
        let model = &entry.value;
        let provider = effective.providers.get(&model.provider);
        ModelView {
            name,
            provider: &model.provider,
            model: &model.provider_model,
            context_window: model.context_window,
            max_output_tokens: model.max_output_tokens,
            efforts: model.efforts.as_deref(),
            provider_tools: whole.then_some(model.provider_tools.as_slice()),
            accepts: model.accepts.as_deref(),
            prices: model.prices,
            enabled: model.enabled,
            available: model.enabled && provider.is_some_and(|provider| provider.value.enabled),
            default: effective.default_model.as_deref() == Some(name),
            source: source(entry.source),
            overrides_file: entry.source == Source::SetOverFile,
        }
    }
}

/// The body that answers a change: what was changed as it is then; empty where it is gone.
pub fn written(command: &SettingsCommand, effective: &Effective, keys: &ProviderKeys) -> Vec<u8> {
    let body = match command {
        SettingsCommand::SetProvider { name, .. } => effective
            .providers
            .get(name)
            .map(|entry| serde_json::to_vec(&ProviderView::of(name, entry, effective, keys))),
        SettingsCommand::SetModel { name, .. } => {
            effective.models.get(name).map(|entry| serde_json::to_vec(&ModelView::of(name, entry, effective, true)))
        }
        SettingsCommand::SetTemplate { name, .. } => {
            effective.templates.get(name).map(|entry| serde_json::to_vec(&TemplateView::set(name, entry)))
        }
        SettingsCommand::SetBudget { owner, budget } => Some(serde_json::to_vec(&BudgetView::set(owner, budget))),
        SettingsCommand::RemoveProvider { .. }
        | SettingsCommand::RemoveModel { .. }
        | SettingsCommand::RemoveBudget { .. }
        | SettingsCommand::RemoveTemplate { .. } => None,
    };
    body.and_then(Result::ok).unwrap_or_default()
}
