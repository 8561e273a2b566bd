//! An owner's inbox: what they were notified of, and what of it they have read. Everybody has their own alone, whatever else
//! their key may read.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use uuid::Uuid;
use verbatim_actors::handle::IdempotencyKey;
use verbatim_events::envelope::{Actor, Cause};
use verbatim_events::ids::ChatId;
use verbatim_events::inbox::{Address, AllNotificationsRead, InboxEvent, NotificationsMarked};
use verbatim_events::notification::Template;
use verbatim_projections::{InboxEntry, InboxFilter};

use super::access::settle;
use super::query::Query;
use super::{Answered, body, watch};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::idempotency::{IDEMPOTENCY_REPLAYED, key_of};
use crate::inbox::Marked;
use crate::position::{VERBATIM_POSITION, encode};
use crate::state::AppState;
use crate::telemetry::traces::trace_id;
use crate::watch::session::View;
use crate::wire::notification::{InboxView, NotificationView};
use crate::wire::request::{read_mark, read_through};

/// Chats that a list can be narrowed to.
const CHATS_MAX: usize = 100;

/// `GET /inbox`, the newest first
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let mut query = Query::of(&request)?;
    let limit = query.limit()?;
    let cursor = query.one("cursor")?;
    let filter = InboxFilter {
        owner: caller.owner.clone(),
        unread: query.boolean("unread")?.unwrap_or(false),
        templates: named(&mut query, ["template", "templates"], Template::parse, "there is no such template")?,
        chats: named(&mut query, ["chat", "targets"], |text| text.parse::<ChatId>().ok(), "this is no chat's id")?,
    };
    query.finish()?;
    settle(&state, &request).await?;
    let unread = state.reads.inbox_unread(caller.owner.clone()).await?.count;
    let page = state.reads.inbox(filter, limit, cursor.as_deref()).await?;
    let timeline = state.log.timeline();
    let items = page.items.iter().map(|entry| NotificationView::of(timeline, entry)).collect();
    Ok(HttpResponse::Ok().json(InboxView { items, next_cursor: page.next_cursor, unread }))
}

/// Values of a parameter, which may stand there several times, or once with commas, under either name.
fn named<T>(
    query: &mut Query,
    names: [&str; 2],
    parse: impl Fn(&str) -> Option<T>,
    wrong: &str,
) -> Result<Vec<T>, Problem> {
    let texts: Vec<String> = names.into_iter().flat_map(|name| query.all(name)).collect();
    let values: Vec<&str> = texts.iter().flat_map(|text| text.split(',')).map(str::trim).collect();
    if values.len() > CHATS_MAX {
        return Err(Problem::invalid(format!("at most {CHATS_MAX} values of {} may be given", names[0])));
    }
    let parsed = values.into_iter().map(|text| parse(text).ok_or_else(|| Problem::invalid(wrong)));
    parsed.collect()
}

/// `PUT /inbox/{notification}/read`
pub async fn mark(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    caller.check_inbox()?;
    Query::of(&request)?.finish()?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    let read = read_mark(&body)?;
    let key = key_of(&request, &caller.owner, &body)?;
    let address = request.match_info().get("notification").and_then(|text| text.parse().ok());
    let address: Address = address.ok_or_else(missing)?;
    let entry = entry(&state, &caller, address).await?.ok_or_else(missing)?;
    let mut done = replayed(&state, key.as_ref()).await?;
    if done.is_none() && entry.read != read {
        let notifications = vec![address];
        let event = InboxEvent::Marked(NotificationsMarked { owner: caller.owner.clone(), notifications, read });
        done = Some(state.inboxes.mark(&event, &cause(&request, &caller), key.as_ref()).await?);
    }
    let entry = InboxEntry { read, ..entry };
    let mut answer = answered(&state, done, StatusCode::OK);
    Ok(answer.json(NotificationView::of(state.log.timeline(), &entry)))
}

/// `PUT /inbox/read-all`
pub async fn mark_all(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    caller.check_inbox()?;
    Query::of(&request)?.finish()?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    let through = read_through(&body)?;
    let key = key_of(&request, &caller.owner, &body)?;
    match through {
        Some(through) => {
            entry(&state, &caller, through).await?.ok_or_else(missing)?;
        }
        None => up_to_date(&state).await?,
    }
    let mut done = replayed(&state, key.as_ref()).await?;
    if done.is_none() && state.reads.inbox_unread(caller.owner.clone()).await?.count > 0 {
        let event = InboxEvent::AllRead(AllNotificationsRead { owner: caller.owner.clone(), through });
        done = Some(state.inboxes.mark(&event, &cause(&request, &caller), key.as_ref()).await?);
    }
    Ok(answered(&state, done, StatusCode::NO_CONTENT).finish())
}

/// `GET /inbox/watch`. Parameters nobody knows are let through: what reads streams in a browser adds its own.
pub async fn watch(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    watch::stream(state, &request, caller, View::Inbox).await
}

/// One of the caller's notifications as it is now.
async fn entry(state: &AppState, caller: &Caller, address: Address) -> Result<Option<InboxEntry>, Problem> {
    up_to_date(state).await?;
    Ok(state.reads.inbox_entry(caller.owner.clone(), address).await?)
}

/// Waits until the read models show all of the log: whether a mark changes anything is judged by them, and one that is on
/// its way must not be overlooked.
async fn up_to_date(state: &AppState) -> Result<(), Problem> {
    let patience = Duration::from_millis(state.limits.read_wait_ms);
    let behind = |_| Problem::new(Code::ReadsBehind, "the inbox cannot be read yet; try again").retry_after_ms(1000);
    state.reads.wait_until(state.log.known_head(), patience).await.map_err(behind)
}

async fn replayed(state: &AppState, key: Option<&IdempotencyKey>) -> Result<Option<Marked>, Problem> {
    match key {
        Some(key) => Ok(state.inboxes.answered(key).await?),
        None => Ok(None),
    }
}

fn cause(request: &HttpRequest, caller: &Caller) -> Cause {
    Cause {
        actor: Actor::User(caller.owner.clone()),
        command_id: Uuid::now_v7(),
        causation_id: None,
        trace_id: trace_id(request.headers()),
    }
}

/// An answer with the position from which on a read shows what was done; where it was so already, that is now.
fn answered(state: &AppState, done: Option<Marked>, status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    let position = done.map_or_else(|| state.reads.applied_position(), |done| done.position);
    response.insert_header((VERBATIM_POSITION, encode(state.log.timeline(), position)));
    if done.is_some_and(|done| done.replayed) {
        response.insert_header((IDEMPOTENCY_REPLAYED, "true"));
    }
    response
}

fn missing() -> Problem {
    Problem::new(Code::NotificationNotFound, "there is no such notification")
}
