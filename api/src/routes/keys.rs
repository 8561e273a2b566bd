//! Keys: make, list, revoke. Administrators alone.

use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use uuid::Uuid;

use super::query::Query;
use super::{Answered, body};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::wire::key::KeyView;
use crate::wire::page::PageView;
use crate::wire::request::read_new_key;

/// `POST /keys`
pub async fn create(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    caller.check_admin()?;
    Query::of(&request)?.finish()?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    let made = state.keys.create(read_new_key(&body)?, state.clock.now()).await?;
    let (id, owner) = (made.stored.id, &made.stored.owner);
    tracing::info!(key.id = %id, key.owner = %owner, by = %caller.owner, "A key was made.");
    let view = KeyView { key: Some(&made.secret), ..KeyView::of(&made.stored) };
    // Nobody between us and the caller is to keep it.
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(view))
}

/// `GET /keys`, revoked ones too, in the order in which they were made
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    caller.check_audit()?;
    let mut query = Query::of(&request)?;
    let limit = query.limit()?;
    let after = query.one("cursor")?.map(|cursor| cursor.parse::<Uuid>()).transpose();
    let after = after.map_err(|_| Problem::invalid("the cursor is not one of this list's"))?;
    query.finish()?;
    let keys = state.keys.list().await?;
    // In the order of their ids, so the last one shown is a cursor.
    let mut rest = keys.iter().filter(|key| after.is_none_or(|after| key.id > after));
    let items: Vec<KeyView<'_>> = rest.by_ref().take(limit).map(KeyView::of).collect();
    let next_cursor = rest.next().and(items.last()).map(|last| last.id.to_string());
    Ok(HttpResponse::Ok().json(PageView { items, next_cursor }))
}

/// `DELETE /keys/{key}`; one that was revoked before stays so
pub async fn revoke(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    caller.check_admin()?;
    Query::of(&request)?.finish()?;
    let missing = || Problem::new(Code::KeyNotFound, "there is no such key");
    let id: Uuid = request.match_info().get("key").and_then(|text| text.parse().ok()).ok_or_else(missing)?;
    if state.keys.revoke(id, state.clock.now()).await? {
        tracing::info!(key.id = %id, by = %caller.owner, "A key was revoked.");
    } else if !state.keys.list().await?.iter().any(|key| key.id == id) {
        return Err(missing());
    }
    Ok(HttpResponse::NoContent().finish())
}
