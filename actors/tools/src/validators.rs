//! Judging arguments by a tool's JSON Schema. A schema is made ready once and kept while the tool is used.

use std::collections::HashMap;
use std::sync::Arc;

use jsonschema::Validator;
use parking_lot::Mutex;
use serde_json::Value;
use verbatim_events::event::ToolDefinition;

use crate::mcp::schema;

/// Schemas kept ready. Beyond it all are forgotten and made again as they are used.
const KEPT_MAX: usize = 4_096;

struct Ready {
    parameters: Value,
    /// `None` for a schema that cannot be used: what nobody can judge by does not judge.
    validator: Option<Arc<Validator>>,
}

/// Schemas that are ready, by their tools' names.
#[derive(Default)]
pub(crate) struct Validators {
    ready: Mutex<HashMap<String, Ready>>,
}

impl Validators {
    /// Why the arguments do not fit the tool, in words that name the place; `None` where they fit.
    pub(crate) fn violation(&self, tool: &ToolDefinition, args: &Value) -> Option<String> {
        let validator = self.validator(tool)?;
        schema::violation(&validator, args)
    }

    fn validator(&self, tool: &ToolDefinition) -> Option<Arc<Validator>> {
        if let Some(ready) = self.ready.lock().get(&tool.name)
            && ready.parameters == tool.parameters
        {
            return ready.validator.clone();
        }
        let Value::Object(parameters) = &tool.parameters else { return None };
        let validator = schema::prepare(parameters.clone()).ok().map(|(_, validator)| Arc::new(validator));
        let mut ready = self.ready.lock();
        if ready.len() >= KEPT_MAX {
            ready.clear();
        }
        let kept = Ready { parameters: tool.parameters.clone(), validator: validator.clone() };
        ready.insert(tool.name.clone(), kept);
        validator
    }
}
