//! Idempotency keys: the same key with the same request is done once, however often it is sent.

use actix_web::HttpRequest;
use verbatim_actors::handle::IdempotencyKey;
use verbatim_events::ids::Digest;
use verbatim_events::limits::IDEMPOTENCY_KEY_MAX_BYTES;

use crate::error::Problem;

/// The request header with the key.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The answer header that says that the key was used before and nothing happened now.
pub const IDEMPOTENCY_REPLAYED: &str = "idempotency-replayed";

/// The key of a request, if it has one, bound to what the request asks for.
pub fn key_of(request: &HttpRequest, owner: &str, body: &[u8]) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::invalid("there is more than one Idempotency-Key header"));
    }
    let key = check(value.as_bytes())?;
    // The template names the route, the values in it say which chat and which message.
    let template = request.match_pattern().unwrap_or_else(|| request.path().to_owned());
    let places: Vec<&str> = request.match_info().iter().map(|(_, value)| value).collect();
    let request_hash = request_hash(request.method().as_str(), &template, &places, body);
    Ok(Some(IdempotencyKey { owner: owner.to_owned(), key, request_hash }))
}

fn check(bytes: &[u8]) -> Result<String, Problem> {
    let fits = (1..=IDEMPOTENCY_KEY_MAX_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(bytes) {
        Ok(text) if fits => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err(Problem::invalid(format!(
            "an Idempotency-Key is 1 to {IDEMPOTENCY_KEY_MAX_BYTES} visible ASCII characters"
        ))),
    }
}

/// SHA-256 over method, route template, the values in the path and the body as it came, each preceded by its length, so
/// that no two requests share their bytes.
fn request_hash(method: &str, template: &str, places: &[&str], body: &[u8]) -> Digest {
    let mut bytes = Vec::with_capacity(body.len() + 256);
    let mut field = |field: &[u8]| {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    };
    field(method.as_bytes());
    field(template.as_bytes());
    field(&(places.len() as u64).to_be_bytes());
    for place in places {
        field(place.as_bytes());
    }
    field(body);
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests;
