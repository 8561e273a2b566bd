//! The shape of the settings file. Everything may be left out; what is not named here is refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;
use verbatim_events::budget::Budget;
use verbatim_events::limits::Limits;
use verbatim_events::price::Price;
pub use verbatim_events::settings::ProviderKind;
use verbatim_tools::workspace::settings::{CoderConfig, WorkspaceSettings};
use verbatim_tools::workspace::template::TemplateConfig;

use super::http::HttpSettings;
use super::mcp::McpLayer;
use super::webhooks::WebhookLayer;

/// The keys of the first level.
pub(super) const KEYS: [&str; 19] = [
    "listen",
    "database",
    "data_dir",
    "node_name",
    "metrics_open",
    "http",
    "providers",
    "models",
    "mcp",
    "webhooks",
    "limits",
    "templates",
    "coder",
    "workspaces",
    "advisor",
    "budgets",
    "compaction",
    "titles",
    "sealing",
];

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Layer {
    pub listen: Option<String>,
    pub database: Option<String>,
    pub data_dir: Option<PathBuf>,
    pub node_name: Option<String>,
    pub metrics_open: bool,
    pub http: HttpSettings,
    pub providers: BTreeMap<String, ProviderLayer>,
    pub models: BTreeMap<String, ModelLayer>,
    pub mcp: BTreeMap<String, McpLayer>,
    pub webhooks: BTreeMap<String, WebhookLayer>,
    pub limits: Limits,
    pub templates: BTreeMap<String, TemplateConfig>,
    pub coder: Option<CoderConfig>,
    pub workspaces: WorkspaceSettings,
    pub advisor: Option<AdvisorLayer>,
    pub budgets: BudgetsLayer,
    pub compaction: CompactionLayer,
    pub titles: TitlesLayer,
    pub sealing: SealingLayer,
}

/// `[sealing]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SealingLayer {
    pub enabled: bool,
    pub master_key_file: Option<PathBuf>,
}

impl Default for SealingLayer {
    fn default() -> SealingLayer {
        SealingLayer { enabled: true, master_key_file: None }
    }
}

/// `[budgets]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BudgetsLayer {
    pub default: Option<Budget>,
}

/// `[compaction]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CompactionLayer {
    pub model: Option<String>,
}

/// `[titles]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TitlesLayer {
    pub model: Option<String>,
    pub status_labels: bool,
}

/// `[advisor]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdvisorLayer {
    pub model: String,
    pub uses_max: Option<u32>,
}

/// `[providers.NAME]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ProviderLayer {
    pub kind: Option<ProviderKind>,
    pub base_url: Option<String>,
    pub api_key_env: Option<String>,
    pub store: bool,
}

/// `[models.NAME]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ModelLayer {
    pub provider: Option<String>,
    pub model: Option<String>,
    pub context_window: Option<u64>,
    pub max_output_tokens: Option<u64>,
    pub efforts: Option<Vec<String>>,
    pub provider_tools: Vec<Value>,
    pub accepts: Option<Vec<String>>,
    pub prices: Option<Price>,
    pub default: bool,
}
