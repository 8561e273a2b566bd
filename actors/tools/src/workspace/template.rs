//! Templates: what workspaces are made from, and the parameters that a wish for one may carry.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

pub use verbatim_events::template::{Parameter, ParameterConfig, ParameterType, TemplateConfig, parameters_of};

/// The file in a template's directory that describes it; it is not copied.
pub const DESCRIPTION_FILE: &str = "template.toml";

/// A template directory's own description.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Description {
    pub description: Option<String>,
    pub parameters: BTreeMap<String, ParameterConfig>,
}

/// What is wrong with the directory of a template that is to be set while servers run, in words. It is what it is called:
/// no link leads to it, so that nobody who changes one changes what is copied. `private` is the server's own directory.
pub fn check_directory(path: &Path, private: Option<&Path>) -> Result<(), String> {
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err("there is no such directory on this server".to_owned());
        }
        Err(error) => return Err(format!("the directory cannot be looked at: {}", error.kind())),
    };
    if !real.is_dir() {
        return Err("it is no directory".to_owned());
    }
    if real != path {
        return Err("a link or `..` stands in its path; name the directory itself".to_owned());
    }
    if private.is_some_and(|private| real.starts_with(private) || private.starts_with(&real)) {
        return Err("the server keeps its own data there".to_owned());
    }
    let own = describe(&real)?;
    parameters_of(&own.parameters).map(drop).map_err(|problem| format!("its {DESCRIPTION_FILE} is wrong: {problem}"))
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
