//! Request bodies: bounded; JSON, unless they are files.

use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt;

use crate::error::{Code, Problem};

/// How much of a body that is too large is read and thrown away, so that the client gets to read why instead of a broken
/// connection. A client that sends more than this is cut off.
const DRAIN_MAX_BYTES: usize = 8 * 1024 * 1024;

/// How long a body may take to arrive: a client that never ends its request must not hold a connection for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads a JSON body of at most `max_bytes`. An empty one needs no media type.
pub async fn read(request: &HttpRequest, payload: Payload, max_bytes: usize) -> Result<Bytes, Problem> {
    let body = read_raw(request, payload, max_bytes).await?;
    if !body.is_empty() && !is_json(request) {
        return Err(Problem::new(Code::UnsupportedMediaType, "send the body as application/json"));
    }
    Ok(body)
}

/// Reads a body of at most `max_bytes`, whatever it is.
pub async fn read_raw(request: &HttpRequest, payload: Payload, max_bytes: usize) -> Result<Bytes, Problem> {
    if encoded(request) {
        return Err(Problem::new(Code::UnsupportedMediaType, "send the body as it is, without a content-encoding"));
    }
    // Not worth waiting for: it would be cut off anyway.
    if announced_bytes(request).is_some_and(|bytes| bytes > max_bytes.saturating_add(DRAIN_MAX_BYTES) as u64) {
        return Err(too_large(max_bytes));
    }
    tokio::time::timeout(PATIENCE, collect(payload, max_bytes))
        .await
        .map_err(|_| Problem::invalid("the body did not arrive in time"))?
}

async fn collect(mut payload: Payload, max_bytes: usize) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    let mut seen_bytes = 0;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::invalid("the body ended before its time"))?;
        seen_bytes += chunk.len();
        if seen_bytes <= max_bytes {
            body.extend_from_slice(&chunk);
        } else {
            // What is known to be too large need not be kept.
            body = BytesMut::new();
            if seen_bytes > max_bytes.saturating_add(DRAIN_MAX_BYTES) {
                break;
            }
        }
    }
    if seen_bytes > max_bytes {
        return Err(too_large(max_bytes));
    }
    Ok(body.freeze())
}

fn too_large(max_bytes: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body must have at most {max_bytes} bytes"))
}

/// How long the body is said to be.
fn announced_bytes(request: &HttpRequest) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body is said to be compressed.
fn encoded(request: &HttpRequest) -> bool {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The media type is JSON, or not said.
fn is_json(request: &HttpRequest) -> bool {
    if !request.headers().contains_key(header::CONTENT_TYPE) {
        return true;
    }
    let media_type = request.content_type().trim().to_ascii_lowercase();
    media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}
