//! Turns: what they were for, how they ended, what they took.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::Answered;
use super::access::chat_to_read;
use super::query::Query;
use crate::auth::Caller;
use crate::state::AppState;
use crate::wire::page::PageView;
use crate::wire::turn::TurnView;

/// `GET /chats/{chat}/turns`, the newest first
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let mut query = Query::of(&request)?;
    let limit = query.limit()?;
    let cursor = query.one("cursor")?;
    query.finish()?;
    let chat = chat_to_read(&state, &request, &caller).await?;
    let page = state.reads.turns(chat.id, limit, cursor.as_deref()).await?;
    let items = page.items.iter().map(TurnView::of).collect();
    Ok(HttpResponse::Ok().json(PageView { items, next_cursor: page.next_cursor }))
}
