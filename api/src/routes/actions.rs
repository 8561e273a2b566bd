//! Commands on a chat as it is: stop, compact, clear, answer what it waits for.

use actix_web::HttpRequest;
use actix_web::web::{Data, Payload};
use verbatim_events::command::Command;

use super::access::chat_to_write;
use super::commands::{accepted, run};
use super::{Answered, body};
use crate::auth::Caller;
use crate::state::AppState;
use crate::wire::request::{ApprovalsRequest, ToolResultsRequest, read_nothing};

/// `POST /chats/{chat}/interrupt`
pub async fn interrupt(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    without_words(state, request, caller, payload, Command::Interrupt).await
}

/// `POST /chats/{chat}/compact`
pub async fn compact(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    without_words(state, request, caller, payload, Command::RequestCompaction).await
}

/// `POST /chats/{chat}/clear`
pub async fn clear(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    without_words(state, request, caller, payload, Command::ClearContext).await
}

async fn without_words(
    state: Data<AppState>,
    request: HttpRequest,
    caller: Caller,
    payload: Payload,
    command: Command,
) -> Answered {
    let chat_id = chat_to_write(&state, &request, &caller).await?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    read_nothing(&body)?;
    let answer = run(&state, &request, &caller, chat_id, command, &body).await?;
    Ok(accepted(&state, &answer))
}

/// `POST /chats/{chat}/tool-results`
pub async fn tool_results(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let chat_id = chat_to_write(&state, &request, &caller).await?;
    let body = body::read(&request, payload, state.limits.tool_results_max_bytes).await?;
    let ToolResultsRequest { results } = ToolResultsRequest::read(&body)?;
    let answer = run(&state, &request, &caller, chat_id, Command::SubmitToolResults { results }, &body).await?;
    Ok(accepted(&state, &answer))
}

/// `POST /chats/{chat}/approvals`
pub async fn approvals(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let chat_id = chat_to_write(&state, &request, &caller).await?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    let ApprovalsRequest { decisions } = ApprovalsRequest::read(&body)?;
    let command = Command::DecideApprovals { decisions, by: caller.owner.clone() };
    let answer = run(&state, &request, &caller, chat_id, command, &body).await?;
    Ok(accepted(&state, &answer))
}
