//! The stream of a chat: its log, told to whoever listens.

pub mod cursor;
pub mod frames;
pub mod merge;
pub mod session;
pub mod snapshot;
pub mod socket;
pub mod story;
pub mod telling;

use std::convert::Infallible;

use actix_web::HttpResponse;
use actix_web::http::header;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use self::session::{Framing, Session};

/// Tells proxies not to hold back what is streamed.
const X_ACCEL_BUFFERING: &str = "x-accel-buffering";

/// The answer that a session is streamed in. The body is pulled: for a reader that does not read nothing is read, and it
/// falls out of its watch in the end. It ends when the key that opened it is revoked.
pub fn respond(session: Session, framing: Framing, revoked: CancellationToken) -> HttpResponse {
    streaming(framing, frames_of(session).map(Ok).take_until(revoked.cancelled_owned()))
}

/// A session's frames, one or more at a time.
pub fn frames_of(session: Session) -> impl Stream<Item = Bytes> {
    stream::unfold(session, |mut session| async move {
        let bytes = session.next().await?;
        Some((bytes, session))
    })
}

/// An answer whose body comes bit by bit.
pub fn streaming(framing: Framing, body: impl Stream<Item = Result<Bytes, Infallible>> + 'static) -> HttpResponse {
    let content_type = match framing {
        Framing::Events => "text/event-stream",
        Framing::Lines => "application/x-ndjson",
    };
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((X_ACCEL_BUFFERING, "no"))
        .streaming(body)
}
