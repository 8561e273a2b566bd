//! HEAD: what GET would answer, without the body. Monitors and proxies ask so.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;

/// What the addresses of answers without an end are called. There is no head of these.
const ENDLESS: [&str; 3] = ["/stream", "/watch", "/ws"];

/// Middleware that lets routes which take GET take HEAD, too. The connection knows what was asked and keeps the body back.
pub async fn as_get(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let path = request.path();
    let ends = !ENDLESS.iter().any(|endless| path.ends_with(endless)) && !request.query_string().contains("follow");
    if request.method() == Method::HEAD && ends {
        request.head_mut().method = Method::GET;
    }
    next.call(request).await
}
