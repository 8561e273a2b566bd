//! The read models' own state, and making them anew.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use verbatim_projections::{
    PoisonPolicy, ReadError, RebuildPhase, RebuildProgress, RebuildReport, RebuildRequest, Verify,
};

use super::Answered;
use super::query::Query;
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::position;
use crate::state::AppState;
use crate::stream::frames;
use crate::stream::telling::tell;
use crate::wire::page::PageView;

/// In place of a projection's name: all of them.
const ALL: &str = "all";

/// A read model: `{name, generation, position, lag_events, lag_ms, stale?, rebuild?}`.
#[derive(Serialize, ToSchema)]
#[schema(as = Projection)]
pub(crate) struct ProjectionView {
    /// Its name.
    name: &'static str,
    /// The number of the build that is read.
    generation: u64,
    /// How far it is; opaque.
    position: String,
    /// Events of the log that are not in it yet.
    lag_events: u64,
    /// How long the oldest of them has waited, in ms.
    lag_ms: u64,
    /// Why it has to be built anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<String>,
    /// The rebuild under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuild: Option<ProgressView>,
}

/// Where a rebuild stands: `{phase, generation, events_done, events_total, rows_compared}`.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = RebuildProgress)]
pub(crate) struct ProgressView {
    phase: &'static str,
    generation: u64,
    events_done: u64,
    events_total: u64,
    rows_compared: u64,
}

/// What a rebuild came to: `{generation, events, rows_compared, dead_letters}`.
#[derive(Serialize, ToSchema)]
#[schema(as = RebuildReport)]
pub(crate) struct ReportView {
    generation: u64,
    events: u64,
    rows_compared: u64,
    dead_letters: u64,
}

/// Why a rebuild failed: `{detail}`.
#[derive(Serialize, ToSchema)]
#[schema(as = RebuildFailure)]
pub(crate) struct FailureView {
    detail: String,
}

impl ProgressView {
    fn of(progress: &RebuildProgress) -> ProgressView {
        ProgressView {
            phase: match &progress.phase {
                RebuildPhase::Idle => "idle",
                RebuildPhase::Building => "building",
                RebuildPhase::Verifying => "verifying",
                RebuildPhase::Done => "done",
                RebuildPhase::Failed(_) => "failed",
            },
            generation: progress.generation,
            events_done: progress.applied,
            events_total: progress.head,
            rows_compared: progress.rows_compared,
        }
    }
}

fn is_running(progress: &RebuildProgress) -> bool {
    matches!(progress.phase, RebuildPhase::Building | RebuildPhase::Verifying)
}

/// `GET /projections`: `{items: [{name, generation, position, lag_events, lag_ms, stale?, rebuild?}]}`
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    caller.check_audit()?;
    Query::of(&request)?.finish()?;
    let lag = state.reads.lag(state.clock.now());
    let stale = state.reads.stale().map(|reason| reason.to_string());
    let progress = state.reads.rebuild_progress().borrow().clone();
    let rebuild = is_running(&progress).then(|| ProgressView::of(&progress));
    let items = state
        .reads
        .projection_names()
        .into_iter()
        .map(|name| ProjectionView {
            name,
            generation: state.reads.generation(),
            position: position::encode(state.log.timeline(), lag.applied),
            lag_events: lag.events,
            lag_ms: lag.age_ms,
            stale: stale.clone(),
            rebuild: rebuild.clone(),
        })
        .collect();
    Ok(HttpResponse::Ok().json(PageView::<ProjectionView> { items, next_cursor: None }))
}

/// `POST /projections/{name}/rebuild`, `all` for all: server-sent events `progress` …, then `done` or `failed`. With
/// `verify=true` every row is compared with the live one before it takes its place. A reader that goes away stops nothing.
pub async fn rebuild(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    caller.check_admin()?;
    let mut query = Query::of(&request)?;
    let verify = if query.boolean("verify")?.unwrap_or(false) { Verify::Compare } else { Verify::Trust };
    query.finish()?;
    let name = request.match_info().get("name").unwrap_or_default();
    let names = state.reads.projection_names();
    if name != ALL && !names.contains(&name) {
        let known = names.join(", ");
        let detail = format!("there is no projection {name:?}; there are {known}, and \"all\"");
        return Err(Problem::new(Code::ProjectionNotFound, detail));
    }
    let progress = state.reads.rebuild_progress();
    if is_running(&progress.borrow()) {
        return Err(Problem::new(Code::AlreadyRunning, "a rebuild is under way already"));
    }
    let projections = if name == ALL { Vec::new() } else { vec![name.to_owned()] };
    let rebuild = RebuildRequest { projections, verify, on_poison: PoisonPolicy::Fail };
    let reads = state.reads.clone();
    let work = async move { reads.rebuild(rebuild).await };
    Ok(tell(state, progress, work, ProgressView::of, told))
}
fn told(report: Result<RebuildReport, ReadError>) -> Bytes {
    match report {
        Ok(report) => frames::sse(
            "done",
            None,
            &ReportView {
                generation: report.generation,
                events: report.events,
                rows_compared: report.rows_compared,
                dead_letters: report.dead_letters,
            },
        ),
        Err(error) => {
            // Its reader is an administrator, and what differs or cannot be applied is what it must know.
            tracing::error!(%error, "A rebuild of the read models failed.");
            frames::sse("failed", None, &FailureView { detail: error.to_string() })
        }
    }
}
