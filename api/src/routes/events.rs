//! A chat's events from the log: as a list, or followed.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::value::{RawValue, to_raw_value};
use verbatim_events::ids::{ChatId, Version};

use super::Answered;
use super::access::{chat_id, chat_to_read};
use super::query::Query;
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::position;
use crate::state::AppState;
use crate::stream::cursor::Cursor;
use crate::stream::respond;
use crate::stream::session::{Form, Format, Framing, Session, Start};
use crate::stream::story::{Damage, Story, Told};
use crate::wire::event::EventView;
use crate::wire::page::PageView;
use crate::wire::raw::RawView;

/// `GET /chats/{chat}/events`: auditors and administrators get every event with its envelope, owners as the stream shows
/// it. `after` is a version; `next_cursor` is the next `after`. With `follow=true` the answer does not end: one JSON text
/// a line, or server-sent events where `Accept` asks for them.
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let chat_id = chat_id(&request)?;
    let mut query = Query::of(&request)?;
    let after = query.number("after")?.unwrap_or(0);
    let follow = query.boolean("follow")?.unwrap_or(false);
    let limit = query.limit()?;
    query.finish()?;
    let form = if caller.reads_all() { Form::Raw } else { Form::Public };
    if follow {
        let opened = state.handle.open(chat_id).await?;
        caller.check_read(&state.owners.put(chat_id, &opened.chat.outline.owner))?;
        if opened.chat.outline.erased {
            return Err(Problem::erased());
        }
        let framing = if wants_events(&request) { Framing::Events } else { Framing::Lines };
        let start = Start::After(Cursor::Event(after));
        return Ok(respond(
            Session::new(state, opened, start, Format { framing, form, parts: false }),
            framing,
            caller.revoked,
        ));
    }
    if form == Form::Public {
        chat_to_read(&state, &request, &caller).await?;
    } else if state.reads.chat(chat_id).await.is_ok_and(|chat| chat.is_some_and(|chat| chat.erased)) {
        return Err(Problem::erased());
    }
    let (told, more) = page(&state, chat_id, form, after, limit).await?;
    let next_cursor = told.last().filter(|_| more).map(|last| last.stored.event.version.to_string());
    let items = told.iter().map(|told| item(&state, told, form)).collect::<Result<Vec<_>, _>>()?;
    Ok(HttpResponse::Ok().json(PageView { items, next_cursor }))
}

/// The events after a version, and whether there are more.
async fn page(
    state: &AppState,
    chat_id: ChatId,
    form: Form,
    after: Version,
    limit: usize,
) -> Result<(Vec<Told>, bool), Problem> {
    let damage = if form == Form::Raw { Damage::IsTold } else { Damage::IsAnError };
    let mut story = Story::new(state.sources(), chat_id, damage, after);
    let mut told = Vec::with_capacity(limit + 1);
    // From before them, since an event's status follows from those before it.
    while told.len() <= limit {
        let page = story.page().await?;
        if page.is_empty() {
            break;
        }
        told.extend(page.into_iter().filter(|told| told.stored.event.version > after));
    }
    if story.version() == 0 {
        return Err(Problem::chat_not_found());
    }
    let more = told.len() > limit;
    told.truncate(limit);
    Ok((told, more))
}

fn item(state: &AppState, told: &Told, form: Form) -> Result<Box<RawValue>, Problem> {
    let meaning = told.meaning.as_ref();
    let written = match (form, meaning) {
        (Form::Public, Some(meaning)) => {
            to_raw_value(&EventView::of(&meaning.recorded, meaning.status, meaning.turn_id))
        }
        (Form::Public, None) => return Err(Problem::new(Code::ChatDamaged, "the chat's events cannot be read")),
        (Form::Raw, _) => to_raw_value(&RawView::of(
            &told.stored,
            position::encode(state.log.timeline(), told.stored.position),
            meaning.map(|meaning| meaning.status),
            Some(told.previous_hash),
        )),
    };
    written.map_err(|error| {
        tracing::error!(%error, "An event could not be written as JSON.");
        Problem::new(Code::Internal, "an event could not be written")
    })
}

fn wants_events(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT);
    accept.and_then(|value| value.to_str().ok()).is_some_and(|text| text.contains("text/event-stream"))
}
