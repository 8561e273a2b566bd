//! The HTTP server: routes, request logs, an orderly end.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App, HttpServer};

use crate::routes;
use crate::state::AppState;
use crate::telemetry::requests::observe;

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
    let server = HttpServer::new(move || App::new().wrap(from_fn(observe)).configure(configure(state.clone())))
        .disable_signals()
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(shutdown_s)
        .listen(listener)?
        .run();
    Ok(server)
}
