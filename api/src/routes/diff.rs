//! How the files of a chat's workspace differ from what was last committed.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use verbatim_tools::workspace::DiffError;

use super::Answered;
use super::access::chat_to_read;
use super::query::Query;
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::wire::diff::DiffView;

/// `GET /chats/{chat}/diff`: as it is now, read in the workspace
pub async fn read(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    Query::of(&request)?.finish()?;
    let chat = chat_to_read(&state, &request, &caller).await?;
    let workspace_id = chat.workspace.as_ref().and_then(|bound| bound.id.clone());
    let workspace_id =
        workspace_id.ok_or_else(|| Problem::new(Code::WorkspaceNotFound, "the chat has no workspace"))?;
    let spaces = state.workspaces.spaces.clone();
    // Looking goes on where it began if the client goes away, so that nothing is left behind.
    let looked = state.runtime.spawn(async move { spaces.diff(&workspace_id, true).await }).await;
    match looked {
        Ok(Ok(diff)) => Ok(HttpResponse::Ok().json(DiffView::of(diff))),
        Ok(Err(error @ DiffError::NoRepository(_))) => Err(Problem::new(Code::NoRepository, error.to_string())),
        Ok(Err(error @ DiffError::Missing)) => Err(Problem::new(Code::WorkspaceNotFound, error.to_string())),
        Ok(Err(error @ DiffError::TooSlow { .. })) => Err(Problem::new(Code::DiffTimeout, error.to_string())),
        Ok(Err(error @ DiffError::Unavailable(_))) => Err(Problem::new(Code::WorkspacesUnavailable, error.to_string())),
        Err(_) => Err(Problem::new(Code::Internal, "the workspace could not be looked at")),
    }
}
