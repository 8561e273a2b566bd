//! What the tools that make, start and stop workspaces say.

use serde_json::{Value, json};
use verbatim_events::tool::ToolAnswer;

use super::create::Created;
use super::port::{WorkspaceStatus, WorkspaceView};

/// A workspace in an answer.
pub(super) fn workspace(view: &WorkspaceView) -> Value {
    let mut told = json!({
        "workspace_id": view.id,
        "name": view.name,
        "status": view.status,
        "agent_status": view.agent_status,
    });
    if let Some(template_id) = &view.template_id {
        told["template_id"] = json!(template_id);
    }
    if let Some(detail) = &view.detail {
        told["detail"] = json!(detail);
    }
    if let Some(hint) = hint(view.status) {
        told["hint"] = json!(hint);
    }
    told
}

/// What the model can do about it.
fn hint(status: WorkspaceStatus) -> Option<&'static str> {
    match status {
        WorkspaceStatus::Running => None,
        WorkspaceStatus::Building => Some("it is still being built; start_workspace goes on waiting for it"),
        WorkspaceStatus::Stopping => Some("it is being stopped; start_workspace waits for that and starts it again"),
        WorkspaceStatus::Stopped => Some("start_workspace starts it"),
        WorkspaceStatus::Failed => {
            Some("its build failed; create_workspace makes another, start_workspace tries again")
        }
        WorkspaceStatus::Deleted => Some("it is gone; create_workspace makes another"),
        WorkspaceStatus::Unreachable => Some("it cannot be reached; create_workspace makes another"),
    }
}

/// An answer with these fields; an error where nobody can work in the workspace.
pub(super) fn about(view: &WorkspaceView, fields: &[(&str, Value)]) -> ToolAnswer {
    let mut result = workspace(view);
    for (name, value) in fields {
        result[*name] = value.clone();
    }
    let is_error =
        matches!(view.status, WorkspaceStatus::Failed | WorkspaceStatus::Deleted | WorkspaceStatus::Unreachable);
    ToolAnswer { result, is_error, ..ToolAnswer::default() }
}

/// What create_workspace says.
pub(super) fn created(created: Created) -> ToolAnswer {
    let mut fields = vec![("created", json!(created.created))];
    if let Some(replaced) = created.replaced {
        fields.push(("replaced", json!(replaced)));
    }
    about(&created.view, &fields)
}
