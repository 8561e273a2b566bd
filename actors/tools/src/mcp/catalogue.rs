//! The tools of one server, as far as they may be used: named, bounded and judged once, when they are listed.

use std::collections::HashMap;
use std::sync::Arc;

use jsonschema::Validator;
use rmcp::model::Tool as Listed;
use serde_json::Value;
use verbatim_events::event::{EffectClass, ToolDefinition};

use super::config::McpConfig;
use super::{names, schema, words};

/// The most tools of one server.
pub(super) const TOOLS_MAX: usize = 128;
/// The longest description, in bytes.
const DESCRIPTION_MAX_BYTES: usize = 4 * 1024;
/// All descriptions and schemas of one server together, in bytes: they go with every prompt.
const DEFINITIONS_MAX_BYTES: usize = 512 * 1024;
/// How much of a refused tool's name is logged, in bytes.
const LOGGED_NAME_MAX_BYTES: usize = 64;

/// A tool that may be used.
pub(super) struct Tool {
    /// What the model sees.
    pub definition: Arc<ToolDefinition>,
    /// What its server calls it.
    pub raw: String,
    /// What becomes of a call after a crash.
    pub effect_class: EffectClass,
    validator: Validator,
}

impl Tool {
    /// Why arguments do not fit; `None` where they fit.
    pub(super) fn violation(&self, args: &Value) -> Option<String> {
        schema::violation(&self.validator, args)
    }
}

/// The tools of one server, in its order.
#[derive(Default)]
pub(super) struct Catalogue {
    tools: Vec<Tool>,
    places: HashMap<String, usize>,
}

impl Catalogue {
    /// Takes what may be used of what the server listed. What is refused is logged, without an end to nothing: one line.
    pub(super) fn new(server: &str, config: &McpConfig, listed: Vec<Listed>) -> Catalogue {
        let mut catalogue = Catalogue::default();
        let mut bytes = 0;
        let mut refused = Vec::new();
        for tool in listed {
            if !config.admits(&tool.name) {
                continue;
            }
            let name = words::line(&tool.name, LOGGED_NAME_MAX_BYTES);
            let added = catalogue.add(server, tool, &mut bytes);
            if let Err(problem) = added {
                refused.push((name, problem));
            }
        }
        if let Some((name, problem)) = refused.first() {
            tracing::warn!(server, refused = refused.len(), "an MCP server's tools are left out; {name:?}: {problem}");
        }
        catalogue
    }

    fn add(&mut self, server: &str, tool: Listed, bytes: &mut usize) -> Result<(), &'static str> {
        if self.tools.len() >= TOOLS_MAX {
            return Err("the server has too many tools");
        }
        let Some(name) = names::exposed(server, &tool.name) else { return Err("its name is none") };
        if self.places.contains_key(&name) {
            return Err("another tool has this name");
        }
        let effect_class = effect_class(&tool);
        let description = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
        let description = words::clean(description, DESCRIPTION_MAX_BYTES);
        let schema = Arc::unwrap_or_clone(tool.input_schema);
        let (parameters, validator) = schema::prepare(schema).map_err(schema::SchemaProblem::words)?;
        let more = description.len() + parameters.to_string().len();
        if *bytes + more > DEFINITIONS_MAX_BYTES {
            return Err("the server's tools are too large together");
        }
        *bytes += more;
        self.places.insert(name.clone(), self.tools.len());
        let definition = Arc::new(ToolDefinition { name, description, parameters });
        self.tools.push(Tool { definition, raw: tool.name.into_owned(), effect_class, validator });
        Ok(())
    }

    /// What the model sees of them.
    pub(super) fn definitions(&self) -> impl Iterator<Item = &Arc<ToolDefinition>> {
        self.tools.iter().map(|tool| &tool.definition)
    }

    /// A tool by the name that the model sees.
    pub(super) fn get(&self, name: &str) -> Option<&Tool> {
        self.places.get(name).map(|place| &self.tools[*place])
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.tools.len()
    }
}

