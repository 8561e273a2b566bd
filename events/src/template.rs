//! Templates of workspaces: what workspaces are made from, as a server's file or an administrator sets them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The longest name of a template, in bytes.
pub const TEMPLATE_NAME_MAX_BYTES: usize = 64;
/// The longest path of a template's directory, in bytes.
pub const TEMPLATE_PATH_MAX_BYTES: usize = 4096;
/// The longest name that a deployment has for a template, in bytes.
pub const DEPLOYED_NAME_MAX_BYTES: usize = 256;
/// What is said of a template comes to no more as JSON, in bytes.
pub const TEMPLATE_MAX_BYTES: usize = 64 * 1024;
/// Parameters that a template may have.
pub const PARAMETERS_MAX: usize = 100;
/// The longest name of a parameter, in bytes.
const PARAMETER_NAME_MAX_BYTES: usize = 256;
/// The longest text a parameter may hold, in bytes.
const TEXT_MAX_BYTES: usize = 8 * 1024;

/// What makes workspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProvisionerKind {
    /// Directories on this machine.
    Local,
    /// A Coder deployment.
    Coder,
}

impl ProvisionerKind {
    /// Every kind.
    pub const ALL: [ProvisionerKind; 2] = [ProvisionerKind::Local, ProvisionerKind::Coder];

    /// Its name in settings and answers.
    pub fn name(self) -> &'static str {
        match self {
            ProvisionerKind::Local => "local",
            ProvisionerKind::Coder => "coder",
        }
    }

    /// Who made the workspace of this id: ids begin with their maker's name.
    pub fn of_workspace(id: &str) -> Option<ProvisionerKind> {
        let maker = id.split_once('-')?.0;
        ProvisionerKind::ALL.into_iter().find(|kind| kind.name() == maker)
    }
}

/// What is wrong with a template's name, in words.
pub fn check_template_name(name: &str) -> Result<(), String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let is_right = (1..=TEMPLATE_NAME_MAX_BYTES).contains(&name.len()) && name.chars().all(fits);
    if is_right && !name.chars().all(|letter| letter == '.') {
        return Ok(());
    }
    Err(format!(
        "{name:?} is no template's name: letters, digits, `-`, `_` and `.`, at most {TEMPLATE_NAME_MAX_BYTES}, and not dots \
         alone"
    ))
}

/// A template: what `[templates.NAME]` of a server's file says, or what was set in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateConfig {
    /// Who makes workspaces of it.
    pub provisioner: ProvisionerKind,
    /// The directory that is copied; `local` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// What the deployment calls the template, if not by its name here; `coder` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// What it is for, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Parameters, by name; `local` only, a deployment knows its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, ParameterConfig>,
}

impl TemplateConfig {
    /// A template of this provisioner with nothing else said.
    pub fn of(provisioner: ProvisionerKind) -> TemplateConfig {
        TemplateConfig { provisioner, path: None, template: None, description: None, parameters: BTreeMap::new() }
    }

