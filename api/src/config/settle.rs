//! From the merged table to the settings in force: defaults, and what must fit together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use verbatim_events::limits::Limits;
use verbatim_events::settings::check_accepts;
use verbatim_llm::PROVIDER_TOOLS_MAX;

use super::environment::Overlay;
use super::file::{File, shape};
use super::http;
use super::layer::{AdvisorLayer, Layer, ModelLayer, ProviderKind, ProviderLayer, TitlesLayer};
use super::mcp;
use super::webhooks;
use super::workspaces;
use super::{
    AdvisorConfig, ConfigError, DATA_DIR, DEMO, Database, Environment, Flags, LISTEN, Model, Provider, SealingSettings,
    Settings, TitlesConfig,
};

/// The providers that a key in the environment adds: the variable, the provider's name and its protocol.
const KEYED: [(&str, &str, ProviderKind); 2] = [
    ("OPENAI_API_KEY", "openai", ProviderKind::OpenAiResponses),
    ("ANTHROPIC_API_KEY", "anthropic", ProviderKind::Anthropic),
];

/// The longest silence guard, in ms.
const SILENCE_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// How many efforts a model may know.
const EFFORTS_MAX: usize = 16;

/// Where settings came from, so that a mistake can be named with its place.
pub(super) struct Sources<'a> {
    pub flags: &'a Flags,
    pub environment: &'a Environment,
    pub file: Option<File>,
    pub overlay: Overlay,
}

impl Sources<'_> {
    pub(super) fn refuse(&self, key: &[&str], problem: impl Into<String>) -> ConfigError {
        let problem = problem.into();
        // The variable of this very key, else one that touched what is around it.
        let variable = self
            .overlay
            .laid
            .iter()
            .find(|laid| laid.key == key)
            .or_else(|| self.overlay.laid.iter().find(|laid| is_beside(&laid.key, key)));
        let in_file = self.file.as_ref().and_then(|file| Some((file.path.clone(), file.line_of(key)?)));
        match (variable, in_file) {
            (Some(laid), None) => ConfigError::Variable { name: laid.variable.clone(), problem },
            (Some(laid), Some(_)) if laid.key == key => ConfigError::Variable { name: laid.variable.clone(), problem },
            (_, Some((path, line))) => ConfigError::File { path, line, problem },
            (None, None) => ConfigError::Setting { key: key.join("."), problem },
        }
    }

    /// What a relative path of this key is relative to: the file's folder if the file says it, else where we are.
    pub(super) fn folder(&self, key: &str) -> PathBuf {
        let from_variable = self.overlay.laid.iter().any(|laid| laid.key == [key]);
        match &self.file {
            Some(file) if !from_variable => file.folder().to_owned(),
            Some(_) | None => PathBuf::new(),
        }
    }
}

/// Whether two keys stand in the same table.
fn is_beside(laid: &[String], key: &[&str]) -> bool {
    match (laid.split_last(), key.split_last()) {
        (Some((_, laid)), Some((_, key))) => !key.is_empty() && laid == key,
        (None, _) | (_, None) => false,
    }
}

pub(super) fn settle(table: toml::Table, sources: Sources<'_>) -> Result<Settings, ConfigError> {
    let layer = shape(&table).map_err(|problem| sources.refuse(&[], problem))?;
    let data_dir = data_dir(&layer, &sources);
    let providers = providers(&layer, &sources)?;
    let (models, default_model) = models(&layer, &providers, &sources)?;
    check_limits(&layer.limits).map_err(|(key, problem)| sources.refuse(&["limits", key], problem))?;
    let templates = workspaces::templates(&layer, &sources)?;
    http::check(&layer.http).map_err(|(key, problem)| sources.refuse(&["http", key], problem))?;
    let mcp = mcp::settle(&layer.mcp, &sources.folder("mcp"))
        .map_err(|(name, key, problem)| sources.refuse(&["mcp", &name, key], problem))?;
    let webhooks = webhooks::settle(&layer.webhooks)
        .map_err(|(name, key, problem)| sources.refuse(&["webhooks", &name, key], problem))?;
    let unset = mcp::unset_variables(&mcp, sources.environment);
    let unset = unset.into_iter().chain(webhooks::unset_variables(&webhooks, sources.environment));
    let advisor = advisor(&layer, &models, &sources)?;
    let compaction_model = compaction_model(&layer, &models, &sources)?;
    let titles = titles(&layer, &models, &sources)?;
    let settings = Settings {
        advisor,
        default_budget: layer.budgets.default,
        compaction_model,
        titles,
        sealing: SealingSettings {
            enabled: layer.sealing.enabled,
            master_key_file: layer.sealing.master_key_file.as_ref().map(|file| sources.folder("sealing").join(file)),
        },
        listen: listen(&layer, &sources)?,
        database: database(&layer, &data_dir, &sources)?,
        node_name: node_name(&layer, &sources)?,
        file: sources.file.as_ref().map(|file| file.path.clone()),
        warnings: sources.overlay.warnings.into_iter().chain(unset).collect(),
        data_dir,
        providers,
        models,
        mcp,
        webhooks,
        default_model,
        metrics_open: layer.metrics_open,
        http: layer.http,
        limits: layer.limits,
        templates,
        coder: layer.coder,
        workspaces: layer.workspaces,
    };
    Ok(settings)
}

