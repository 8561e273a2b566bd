//! The streams over WebSockets, for those who cannot read server-sent events.

use actix_web::HttpRequest;
use actix_web::web::{Data, Payload};

use super::{Answered, stream, watch};
use crate::auth::Caller;
use crate::state::AppState;
use crate::stream::{self as streams, socket};
use crate::watch::session::View;

/// `GET /chats/{chat}/ws`
pub async fn chat(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let session = stream::begin(state.clone(), &request, &caller).await?;
    socket::open(state, &request, payload, streams::frames_of(session), caller.revoked)
}

/// `GET /watch/ws`
pub async fn watched(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let frames = watch::frames(state.clone(), &request, &caller, View::Chats).await?;
    socket::open(state, &request, payload, frames, caller.revoked)
}

/// `GET /inbox/watch/ws`
pub async fn inbox(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let frames = watch::frames(state.clone(), &request, &caller, View::Inbox).await?;
    socket::open(state, &request, payload, frames, caller.revoked)
}
