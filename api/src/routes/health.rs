//! Whether the process lives, and whether it can serve.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::AppState;

/// How long a look at the log or the read models may take before it counts as failed.
const PATIENCE: Duration = Duration::from_millis(1000);

/// How the server is: `{status, reasons?}`.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct HealthView {
    /// `ok`, `ready` or `not_ready`.
    status: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
}

/// `GET /healthz`: the process answers.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(HealthView { status: "ok", reasons: Vec::new() })
}

/// `GET /readyz`: the log answers and the read models keep up with it.
pub async fn readyz(state: Data<AppState>) -> HttpResponse {
    let mut reasons = Vec::new();
    if state.stopping.is_cancelled() {
        reasons.push("the server is stopping");
    }
    match tokio::time::timeout(PATIENCE, state.log.head()).await {
        Ok(Ok(head)) => {
            if state.reads.stale().is_some() || state.reads.wait_until(head, PATIENCE).await.is_err() {
                reasons.push("the read models are behind the log");
            }
        }
        Ok(Err(_)) | Err(_) => reasons.push("the log does not answer"),
    }
    if reasons.is_empty() {
        HttpResponse::Ok().json(HealthView { status: "ready", reasons })
    } else {
        HttpResponse::ServiceUnavailable().json(HealthView { status: "not_ready", reasons })
    }
}
