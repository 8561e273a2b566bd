//! What is said of every HTTP request: a span, figures, one line. Never the query: it may hold a key.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use metrics::{counter, histogram};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::traces;

/// What a request to an address that is no route's is counted as.
const NO_ROUTE: &str = "none";

/// Middleware around everything. The duration is that until the answer begins: a stream's end says nothing of the server.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let began = Instant::now();
    let method = method_name(request.method());
    let path = request.path().to_owned();
    let span = tracing::debug_span!(
        "request",
        otel.kind = "server",
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        url.path = path,
        otel.status_code = Empty,
    );
    traces::place(&span, request.headers());
    let result = next.call(request).instrument(span.clone()).await;
    let (route, status) = match &result {
        Ok(response) => (response.request().match_pattern(), response.status()),
        Err(error) => (None, error.as_response_error().status_code()),
    };
    let route = route.unwrap_or_else(|| NO_ROUTE.to_owned());
    let (status, duration) = (status.as_u16(), began.elapsed());
    if !span.is_disabled() {
        traces::name(&span, format!("{method} {route}"));
        span.record("http.route", &route);
        span.record("http.response.status_code", status);
        if status >= 500 {
            span.record("otel.status_code", "ERROR");
        }
    }
    let duration_ms = duration.as_millis() as u64;
    tracing::debug!(parent: &span, http.method = method, http.path = path, http.status = status, duration_ms, "A request was answered.");
    histogram!("verbatim_http_request_duration_seconds", "route" => route.clone(), "method" => method).record(duration);
    let status = status.to_string();
    counter!("verbatim_http_requests_total", "route" => route, "method" => method, "status" => status).increment(1);
    result
}

/// A method's name. Callers may make up methods; there is one name for all of these.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
