//! Starts and stops a chat's workspace. Both say how it is in the end, and both may be asked again.

use serde_json::json;
use verbatim_events::tool::ToolAnswer;

use super::answers::about;
use super::create::with_agent;
use super::port::{ProvisionError, WorkspaceStatus};
use super::workspaces::Workspaces;

/// Starts a workspace: waits for what is being built, starts what is stopped, tries again what failed.
pub(super) async fn start(spaces: &Workspaces, id: &str) -> Result<ToolAnswer, ProvisionError> {
    let _turn = spaces.locks.turn(id).await;
    let provisioner = spaces.maker_of(id)?;
    let mut view = provisioner.settle(id).await?;
    let mut started = false;
    if matches!(view.status, WorkspaceStatus::Stopped | WorkspaceStatus::Failed) {
        provisioner.start(id).await?;
        view = provisioner.settle(id).await?;
        started = true;
    }
    let view = with_agent(spaces, view).await?;
    Ok(about(&view, &[("started", json!(started))]))
}

/// Stops a workspace: waits for what is being built, stops what runs.
pub(super) async fn stop(spaces: &Workspaces, id: &str) -> Result<ToolAnswer, ProvisionError> {
    let _turn = spaces.locks.turn(id).await;
    let provisioner = spaces.maker_of(id)?;
    let mut view = provisioner.settle(id).await?;
    let mut stopped = false;
    if matches!(view.status, WorkspaceStatus::Running | WorkspaceStatus::Unreachable) {
        spaces.end_processes(id).await?;
        provisioner.stop(id).await?;
        view = provisioner.settle(id).await?;
        stopped = true;
    }
    let mut answer = about(&view, &[("stopped", json!(stopped))]);
    // That it rests is what was wanted.
    if view.status == WorkspaceStatus::Stopped
        && let Some(fields) = answer.result.as_object_mut()
    {
        fields.remove("hint");
    }
    Ok(answer)
}
