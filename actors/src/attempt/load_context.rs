//! Reads the workspace's own files for the model. Never fails the turn: a workspace that cannot be reached leaves a
//! marker that says so, and the chat goes on without its files.

use verbatim_events::command::{Command, Step};
use verbatim_events::tool::ContextFiles;

use crate::attempt::Scope;

/// How long a workspace may take, in ms; then it counts as not reachable.
const CONTEXT_MAX_MS: u64 = 10_000;

pub(super) async fn run(scope: &Scope) -> Option<Command> {
    let mut cancelled = scope.cancelled.clone();
    let ContextFiles { files, source } = tokio::select! {
        biased;
        () = async { drop(cancelled.wait_for(Option::is_some).await) } => return None,
        found = scope.deps.tools.context(&scope.chat) => found,
        () = scope.deps.clock.sleep_ms(CONTEXT_MAX_MS) => {
            tracing::warn!(chat.id = %scope.chat_id, "The workspace was not read in time; the model is called without it.");
            ContextFiles::none(&scope.chat, true)
        }
    };
    Some(Command::CommitStep { attempt_id: scope.attempt_id, step: Step::ContextLoaded { files, source } })
}
