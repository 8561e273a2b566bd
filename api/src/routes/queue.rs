//! The messages that wait.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use verbatim_events::command::Command;
use verbatim_events::ids::QueuedId;

use super::access::{chat_to_read, chat_to_write, number};
use super::commands::{accepted, answered, run};
use super::query::Query;
use super::{Answered, body};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::wire::message::QueuedView;
use crate::wire::page::PageView;
use crate::wire::request::read_nothing;

/// `GET /chats/{chat}/queue`, the next one first; a queue is short, so it is always whole.
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    Query::of(&request)?.finish()?;
    let chat = chat_to_read(&state, &request, &caller).await?;
    let queue = state.reads.queue(chat.id).await?;
    let items: Vec<_> = queue.iter().map(QueuedView::of).collect();
    Ok(HttpResponse::Ok().json(PageView { items, next_cursor: None }))
}

/// `DELETE /chats/{chat}/queue/{queued}`
pub async fn delete(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let chat_id = chat_to_write(&state, &request, &caller).await?;
    let queued_id = queued_id(&request)?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    read_nothing(&body)?;
    let answer = run(&state, &request, &caller, chat_id, Command::DeleteQueued { queued_id }, &body).await?;
    Ok(answered(&state, &answer, StatusCode::NO_CONTENT).finish())
}

/// `POST /chats/{chat}/queue/{queued}/promote`
pub async fn promote(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let chat_id = chat_to_write(&state, &request, &caller).await?;
    let queued_id = queued_id(&request)?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    read_nothing(&body)?;
    let answer = run(&state, &request, &caller, chat_id, Command::PromoteQueued { queued_id }, &body).await?;
    Ok(accepted(&state, &answer))
}

fn queued_id(request: &HttpRequest) -> Result<QueuedId, Problem> {
    number(request, "queued", Code::QueuedMessageNotFound, "no such message waits in this chat")
}
