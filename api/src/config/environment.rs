//! Environment variables: `VERBATIM_LIMITS__QUEUE_MAX` is `queue_max` in `[limits]`.

use std::collections::BTreeMap;

use super::ConfigError;
use super::file::shape;
use super::layer::KEYS;

/// Variables that are no settings of the file: where it is, logging, and what single commands read.
const NOT_IN_FILE: [&str; 7] = ["CONFIG", "LOG", "ADMIN_KEY", "MASTER_KEY", "NEW_MASTER_KEY", "SERVER", "KEY"];

const PREFIX: &str = "VERBATIM_";

/// The environment as it was at the start.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

/// A setting that a variable made.
pub(super) struct Laid {
    pub key: Vec<String>,
    pub variable: String,
}

/// What the environment added.
#[derive(Default)]
pub(super) struct Overlay {
    pub laid: Vec<Laid>,
    pub warnings: Vec<String>,
}

impl Environment {
    /// This process's environment. Variables that are not Unicode are left out, and so are empty ones.
    pub fn of_process() -> Environment {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable's value; `None` if it is missing or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Lays the variables over the file's settings, one by one, so that a mistake is named with its variable.
    pub(super) fn overlay(&self, table: &mut toml::Table) -> Result<Overlay, ConfigError> {
        let mut overlay = Overlay::default();
        for (variable, value) in &self.variables {
            let Some(name) = variable.strip_prefix(PREFIX) else { continue };
            if NOT_IN_FILE.contains(&name) {
                continue;
            }
            let key: Vec<String> = name.split("__").map(str::to_ascii_lowercase).collect();
            // Orchestrators set such variables for services of our name (`…_PORT`, `…_SERVICE_HOST`): no reason to stop.
            if key.len() == 1 && !KEYS.contains(&key[0].as_str()) {
                overlay.warnings.push(format!("environment variable {variable} is no setting and is ignored"));
                continue;
            }
            let key =
                lay(table, &key, value).map_err(|problem| ConfigError::Variable { name: variable.clone(), problem })?;
            overlay.laid.push(Laid { key, variable: variable.clone() });
        }
        Ok(overlay)
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Environment {
        Environment { variables: variables.into_iter().filter(|(_, value)| !value.is_empty()).collect() }
    }
}

/// Sets one key: as text where text is right, else as the number, flag or list that it spells. Returns the key as the
/// table has it.
fn lay(table: &mut toml::Table, key: &[String], value: &str) -> Result<Vec<String>, String> {
    let mut problem = String::new();
    for candidate in std::iter::once(toml::Value::String(value.to_owned())).chain(spelled(value)) {
        let mut attempt = table.clone();
        let placed = place(&mut attempt, key, candidate)?;
        match shape(&attempt) {
            Ok(_) => {
                *table = attempt;
                return Ok(placed);
            }
            Err(refused) => problem = refused,
        }
    }
    Err(problem)
}

/// A value in the file's own notation.
fn spelled(value: &str) -> Option<toml::Value> {
    let mut table: toml::Table = toml::from_str(&format!("value = {value}")).ok()?;
    // A line break in the variable must not smuggle in another key.
    if table.len() == 1 { table.remove("value") } else { None }
}

fn place(table: &mut toml::Table, key: &[String], value: toml::Value) -> Result<Vec<String>, String> {
    let Some((first, rest)) = key.split_first() else { return Err("it names no setting".to_owned()) };
    // Names of models and providers may have capitals in the file; variables cannot tell.
    let name = table.keys().find(|present| present.eq_ignore_ascii_case(first)).unwrap_or(first).clone();
    let mut placed = vec![name.clone()];
    if rest.is_empty() {
        table.insert(name, value);
        return Ok(placed);
    }
    let inner = table.entry(name.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    let toml::Value::Table(inner) = inner else { return Err(format!("{name} has no settings below it")) };
    placed.extend(place(inner, rest, value)?);
    Ok(placed)
}
