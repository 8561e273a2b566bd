//! What a node's own settings say of providers, models and templates, as the settings' stream lies over it.

use verbatim_events::settings::{Base, Model, Provider};
use verbatim_events::template::TemplateConfig;

use crate::config::Settings;

/// The file's, the environment's and the built-in providers and models, and the file's templates.
pub fn base_of(settings: &Settings) -> Base {
    let providers = settings.providers.iter().map(|(name, provider)| {
        let provider = Provider {
            kind: provider.kind,
            base_url: provider.base_url.clone(),
            api_key_env: provider.api_key_env.clone(),
            api_key_sealed: None,
            store: provider.store,
            enabled: true,
        };
        (name.clone(), provider)
    });
    let models = settings.models.iter().map(|(name, model)| {
        let model = Model {
            provider: model.provider.clone(),
            provider_model: model.provider_model.clone(),
            context_window: model.context_window,
            max_output_tokens: model.max_output_tokens,
            efforts: model.efforts.clone(),
            provider_tools: model.provider_tools.clone(),
            accepts: model.accepts.clone(),
            prices: model.prices,
            enabled: true,
        };
        (name.clone(), model)
    });
    Base {
        providers: providers.collect(),
        models: models.collect(),
        default_model: Some(settings.default_model.clone()),
        templates: settings.templates.iter().map(|(name, template)| (name.clone(), placed(template))).collect(),
        has_coder: settings.coder.is_some(),
    }
}

/// A template whose directory is named from the root on.
fn placed(template: &TemplateConfig) -> TemplateConfig {
    let path = template.path.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    TemplateConfig { path, ..template.clone() }
}
