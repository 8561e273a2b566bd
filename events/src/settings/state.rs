//! What the settings stream comes to.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::entry::{MODEL_NAME, PROVIDER_NAME, check_name, check_owner};
use super::{Model, Provider, SettingsEvent};
use crate::budget::Budget;
use crate::ids::{Digest, Position, Version};
use crate::template::{TemplateConfig, check_template_name};

/// A stored event of the settings stream with its data read.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedSetting {
    /// Its place in the whole log. 0 while it is decided but not yet appended.
    pub position: Position,
    /// Its place in the stream.
    pub version: Version,
    /// When it was decided.
    pub recorded_at: DateTime<Utc>,
    /// The chain's hash up to and including it.
    pub hash: Digest,
    /// What happened.
    pub event: SettingsEvent,
}

/// Everything that was set and not removed since.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The version of the stream's last event; 0 before the first.
    pub version: Version,
    /// The hash of that event; `Digest::ZERO` before the first.
    pub head_hash: Digest,
    /// Providers by name.
    pub providers: BTreeMap<String, Provider>,
    /// Models by name.
    pub models: BTreeMap<String, Model>,
    /// The model of chats that name none, if one was set.
    pub default_model: Option<String>,
    /// Budgets by owner.
    pub budgets: BTreeMap<String, Budget>,
    /// Templates of workspaces by name.
    pub templates: BTreeMap<String, TemplateConfig>,
}

/// An event that cannot have happened after those before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {version} of the settings cannot have happened: {problem}")]
pub struct IllegalSetting {
    /// The event.
    pub version: Version,
    /// Why not.
    pub problem: String,
}

impl Settings {
    /// The settings after an event.
    pub fn apply(mut self, recorded: &RecordedSetting) -> Result<Settings, IllegalSetting> {
        let illegal = |problem: String| IllegalSetting { version: recorded.version, problem };
        if recorded.version != self.version + 1 {
            return Err(illegal(format!("it follows version {}", self.version)));
        }
        let unset = |what: &str, name: &str| format!("no {what} {name:?} was set");
        match &recorded.event {
            SettingsEvent::ProviderSet(set) => {
                check_name(&set.name, PROVIDER_NAME).map_err(illegal)?;
                set.provider.check().map_err(|(field, problem)| illegal(format!("{field}: {problem}")))?;
                self.providers.insert(set.name.clone(), set.provider.clone());
            }
            SettingsEvent::ProviderRemoved(removed) => {
                let removal = self.providers.remove(&removed.name);
                removal.ok_or_else(|| illegal(unset("provider", &removed.name)))?;
            }
            SettingsEvent::ModelSet(set) => {
                check_name(&set.name, MODEL_NAME).map_err(illegal)?;
                set.model.check().map_err(|(field, problem)| illegal(format!("{field}: {problem}")))?;
                self.models.insert(set.name.clone(), set.model.clone());
            }
            SettingsEvent::ModelRemoved(removed) => {
                let removal = self.models.remove(&removed.name);
                removal.ok_or_else(|| illegal(unset("model", &removed.name)))?;
            }
            SettingsEvent::DefaultModelSet(set) => self.default_model = Some(set.name.clone()),
            SettingsEvent::BudgetSet(set) => {
                check_owner(&set.owner).map_err(illegal)?;
                self.budgets.insert(set.owner.clone(), set.budget);
            }
            SettingsEvent::BudgetRemoved(removed) => {
                let removal = self.budgets.remove(&removed.owner);
                removal.ok_or_else(|| illegal(unset("budget of", &removed.owner)))?;
            }
            SettingsEvent::TemplateSet(set) => {
                check_template_name(&set.name).map_err(illegal)?;
                let checked = set.template.check().and_then(|()| set.template.check_place());
                checked.map_err(|(field, problem)| illegal(format!("{field}: {problem}")))?;
                self.templates.insert(set.name.clone(), set.template.clone());
            }
            SettingsEvent::TemplateRemoved(removed) => {
                let removal = self.templates.remove(&removed.name);
                removal.ok_or_else(|| illegal(unset("template", &removed.name)))?;
            }
        }
        self.version = recorded.version;
        self.head_hash = recorded.hash;
        Ok(self)
    }
}
