//! Ties the server's spans to traces that began elsewhere. Without an exporter nothing is tied, and nothing costs.

use actix_web::http::header::HeaderMap;
use tracing::Span;

use super::traceparent::TraceParent;

/// The id of the trace that a request belongs to: the caller's, else, where traces are exported, one that was made for it.
/// To be asked while the request's own span is the current one.
pub fn trace_id(headers: &HeaderMap) -> Option<String> {
    made().or_else(|| TraceParent::of(headers).map(|parent| parent.trace_id()))
}

#[cfg(feature = "otel")]
fn made() -> Option<String> {
    super::export::trace_id(&Span::current())
}

#[cfg(not(feature = "otel"))]
fn made() -> Option<String> {
    None
}

/// Gives a span the name that it is exported by; a name that was known when it began is a field of it instead.
pub(super) fn name(span: &Span, name: String) {
    #[cfg(feature = "otel")]
    if super::export::is_on() {
        super::export::name(span, name);
    }
    #[cfg(not(feature = "otel"))]
    let _ = (span, name);
}

/// Places a span below the step that sent a request.
pub(super) fn place(span: &Span, headers: &HeaderMap) {
    #[cfg(feature = "otel")]
    if super::export::is_on()
        && let Some(parent) = TraceParent::of(headers)
    {
        super::export::place(span, &parent);
    }
    #[cfg(not(feature = "otel"))]
    let _ = (span, headers);
}
