//! The server's own looks into a workspace: commands that are run like those of the model, with the same confinement, but
//! belong to nobody's chat and leave nothing behind.

use std::time::Duration;

use super::port::CommandPlan;
use super::shell::{ExecuteArguments, Shell};
use crate::process::{EndedBy, OwnerId, ProcessError, ProcessId, ProcessState, Processes};

/// How long a look may take, in ms.
const TIME_MAX_MS: u64 = 25_000;
/// How long its end is waited for beyond that, in ms.
const END_WAIT_MS: u64 = 2_000;
/// The most that a look may print, in bytes.
const OUTPUT_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Why a look told nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LookError {
    /// It had no more time; what it printed by then is not all of it.
    #[error("the look into the workspace takes too long")]
    TooSlow,
    /// In words.
    #[error("{0}")]
    Failed(String),
}

impl From<String> for LookError {
    fn from(problem: String) -> LookError {
        LookError::Failed(problem)
    }
}

/// Removes a look's process even if nobody waits for it any more.
struct Cleared {
    processes: Processes,
    owner: OwnerId,
    id: ProcessId,
}

impl Drop for Cleared {
    fn drop(&mut self) {
        let (processes, owner, id) = (self.processes.clone(), self.owner.clone(), self.id.clone());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = processes.remove(&owner, &id).await {
                tracing::debug!(%error, "A look into a workspace stays until its leftovers are swept.");
            }
        });
    }
}

/// Whom the looks into a workspace belong to.
fn looks_of(workspace_id: &str) -> Result<OwnerId, String> {
    OwnerId::new(&format!("look-{workspace_id}")).map_err(|error| error.to_string())
}

impl Shell {
    /// Ends the looks into a workspace that is gone, and removes what is known of them.
    pub(super) async fn forget_looks(&self, workspace_id: &str) -> Result<(), String> {
        self.processes().remove_all(&looks_of(workspace_id)?).await.map_err(|error| error.to_string())
    }

    /// Runs a command line in a workspace and returns what it prints.
    pub(super) async fn look(&self, workspace_id: &str, plan: CommandPlan, line: &str) -> Result<String, LookError> {
        let named = |error: crate::process::InvalidName| error.to_string();
        let owner = looks_of(workspace_id)?;
        let id = ProcessId::new(&format!("look-{}", uuid::Uuid::new_v4().simple())).map_err(named)?;
        let arguments = ExecuteArguments { command: line.to_owned(), wait_ms: None, background: false, workdir: None };
        let words = |error: ProcessError| error.to_string();
        let mut spec = self
            .spec(owner.clone(), id.clone(), plan, &arguments)
            .map_err(|refused| refused.result.as_str().unwrap_or("it cannot be run").to_owned())?;
        spec.time_max_ms = Some(TIME_MAX_MS);
        let processes = self.processes();
        let _cleared = Cleared { processes: processes.clone(), owner: owner.clone(), id: id.clone() };
        // What a crash left of earlier looks; nobody else looks into this workspace now. The look before this one may be
        // clearing away its own process still: who comes second finds nothing, which is no reason not to look.
        if let Err(error) = processes.remove_all(&owner).await {
            tracing::debug!(%error, "What is left of earlier looks into a workspace stays until the next one.");
        }
        processes.start(spec).await.map_err(words)?;
        let patience = Duration::from_millis(TIME_MAX_MS + END_WAIT_MS);
        let status = processes.wait(&owner, &id, patience).await.map_err(words)?;
        // However it ended then: a script whose programs were ended may go on without them, and end as if all were well.
        if status.ended_by == Some(EndedBy::TimeMax) || !status.state.ended() {
            return Err(LookError::TooSlow);
        }
        if !matches!(status.state, ProcessState::Exited { code: 0 }) {
            return Err(LookError::Failed("the workspace does not answer".to_owned()));
        }
        let mut output = Vec::new();
        while output.len() < OUTPUT_MAX_BYTES {
            let most = OUTPUT_MAX_BYTES - output.len();
            let chunk = processes.read_output(&owner, &id, output.len() as u64, most).await.map_err(words)?;
            if chunk.bytes.is_empty() || chunk.from_byte != output.len() as u64 {
                break;
            }
            output.extend_from_slice(&chunk.bytes);
        }
        Ok(String::from_utf8_lossy(&output).into_owned())
    }
}
