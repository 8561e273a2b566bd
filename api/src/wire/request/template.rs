//! Templates of workspaces: what is to become of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};
use verbatim_events::settings::{Given, TemplateChange};
use verbatim_events::template::{PARAMETERS_MAX, ParameterConfig, ProvisionerKind};

use super::settings::{named, nullable};
use super::{done, read};
use crate::error::Problem;
use crate::wire::reader::{Errors, Null, Object, below, string};

/// A template that is to be made or changed.
#[derive(Debug, Default, PartialEq)]
pub struct TemplateRequest {
    /// Its name, where the body says it.
    pub name: String,
    /// What becomes of it.
    pub change: TemplateChange,
}

impl TemplateRequest {
    /// Reads and checks the body of a change of this kind.
    pub fn read(body: &[u8], given: Given) -> Result<TemplateRequest, Problem> {
        read(body, Null::IsAnError, |errors, object| {
            let name = named(errors, object, given);
            let kinds = ProvisionerKind::ALL.map(|kind| (kind.name(), kind));
            let provisioner = match given {
                Given::Part => object.word(errors, "provisioner", &kinds),
                Given::New | Given::Whole => object.need_word(errors, "provisioner", &kinds),
            };
            let path = nullable(errors, object, "path", string);
            let change = TemplateChange {
                provisioner,
                path: path.map(|path| path.map(PathBuf::from)),
                template: nullable(errors, object, "template", string),
                description: nullable(errors, object, "description", string),
                parameters: parameters(errors, object),
            };
            TemplateRequest { name, change }
        })
        .and_then(|(request, errors, object)| done(request, errors, object))
    }
}

/// The parameters by their names, each as a settings file has it.
fn parameters(errors: &mut Errors, object: &mut Object) -> Option<BTreeMap<String, ParameterConfig>> {
    let given: Map<String, Value> = object.map(errors, "parameters")?;
    let pointer = object.pointer("parameters");
    if given.len() > PARAMETERS_MAX {
        errors.add(pointer, format!("{} parameters are too many; {PARAMETERS_MAX} is the most", given.len()));
        return None;
    }
    let mut parameters = BTreeMap::new();
    for (name, value) in given {
        let place = below(&pointer, &name);
        if name.contains('\0') || holds_nul(&value) {
            errors.add(place, "must not contain the character U+0000");
            continue;
        }
        match serde_json::from_value(value) {
            Ok(parameter) => drop(parameters.insert(name, parameter)),
            Err(problem) => errors.add(place, problem.to_string()),
        }
    }
    Some(parameters)
}

/// Whether U+0000 stands in a value, which databases cannot keep. Nesting is bounded by the parser of bodies.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
