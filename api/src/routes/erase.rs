//! Erasing a chat.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use uuid::Uuid;
use verbatim_actors::handle::Meta;
use verbatim_events::envelope::Actor;

use super::access::chat_to_write;
use super::commands::answered;
use super::query::Query;
use super::{Answered, body};
use crate::auth::Caller;
use crate::erasure::{Asked, EraseError};
use crate::error::{Code, Problem};
use crate::idempotency::key_of;
use crate::state::AppState;
use crate::telemetry::traces::trace_id;
use crate::wire::request::read_nothing;

impl From<EraseError> for Problem {
    fn from(error: EraseError) -> Problem {
        match error {
            EraseError::Refused(error) => error.into(),
            EraseError::Vault(error) => error.into(),
            EraseError::NotSealed => Problem::new(
                Code::NotSealed,
                "the chat, or one below it, began while chats were not sealed, so its words cannot be taken out of the log; \
                 keep_events=true erases everything else and leaves them there, for who reads the log alone",
            ),
        }
    }
}

/// `DELETE /chats/{chat}`: its content and its descendants'. With `keep_events=true` also a chat whose events are stored
/// as they are: they stay in the log.
pub async fn delete(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let chat_id = chat_to_write(&state, &request, &caller).await?;
    let mut query = Query::of(&request)?;
    let keep_events = query.boolean("keep_events")?.unwrap_or(false);
    query.finish()?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    read_nothing(&body)?;
    let meta = Meta {
        actor: Actor::User(caller.owner.clone()),
        command_id: Uuid::now_v7(),
        idempotency: key_of(&request, &caller.owner, &body)?,
        trace_id: trace_id(request.headers()),
    };
    let answer =
        state.eraser.erase(chat_id, meta, Asked { by: caller.owner.clone(), reason: None, keep_events }).await?;
    tracing::info!(chat.id = %chat_id, by = %caller.owner, "A chat was erased on request.");
    Ok(answered(&state, &answer, StatusCode::NO_CONTENT).finish())
}
