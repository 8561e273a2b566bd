//! What is special about certain tools, by name, and which policy holds for a call.

use std::collections::BTreeMap;

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
