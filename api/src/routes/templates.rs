//! Templates of workspaces: for everybody what they are, for administrators what becomes of them.

use std::collections::BTreeSet;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use verbatim_events::settings::{Given, SettingsCommand, SettingsRejection, TemplateChange};
use verbatim_events::template::ProvisionerKind;

use super::commands::was_answered;
use super::query::Query;
use super::settings::{body_of_change, given, held, name, remove, run, shown};
use super::workspaces::problem;
use super::{API, Answered};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::wire::page::PageView;
use crate::wire::request::TemplateRequest;
use crate::wire::workspace::TemplateView;

/// `GET /templates`: all of them; there are few
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let mut query = Query::of(&request)?;
    let words = query.one("q")?;
    query.finish()?;
    held(&state, &request).await?;
    let found = state.workspaces.spaces.templates(words.as_deref()).await;
    let held = state.settings.held();
    let items = found.into_iter().filter_map(|template| {
        let entry = held.effective.templates.get(&template.id)?;
        Some(TemplateView::of(template, entry, caller.reads_all()))
    });
    Ok(HttpResponse::Ok().json(PageView::<TemplateView> { items: items.collect(), next_cursor: None }))
}

/// `GET /templates/{template}`
pub async fn read(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    Query::of(&request)?.finish()?;
    let held = held(&state, &request).await?;
    let name = name(&request, "template");
    let entry = held.effective.templates.get(&name);
    let entry = entry.ok_or_else(|| Problem::from(SettingsRejection::TemplateNotFound { name: name.clone() }))?;
    let found = state.workspaces.spaces.template(&name).await;
    let found = found.map_err(|error| problem(&error, Code::TemplateNotFound))?;
    Ok(HttpResponse::Ok().json(TemplateView::of(found, entry, caller.reads_all())))
}

/// `POST /templates`, `PUT /templates/{template}` and `PATCH /templates/{template}`
pub async fn set(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let (given, body) = (given(&request), body_of_change(&state, &request, &caller, payload).await?);
    let TemplateRequest { name: new, change } = TemplateRequest::read(&body, given)?;
    let name = if given == Given::New { new } else { name(&request, "template") };
    match check_place(&state, &name, &change).await {
        Err(problem) if !was_answered(&state, &request, &caller, &body).await? => return Err(problem),
        Ok(()) | Err(_) => {}
    }
    let command = SettingsCommand::SetTemplate { name: name.clone(), change, given };
    let changed = run(&state, &request, &caller, command, &body).await?;
    tracing::info!(template = %name, by = %caller.owner, "A template was set.");
    Ok(shown(&state, given, format!("{API}/templates/{name}"), changed))
}

/// `DELETE /templates/{template}`: workspaces that were made from it stay
pub async fn delete(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let name = name(&request, "template");
    remove(&state, &request, &caller, SettingsCommand::RemoveTemplate { name }).await
}

/// Sees to it that workspaces can be made as a change says: its directory is there, and so is who makes them. What the
/// settings refuse by themselves is left to them.
async fn check_place(state: &AppState, name: &str, change: &TemplateChange) -> Result<(), Problem> {
    if let Some(Some(path)) = change.path.as_ref().filter(|path| path.as_ref().is_some_and(|path| path.has_root())) {
        let checked = state.workspaces.check_directory(path.clone()).await;
        checked.map_err(|problem| Problem::field("/path", problem))?;
    }
    let held = state.settings.held();
    let present = held.effective.templates.get(name).map(|entry| entry.value.provisioner);
    let is_there = |kind: &ProvisionerKind| *kind != ProvisionerKind::Coder || state.settings.base().has_coder;
    let kinds: BTreeSet<ProvisionerKind> = change.provisioner.or(present).into_iter().filter(is_there).collect();
    let opened = state.workspaces.open_for(&kinds).await;
    opened.map_err(|problem| Problem::new(Code::WorkspacesUnavailable, problem))
}
