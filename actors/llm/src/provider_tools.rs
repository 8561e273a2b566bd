//! Tools that a provider runs itself: which there are, and how a request offers them.
//!
//! Known are only those whose calls and results the decoders understand. Tools that would need a key of somebody else's
//! are not among them: whatever is offered stands in the log.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use verbatim_events::event::{RequestRecipe, ToolDefinition};

use crate::{anthropic, openai_responses};

/// How many of its own tools a provider may be given.
pub const PROVIDER_TOOLS_MAX: usize = 16;

/// How large the settings of one such tool may be, in bytes.
pub const PROVIDER_TOOL_MAX_BYTES: usize = 16 * 1024;

/// A tool that providers of a protocol run.
struct Known {
    /// Its name in settings, and mostly in the protocol.
    name: &'static str,
    /// Its type where the settings name none; other versions' types begin with the name too.
    kind: &'static str,
    /// A setting that it cannot go without.
    needs: Option<Need>,
}

/// A setting that must be there.
#[derive(Clone, Copy)]
struct Need {
    setting: &'static str,
    /// Its value where none is given; `null` where there is no sound one.
    usual: fn() -> Value,
}

const ANTHROPIC: [Known; 3] = [
    Known { name: "web_search", kind: "web_search_20250305", needs: None },
    Known { name: "web_fetch", kind: "web_fetch_20250910", needs: None },
    Known { name: "code_execution", kind: "code_execution_20250825", needs: None },
];

const RESPONSES: [Known; 3] = [
    Known { name: "web_search", kind: "web_search", needs: None },
    Known {
        name: "code_interpreter",
        kind: "code_interpreter",
        needs: Some(Need { setting: "container", usual: || json!({ "type": "auto" }) }),
    },
    Known {
        name: "file_search",
        kind: "file_search",
        needs: Some(Need { setting: "vector_store_ids", usual: || Value::Null }),
    },
];

/// The definition that offers a tool of the provider's: `asked` is its short name (`"web_search"`), or an object in the
/// provider's own words, which has its `type`. Says what is wrong otherwise.
pub fn provider_tool(protocol: &str, asked: &Value) -> Result<Value, String> {
    let known: &[Known] = match protocol {
        anthropic::PROTOCOL => &ANTHROPIC,
        openai_responses::PROTOCOL => &RESPONSES,
        _ => return Err(format!("providers of kind {protocol} run no tools themselves")),
    };
    let names = || known.iter().map(|tool| tool.name).collect::<Vec<_>>().join(", ");
    let (kind, mut definition) = match asked {
        Value::String(name) => {
            let Some(tool) = known.iter().find(|tool| tool.name == name) else {
                return Err(format!("the provider has no tool {name:?}; there are: {}", names()));
            };
            (tool.kind, Map::new())
        }
        Value::Object(fields) => match fields.get("type").and_then(Value::as_str) {
            Some(kind) => (kind, fields.clone()),
            None => return Err("a tool given by its settings has a type".to_owned()),
        },
        _ => return Err("a tool is given by its name or by its settings".to_owned()),
    };
    let Some(tool) = known.iter().find(|tool| is_version(kind, tool.name)) else {
        return Err(format!("the provider runs no tool of type {kind:?}; there are: {}", names()));
    };
    let kind = kind.to_owned();
    definition.insert("type".to_owned(), kind.into());
    if protocol == anthropic::PROTOCOL
        && definition.insert("name".to_owned(), tool.name.into()).is_some_and(|name| name != tool.name)
    {
        return Err(format!("the tool of this type is called {:?}", tool.name));
    }
    if let Some(Need { setting, usual }) = tool.needs {
        let value = definition.entry(setting).or_insert_with(usual);
        if value.is_null() {
            return Err(format!("the tool {} needs {setting}", tool.name));
        }
    }
    let definition = Value::Object(definition);
    if definition.to_string().len() > PROVIDER_TOOL_MAX_BYTES {
        return Err(format!("a tool's settings may have {PROVIDER_TOOL_MAX_BYTES} bytes"));
    }
    Ok(definition)
}

