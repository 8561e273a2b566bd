//! Watching all of one's chats, or one's inbox.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Data;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, future, stream};

use super::Answered;
use super::query::Query;
use super::stream::last_event_id;
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::stream::session::Framing;
use crate::stream::streaming;
use crate::watch::follower::Scope;
use crate::watch::session::{View, Viewer, WatchSession};

/// Begins every stream: how long a reader waits before it comes back, in ms. What readers do on their own differs, and some wait
/// for long.
const RETRY: &[u8] = b"retry: 1000\n\n";

/// `GET /watch`. Auditors and administrators watch everybody's chats. Parameters nobody knows are let through: what reads
/// streams in a browser adds its own.
pub async fn open(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    stream(state, &request, caller, View::Chats).await
}

/// A stream of server-sent events.
pub(super) async fn stream(state: Data<AppState>, request: &HttpRequest, caller: Caller, view: View) -> Answered {
    let retry = stream::once(future::ready(Bytes::from_static(RETRY)));
    let revoked = caller.revoked.clone();
    let frames = match frames(state, request, &caller, view).await {
        Ok(frames) => frames.left_stream(),
        // Browsers never come back after an answer that is no stream. One that ends at once brings them back.
        Err(problem) if passes(problem.code) => stream::empty().right_stream(),
        Err(problem) => return Err(problem),
    };
    Ok(streaming(Framing::Events, retry.chain(frames).map(Ok).take_until(revoked.cancelled_owned())))
}

/// Whether coming back helps.
fn passes(code: Code) -> bool {
    code.status() == 503
}

/// What a watcher is told.
pub(super) async fn frames(
    state: Data<AppState>,
    request: &HttpRequest,
    caller: &Caller,
    view: View,
) -> Result<impl Stream<Item = Bytes> + use<>, Problem> {
    let after = last_event_id(request, Query::of(request)?.one("after")?);
    let owner: Arc<str> = Arc::from(caller.owner.as_str());
    let scope = if caller.reads_all() { Scope::All } else { Scope::Owner(Arc::clone(&owner)) };
    let session = WatchSession::open(state, Viewer { owner, scope, view }, after).await?;
    Ok(stream::unfold(session, |mut session| async move {
        let bytes = session.next().await?;
        Some((bytes, session))
    }))
}