/// Answers that an advisor gives per turn.
const ADVICE_MAX: u32 = 5;

fn advisor(
    layer: &Layer,
    models: &BTreeMap<String, Model>,
    sources: &Sources<'_>,
) -> Result<Option<AdvisorConfig>, ConfigError> {
    let Some(AdvisorLayer { model, uses_max }) = layer.advisor.clone() else { return Ok(None) };
    if !models.contains_key(&model) {
        return Err(sources.refuse(&["advisor", "model"], format!("there is no model {model:?}")));
    }
    Ok(Some(AdvisorConfig { model, uses_max: uses_max.unwrap_or(ADVICE_MAX) }))
}

fn titles(layer: &Layer, models: &BTreeMap<String, Model>, sources: &Sources<'_>) -> Result<TitlesConfig, ConfigError> {
    let TitlesLayer { model, status_labels } = layer.titles.clone();
    match &model {
        Some(name) if !models.contains_key(name) => {
            Err(sources.refuse(&["titles", "model"], format!("there is no model {name:?}")))
        }
        None if status_labels => Err(sources
            .refuse(&["titles", "status_labels"], "labels are written by the model of [titles], and there is none")),
        _ => Ok(TitlesConfig { model, status_labels }),
    }
}

fn compaction_model(
    layer: &Layer,
    models: &BTreeMap<String, Model>,
    sources: &Sources<'_>,
) -> Result<Option<String>, ConfigError> {
    match &layer.compaction.model {
        Some(model) if !models.contains_key(model) => {
            Err(sources.refuse(&["compaction", "model"], format!("there is no model {model:?}")))
        }
        model => Ok(model.clone()),
    }
}

fn data_dir(layer: &Layer, sources: &Sources<'_>) -> PathBuf {
    match (&sources.flags.data_dir, &layer.data_dir) {
        (Some(path), _) => path.clone(),
        (None, Some(path)) => sources.folder("data_dir").join(path),
        (None, None) => PathBuf::from(DATA_DIR),
    }
}

fn database(layer: &Layer, data_dir: &Path, sources: &Sources<'_>) -> Result<Database, ConfigError> {
    match (&sources.flags.database, &layer.database) {
        (Some(text), _) => {
            Database::parse(text, Path::new("")).map_err(|problem| ConfigError::Flag { name: "database", problem })
        }
        (None, Some(text)) => {
            Database::parse(text, &sources.folder("database")).map_err(|problem| sources.refuse(&["database"], problem))
        }
        (None, None) => Ok(Database::Sqlite(data_dir.join("events.db"))),
    }
}

fn listen(layer: &Layer, sources: &Sources<'_>) -> Result<String, ConfigError> {
    let check = |text: &str| match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        Some(_) | None => Err(format!("{text:?} is no ADDRESS:PORT, such as {LISTEN}")),
    };
    match (&sources.flags.listen, &layer.listen) {
        (Some(text), _) => check(text).map_err(|problem| ConfigError::Flag { name: "listen", problem }),
        (None, Some(text)) => check(text).map_err(|problem| sources.refuse(&["listen"], problem)),
        (None, None) => Ok(LISTEN.to_owned()),
    }
}

