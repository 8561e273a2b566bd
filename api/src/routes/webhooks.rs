//! Webhooks: how they stand. Administrators alone; which there are is said in the settings.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::query::Query;
use super::{Answered, body};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::wire::page::PageView;
use crate::wire::request::read_nothing;

/// `GET /webhooks`, by name; there are few, so the list is always whole.
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    caller.check_audit()?;
    Query::of(&request)?.finish()?;
    let items = state.webhooks.list(state.log.as_ref());
    Ok(HttpResponse::Ok().json(PageView { items, next_cursor: None }))
}

/// `POST /webhooks/{name}/resume`: tries again at once, and goes on if it stands still.
pub async fn resume(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    caller.check_admin()?;
    Query::of(&request)?.finish()?;
    read_nothing(&body::read(&request, payload, state.limits.body_max_bytes).await?)?;
    let name = request.match_info().get("name").unwrap_or_default();
    let missing = || Problem::new(Code::WebhookNotFound, "there is no such webhook");
    let webhook = state.webhooks.resume(name, state.log.as_ref()).await.ok_or_else(missing)?;
    tracing::info!(webhook = %name, by = %caller.owner, "A webhook was resumed.");
    Ok(HttpResponse::Ok().json(webhook))
}
