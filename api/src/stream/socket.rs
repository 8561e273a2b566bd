//! The same frames over a WebSocket: each server-sent event as one JSON text `{event, id?, data}`.
//!
//! What a client says counts for nothing but signs of life: work is created by POST only.

use std::cell::Cell;
use std::rc::Rc;

use actix_web::error::PayloadError;
use actix_web::web::{Data, Payload};
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, dev, rt};
use actix_ws::{CloseCode, CloseReason, Message, ProtocolError};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use verbatim_actors::clock::Clock;

use crate::error::Problem;
use crate::state::AppState;

/// The longest frame that a client may send, in bytes: it has nothing to say but pings, pongs and farewells.
const FRAME_MAX_BYTES: usize = 4096;

/// What a client may send before a frame of it is whole, in bytes. The parser looks at a frame's length only once it has all
/// of it, and keeps what it has until then. One read of the connection may hold many frames.
const UNHEARD_MAX_BYTES: usize = 256 * 1024;

/// How long a client may take to read one frame before it is cut; it resumes by its last id.
const SEND_TIMEOUT_MS: u64 = 15 * 1000;

#[derive(Serialize)]
struct Envelope<'a> {
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    data: &'a RawValue,
}

/// Opens a WebSocket and sends what `frames` says until one side has enough, the key is revoked or the server stops.
/// `frames` are server-sent events, one or more at a time.
pub fn open(
    state: Data<AppState>,
    request: &HttpRequest,
    payload: Payload,
    frames: impl Stream<Item = Bytes> + 'static,
    revoked: CancellationToken,
) -> Result<HttpResponse, Problem> {
    let unheard = Rc::new(Cell::new(0));
    let (response, session, messages) = bounded(request, payload, &unheard)
        .and_then(|payload| actix_ws::handle(request, payload))
        .map_err(|_| Problem::invalid("this address takes WebSockets; there is a stream of server-sent events, too"))?;
    let messages = messages.max_frame_size(FRAME_MAX_BYTES);
    rt::spawn(async move {
        let mut session = session;
        let messages = messages.inspect(|_| unheard.set(0));
        let farewell = tell(&state, &mut session, messages, frames, revoked).await;
        if let Some((code, reason)) = farewell {
            let reason = CloseReason { code, description: Some(reason.to_owned()) };
            // Whoever is gone already needs no farewell, and nobody waits for one that cannot be sent.
            sent(&*state.clock, session.close(Some(reason))).await;
        }
    });
    Ok(response)
}

/// What a client sends, cut off where it sends too much without a whole frame; `unheard` counts.
fn bounded(request: &HttpRequest, payload: Payload, unheard: &Rc<Cell<usize>>) -> actix_web::Result<Payload> {
    let unheard = Rc::clone(unheard);
    let bounded = payload.into_inner().map(move |chunk| {
        let chunk = chunk?;
        unheard.set(unheard.get().saturating_add(chunk.len()));
        if unheard.get() > UNHEARD_MAX_BYTES { Err(PayloadError::Overflow) } else { Ok(chunk) }
    });
    Payload::from_request(request, &mut dev::Payload::Stream { payload: Box::pin(bounded) }).into_inner()
}

/// Sends until there is a reason to stop: what to say at the end, if anybody listens.
async fn tell(
    state: &AppState,
    session: &mut actix_ws::Session,
    messages: impl Stream<Item = Result<Message, ProtocolError>>,
    frames: impl Stream<Item = Bytes>,
    revoked: CancellationToken,
) -> Option<(CloseCode, &'static str)> {
    let (mut messages, mut frames) = (std::pin::pin!(messages), std::pin::pin!(frames));
    loop {
        tokio::select! {
            biased;
            () = state.stopping.cancelled() => return Some((CloseCode::Away, "the server is stopping")),
            () = revoked.cancelled() => return Some((CloseCode::Policy, "the key was revoked")),
            message = messages.next() => match message {
                None | Some(Ok(Message::Close(_))) => return Some((CloseCode::Normal, "")),
                Some(Ok(Message::Ping(bytes))) => sent(&*state.clock, session.pong(&bytes)).await?,
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::debug!(%error, "A WebSocket said something that is none of its protocol.");
                    return Some((CloseCode::Protocol, "this is not understood"));
                }
            },
            bytes = frames.next() => match bytes {
                // The stream has ended: the reader was too slow, or the log did not answer.
                None => return Some((CloseCode::Again, "come back with the last id")),
                Some(bytes) => for text in envelopes(&bytes) {
                    sent(&*state.clock, session.text(text)).await?;
                },
            },
        }
    }
}

/// Whether something went out in time. A client that does not read is left without a word: it would not read that either.
async fn sent(clock: &dyn Clock, sending: impl Future<Output = Result<(), actix_ws::Closed>>) -> Option<()> {
    tokio::select! {
        biased;
        sent = sending => sent.ok(),
        () = clock.sleep_ms(SEND_TIMEOUT_MS) => None,
    }
}

/// Server-sent events as JSON texts.
fn envelopes(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.split_terminator("\n\n").filter_map(envelope).collect()
}

fn envelope(frame: &str) -> Option<String> {
    let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
    let data: &RawValue = serde_json::from_str(field("data: ")?).ok()?;
    serde_json::to_string(&Envelope { event: field("event: ")?, id: field("id: "), data }).ok()
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use support::clock::ManualClock;

    use super::*;
    use crate::stream::frames;

    #[actix_web::test]
    async fn a_client_that_does_not_read_is_left_in_time() {
        let clock = ManualClock::default();
        let mut waits = std::pin::pin!(sent(&clock, std::future::pending()));
        assert!(poll!(&mut waits).is_pending());
        clock.advance_ms(SEND_TIMEOUT_MS - 1);
        assert!(poll!(&mut waits).is_pending(), "it may take all of its time");
        clock.advance_ms(1);
        assert_eq!(waits.await, None);
        assert_eq!(sent(&clock, async { Ok(()) }).await, Some(()));
        assert_eq!(sent(&clock, async { Err(actix_ws::Closed) }).await, None);
    }

    #[test]
    fn frames_are_the_same_as_json() {
        let first = frames::sse("part", Some(&"4-4-1"), &serde_json::json!({"text": "a\n\nid: 7\n"}));
        let second = frames::sse("heartbeat", None, &serde_json::json!({"at": 1}));
        assert_eq!(
            envelopes(&frames::join(&[first, second])),
            [
                r#"{"event":"part","id":"4-4-1","data":{"text":"a\n\nid: 7\n"}}"#,
                r#"{"event":"heartbeat","data":{"at":1}}"#
            ]
        );
    }
}
