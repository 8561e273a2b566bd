//! `propose_plan`: while a chat plans, its turn ends with a plan that the user reads before anything is done.

use serde_json::{Value, json};
use verbatim_events::event::ToolDefinition;
use verbatim_events::tool::ToolAnswer;

use super::arguments::text;

pub(super) const NAME: &str = "propose_plan";

/// The longest plan, in bytes.
const PLAN_MAX_BYTES: usize = 32 * 1024;

pub(super) fn definition() -> ToolDefinition {
    ToolDefinition {
        name: NAME.to_owned(),
        description:
            "Puts a finished plan before the user, in Markdown. Ends your turn: the user agrees, changes it or asks \
                      back in the next message. Call it alone, once the plan is complete."
                .to_owned(),
        parameters: json!({
            "type": "object",
            "required": ["plan"],
            "additionalProperties": false,
            "properties": {
                "title": { "type": "string", "maxLength": 200 },
                "plan": { "type": "string", "minLength": 1, "description": "Markdown, 32 KiB at most." }
            }
        }),
    }
}

pub(super) fn propose(args: &Value) -> ToolAnswer {
    match text(args, "plan") {
        Err(refused) => refused,
        Ok(plan) if plan.len() > PLAN_MAX_BYTES => {
            ToolAnswer::error(format!("the plan has {} bytes; {PLAN_MAX_BYTES} are the most", plan.len()))
        }
        Ok(plan) => ToolAnswer::ok(json!({ "status": "proposed", "size_bytes": plan.len() })),
    }
}