/// The type of this tool, in whatever version.
fn is_version(kind: &str, name: &str) -> bool {
    kind.strip_prefix(name).is_some_and(|version| version.is_empty() || version.starts_with('_'))
}

/// The name that a definition's tool has in calls.
fn name_of(definition: &Value) -> &str {
    let text = |field: &str| definition.get(field).and_then(Value::as_str);
    let kind = text("type").unwrap_or_default();
    let versioned = RESPONSES.iter().find(|tool| is_version(kind, tool.name)).map(|tool| tool.name);
    text("name").or(versioned).unwrap_or(kind)
}

/// The provider's own tools that a request offers: those whose name no other tool of the request has.
pub(crate) fn offered<'a>(recipe: &'a RequestRecipe, tools: &[Arc<ToolDefinition>]) -> Vec<&'a Value> {
    let is_free = |definition: &&Value| tools.iter().all(|tool| tool.name != name_of(definition));
    recipe.provider_tools.iter().filter(is_free).collect()
}

/// The names under which a history's calls of these tools may go back to the provider as they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offered<'a> {
    names: BTreeSet<&'a str>,
}

impl<'a> Offered<'a> {
    pub(crate) fn of(definitions: &[&'a Value]) -> Offered<'a> {
        Offered { names: definitions.iter().map(|definition| name_of(definition)).collect() }
    }

    /// A call of this name is one of an offered tool, or of a tool that comes with one.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.names.contains(name) || (name.ends_with("code_execution") && !self.names.is_empty())
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.names.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_given_by_name_or_in_the_providers_words() {
        let rows = [
            ("anthropic", json!("web_search"), json!({ "type": "web_search_20250305", "name": "web_search" })),
            (
                "anthropic",
                json!({ "type": "web_search_20260209", "max_uses": 3 }),
                json!({ "type": "web_search_20260209", "max_uses": 3, "name": "web_search" }),
            ),
            ("openai_responses", json!("web_search"), json!({ "type": "web_search" })),
            (
                "openai_responses",
                json!({ "type": "web_search_preview", "search_context_size": "low" }),
                json!({ "type": "web_search_preview", "search_context_size": "low" }),
            ),
            (
                "openai_responses",
                json!("code_interpreter"),
                json!({ "type": "code_interpreter", "container": { "type": "auto" } }),
            ),
        ];
        for (protocol, asked, expected) in rows {
            assert_eq!(provider_tool(protocol, &asked), Ok(expected), "{protocol} {asked}");
        }
    }

    #[test]
    fn what_no_decoder_understands_is_refused() {
        for (protocol, asked, word) in [
            ("anthropic", json!("mcp"), "there are: web_search, web_fetch, code_execution"),
            ("anthropic", json!({ "type": "bash_20250124", "name": "bash" }), "bash_20250124"),
            ("anthropic", json!({ "type": "web_searching" }), "web_searching"),
            ("anthropic", json!({ "type": "web_search_20250305", "name": "look" }), "is called \"web_search\""),
            ("openai_responses", json!({ "type": "mcp", "server_url": "https://x" }), "\"mcp\""),
            ("openai_responses", json!("file_search"), "needs vector_store_ids"),
            ("openai_responses", json!({ "name": "web_search" }), "has a type"),
            ("openai_responses", json!(7), "by its name"),
            ("openai_responses", json!({ "type": "web_search", "filters": "x".repeat(20_000) }), "16384 bytes"),
            ("openai_chat", json!("web_search"), "no tools"),
            ("demo", json!("web_search"), "no tools"),
        ] {
            let problem = provider_tool(protocol, &asked).unwrap_err();
            assert!(problem.contains(word), "{protocol} {asked}: {problem}");
        }
    }
}