fn node_name(layer: &Layer, sources: &Sources<'_>) -> Result<String, ConfigError> {
    match &layer.node_name {
        Some(name) if name.is_empty() || name.len() > 64 || name.contains(char::is_control) => {
            Err(sources.refuse(&["node_name"], "a node's name has 1 to 64 printable bytes"))
        }
        Some(name) => Ok(name.clone()),
        None => Ok("node-1".to_owned()),
    }
}

fn providers(layer: &Layer, sources: &Sources<'_>) -> Result<BTreeMap<String, Provider>, ConfigError> {
    let mut providers = BTreeMap::new();
    for (name, configured) in &layer.providers {
        let provider = provider(configured).map_err(|(key, problem)| {
            let key = ["providers", name.as_str(), key];
            sources.refuse(&key, problem)
        })?;
        providers.insert(name.clone(), provider);
    }
    for (variable, name, kind) in KEYED {
        if sources.environment.get(variable).is_some() {
            providers.entry(name.to_owned()).or_insert_with(|| Provider {
                kind,
                base_url: own_url(kind).map(str::to_owned),
                api_key_env: Some(variable.to_owned()),
                store: false,
            });
        }
    }
    providers.entry(DEMO.to_owned()).or_insert(Provider {
        kind: ProviderKind::Demo,
        base_url: None,
        api_key_env: None,
        store: false,
    });
    Ok(providers)
}

fn provider(configured: &ProviderLayer) -> Result<Provider, (&'static str, String)> {
    let Some(kind) = configured.kind else { return Err(("kind", "the provider has no kind".to_owned())) };
    if kind == ProviderKind::Demo && (configured.base_url.is_some() || configured.api_key_env.is_some()) {
        return Err(("kind", "a demo provider has neither address nor key".to_owned()));
    }
    if configured.store && kind != ProviderKind::OpenAiResponses {
        return Err(("store", format!("only providers of kind {} keep answers", ProviderKind::OpenAiResponses.name())));
    }
    if let Some(url) = &configured.base_url
        && reqwest::Url::parse(url).ok().is_none_or(|url| !matches!(url.scheme(), "http" | "https"))
    {
        return Err(("base_url", "a base_url is an absolute http or https URL".to_owned()));
    }
    let base_url = own_url(kind).map(|url| configured.base_url.clone().unwrap_or_else(|| url.to_owned()));
    Ok(Provider { kind, base_url, api_key_env: configured.api_key_env.clone(), store: configured.store })
}

/// Where the makers of a protocol listen themselves, as their client libraries take it; nothing where nobody listens.
pub(crate) fn own_url(kind: ProviderKind) -> Option<&'static str> {
    match kind {
        ProviderKind::OpenAiResponses => Some(verbatim_llm::openai_responses::DEFAULT_BASE_URL),
        ProviderKind::OpenAiChat => Some(verbatim_llm::openai_chat::DEFAULT_BASE_URL),
        ProviderKind::Anthropic => Some(verbatim_llm::anthropic::DEFAULT_BASE_URL),
        ProviderKind::Demo => None,
    }
}

fn models(
    layer: &Layer,
    providers: &BTreeMap<String, Provider>,
    sources: &Sources<'_>,
) -> Result<(BTreeMap<String, Model>, String), ConfigError> {
    let mut models = BTreeMap::new();
    let mut default: Option<&str> = None;
    for (name, configured) in &layer.models {
        let model = model(name, configured, providers)
            .map_err(|(key, problem)| sources.refuse(&["models", name, key], problem))?;
        models.insert(name.clone(), model);
        if configured.default {
            if let Some(other) = default {
                let problem = format!("there is a default model already: {other:?}");
                return Err(sources.refuse(&["models", name, "default"], problem));
            }
            default = Some(name);
        }
    }
    let only = if layer.models.len() == 1 { layer.models.keys().next().map(String::as_str) } else { None };
    let default_model = default.or(only).unwrap_or(DEMO).to_owned();
    models.entry(DEMO.to_owned()).or_insert(Model {
        provider: DEMO.to_owned(),
        provider_model: DEMO.to_owned(),
        context_window: None,
        max_output_tokens: None,
        efforts: None,
        provider_tools: Vec::new(),
        accepts: None,
        prices: None,
    });
    Ok((models, default_model))
}

