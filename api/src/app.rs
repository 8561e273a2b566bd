//! The HTTP server: routes, request logs, an orderly end.

use std::io;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App, HttpServer};

use crate::routes;
use crate::state::AppState;

/// How long an idle connection is kept: longer than the pools of usual clients keep theirs, so that no request meets a
/// connection that is being closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The largest part of a graceful stop that open requests may take, in whole seconds: the rest is for the chats.
fn shutdown_seconds(state: &AppState) -> u64 {
    (state.limits.shutdown_ms / 2).div_ceil(1000).max(1)
}

/// Registers the state and all routes.
pub fn configure(state: Data<AppState>) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config.app_data(state);
        routes::configure(config);
    }
}

/// Starts to serve on `listener`. Must be called within an actix system; the server runs while it is awaited or spawned.
///
/// To stop it, cancel `AppState::stopping` first: an open stream would hold a graceful stop until its time is up.
pub fn serve(listener: TcpListener, state: AppState) -> io::Result<Server> {
    let state = Data::new(state);
    let shutdown_s = shutdown_seconds(&state);
    let server = HttpServer::new(move || App::new().wrap(from_fn(log_request)).configure(configure(state.clone())))
        .disable_signals()
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(shutdown_s)
        .listen(listener)?
        .run();
    Ok(server)
}

/// One line per request. Never the query: it may hold a key.
async fn log_request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let begin = Instant::now();
    let method = request.method().clone();
    let path = request.path().to_owned();
    let response = next.call(request).await?;
    let status = response.status().as_u16();
    let duration_ms = begin.elapsed().as_millis() as u64;
    tracing::debug!(http.method = %method, http.path = %path, http.status = status, duration_ms, "A request was answered.");
    Ok(response)
}
