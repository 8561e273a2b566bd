//! The configured models and the engines behind them.

use std::collections::BTreeMap;
use std::sync::Arc;

use verbatim_actors::ports::{ModelCatalog, ResolvedModel};
use verbatim_events::error::{ChatError, ErrorKind};
use verbatim_events::model::{ModelProvider, ModelSettings};
use verbatim_llm::{Anthropic, Demo, OpenAiChat, OpenAiResponses, ProviderOptions, Secret};

use crate::config::{Environment, Provider, ProviderKind, Settings};

/// The models of the settings, ready to be called. A provider without its key is there too: calls to it say so.
pub struct Catalog {
    models: BTreeMap<String, ResolvedModel>,
    providers: BTreeMap<String, Arc<dyn ModelProvider>>,
    default_model: String,
    compaction_model: Option<String>,
}

impl Catalog {
    /// Prepares every provider; no connection is opened.
    pub fn new(settings: &Settings, environment: &Environment) -> Result<Catalog, ChatError> {
        let mut providers = BTreeMap::new();
        for (name, provider) in &settings.providers {
            providers.insert(name.clone(), engine(name, provider, environment)?);
        }
        let models = settings.models.iter().filter_map(|(name, model)| {
            let provider = Arc::clone(providers.get(&model.provider)?);
            let settings = ModelSettings {
                name: name.clone(),
                provider: model.provider.clone(),
                provider_model: model.provider_model.clone(),
                context_window: model.context_window,
                max_output_tokens: model.max_output_tokens,
                efforts: model.efforts.clone(),
                provider_tools: model.provider_tools.clone(),
                prices: model.prices,
            };
            Some((name.clone(), ResolvedModel { settings, provider }))
        });
        Ok(Catalog {
            models: models.collect(),
            default_model: settings.default_model.clone(),
            compaction_model: settings.compaction_model.clone(),
            providers,
        })
    }

    /// The names a chat may use, in order, with the default one's.
    pub fn names(&self) -> (Vec<&str>, &str) {
        (self.models.keys().map(String::as_str).collect(), &self.default_model)
    }

    /// `PROVIDER/MODEL`: a model that is not configured, by what its provider calls it.
    fn unconfigured(&self, name: &str) -> Option<ResolvedModel> {
        let (provider, provider_model) = name.split_once('/')?;
        let engine = self.providers.get(provider).filter(|_| !provider_model.is_empty())?;
        let settings = ModelSettings {
            name: name.to_owned(),
            provider: provider.to_owned(),
            provider_model: provider_model.to_owned(),
            ..ModelSettings::default()
        };
        Some(ResolvedModel { settings, provider: Arc::clone(engine) })
    }
}

impl ModelCatalog for Catalog {
    fn resolve(&self, name: Option<&str>) -> Result<ResolvedModel, ChatError> {
        let named = name.and_then(|name| self.models.get(name).cloned().or_else(|| self.unconfigured(name)));
        named.or_else(|| self.models.get(&self.default_model).cloned()).ok_or_else(|| {
            ChatError::terminal(ErrorKind::Config, "No model is configured: add one to the settings of the server.")
        })
    }

    fn summariser(&self) -> Option<ResolvedModel> {
        self.models.get(self.compaction_model.as_deref()?).cloned()
    }
}

fn engine(name: &str, provider: &Provider, environment: &Environment) -> Result<Arc<dyn ModelProvider>, ChatError> {
    let variable = provider.api_key_env.as_deref();
    let options = || ProviderOptions {
        name: name.to_owned(),
        base_url: provider.base_url.clone().unwrap_or_default(),
        api_key: variable.and_then(|variable| environment.get(variable)).map(Secret::new),
        api_key_expected_in: variable.map(str::to_owned),
        store: provider.store,
    };
    Ok(match provider.kind {
        ProviderKind::Demo => Arc::new(Demo::named(name)),
        ProviderKind::OpenAiChat => Arc::new(OpenAiChat::new(options())?),
        ProviderKind::OpenAiResponses => Arc::new(OpenAiResponses::new(options())?),
        ProviderKind::Anthropic => Arc::new(Anthropic::new(options())?),
    })
}

#[cfg(test)]
mod tests;
