//! The contract, for programs and for people. Both answers are the same for everybody, so neither needs a key.

use actix_web::HttpResponse;
use actix_web::http::header;

use crate::openapi;

/// The page that shows the document. It loads nothing but the document from the same server.
const PAGE: &str = include_str!("contract.html");

/// What the page may do: run what stands in it and ask the server that it is from.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /openapi.json`
pub async fn document() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(openapi::text())
}

/// `GET /docs`
pub async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(PAGE)
}
