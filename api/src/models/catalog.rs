//! The models that chats may use now, each with what calls it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use verbatim_actors::ports::{ModelCatalog, ResolvedModel};
use verbatim_events::error::{ChatError, ErrorKind};
use verbatim_events::model::ModelSettings;
use verbatim_events::settings::{Base, Effective, Model, ProviderKind, Settings};
use verbatim_llm::files::Files;

use super::engines::{Engine, Engines};
use super::keys::ProviderKeys;

/// Which models do what besides answering, and what all of them are shown.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// The model that writes summaries.
    pub compaction_model: Option<String>,
    /// The model that writes titles.
    pub title_model: Option<String>,
    /// It writes labels of turns, too.
    pub status_labels: bool,
    /// Where providers find the bytes of files.
    pub files: Files,
}

/// The models in force, ready to be called. A provider without its key is there too: calls to it say so.
pub struct Catalog {
    keys: ProviderKeys,
    roles: Roles,
    engines: Mutex<Engines>,
    now: RwLock<Arc<Compiled>>,
}

/// One moment's models. Never changed, only replaced.
struct Compiled {
    /// Every model that may be used, or why it cannot be called: its provider is switched off or lacks something.
    models: BTreeMap<String, Result<ResolvedModel, ChatError>>,
    providers: BTreeMap<String, Engine>,
    /// Provider and provider's name of the models that are disabled: they are not to be had by another name.
    disabled: BTreeSet<(String, String)>,
    default_model: Option<String>,
}

impl Catalog {
    /// The models of a node's own settings; no connection is opened. Fails where one of its providers cannot be used.
    pub fn new(base: &Base, keys: ProviderKeys, roles: Roles) -> Result<Catalog, ChatError> {
        let mut engines = Engines::showing(roles.files.clone());
        let compiled = compile(&Effective::of(base, &Settings::default()), &keys, &mut engines);
        for engine in compiled.providers.values() {
            engine.as_ref().map_err(Clone::clone)?;
        }
        let now = RwLock::new(Arc::new(compiled));
        Ok(Catalog { keys, roles, engines: Mutex::new(engines), now })
    }

    /// Other settings are in force from now on.
    pub(super) fn replace(&self, effective: &Effective) {
        let compiled = Arc::new(compile(effective, &self.keys, &mut self.engines.lock()));
        *self.now.write() = compiled;
    }

    fn now(&self) -> Arc<Compiled> {
        Arc::clone(&self.now.read())
    }
}

fn compile(effective: &Effective, keys: &ProviderKeys, engines: &mut Engines) -> Compiled {
    let providers = engines.renew(effective, keys);
    let usable = effective.models.iter().filter(|(name, _)| effective.may_be_used(name));
    let models = usable.filter_map(|(name, entry)| {
        let model = &entry.value;
        let kind = effective.providers.get(&model.provider)?.value.kind;
        let engine = providers.get(&model.provider)?.clone();
        Some((name.clone(), engine.map(|provider| ResolvedModel { settings: settings(name, model, kind), provider })))
    });
    let models = models.collect();
    let disabled = effective.models.values().filter(|entry| !entry.value.enabled);
    let disabled = disabled.map(|entry| (entry.value.provider.clone(), entry.value.provider_model.clone()));
    Compiled { models, disabled: disabled.collect(), default_model: effective.default_model.clone(), providers }
}

fn settings(name: &str, model: &Model, kind: ProviderKind) -> ModelSettings {
    // A file may have given the provider another protocol since the tools were set; they would be refused there.
    let provider_tools = model.provider_tools.iter().filter_map(|tool| {
        let known = verbatim_llm::provider_tool(kind.name(), tool);
        known.inspect_err(|problem| tracing::warn!(model = name, %problem, "A tool of the provider is left out.")).ok()
    });
    ModelSettings {
        name: name.to_owned(),
        provider: model.provider.clone(),
        provider_model: model.provider_model.clone(),
        context_window: model.context_window,
        max_output_tokens: model.max_output_tokens,
        efforts: model.efforts.clone(),
        files: None,
        accepts: model.accepts.clone(),
        provider_tools: provider_tools.collect(),
        prices: model.prices,
    }
}

impl Compiled {
    fn named(&self, name: &str) -> Option<Result<ResolvedModel, ChatError>> {
        self.models.get(name).cloned().or_else(|| self.unconfigured(name))
    }

    /// `PROVIDER/MODEL`: a model that is not configured, by what its provider calls it.
    fn unconfigured(&self, name: &str) -> Option<Result<ResolvedModel, ChatError>> {
        let (provider, provider_model) = name.split_once('/').filter(|(_, model)| !model.is_empty())?;
        let engine = self.providers.get(provider)?.clone();
        if self.disabled.contains(&(provider.to_owned(), provider_model.to_owned())) {
            return None;
        }
        let settings = ModelSettings {
            name: name.to_owned(),
            provider: provider.to_owned(),
            provider_model: provider_model.to_owned(),
            ..ModelSettings::default()
        };
        Some(engine.map(|provider| ResolvedModel { settings, provider }))
    }

    fn default_one(&self) -> Option<Result<ResolvedModel, ChatError>> {
        self.models.get(self.default_model.as_deref()?).cloned()
    }
}

impl ModelCatalog for Catalog {
    fn resolve(&self, name: Option<&str>) -> Result<ResolvedModel, ChatError> {
        let now = self.now();
        let named = name.and_then(|name| now.named(name)).or_else(|| now.default_one());
        named.unwrap_or_else(|| {
            let message = "No model is configured: add one to the settings of the server.";
            Err(ChatError::terminal(ErrorKind::Config, message))
        })
    }

    fn summariser(&self) -> Option<ResolvedModel> {
        self.now().models.get(self.roles.compaction_model.as_deref()?)?.clone().ok()
    }

    fn title_writer(&self) -> Option<ResolvedModel> {
        self.now().models.get(self.roles.title_model.as_deref()?)?.clone().ok()
    }

    fn label_writer(&self) -> Option<ResolvedModel> {
        self.title_writer().filter(|_| self.roles.status_labels)
    }

    fn is_known(&self, name: &str) -> bool {
        self.now().named(name).is_some()
    }

    fn default_name(&self) -> Option<String> {
        self.now().default_model.clone()
    }
}
