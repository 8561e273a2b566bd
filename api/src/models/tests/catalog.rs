//! Models by name.

use verbatim_actors::ports::{ModelCatalog, ResolvedModel};
use verbatim_events::model::Prompt;

use super::{TWO, catalog};
use crate::models::Catalog;

fn resolved(catalog: &Catalog, name: Option<&str>) -> (String, String) {
    let settings = catalog.resolve(name).expect("a model").settings;
    (settings.provider, settings.provider_model)
}

fn pair(provider: &str, model: &str) -> (String, String) {
    (provider.to_owned(), model.to_owned())
}

#[test]
fn a_model_is_found_by_its_name_and_the_default_one_without() {
    let catalog = catalog(TWO, &[]);
    assert_eq!(resolved(&catalog, Some("large")), pair("local", "large"));
    assert_eq!(resolved(&catalog, None), pair("local", "small-1"));
    assert_eq!(catalog.resolve(Some("large")).expect("a model").settings.context_window, Some(8192));
    assert_eq!(catalog.default_name().as_deref(), Some("small"));
    assert!(catalog.is_known("large") && catalog.is_known("local/other") && !catalog.is_known("gone"));
}

#[test]
fn a_model_that_is_gone_falls_back_to_the_default_one() {
    let catalog = catalog(TWO, &[]);
    assert_eq!(resolved(&catalog, Some("gone")), pair("local", "small-1"));
    assert_eq!(resolved(&catalog, Some("nobody/gone")), pair("local", "small-1"));
    assert_eq!(resolved(&catalog, Some("local/")), pair("local", "small-1"));
}

#[test]
fn a_provider_s_other_models_are_named_with_it() {
    let catalog = catalog("", &[("OPENAI_API_KEY", "sk-secret")]);
    assert_eq!(resolved(&catalog, Some("openai/vendor/some-model")), pair("openai", "vendor/some-model"));
    assert_eq!(resolved(&catalog, None), pair("demo", "demo"));
}

#[test]
fn every_kind_of_provider_is_spoken_and_bears_its_configured_name() {
    let kinds = ["openai_responses", "openai_chat", "anthropic", "demo"];
    let file: String = kinds.iter().map(|kind| format!("[providers.my_{kind}]\nkind = \"{kind}\"\n")).collect();
    let catalog = catalog(&file, &[]);
    for kind in kinds {
        let ResolvedModel { settings, provider } = catalog.resolve(Some(&format!("my_{kind}/m"))).expect("a model");
        let prompt = Prompt { system: None, messages: Vec::new(), tools: Vec::new(), ..Prompt::default() };
        let recipe = provider.encode(&prompt, &settings, None).expect("a request").recipe;
        assert_eq!((recipe.protocol.as_str(), recipe.provider), (kind, format!("my_{kind}")));
    }
}

#[test]
fn what_a_model_knows_and_may_use_goes_into_its_requests() {
    let catalog = catalog(
        "[providers.o]\nkind = \"openai_responses\"\nstore = true\n\
         [models.m]\nprovider = \"o\"\nefforts = [\"low\", \"high\"]\nprovider_tools = [\"web_search\"]\n",
        &[],
    );
    let ResolvedModel { settings, provider } = catalog.resolve(Some("m")).expect("a model");
    let recipe = provider.encode(&Prompt::default(), &settings, Some("max")).expect("a request").recipe;
    assert_eq!((recipe.effort.as_deref(), recipe.store), (Some("high"), true));
    assert_eq!(recipe.provider_tools, [serde_json::json!({ "type": "web_search" })]);
    let other = catalog.resolve(Some("o/other")).expect("a model").settings;
    let recipe = provider.encode(&Prompt::default(), &other, Some("max")).expect("a request").recipe;
    assert_eq!((recipe.effort.as_deref(), recipe.provider_tools.len()), (Some("max"), 0));
}
