//! Templates: what workspaces are made from, and the parameters that a wish for one may carry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::port::ProvisionerKind;

/// The file in a template's directory that describes it; it is not copied.
pub const DESCRIPTION_FILE: &str = "template.toml";
/// The longest text a parameter may hold, in bytes.
const TEXT_MAX_BYTES: usize = 8 * 1024;
/// Parameters that a template may have.
const PARAMETERS_MAX: usize = 100;

/// `[templates.NAME]` in the settings.
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
        match parameters_of(&self.parameters) {
            Ok(_) => Ok(()),
            Err(problem) => Err(("parameters", problem)),
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

/// A template directory's own description.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Description {
    pub description: Option<String>,
    pub parameters: BTreeMap<String, ParameterConfig>,
}

/// Reads a template directory's own description; an empty one where there is none.
pub(crate) fn describe(directory: &Path) -> Result<Description, String> {
    match std::fs::read_to_string(directory.join(DESCRIPTION_FILE)) {
        Ok(text) => {
            toml::from_str(&text).map_err(|error| format!("its {DESCRIPTION_FILE} is wrong: {}", error.message()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Description::default()),
        Err(error) => Err(format!("its {DESCRIPTION_FILE} cannot be read: {error}")),
    }
}

/// Parameters as the model sees them; in words, what is wrong with them.
pub fn parameters_of(configured: &BTreeMap<String, ParameterConfig>) -> Result<Vec<Parameter>, String> {
    if configured.len() > PARAMETERS_MAX {
        return Err(format!("{} parameters are too many; {PARAMETERS_MAX} is the most", configured.len()));
    }
    let mut parameters = Vec::with_capacity(configured.len());
    for (name, config) in configured {
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

/// All parameters' values: those given, the others by default.
pub fn complete(parameters: &[Parameter], given: &Map<String, Value>) -> Result<BTreeMap<String, Value>, String> {
    for name in given.keys() {
        if !parameters.iter().any(|parameter| parameter.name == *name) {
            let known: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(format!("the template has no parameter {name:?}; it has: {known}"));
        }
    }
    let mut values = BTreeMap::new();
    for parameter in parameters {
        match given.get(&parameter.name).or(parameter.default.as_ref()) {
            Some(value) => {
                parameter.check(value)?;
                values.insert(parameter.name.clone(), value.clone());
            }
            None if parameter.required => return Err(format!("parameter {:?} must be given", parameter.name)),
            None => {}
        }
    }
    Ok(values)
}

/// A value as text, for files and platforms that know only text.
pub fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
