//! What calls providers. An engine holds connections, so it is made anew only when its provider changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use verbatim_events::error::{ChatError, ErrorKind};
use verbatim_events::model::ModelProvider;
use verbatim_events::settings::{Effective, Provider, ProviderKind};
use verbatim_llm::files::Files;
use verbatim_llm::{Anthropic, Demo, OpenAiChat, OpenAiResponses, ProviderOptions};

use super::keys::ProviderKeys;
use crate::config::own_url;

/// What calls a provider, or why it cannot be called.
pub(super) type Engine = Result<Arc<dyn ModelProvider>, ChatError>;

/// The engines of the providers in force, each with what it was made of.
#[derive(Default)]
pub(super) struct Engines {
    made: BTreeMap<String, (Provider, Engine)>,
    files: Files,
}

impl Engines {
    /// Engines of providers that find the bytes of files there.
    pub(super) fn showing(files: Files) -> Engines {
        Engines { files, ..Engines::default() }
    }

    /// The engines of these providers; those whose provider is as before are the same as before.
    pub(super) fn renew(&mut self, effective: &Effective, keys: &ProviderKeys) -> BTreeMap<String, Engine> {
        let mut before = std::mem::take(&mut self.made);
        for (name, entry) in &effective.providers {
            let provider = Provider { enabled: true, ..entry.value.clone() };
            let made = match before.remove(name) {
                Some((known, engine)) if known == provider => (known, engine),
                Some(_) | None => {
                    let engine = engine(name, &provider, keys, &self.files);
                    (provider, engine)
                }
            };
            self.made.insert(name.clone(), made);
        }
        let in_force = self.made.iter().map(|(name, (_, engine))| {
            let enabled = effective.providers.get(name).is_some_and(|entry| entry.value.enabled);
            (name.clone(), if enabled { engine.clone() } else { Err(disabled(name)) })
        });
        in_force.collect()
    }
}

fn disabled(name: &str) -> ChatError {
    let message = format!("The provider {name} is disabled; choose a model of another one.");
    ChatError { provider: Some(name.to_owned()), ..ChatError::terminal(ErrorKind::ProviderDisabled, message) }
}

/// Prepares to call a provider; no connection is opened.
pub(super) fn engine(name: &str, provider: &Provider, keys: &ProviderKeys, files: &Files) -> Engine {
    let api_key = keys.of(name, provider).map_err(|problem| {
        let message = format!("The provider {name} has no API key: {problem}.");
        ChatError { provider: Some(name.to_owned()), ..ChatError::terminal(ErrorKind::MissingKey, message) }
    })?;
    let options = ProviderOptions {
        name: name.to_owned(),
        base_url: provider.base_url.clone().or_else(|| own_url(provider.kind).map(str::to_owned)).unwrap_or_default(),
        api_key,
        api_key_expected_in: provider.api_key_env.clone(),
        store: provider.store,
        files: files.clone(),
    };
    Ok(match provider.kind {
        ProviderKind::Demo => Arc::new(Demo::named(name)),
        ProviderKind::OpenAiChat => Arc::new(OpenAiChat::new(options)?),
        ProviderKind::OpenAiResponses => Arc::new(OpenAiResponses::new(options)?),
        ProviderKind::Anthropic => Arc::new(Anthropic::new(options)?),
    })
}
