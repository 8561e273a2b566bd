//! The HTTP server: routes, request logs, an orderly end.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::dev::Server;
use actix_web::http::header;
use actix_web::middleware::{Condition, from_fn};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App, HttpServer};

use crate::config::{ANY_ORIGIN, HttpSettings};
use crate::idempotency::{IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED};
use crate::position::VERBATIM_POSITION;
use crate::routes;
use crate::state::AppState;
use crate::telemetry::requests::observe;

/// How long an idle connection is kept: longer than the pools of usual clients keep theirs, so that no request meets a
/// connection that is being closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a browser may remember what it was allowed, in seconds.
const PREFLIGHT_MAX_AGE_S: usize = 3600;

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

/// Which pages of other origins may ask, what they may send and what they may read. No cookies: a key goes in a header.
fn cors(http: &HttpSettings) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST", "PATCH", "PUT", "DELETE"])
        .allowed_headers(["authorization", "content-type", "last-event-id", "traceparent"])
        .allowed_headers([IDEMPOTENCY_KEY, VERBATIM_POSITION])
        .expose_headers([VERBATIM_POSITION, IDEMPOTENCY_REPLAYED])
        .expose_headers([header::RETRY_AFTER, header::LOCATION])
        .max_age(PREFLIGHT_MAX_AGE_S);
    http.allowed_origins.iter().fold(cors, |cors, origin| match origin.as_str() {
        ANY_ORIGIN => cors.allow_any_origin().send_wildcard(),
        origin => cors.allowed_origin(origin),
    })
}

/// Starts to serve on `listener`. Must be called within an actix system; the server runs while it is awaited or spawned.
///
/// To stop it, cancel `AppState::stopping` first: an open stream would hold a graceful stop until its time is up.
pub fn serve(listener: TcpListener, state: AppState) -> io::Result<Server> {
    let state = Data::new(state);
    let shutdown_s = shutdown_seconds(&state);
    let app = move || {
        let asked_from_elsewhere = Condition::new(!state.http.allowed_origins.is_empty(), cors(&state.http));
        App::new()
            .wrap(from_fn(routes::head::as_get))
            .wrap(asked_from_elsewhere)
            .wrap(from_fn(observe))
            .configure(configure(state.clone()))
    };
    let server = HttpServer::new(app)
        .disable_signals()
        // Small frames must not wait for the acknowledgement of the ones before them.
        .tcp_nodelay(true)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(shutdown_s)
        .listen(listener)?
        .run();
    Ok(server)
}