fn model(
    name: &str,
    configured: &ModelLayer,
    providers: &BTreeMap<String, Provider>,
) -> Result<Model, (&'static str, String)> {
    let Some(provider) = &configured.provider else { return Err(("provider", "the model has no provider".to_owned())) };
    let Some(Provider { kind, .. }) = providers.get(provider) else {
        let known: Vec<&str> = providers.keys().map(String::as_str).collect();
        return Err(("provider", format!("there is no provider {provider:?}; there are: {}", known.join(", "))));
    };
    for (key, tokens) in
        [("context_window", configured.context_window), ("max_output_tokens", configured.max_output_tokens)]
    {
        if tokens == Some(0) {
            return Err((key, "it must be at least 1".to_owned()));
        }
    }
    if let Some(Err(impossible)) = configured.prices.map(|prices| prices.check()) {
        return Err(("prices", impossible.to_string()));
    }
    if let Some(Err(problem)) = configured.accepts.as_deref().map(check_accepts) {
        return Err(("accepts", problem));
    }
    Ok(Model {
        provider: provider.clone(),
        provider_model: configured.model.clone().unwrap_or_else(|| name.to_owned()),
        context_window: configured.context_window,
        max_output_tokens: configured.max_output_tokens,
        efforts: efforts(configured.efforts.as_deref()).map_err(|problem| ("efforts", problem))?,
        provider_tools: provider_tools(*kind, &configured.provider_tools)
            .map_err(|problem| ("provider_tools", problem))?,
        accepts: configured.accepts.clone(),
        prices: configured.prices,
    })
}

fn efforts(configured: Option<&[String]>) -> Result<Option<Vec<String>>, String> {
    let Some(efforts) = configured else { return Ok(None) };
    if efforts.len() > EFFORTS_MAX || efforts.iter().any(|effort| effort.trim().is_empty() || effort.len() > 32) {
        return Err(format!("a model knows at most {EFFORTS_MAX} efforts, each a word of at most 32 bytes"));
    }
    Ok(Some(efforts.to_vec()))
}

fn provider_tools(kind: ProviderKind, configured: &[Value]) -> Result<Vec<Value>, String> {
    if configured.len() > PROVIDER_TOOLS_MAX {
        return Err(format!("a model may have at most {PROVIDER_TOOLS_MAX} tools of its provider's"));
    }
    configured.iter().map(|tool| verbatim_llm::provider_tool(kind.name(), tool)).collect()
}

/// Bounds that would stop the server from working at all.
fn check_limits(limits: &Limits) -> Result<(), (&'static str, String)> {
    let at_least_one = [
        ("action_deadline_ms", limits.action_deadline_ms),
        ("approval_deadline_ms", limits.approval_deadline_ms),
        ("steps_max", limits.steps_max.into()),
        ("attempts_max", limits.attempts_max.into()),
        ("abandoned_max", limits.abandoned_max.into()),
        ("journal_flush_ms", limits.journal_flush_ms),
        ("attempt_bytes_max", limits.attempt_bytes_max as u64),
        ("passivate_after_ms", limits.passivate_after_ms),
        ("chats_in_memory_max", limits.chats_in_memory_max as u64),
        ("mailbox_max", limits.mailbox_max as u64),
        ("commands_max", limits.commands_max as u64),
        ("shutdown_ms", limits.shutdown_ms),
        ("body_max_bytes", limits.body_max_bytes as u64),
        ("tool_results_max_bytes", limits.tool_results_max_bytes as u64),
        ("tools_parallel_max", limits.tools_parallel_max as u64),
        ("receipts_days", limits.receipts_days.into()),
        ("compaction_percent", limits.compaction_percent.into()),
        ("heartbeat_ms", limits.heartbeat_ms),
        ("read_max_ms", limits.read_max_ms),
    ];
    if let Some((key, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
        return Err((key, "it must be at least 1".to_owned()));
    }
    if limits.silence_ms > SILENCE_MAX_MS {
        return Err(("silence_ms", format!("it may be at most {SILENCE_MAX_MS} (24 h); 0 switches the guard off")));
    }
    if limits.compaction_percent > 100 {
        return Err(("compaction_percent", "it may be at most 100, which switches compaction off".to_owned()));
    }
    if limits.retry_cap_ms < limits.retry_base_ms {
        return Err(("retry_cap_ms", "it must not be below retry_base_ms".to_owned()));
    }
    Ok(())
}
