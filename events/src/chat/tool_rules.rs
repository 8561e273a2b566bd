//! What is special about certain tools, by name, and which policy holds for a call.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::event::ToolPolicy;

/// Tools that run alone: in a larger batch nothing runs.
const EXCLUSIVE: [&str; 3] = ["propose_plan", "ask_user_question", "advisor"];

/// Tools that end the turn when they succeed.
const STOP_AFTER: [&str; 2] = ["propose_plan", "ask_user_question"];

/// Stands between an MCP server's name and its tool's name.
const MCP_SEPARATOR: &str = "__";

/// The tool runs alone: in a larger batch nothing runs.
pub fn is_exclusive(name: &str) -> bool {
    EXCLUSIVE.contains(&name)
}

/// The tool ends the turn when it succeeds.
pub fn stops_turn(name: &str) -> bool {
    STOP_AFTER.contains(&name)
}

/// The policy for a tool: by its exact name, then by its MCP server (`<server>__*`), then by `*`, else `auto`.
pub fn policy_of(policies: &BTreeMap<String, ToolPolicy>, name: &str) -> ToolPolicy {
    let by_server = || {
        // A server's name may itself hold the separator: the longest server that fits is the one that is meant.
        let ends = name.rmatch_indices(MCP_SEPARATOR).map(|(index, separator)| index + separator.len());
        ends.map(|end| format!("{}*", &name[..end])).find_map(|pattern| policies.get(&pattern))
    };
    policies.get(name).or_else(by_server).or_else(|| policies.get("*")).copied().unwrap_or(ToolPolicy::Auto)
}

/// Whether a tool that the provider runs itself may be offered: only under the policy `auto`, since nobody can be asked
/// about a call that ran elsewhere when it is heard of. Policies name the tool as its definition's `name` or `type` does,
/// with or without the version that ends the type (`web_search_20250305`, `web_search_preview`), or as `*`.
pub fn admits_provider_tool(policies: &BTreeMap<String, ToolPolicy>, definition: &Value) -> bool {
    let text = |field: &str| definition.get(field).and_then(Value::as_str);
    let (name, kind) = (text("name"), text("type"));
    let named = [name, kind, kind.map(without_version), Some("*")].into_iter().flatten();
    named.filter_map(|name| policies.get(name)).next().is_none_or(|policy| *policy == ToolPolicy::Auto)
}

/// A type's name without the dates, numbers and stages that end it.
fn without_version(mut kind: &str) -> &str {
    let is_version = |word: &str| word == "preview" || word.bytes().all(|byte| byte.is_ascii_digit());
    while let Some((before, last)) = kind.rsplit_once('_')
        && is_version(last)
    {
        kind = before;
    }
    kind
}
