//! Settings: defaults, then `verbatim.toml`, then `VERBATIM_*` variables, then flags. A mistake is named with its place.

mod database;
mod environment;
mod file;
mod http;
mod layer;
mod mcp;
mod settle;
mod show;
#[cfg(test)]
mod tests;
mod webhooks;
mod workspaces;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use verbatim_events::budget::Budget;
use verbatim_events::limits::Limits;
use verbatim_events::price::Price;
use verbatim_tools::mcp::McpConfig;
use verbatim_tools::workspace::settings::{CoderConfig, WorkspaceSettings};
use verbatim_tools::workspace::template::TemplateConfig;

pub use database::Database;
pub(crate) use database::without_password;
pub use environment::Environment;
pub use http::{ANY_ORIGIN, HttpSettings};
pub use layer::ProviderKind;
pub(crate) use settle::own_url;
pub use show::effective;
pub use webhooks::WebhookConfig;

/// The name of the settings file.
pub const FILE_NAME: &str = "verbatim.toml";

/// The data directory without any setting.
pub const DATA_DIR: &str = "./verbatim-data";

/// Where the server listens without any setting.
pub const LISTEN: &str = "127.0.0.1:8080";

/// The provider and the model that are always there.
pub const DEMO: &str = "demo";

/// What flags say. They win over everything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The settings file to read instead of the usual ones.
    pub config: Option<PathBuf>,
    /// The data directory.
    pub data_dir: Option<PathBuf>,
    /// The log's home.
    pub database: Option<String>,
    /// Where to listen.
    pub listen: Option<String>,
}

/// A model provider as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its wire protocol.
    pub kind: ProviderKind,
    /// Where it is; as its own client libraries take it.
    pub base_url: Option<String>,
    /// The variable that holds its key.
    pub api_key_env: Option<String>,
    /// It is told to keep its answers, and continues the last one where it can.
    pub store: bool,
}

/// A model as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The provider's configured name.
    pub provider: String,
    /// What the provider calls it.
    pub provider_model: String,
    /// Tokens it can take in.
    pub context_window: Option<u64>,
    /// Tokens it may put out.
    pub max_output_tokens: Option<u64>,
    /// The efforts it knows; any where absent.
    pub efforts: Option<Vec<String>>,
    /// The tools that its provider may run itself, in the provider's own words.
    pub provider_tools: Vec<Value>,
    /// The media types of files that it takes besides text; what its protocol takes where absent.
    pub accepts: Option<Vec<String>>,
    /// What its tokens cost; absent where nobody said.
    pub prices: Option<Price>,
}

/// What models write about chats by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TitlesConfig {
    /// The model that gives chats their titles; without one they keep their first words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The same model says in a few words what each turn did.
    pub status_labels: bool,
}

/// The advisor as configured.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AdvisorConfig {
    /// The configured name of its model.
    pub model: String,
    /// Answers per turn.
    pub uses_max: u32,
}

/// How chats are sealed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SealingSettings {
    /// New chats are sealed, each with a key of its own; chats stay what they were when they began.
    pub enabled: bool,
    /// The file that holds the master key; `master.key` in the data directory where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_key_file: Option<PathBuf>,
}

/// The settings in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Where to listen: host and port.
    pub listen: String,
    /// Where everything lies that is not elsewhere by setting.
    pub data_dir: PathBuf,
    /// The log's home.
    pub database: Database,
    /// This node's name in the log.
    pub node_name: String,
    /// Providers by name.
    pub providers: BTreeMap<String, Provider>,
    /// Models by name.
    pub models: BTreeMap<String, Model>,
    /// Webhooks by name.
    pub webhooks: BTreeMap<String, WebhookConfig>,
    /// MCP servers by name.
    pub mcp: BTreeMap<String, McpConfig>,
    /// The model of a chat that names none.
    pub default_model: String,
    /// `/metrics` needs no key.
    pub metrics_open: bool,
    /// Who may ask from where, and how often.
    pub http: HttpSettings,
    /// Every bound.
    pub limits: Limits,
    /// Templates of workspaces, by name.
    pub templates: BTreeMap<String, TemplateConfig>,
    /// The Coder deployment that makes workspaces.
    pub coder: Option<CoderConfig>,
    /// What commands may do in workspaces on this machine.
    pub workspaces: WorkspaceSettings,
    /// Who chats may ask for a second opinion; nobody where absent.
    pub advisor: Option<AdvisorConfig>,
    /// What owners may spend who have no budget of their own.
    pub default_budget: Option<Budget>,
    /// How chats are sealed.
    pub sealing: SealingSettings,
    /// The configured name of the model that writes summaries; the chat's own where absent.
    pub compaction_model: Option<String>,
    /// What models write about chats by themselves.
    pub titles: TitlesConfig,
    /// What is odd but no error, a sentence each.
    pub warnings: Vec<String>,
}

/// Why there are no settings. Says where the mistake is.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file is not there or cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is wrong.
    #[error("{}:{line}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A variable is wrong.
    #[error("environment variable {name}: {problem}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A flag is wrong.
    #[error("--{name}: {problem}")]
    Flag {
        /// The flag, without dashes.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A setting is wrong and nothing but the program itself set it.
    #[error("{key}: {problem}")]
    Setting {
        /// The setting, levels joined by dots.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Settings {
    /// Reads the settings that are in force. Touches nothing: the data directory need not exist.
    pub fn load(flags: &Flags, environment: &Environment) -> Result<Settings, ConfigError> {
        let file = file::find(flags, environment)?;
        let mut table = file.as_ref().map(|file| file.table.clone()).unwrap_or_default();
        let overlay = environment.overlay(&mut table)?;
        settle::settle(table, settle::Sources { flags, environment, file, overlay })
    }
}