    /// What is wrong with it: the key, and the problem in words.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let only = |key, owner| Err((key, format!("only templates of the provisioner {owner:?} have it")));
        match self.provisioner {
            ProvisionerKind::Local if self.path.is_none() => {
                return Err(("path", "a local template needs the path of its directory".to_owned()));
            }
            ProvisionerKind::Local if self.template.is_some() => return only("template", "coder"),
            ProvisionerKind::Coder if self.path.is_some() => return only("path", "local"),
            ProvisionerKind::Coder if !self.parameters.is_empty() => return only("parameters", "local"),
            ProvisionerKind::Local | ProvisionerKind::Coder => {}
        }
        let path = self.path.as_ref().map(|path| path.as_os_str().len());
        if path.is_some_and(|length| !(1..=TEMPLATE_PATH_MAX_BYTES).contains(&length)) {
            return Err(("path", format!("a path has 1 to {TEMPLATE_PATH_MAX_BYTES} bytes")));
        }
        let deployed = self.template.as_ref().map(String::len);
        if deployed.is_some_and(|length| !(1..=DEPLOYED_NAME_MAX_BYTES).contains(&length)) {
            return Err(("template", format!("a deployment's name of it has 1 to {DEPLOYED_NAME_MAX_BYTES} bytes")));
        }
        if let Err(problem) = parameters_of(&self.parameters) {
            return Err(("parameters", problem));
        }
        let described_bytes = self.description.as_ref().map_or(0, String::len);
        let parameters_bytes = json!(self.parameters).to_string().len();
        match (described_bytes > TEMPLATE_MAX_BYTES, described_bytes + parameters_bytes > TEMPLATE_MAX_BYTES) {
            (true, _) => {
                Err(("description", format!("what is said of a template has at most {TEMPLATE_MAX_BYTES} bytes")))
            }
            (false, true) => {
                Err(("parameters", format!("what is said of a template has at most {TEMPLATE_MAX_BYTES} bytes")))
            }
            (false, false) => Ok(()),
        }
    }

    /// What is wrong with it where it is set for servers that lie in different places, besides what `check` says.
    pub fn check_place(&self) -> Result<(), (&'static str, String)> {
        match &self.path {
            Some(path) if !path.has_root() => Err((
                "path",
                "the path of a template's directory is absolute: it is the same on every server".to_owned(),
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// What kind of value a parameter takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// Text.
    #[default]
    String,
    /// A number.
    Number,
    /// Yes or no.
    Bool,
    /// A list of texts.
    List,
}

/// A parameter in the settings, or in a template's own description.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParameterConfig {
    /// What kind of value it takes.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it is if nobody says; a parameter without one must be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The values it may have; any where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Value>,
}

/// A parameter as the model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What kind of value it takes.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// It must be given.
    pub required: bool,
    /// What it is if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The values it may have; any where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Value>,
}

/// Parameters as the model sees them; in words, what is wrong with them.
pub fn parameters_of(configured: &BTreeMap<String, ParameterConfig>) -> Result<Vec<Parameter>, String> {
    if configured.len() > PARAMETERS_MAX {
        return Err(format!("{} parameters are too many; {PARAMETERS_MAX} is the most", configured.len()));
    }
    let mut parameters = Vec::with_capacity(configured.len());
    for (name, config) in configured {
        if name.trim().is_empty() || name.len() > PARAMETER_NAME_MAX_BYTES {
            return Err(format!("a parameter's name has 1 to {PARAMETER_NAME_MAX_BYTES} bytes and is not blank"));
        }
        let ParameterConfig { kind, description, default, options } = config.clone();
        let required = default.is_none();
        let parameter = Parameter { name: name.clone(), kind, description, required, default, options };
        let own = parameter.options.iter().map(|option| parameter.check_type(option));
        own.chain(parameter.default.iter().map(|default| parameter.check(default)))
            .collect::<Result<Vec<()>, String>>()?;
        parameters.push(parameter);
    }
    Ok(parameters)
}

impl Parameter {
    fn check_type(&self, value: &Value) -> Result<(), String> {
        let fits = match self.kind {
            ParameterType::String => value.as_str().is_some_and(|text| text.len() <= TEXT_MAX_BYTES),
            ParameterType::Number => value.is_number(),
            ParameterType::Bool => value.is_boolean(),
            ParameterType::List => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        };
        let wanted = match self.kind {
            ParameterType::String => "a text",
            ParameterType::Number => "a number",
            ParameterType::Bool => "true or false",
            ParameterType::List => "a list of texts",
        };
        if fits { Ok(()) } else { Err(format!("parameter {:?} takes {wanted}", self.name)) }
    }

    /// Whether a value can be the parameter's.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        self.check_type(value)?;
        if self.options.is_empty() || self.options.contains(value) {
            return Ok(());
        }
        Err(format!("parameter {:?} takes one of {}", self.name, json!(self.options)))
    }
}

#[cfg(test)]
mod tests;