/// A tool that changes nothing, or nothing more when it runs twice, may run again; anything else may not. The hints are
/// its server's, which the administrator chose to trust.
fn effect_class(tool: &Listed) -> EffectClass {
    let hints = tool.annotations.as_ref();
    let says = |hint: Option<Option<bool>>| hint.flatten() == Some(true);
    if says(hints.map(|hints| hints.read_only_hint)) || says(hints.map(|hints| hints.idempotent_hint)) {
        EffectClass::Idempotent
    } else {
        EffectClass::AtMostOnce
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::mcp::McpTransport;

    fn config() -> McpConfig {
        McpConfig::new(McpTransport::Http { url: "http://x".to_owned(), headers: BTreeMap::new() })
    }

    fn listed(value: Value) -> Vec<Listed> {
        serde_json::from_value(value).expect("it is a list of tools")
    }

    fn names(catalogue: &Catalogue) -> Vec<&str> {
        catalogue.definitions().map(|definition| definition.name.as_str()).collect()
    }

    #[test]
    fn tools_keep_their_server_s_order_and_hints_decide_the_effect_class() {
        let tools = listed(json!([
            { "name": "write", "inputSchema": { "type": "object" } },
            { "name": "read", "description": "reads", "inputSchema": {}, "annotations": { "readOnlyHint": true } },
            { "name": "put", "title": "puts", "inputSchema": {}, "annotations": { "idempotentHint": true } },
            { "name": "add", "inputSchema": {}, "annotations": { "readOnlyHint": false, "idempotentHint": false } },
        ]));
        let catalogue = Catalogue::new("s", &config(), tools);
        assert_eq!(names(&catalogue), ["s__write", "s__read", "s__put", "s__add"]);
        let class = |name: &str| catalogue.get(name).map(|tool| tool.effect_class);
        assert_eq!(class("s__write"), Some(EffectClass::AtMostOnce));
        assert_eq!(class("s__read"), Some(EffectClass::Idempotent));
        assert_eq!(class("s__put"), Some(EffectClass::Idempotent));
        assert_eq!(class("s__add"), Some(EffectClass::AtMostOnce));
        assert_eq!(class("read"), None);
        let put = catalogue.get("s__put").expect("it is listed");
        assert_eq!((put.raw.as_str(), put.definition.description.as_str()), ("put", "puts"));
        assert_eq!(put.definition.parameters, json!({ "type": "object" }));
    }

    #[test]
    fn hostile_tools_are_left_out_and_the_others_stay() {
        let tools = listed(json!([
            { "name": "a b", "inputSchema": {}, "description": format!("\u{1b}[2J{}", "x".repeat(10_000)) },
            { "name": "a_b", "inputSchema": {}, "description": "would take the first one's name" },
            { "name": "", "inputSchema": {} },
            { "name": "deep", "inputSchema": { "properties": { "a": { "$ref": "http://elsewhere" } } } },
            { "name": "good", "inputSchema": {} },
            { "name": "denied", "inputSchema": {} },
        ]));
        let config = McpConfig { deny: vec!["denied".to_owned()], ..config() };
        let catalogue = Catalogue::new("s", &config, tools);
        assert_eq!(names(&catalogue), ["s__a_b", "s__good"]);
        let first = catalogue.get("s__a_b").expect("it is listed");
        assert_eq!(first.raw, "a b");
        assert!(first.definition.description.len() < DESCRIPTION_MAX_BYTES + 64);
        assert!(first.definition.description.starts_with("[2Jxx"));
    }

    #[test]
    fn a_server_has_no_more_than_its_share() {
        let many: Vec<Value> =
            (0..TOOLS_MAX + 10).map(|index| json!({ "name": format!("t{index}"), "inputSchema": {} })).collect();
        assert_eq!(Catalogue::new("s", &config(), listed(json!(many))).len(), TOOLS_MAX);

        let large = "x".repeat(schema::SCHEMA_MAX_BYTES - 200);
        let many: Vec<Value> =
            (0..20).map(|index| json!({ "name": format!("t{index}"), "inputSchema": { "$comment": large } })).collect();
        let catalogue = Catalogue::new("s", &config(), listed(json!(many)));
        assert!((5..10).contains(&catalogue.len()), "{}", catalogue.len());
    }
}
