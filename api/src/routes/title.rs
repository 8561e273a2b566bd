//! Titles that a model writes because somebody asks for one.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;
use verbatim_actors::background::WordsError;
use verbatim_events::command::Command;
use verbatim_events::error::ErrorKind;

use super::access::chat_to_write;
use super::chats::as_of;
use super::commands::{answered, run, was_answered};
use super::{Answered, body};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::wire::chat::ChatView;
use crate::wire::request::read_nothing;

/// When to ask again, in ms, while too many titles are being written.
const CROWDED_RETRY_MS: u64 = 1000;

/// A title that no chat has yet: `{title}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProposedTitle)]
pub(crate) struct ProposedTitleView {
    /// The title.
    title: String,
}

/// `POST /chats/{chat}/title/propose`: the chat keeps the title it has
pub async fn propose(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let chat_id = chat_to_write(&state, &request, &caller).await?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    read_nothing(&body)?;
    let title = state.handle.propose_title(chat_id).await??;
    Ok(HttpResponse::Ok().json(ProposedTitleView { title }))
}

/// `POST /chats/{chat}/title/regenerate`: the chat has another title, whoever wrote the one before
pub async fn regenerate(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let chat_id = chat_to_write(&state, &request, &caller).await?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    read_nothing(&body)?;
    // A key that is told again says what it said first, and no model is asked.
    let title = if was_answered(&state, &request, &caller, &body).await? {
        String::new()
    } else {
        state.handle.propose_title(chat_id).await??
    };
    let answer = run(&state, &request, &caller, chat_id, Command::Retitle { title }, &body).await?;
    let outline = as_of(&state, &answer).await?;
    let default_model = state.default_model();
    Ok(answered(&state, &answer, StatusCode::OK).json(ChatView::of(&outline, default_model.as_deref())))
}

impl From<WordsError> for Problem {
    fn from(error: WordsError) -> Problem {
        let detail = error.to_string();
        match error {
            WordsError::NothingSaid => Problem::new(Code::NotAllowed, detail),
            WordsError::Crowded => Problem::new(Code::Busy, detail).retry_after_ms(CROWDED_RETRY_MS),
            WordsError::Model(error) if error.kind == ErrorKind::UsageLimit => Problem::new(Code::UsageLimit, detail),
            WordsError::Model(_) | WordsError::Unusable => Problem::new(Code::ModelFailed, detail),
            WordsError::TooLate { .. } => Problem::new(Code::ModelTimeout, detail),
            WordsError::Stopping => Problem::new(Code::Stopping, detail),
        }
    }
}
