//! The whole log, for those who may read all of it: checked, or told event by event.

use std::convert::Infallible;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Data;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use utoipa::ToSchema;
use verbatim_events::ids::{ChatId, Position, Version};
use verbatim_events::log::{BoxFuture, LogError};

use super::Answered;
use super::query::Query;
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::position;
use crate::state::AppState;
use crate::stream::session::Framing;
use crate::stream::telling::tell;
use crate::stream::{frames, streaming};
use crate::verify::{LogAudit, audit_log};
use crate::wire::raw::RawView;
use crate::wire::words;

/// Events of the log that are read at once.
const PAGE_EVENTS: usize = 500;

/// Where an audit stands: `{events_done, events_total}`; every event is read twice.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditProgress)]
pub(crate) struct AuditProgressView {
    events_done: u64,
    events_total: u64,
}

/// What an audit found: `{clean, events, chats, position, finding?}`.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditReport)]
pub(crate) struct AuditReportView {
    /// Nothing is wrong.
    clean: bool,
    /// Events that were read.
    events: u64,
    /// Chats that they belong to.
    chats: u64,
    /// Where the log ended when the audit began; opaque. Later events were not looked at.
    position: String,
    /// The first bad event.
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<FindingView>,
}

/// What is wrong, and where: `{position, chat_id?, version?, problem}`.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditFinding)]
pub(crate) struct FindingView {
    /// Where in the log; opaque.
    position: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::ChatId>)]
    chat_id: Option<ChatId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    version: Option<Version>,
    problem: String,
}

/// Why an audit could not be done: `{detail}`.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditFailure)]
pub(crate) struct AuditFailureView {
    detail: String,
}

/// `POST /audit/verify`: server-sent events `progress` …, then `done` or `failed`. It stops if its reader goes away.
pub async fn verify(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    caller.check_audit()?;
    Query::of(&request)?.finish()?;
    let permit = Arc::clone(&state.audits).try_acquire_owned().map_err(|_| {
        Problem::new(Code::AlreadyRunning, "as many audits as the server does at once are under way already")
    })?;
    // Every event is read twice: in the log's order, and in its chat's.
    let (said, progress) = watch::channel((0, 2 * state.log.head().await?));
    let (log, timeline) = (Arc::clone(&state.log), state.log.timeline());
    // Hashing and folding a whole log is no work for the threads that answer requests.
    let audit = AbortOnDropHandle::new(state.runtime.spawn(async move {
        let _permit = permit;
        audit_log(log.as_ref(), |done| said.send_modify(|progress| progress.0 = done)).await
    }));
    let work = async move {
        match audit.await {
            Ok(Ok(audit)) => Ok(report(&audit, |position| position::encode(timeline, position))),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(LogError::Unavailable(error.to_string())),
        }
    };
    let shown = |(events_done, events_total): &(u64, u64)| AuditProgressView {
        events_done: *events_done,
        events_total: *events_total,
    };
    Ok(tell(state, progress, work, shown, told))
}

fn report(audit: &LogAudit, opaque: impl Fn(Position) -> String) -> AuditReportView {
    AuditReportView {
        clean: audit.finding.is_none(),
        events: audit.events,
        chats: audit.chats,
        position: opaque(audit.head),
        finding: audit.finding.as_ref().map(|finding| FindingView {
            position: opaque(finding.position),
            chat_id: finding.chat_id,
            version: finding.version,
            problem: finding.problem.clone(),
        }),
    }
}

fn told(report: Result<AuditReportView, LogError>) -> Bytes {
    match report {
        Ok(report) => frames::sse("done", None, &report),
        Err(error) => {
            tracing::error!(%error, "An audit of the log failed.");
            let detail = "the log could not be read to its end; the server's log says why".to_owned();
            frames::sse("failed", None, &AuditFailureView { detail })
        }
    }
}

/// `GET /log`: every event of every chat with its envelope, one JSON text a line, in the log's order. `after` is the
/// `position` of an event, or 0 for all; with `follow=true` the answer does not end, and an empty line says that it is alive.
pub async fn log(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    caller.check_audit()?;
    let mut query = Query::of(&request)?;
    let timeline = state.log.timeline();
    let after = match query.one("after")?.as_deref() {
        // Before the first event, as everywhere.
        None | Some("0") => 0,
        Some(text) => position::decode(timeline, text)
            .map_err(|_| Problem::invalid("after must be the position of an event, or 0"))?,
    };
    let follow = query.boolean("follow")?.unwrap_or(false);
    query.finish()?;
    let until = if follow { None } else { Some(state.log.head().await?) };
    let heartbeat = beat_in(&state);
    let telling = Lines { state, at: after, until, heartbeat };
    let lines = stream::unfold(telling, |mut lines| async move {
        let bytes = lines.next().await?;
        Some((Ok::<_, Infallible>(bytes), lines))
    });
    Ok(streaming(Framing::Lines, Box::pin(lines.take_until(caller.revoked.clone().cancelled_owned()))))
}

/// When the next sign of life is due.
fn beat_in(state: &AppState) -> BoxFuture<'static, ()> {
    state.clock.sleep_ms(state.limits.heartbeat_ms.max(1))
}

/// The log as lines.
struct Lines {
    state: Data<AppState>,
    at: Position,
    /// The last position that is told; none where it does not end.
    until: Option<Position>,
    heartbeat: BoxFuture<'static, ()>,
}

impl Lines {
    /// A page of lines, or a sign of life; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.until.is_some_and(|until| self.at >= until) || self.state.stopping.is_cancelled() {
                return None;
            }
            let page = match self.state.log.read_all(self.at, PAGE_EVENTS).await {
                Ok(page) => page,
                Err(error) => {
                    // The status line is long gone; whoever reads comes back with the last position.
                    tracing::warn!(%error, "The log could not be told to its end.");
                    return None;
                }
            };
            let moved = page.scanned_to > self.at;
            self.at = self.at.max(page.scanned_to);
            let timeline = self.state.log.timeline();
            let wanted = page.events.iter().filter(|stored| self.until.is_none_or(|until| stored.position <= until));
            let lines: Vec<Bytes> = wanted
                .map(|stored| {
                    let position = position::encode(timeline, stored.position);
                    frames::line(&RawView::of(stored, position, None, None))
                })
                .collect();
            if !lines.is_empty() {
                self.heartbeat = beat_in(&self.state);
                return Some(frames::join(&lines));
            }
            if moved {
                continue;
            }
            if self.until.is_some() {
                return None;
            }
            tokio::select! {
                () = self.state.stopping.cancelled() => return None,
                () = self.state.log.wait_beyond(self.at) => {}
                () = &mut self.heartbeat => {
                    self.heartbeat = beat_in(&self.state);
                    return Some(Bytes::from_static(b"\n"));
                }
            }
        }
    }
}
