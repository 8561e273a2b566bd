//! What a new chat says about tools.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use verbatim_events::event::{ToolDefinition, ToolPolicy};
use verbatim_events::limits::CLIENT_TOOLS_MAX;

use super::fields::{NAME_MAX_BYTES, name};
use crate::wire::reader::{Errors, Null, Object, below, string, wrong_type};

/// The longest name of a client tool, in bytes; what every provider accepts.
pub(crate) const TOOL_NAME_MAX_BYTES: usize = 64;

/// Names of server tools that a chat may give.
pub(crate) const SERVER_TOOLS_MAX: usize = 512;

/// MCP servers that a chat may name.
pub(crate) const MCP_SERVERS_MAX: usize = 32;

/// Entries of a tool policy.
pub(crate) const TOOL_POLICY_MAX: usize = CLIENT_TOOLS_MAX;

pub(super) fn tools(errors: &mut Errors, object: &mut Object) -> Vec<Arc<ToolDefinition>> {
    let pointer = object.pointer("tools");
    let Some(values) = object.array(errors, "tools") else { return Vec::new() };
    if values.len() > CLIENT_TOOLS_MAX {
        errors.add(&pointer, format!("must hold at most {CLIENT_TOOLS_MAX} tools"));
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    let mut tools = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let Some(mut tool) = Object::new(errors, format!("{pointer}/{index}"), value, Null::IsAbsent) else { continue };
        let name = tool.need_string(errors, "name");
        let description = tool.need_string(errors, "description");
        let parameters = tool.need(errors, "parameters");
        if let Some(name) = &name {
            check_tool_name(errors, &tool.pointer("name"), name);
            if !names.insert(name.clone()) {
                errors.add(tool.pointer("name"), format!("there is another tool named {name:?}"));
            }
        }
        if let Some(parameters) = &parameters {
            check_tool_schema(errors, &tool.pointer("parameters"), parameters);
        }
        if let (Some(name), Some(description), Some(parameters)) = (name, description, parameters) {
            tools.push(Arc::new(ToolDefinition { name, description, parameters }));
        }
        tool.finish(errors);
    }
    tools
}

fn check_tool_name(errors: &mut Errors, pointer: &str, name: &str) {
    let fits = (1..=TOOL_NAME_MAX_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if !fits {
        errors.add(pointer, format!("must be 1 to {TOOL_NAME_MAX_BYTES} of the characters a-z A-Z 0-9 _ -"));
    }
}

/// Providers take nothing but a schema of an object.
fn check_tool_schema(errors: &mut Errors, pointer: &str, schema: &Value) {
    match schema {
        Value::Object(members) => match members.get("type") {
            None => {}
            Some(Value::String(kind)) if kind == "object" => {}
            Some(_) => errors.add(below(pointer, "type"), "must be \"object\": a call's arguments are an object"),
        },
        other => wrong_type(errors, pointer, "a JSON Schema object", other),
    }
}

/// Names of the server's tools that the chat may use; nothing said, or `"*"` among them, means all. A name that the server
/// does not know (any more) is no mistake: tools of MCP servers come and go.
pub(super) fn server_tools(errors: &mut Errors, object: &mut Object) -> Option<Vec<String>> {
    let names = names(errors, object, "server_tools", SERVER_TOOLS_MAX)?;
    if names.iter().any(|name| name == "*") { None } else { Some(names) }
}

/// The workspace of a new chat.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkspaceRequest {
    /// One that there is.
    Existing {
        /// Its id.
        id: String,
    },
    /// One that is made when it is needed.
    Template {
        /// The template's id.
        template_id: String,
        /// The name that it is to have.
        name: Option<String>,
        /// What is said about it; the template's defaults for the rest.
        parameters: Map<String, Value>,
    },
}

/// What a new chat works in; whether there is such a thing is checked where it is known.
pub(super) fn workspace(errors: &mut Errors, object: &mut Object) -> Option<WorkspaceRequest> {
    let pointer = object.pointer("workspace");
    let value = object.take(errors, "workspace")?;
    let mut workspace = Object::new(errors, pointer.clone(), value, Null::IsAbsent)?;
    let id = name(errors, &mut workspace, "id");
    let template_id = name(errors, &mut workspace, "template_id");
    let asked_name = name(errors, &mut workspace, "name");
    let parameters = workspace.map(errors, "parameters");
    workspace.finish(errors);
    match (id, template_id) {
        (Some(id), None) if asked_name.is_none() && parameters.is_none() => Some(WorkspaceRequest::Existing { id }),
        (None, Some(template_id)) => {
            let parameters = parameters.unwrap_or_default();
            Some(WorkspaceRequest::Template { template_id, name: asked_name, parameters })
        }
        _ => {
            errors.add(pointer, "must have an id alone, or a template_id with or without a name and parameters");
            None
        }
    }
}

/// Names of configured MCP servers; whether there are such is checked where they are known.
pub(super) fn mcp_servers(errors: &mut Errors, object: &mut Object) -> Vec<String> {
    names(errors, object, "mcp_servers", MCP_SERVERS_MAX).unwrap_or_default()
}

fn names(errors: &mut Errors, object: &mut Object, member: &str, max: usize) -> Option<Vec<String>> {
    let pointer = object.pointer(member);
    let values = object.array(errors, member)?;
    if values.len() > max {
        errors.add(&pointer, format!("must hold at most {max} names"));
        return None;
    }
    let mut names: Vec<String> = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let pointer = format!("{pointer}/{index}");
        let Some(name) = string(errors, &pointer, value) else { continue };
        if name.is_empty() || name.len() > NAME_MAX_BYTES || name.contains('\0') {
            errors.add(&pointer, format!("must be a name of 1 to {NAME_MAX_BYTES} bytes"));
        } else if !names.contains(&name) {
            names.push(name);
        }
    }
    Some(names)
}

pub(super) fn tool_policy(errors: &mut Errors, object: &mut Object) -> BTreeMap<String, ToolPolicy> {
    let pointer = object.pointer("tool_policy");
    let Some(members) = object.map(errors, "tool_policy") else { return BTreeMap::new() };
    if members.len() > TOOL_POLICY_MAX {
        errors.add(&pointer, format!("must have at most {TOOL_POLICY_MAX} entries"));
    }
    let mut policies = BTreeMap::new();
    for (name, value) in members {
        let pointer = below(&pointer, &name);
        if name.is_empty() || name.len() > NAME_MAX_BYTES || name.contains('\0') {
            errors.add(&pointer, "must be a tool's name, \"<server>__*\" or \"*\"");
        }
        let policy = match value.as_str() {
            Some("auto") => ToolPolicy::Auto,
            Some("ask") => ToolPolicy::Ask,
            Some("deny") => ToolPolicy::Deny,
            _ => {
                errors.add(&pointer, "must be one of: auto, ask, deny");
                continue;
            }
        };
        policies.insert(name, policy);
    }
    policies
}
