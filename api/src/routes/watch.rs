//! Watching all of one's chats.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Data;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

use super::Answered;
use super::query::Query;
use super::stream::last_event_id;
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::AppState;
use crate::stream::session::Framing;
use crate::stream::streaming;
use crate::watch::follower::Scope;
use crate::watch::session::WatchSession;

/// `GET /watch`. Auditors and administrators watch everybody's chats. Parameters nobody knows are let through: what reads
/// streams in a browser adds its own.
pub async fn open(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let frames = frames(state, &request, &caller).await?;
    Ok(streaming(Framing::Events, frames.map(Ok).take_until(caller.revoked.cancelled_owned())))
}

/// What a watcher is told.
pub(super) async fn frames(
    state: Data<AppState>,
    request: &HttpRequest,
    caller: &Caller,
) -> Result<impl Stream<Item = Bytes> + use<>, Problem> {
    let after = last_event_id(request, Query::of(request)?.one("after")?);
    let scope = if caller.reads_all() { Scope::All } else { Scope::Owner(Arc::from(caller.owner.as_str())) };
    let session = WatchSession::open(state, scope, after).await?;
    Ok(stream::unfold(session, |mut session| async move {
        let bytes = session.next().await?;
        Some((bytes, session))
    }))
}
