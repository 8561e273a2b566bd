//! The settings in force, as a person reads them and as the file could hold them. No secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use verbatim_events::budget::Budget;
use verbatim_events::limits::Limits;
use verbatim_events::price::Price;
use verbatim_tools::mcp::McpConfig;
use verbatim_tools::workspace::settings::{CoderConfig, WorkspaceSettings};
use verbatim_tools::workspace::template::TemplateConfig;

use super::database::without_password;
use super::mcp::McpView;
use super::webhooks::WebhookShown;
use super::{AdvisorConfig, Environment, HttpSettings, ProviderKind, SealingSettings, Settings, TitlesConfig};
use crate::locate::MASTER_VARIABLE;

#[derive(Serialize)]
struct View<'a> {
    listen: &'a str,
    database: String,
    data_dir: String,
    node_name: &'a str,
    metrics_open: bool,
    http: &'a HttpSettings,
    providers: BTreeMap<&'a str, ProviderView<'a>>,
    models: BTreeMap<&'a str, ModelView<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    mcp: BTreeMap<&'a str, McpView<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    webhooks: BTreeMap<&'a str, WebhookShown<'a>>,
    limits: &'a Limits,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    templates: &'a BTreeMap<String, TemplateConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coder: Option<CoderConfig>,
    workspaces: &'a WorkspaceSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    advisor: Option<&'a AdvisorConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budgets: Option<BudgetsView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compaction: Option<CompactionView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    titles: Option<&'a TitlesConfig>,
    sealing: &'a SealingSettings,
}

#[derive(Serialize)]
struct BudgetsView {
    default: Budget,
}

#[derive(Serialize)]
struct CompactionView<'a> {
    model: &'a str,
}

#[derive(Serialize)]
struct ProviderView<'a> {
    kind: ProviderKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_env: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    store: bool,
}

#[derive(Serialize)]
struct ModelView<'a> {
    provider: &'a str,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_window: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    default: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    efforts: Option<&'a [String]>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    provider_tools: &'a [Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    accepts: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prices: Option<Price>,
}

/// The settings in the file's own notation, with comments on what came from where. Passwords are `***`, keys are named
/// by their variables alone.
pub fn effective(settings: &Settings, environment: &Environment) -> String {
    let mut text = String::new();
    match &settings.file {
        Some(path) => writeln!(text, "# read from {}", path.display()),
        None => writeln!(text, "# no settings file"),
    }
    .ok();
    let providers = settings.providers.values().filter_map(|provider| provider.api_key_env.as_ref());
    for variable in providers
        .chain(settings.coder.iter().map(|coder| &coder.token_env))
        .chain(settings.webhooks.values().map(|webhook| &webhook.secret_env))
    {
        let state = if environment.get(variable).is_some() { "set" } else { "NOT set" };
        writeln!(text, "# {variable} is {state}").ok();
    }
    let named = settings.mcp.values().flat_map(McpConfig::variables).collect::<BTreeSet<&str>>();
    for variable in named {
        let state = if environment.get(variable).is_some() { "set" } else { "NOT set" };
        writeln!(text, "# {variable} is {state}").ok();
    }
    let master = match environment.get(MASTER_VARIABLE) {
        Some(_) => format!("{MASTER_VARIABLE} is set"),
        None => match &settings.sealing.master_key_file {
            Some(file) => format!("the master key is in {}", file.display()),
            None => "the master key is in master.key of the data directory, made at the first start".to_owned(),
        },
    };
    writeln!(text, "# {master}").ok();
    text.push('\n');
    text.push_str(&toml::to_string(&view(settings)).unwrap_or_else(|error| format!("# cannot be shown: {error}\n")));
    text
}

fn view(settings: &Settings) -> View<'_> {
    let providers = settings.providers.iter().map(|(name, provider)| {
        let view = ProviderView {
            kind: provider.kind,
            base_url: provider.base_url.as_deref().map(without_password),
            api_key_env: provider.api_key_env.as_deref(),
            store: provider.store,
        };
        (name.as_str(), view)
    });
    let models = settings.models.iter().map(|(name, model)| {
        let view = ModelView {
            provider: &model.provider,
            model: &model.provider_model,
            context_window: model.context_window,
            max_output_tokens: model.max_output_tokens,
            default: *name == settings.default_model,
            efforts: model.efforts.as_deref(),
            provider_tools: &model.provider_tools,
            accepts: model.accepts.as_deref(),
            prices: model.prices,
        };
        (name.as_str(), view)
    });
    View {
        listen: &settings.listen,
        database: settings.database.to_string(),
        data_dir: settings.data_dir.display().to_string(),
        node_name: &settings.node_name,
        metrics_open: settings.metrics_open,
        http: &settings.http,
        providers: providers.collect(),
        models: models.collect(),
        mcp: settings.mcp.iter().map(|(name, server)| (name.as_str(), McpView::new(server))).collect(),
        webhooks: settings.webhooks.iter().map(|(name, webhook)| (name.as_str(), WebhookShown::new(webhook))).collect(),
        limits: &settings.limits,
        templates: &settings.templates,
        coder: settings.coder.clone().map(|coder| CoderConfig { url: without_password(&coder.url), ..coder }),
        workspaces: &settings.workspaces,
        advisor: settings.advisor.as_ref(),
        budgets: settings.default_budget.map(|default| BudgetsView { default }),
        sealing: &settings.sealing,
        compaction: settings.compaction_model.as_deref().map(|model| CompactionView { model }),
        titles: Some(&settings.titles).filter(|titles| titles.model.is_some()),
    }
}
