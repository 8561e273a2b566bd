//! What can happen to the settings. Each event holds a whole entry, so that it says by itself what was in force from then on.

use serde::{Deserialize, Serialize};

use super::{Model, Provider};
use crate::budget::Budget;
use crate::template::TemplateConfig;

/// Something that happened to the settings.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingsEvent {
    /// A provider was made or changed.
    ProviderSet(ProviderSet),
    /// What was set of a provider is gone; a file's entry of this name counts again.
    ProviderRemoved(ProviderRemoved),
    /// A model was made or changed.
    ModelSet(ModelSet),
    /// What was set of a model is gone; a file's entry of this name counts again.
    ModelRemoved(ModelRemoved),
    /// Another model is the default one.
    DefaultModelSet(DefaultModelSet),
    /// An owner got a budget, or another one.
    BudgetSet(BudgetSet),
    /// An owner's budget is gone; a default one counts again.
    BudgetRemoved(BudgetRemoved),
    /// A template of workspaces was made or changed.
    TemplateSet(TemplateSet),
    /// What was set of a template is gone; a file's entry of this name counts again.
    TemplateRemoved(TemplateRemoved),
}

/// A provider was made or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSet {
    /// Its name.
    pub name: String,
    /// All of it.
    pub provider: Provider,
}

/// What was set of a provider is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderRemoved {
    /// Its name.
    pub name: String,
}

/// A model was made or changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSet {
    /// Its name.
    pub name: String,
    /// All of it.
    pub model: Model,
}

/// What was set of a model is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRemoved {
    /// Its name.
    pub name: String,
}

/// Another model is the default one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultModelSet {
    /// Its name.
    pub name: String,
}

/// An owner got a budget, or another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetSet {
    /// Whose.
    pub owner: String,
    /// All of it.
    pub budget: Budget,
}

/// An owner's budget is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetRemoved {
    /// Whose.
    pub owner: String,
}

/// A template of workspaces was made or changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateSet {
    /// Its name.
    pub name: String,
    /// All of it.
    pub template: TemplateConfig,
}

/// What was set of a template is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateRemoved {
    /// Its name.
    pub name: String,
}
