//! Budgets: everybody sees their own, auditors all; administrators set them.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use verbatim_events::settings::SettingsCommand;

use super::query::Query;
use super::settings::{answered, held, name, page, run};
use super::{Answered, body};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::wire::budget::BudgetView;
use crate::wire::request::BudgetRequest;

/// `GET /budgets`: those that were set, in the order of their owners
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let held = held(&state, &request).await?;
    let now = state.clock.now();
    let owners = held.settings.budgets.keys().filter(|owner| caller.reads_all() || **owner == caller.owner);
    page(
        Query::of(&request)?,
        owners.map(|owner| (owner.clone(), BudgetView::of(owner, &state.budgets, now))),
    )
}

/// `GET /budgets/{owner}`: what counts for an owner, be it their own or the default one
pub async fn read(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    Query::of(&request)?.finish()?;
    let owner = name(&request, "owner");
    if !caller.reads_all() && owner != caller.owner {
        return Err(Problem::new(Code::Forbidden, "this key reads the budget of its own owner, and nobody else's"));
    }
    held(&state, &request).await?;
    Ok(HttpResponse::Ok().json(BudgetView::of(&owner, &state.budgets, state.clock.now())))
}

/// `PUT /budgets/{owner}`
pub async fn put(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    caller.check_admin()?;
    Query::of(&request)?.finish()?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    let BudgetRequest { budget } = BudgetRequest::read(&body)?;
    let owner = name(&request, "owner");
    let command = SettingsCommand::SetBudget { owner: owner.clone(), budget };
    let changed = run(&state, &request, &caller, command, &body).await?;
    tracing::info!(owner, by = %caller.owner, "A budget was set.");
    let view = BudgetView::of(&owner, &state.budgets, state.clock.now());
    Ok(answered(&state, StatusCode::OK, &changed).json(view))
}

/// `DELETE /budgets/{owner}`: the default one counts again
pub async fn delete(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    caller.check_admin()?;
    Query::of(&request)?.finish()?;
    let owner = name(&request, "owner");
    let command = SettingsCommand::RemoveBudget { owner: owner.clone() };
    let changed = run(&state, &request, &caller, command, &[]).await?;
    tracing::info!(owner, by = %caller.owner, "A budget was taken back.");
    Ok(answered(&state, StatusCode::NO_CONTENT, &changed).finish())
}
