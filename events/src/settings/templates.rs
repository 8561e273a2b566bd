//! Which changes of the templates of workspaces are allowed, and what happens by them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::decide::invalid;
use super::{Base, Effective, Given, Settings, SettingsEvent, SettingsRejection, Source, TemplateRemoved, TemplateSet};
use crate::template::{ParameterConfig, ProvisionerKind, TemplateConfig, check_template_name};

/// How many templates may be set.
pub const TEMPLATES_MAX: usize = 100;

/// A change of a template; `None` is not mentioned, `Some(None)` is taken away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TemplateChange {
    /// Who makes workspaces of it.
    pub provisioner: Option<ProvisionerKind>,
    /// The directory that is copied. That it is there is for others to see to.
    pub path: Option<Option<PathBuf>>,
    /// What the deployment calls it; its own name if taken away.
    pub template: Option<Option<String>>,
    /// What it is for; what it says of itself if taken away.
    pub description: Option<Option<String>>,
    /// All its parameters.
    pub parameters: Option<BTreeMap<String, ParameterConfig>>,
}

pub(super) fn set(
    settings: &Settings,
    base: &Base,
    before: &Effective,
    name: &str,
    change: &TemplateChange,
    given: Given,
) -> Result<Vec<SettingsEvent>, SettingsRejection> {
    let present = before.templates.get(name).map(|entry| &entry.value);
    match (given, present) {
        (Given::New, Some(_)) => return Err(SettingsRejection::Exists { what: "template", name: name.to_owned() }),
        (Given::Part, None) => return Err(SettingsRejection::TemplateNotFound { name: name.to_owned() }),
        _ => {}
    }
    check_template_name(name).map_err(|problem| invalid("name", problem))?;
    let mut template = match (given, present, change.provisioner) {
        (Given::Part, Some(present), _) => present.clone(),
        (_, _, Some(provisioner)) => TemplateConfig::of(provisioner),
        (_, _, None) => return Err(invalid("provisioner", "a template has a provisioner")),
    };
    if let Some(provisioner) = change.provisioner {
        template.provisioner = provisioner;
    }
    if let Some(path) = &change.path {
        template.path = path.clone();
    }
    if let Some(deployed) = &change.template {
        template.template = deployed.clone();
    }
    if let Some(description) = &change.description {
        template.description = description.clone();
    }
    if let Some(parameters) = &change.parameters {
        template.parameters = parameters.clone();
    }
    if present == Some(&template) {
        return Ok(Vec::new());
    }
    template.check().and_then(|()| template.check_place()).map_err(|(field, problem)| invalid(field, problem))?;
    if template.provisioner == ProvisionerKind::Coder && !base.has_coder {
        let problem = "the server's file names no deployment of Coder: it needs [coder] with a url";
        return Err(invalid("provisioner", problem));
    }
    if settings.templates.len() >= TEMPLATES_MAX && !settings.templates.contains_key(name) {
        return Err(SettingsRejection::TooMany { what: "template", max: TEMPLATES_MAX });
    }
    Ok(vec![SettingsEvent::TemplateSet(TemplateSet { name: name.to_owned(), template })])
}

pub(super) fn remove(before: &Effective, name: &str) -> Result<Vec<SettingsEvent>, SettingsRejection> {
    match before.templates.get(name).map(|entry| entry.source) {
        None => Err(SettingsRejection::TemplateNotFound { name: name.to_owned() }),
        Some(Source::File) => Err(SettingsRejection::InFile { what: "template", name: name.to_owned() }),
        Some(Source::Set | Source::SetOverFile) => {
            Ok(vec![SettingsEvent::TemplateRemoved(TemplateRemoved { name: name.to_owned() })])
        }
    }
}
