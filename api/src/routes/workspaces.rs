//! Templates, for everybody; workspaces, for administrators.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use verbatim_tools::workspace::port::{ProvisionError, WorkspaceStatus};

use super::Answered;
use super::query::Query;
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::wire::page::PageView;
use crate::wire::workspace::{ConfinementView, TemplateView, UnavailableView, WorkspaceView, WorkspacesView};

fn problem(error: &ProvisionError, missing: Code) -> Problem {
    let code = match error {
        ProvisionError::NotFound(_) => missing,
        ProvisionError::NameTaken | ProvisionError::Refused(_) | ProvisionError::Unavailable(_) => {
            Code::WorkspacesUnavailable
        }
    };
    Problem::new(code, error.to_string())
}

/// The id at the end of the address.
fn named<'a>(request: &'a HttpRequest, part: &str) -> &'a str {
    request.match_info().get(part).unwrap_or_default()
}

/// `GET /templates`: all of them; there are few
pub async fn templates(state: Data<AppState>, request: HttpRequest, _caller: Caller) -> Answered {
    let mut query = Query::of(&request)?;
    let words = query.one("q")?;
    query.finish()?;
    let found = state.workspaces.spaces.templates(words.as_deref()).await;
    let items = found.into_iter().map(TemplateView::of).collect();
    Ok(HttpResponse::Ok().json(PageView::<TemplateView> { items, next_cursor: None }))
}

/// `GET /templates/{template}`
pub async fn template(state: Data<AppState>, request: HttpRequest, _caller: Caller) -> Answered {
    Query::of(&request)?.finish()?;
    let found = state.workspaces.spaces.template(named(&request, "template")).await;
    let found = found.map_err(|error| problem(&error, Code::TemplateNotFound))?;
    Ok(HttpResponse::Ok().json(TemplateView::of(found)))
}

/// `GET /workspaces`: all of them, and what confines commands
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    caller.check_admin()?;
    Query::of(&request)?.finish()?;
    let home = &state.workspaces;
    let listing = home.spaces.list().await;
    let unavailable = listing
        .unavailable
        .into_iter()
        .map(|(kind, detail)| UnavailableView { provisioner: kind.name(), detail })
        .collect();
    let confinement = home.confinement.as_ref().map(|report| ConfinementView {
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
