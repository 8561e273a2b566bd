//! Workspaces, for administrators; and what a new chat is bound to.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value};
use verbatim_events::event::WorkspaceBinding;
use verbatim_tools::workspace::port::{ProvisionError, WorkspaceStatus};

use super::Answered;
use super::commands::was_answered;
use super::query::Query;
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::wire::request::WorkspaceRequest;
use crate::wire::workspace::{ConfinementView, UnavailableView, WorkspaceView, WorkspacesView};

pub(super) fn problem(error: &ProvisionError, missing: Code) -> Problem {
    let code = match error {
        ProvisionError::NotFound(_) => missing,
        ProvisionError::NameTaken | ProvisionError::Refused(_) | ProvisionError::Unavailable(_) => {
            Code::WorkspacesUnavailable
        }
    };
    Problem::new(code, error.to_string())
}

/// What a new chat is bound to, checked; unless the request was answered before.
pub async fn binding(
    state: &AppState,
    request: &HttpRequest,
    caller: &Caller,
    body: &[u8],
    wanted: Option<WorkspaceRequest>,
    owner: &str,
) -> Result<Option<WorkspaceBinding>, Problem> {
    let found = match wanted {
        None => return Ok(None),
        Some(WorkspaceRequest::Existing { id }) => existing(state, caller, id, owner).await,
        Some(WorkspaceRequest::Template { template_id, name, parameters }) => {
            from_template(state, template_id, name, parameters).await
        }
    };
    match found {
        Ok(binding) => Ok(Some(binding)),
        Err(problem) if was_answered(state, request, caller, body).await? => {
            tracing::debug!(%problem, "What a request was answered with before stays.");
            Ok(None)
        }
        Err(problem) => Err(problem),
    }
}

/// A workspace that there is. One whose chat is not known is an administrator's to give.
async fn existing(state: &AppState, caller: &Caller, id: String, owner: &str) -> Result<WorkspaceBinding, Problem> {
    let missing = || Problem::field("/workspace/id", "there is no such workspace");
    let view = match state.workspaces.spaces.look(&id).await {
        Ok(view) if view.status != WorkspaceStatus::Deleted => view,
        Ok(_) | Err(ProvisionError::NotFound(_)) => return Err(missing()),
        Err(error) => return Err(problem(&error, Code::WorkspaceNotFound)),
    };
    let is_owners = match view.chat_id {
        Some(chat_id) => state.owner_of(chat_id).await.is_ok_and(|known| *known == *owner),
        None => caller.administers(),
    };
    if !is_owners {
        return Err(missing());
    }
    Ok(WorkspaceBinding { id: Some(id), template_id: view.template_id, name: Some(view.name), parameters: None })
}

async fn from_template(
    state: &AppState,
    template_id: String,
    name: Option<String>,
    parameters: Map<String, Value>,
) -> Result<WorkspaceBinding, Problem> {
    match state.workspaces.spaces.check_wish(&template_id, &parameters).await {
        Ok(Ok(())) => {}
        Ok(Err(wrong)) => return Err(Problem::field("/workspace/parameters", wrong)),
        Err(ProvisionError::NotFound(_)) => {
            return Err(Problem::field("/workspace/template_id", "there is no such template"));
        }
        Err(error) => return Err(problem(&error, Code::TemplateNotFound)),
    }
    let parameters = (!parameters.is_empty()).then_some(Value::Object(parameters));
    Ok(WorkspaceBinding { id: None, template_id: Some(template_id), name, parameters })
}

/// The id at the end of the address.
fn named<'a>(request: &'a HttpRequest, part: &str) -> &'a str {
    request.match_info().get(part).unwrap_or_default()
}

/// `GET /workspaces`: all of them, and what confines commands
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    caller.check_audit()?;
    Query::of(&request)?.finish()?;
    let home = &state.workspaces;
    let listing = home.spaces.list().await;
    let unavailable = listing
        .unavailable
        .into_iter()
        .map(|(kind, detail)| UnavailableView { provisioner: kind.name(), detail })
        .collect();
    let confinement = home.confinement().map(|report| ConfinementView {
        in_force: report.summary(),
        open: report.open.clone(),
        shell: home.spaces.shell().is_some(),
    });
    let items = listing.workspaces.into_iter().map(WorkspaceView::of).collect();
    Ok(HttpResponse::Ok().json(WorkspacesView { items, next_cursor: None, unavailable, confinement }))
}

/// `DELETE /workspaces/{workspace}`: ends what runs in it and takes it away with its files
pub async fn delete(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    caller.check_admin()?;
    Query::of(&request)?.finish()?;
    let id = named(&request, "workspace").to_owned();
    let missing = || Problem::new(Code::WorkspaceNotFound, "there is no such workspace");
    let looked = state.workspaces.spaces.look(&id).await;
    let view = looked.map_err(|error| problem(&error, Code::WorkspaceNotFound))?;
    if view.status == WorkspaceStatus::Deleted {
        return Err(missing());
    }
    let deleted = state.workspaces.spaces.delete(&id).await;
    deleted.map_err(|error| problem(&error, Code::WorkspaceNotFound))?;
    tracing::info!(workspace.id = %id, by = %caller.owner, "A workspace was taken away.");
    Ok(HttpResponse::NoContent().finish())
}
