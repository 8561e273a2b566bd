//! Figures for Prometheus.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, dev};

use super::Answered;
use crate::auth::Caller;
use crate::state::AppState;
use crate::telemetry::metrics::{CONTENT_TYPE, render};

/// `GET /metrics`: for any valid key, or for everybody where the settings say so.
pub async fn read(state: Data<AppState>, request: HttpRequest) -> Answered {
    if !state.metrics_open {
        Caller::from_request(&request, &mut dev::Payload::None).await?;
    }
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, CONTENT_TYPE)).body(render(&state)))
}
