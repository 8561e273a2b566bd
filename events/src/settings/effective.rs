//! What is in force on a node: its own file, and over it what was set.

use std::collections::BTreeMap;

use super::{Model, Provider, Settings};
use crate::template::TemplateConfig;

/// What a node's own file and environment say. It may differ from node to node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Base {
    /// Providers by name.
    pub providers: BTreeMap<String, Provider>,
    /// Models by name.
    pub models: BTreeMap<String, Model>,
    /// The model of chats that name none.
    pub default_model: Option<String>,
    /// Templates of workspaces by name.
    pub templates: BTreeMap<String, TemplateConfig>,
    /// There is a Coder deployment that templates can be of.
    pub has_coder: bool,
}

/// Where an entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The node's file or environment.
    File,
    /// It was set; nothing of this name is in the file.
    Set,
    /// It was set, over one of the file.
    SetOverFile,
}

/// An entry in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<T> {
    /// All of it.
    pub value: T,
    /// Where it comes from.
    pub source: Source,
}

/// The settings in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effective {
    /// Providers by name.
    pub providers: BTreeMap<String, Entry<Provider>>,
    /// Models by name.
    pub models: BTreeMap<String, Entry<Model>>,
    /// The model of chats that name none; one that may be used. None where there is no such model at all.
    pub default_model: Option<String>,
    /// Templates of workspaces by name.
    pub templates: BTreeMap<String, Entry<TemplateConfig>>,
}

impl Effective {
    /// What comes of both.
    pub fn of(base: &Base, set: &Settings) -> Effective {
        let mut effective = Effective {
            providers: merge(&base.providers, &set.providers),
            models: merge(&base.models, &set.models),
            default_model: None,
            templates: merge(&base.templates, &set.templates),
        };
        // A default that is gone (a file may change) is replaced by the next best: there is one as long as any model is.
        let wished = [set.default_model.as_deref(), base.default_model.as_deref()];
        let any = effective.models.keys().map(String::as_str);
        let default = wished.into_iter().flatten().chain(any).find(|name| effective.may_be_used(name));
        effective.default_model = default.map(str::to_owned);
        effective
    }

    /// Whether there is a model of this name that is enabled and has a provider, be that switched off or not.
    pub fn may_be_used(&self, name: &str) -> bool {
        let model = self.models.get(name).map(|entry| &entry.value);
        model.is_some_and(|model| model.enabled && self.providers.contains_key(&model.provider))
    }

    /// The names of a provider's models.
    pub fn models_of(&self, provider: &str) -> Vec<String> {
        let of_provider = self.models.iter().filter(|(_, entry)| entry.value.provider == provider);
        of_provider.map(|(name, _)| name.clone()).collect()
    }
}

fn merge<T: Clone>(base: &BTreeMap<String, T>, set: &BTreeMap<String, T>) -> BTreeMap<String, Entry<T>> {
    let in_file = base.iter().map(|(name, value)| (name.clone(), Entry { value: value.clone(), source: Source::File }));
    let mut merged: BTreeMap<String, Entry<T>> = in_file.collect();
    for (name, value) in set {
        let source = if base.contains_key(name) { Source::SetOverFile } else { Source::Set };
        merged.insert(name.clone(), Entry { value: value.clone(), source });
    }
    merged
}
