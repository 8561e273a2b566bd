//! Commands: one way from a request to a chat and back.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use verbatim_actors::handle::{Answer, Meta, SendError};
use verbatim_events::chat::Status;
use verbatim_events::command::Command;
use verbatim_events::envelope::Actor;
use verbatim_events::ids::{ChatId, MessageId, QueuedId, TurnId, Version};

use crate::auth::Caller;
use crate::error::Problem;
use crate::idempotency::{IDEMPOTENCY_REPLAYED, key_of};
use crate::position::{VERBATIM_POSITION, encode};
use crate::state::AppState;
use crate::telemetry::traces::trace_id;
use crate::wire::words;

/// Sends a command in a request's name.
pub async fn run(
    state: &AppState,
    request: &HttpRequest,
    caller: &Caller,
    chat_id: ChatId,
    command: Command,
    body: &[u8],
) -> Result<Answer, Problem> {
    let meta = Meta {
        actor: Actor::User(caller.owner.clone()),
        command_id: Uuid::now_v7(),
        idempotency: key_of(request, &caller.owner, body)?,
        trace_id: trace_id(request.headers()),
    };
    // Concerns the whole family where the command does, else the chat alone.
    Ok(state.handle.send_family(chat_id, command, meta).await?)
}

/// Refuses a model that is not configured, unless the request was answered before: a key that is told again says what it
/// said first, whatever has become of the model.
pub async fn check_model(
    state: &AppState,
    request: &HttpRequest,
    caller: &Caller,
    body: &[u8],
    model: Option<&str>,
) -> Result<(), Problem> {
    let Err(problem) = state.check_model("/model", model) else { return Ok(()) };
    if was_answered(state, request, caller, body).await? { Ok(()) } else { Err(problem) }
}

/// Whether a request's idempotency key was answered before: then what it says is judged by that answer alone.
pub async fn was_answered(
    state: &AppState,
    request: &HttpRequest,
    caller: &Caller,
    body: &[u8],
) -> Result<bool, Problem> {
    let Some(key) = key_of(request, &caller.owner, body)? else { return Ok(false) };
    let receipt = state.log.receipt(&key.owner, &key.key).await.map_err(SendError::from)?;
    Ok(receipt.is_some())
}

/// An answer to a mutation, with its position and whether it was only told again.
pub fn answered(state: &AppState, answer: &Answer, status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((VERBATIM_POSITION, encode(state.log.timeline(), answer.position)));
    if answer.replayed {
        response.insert_header((IDEMPOTENCY_REPLAYED, "true"));
    }
    response
}

/// What a command achieved: `{chat_id, version, position, status, message_id?, queued_id?, turn_id?, withdrawn?}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Accepted)]
pub(crate) struct AcceptedView<'a> {
    #[schema(value_type = words::ChatId)]
    chat_id: ChatId,
    #[schema(value_type = u64)]
    version: Version,
    position: String,
    #[schema(value_type = words::Status)]
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    message_id: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    queued_id: Option<QueuedId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    turn_id: Option<TurnId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<u64>>)]
    withdrawn: Option<&'a [MessageId]>,
}

/// 202 with what a command achieved.
pub fn accepted(state: &AppState, answer: &Answer) -> HttpResponse {
    accepted_with(state, answer, (!answer.outcome.withdrawn.is_empty()).then_some(&answer.outcome.withdrawn))
}

/// 202 with what an edit achieved: the withdrawn messages are told even where there are none.
pub fn accepted_edit(state: &AppState, answer: &Answer) -> HttpResponse {
    accepted_with(state, answer, Some(&answer.outcome.withdrawn))
}

fn accepted_with(state: &AppState, answer: &Answer, withdrawn: Option<&[MessageId]>) -> HttpResponse {
    let outcome = &answer.outcome;
    answered(state, answer, StatusCode::ACCEPTED).json(AcceptedView {
        chat_id: outcome.chat_id,
        version: outcome.version,
        position: encode(state.log.timeline(), answer.position),
        status: outcome.status,
        message_id: outcome.message_id,
        queued_id: outcome.queued_id,
        turn_id: outcome.turn_id,
        withdrawn,
    })
}
