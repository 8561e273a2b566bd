//! The stream of a chat.

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::Answered;
use super::access::chat_id;
use super::query::Query;
use crate::auth::Caller;
use crate::error::Problem;
use crate::state::AppState;
use crate::stream::cursor::Cursor;
use crate::stream::respond;
use crate::stream::session::{Form, Format, Framing, Session, Start, start_after};

/// The header in which a reader says where it stopped.
const LAST_EVENT_ID: &str = "last-event-id";

/// `GET /chats/{chat}/stream`. Parameters nobody knows are let through: what reads streams in a browser adds its own.
pub async fn open(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let session = begin(state, &request, &caller).await?;
    Ok(respond(session, Framing::Events, caller.revoked))
}

/// Begins the stream that a request asks for.
pub(super) async fn begin(state: Data<AppState>, request: &HttpRequest, caller: &Caller) -> Result<Session, Problem> {
    let chat_id = chat_id(request)?;
    let mut query = Query::of(request)?;
    let after = query.one("after")?;
    let form = if query.boolean("raw")?.unwrap_or(false) { Form::Raw } else { Form::Public };
    let opened = state.handle.open(chat_id).await?;
    caller.check_read(&state.owners.put(chat_id, &opened.chat.outline.owner))?;
    if form == Form::Raw {
        caller.check_audit()?;
    }
    if opened.chat.outline.erased {
        return Err(Problem::erased());
    }
    let start = match last_event_id(request, after) {
        None => Start::Snapshot,
        Some(text) => match text.parse::<Cursor>() {
            Ok(cursor) => start_after(&state, &opened, cursor).await?,
            Err(_) => Start::Reset,
        },
    };
    Ok(Session::new(state, opened, start, Format { framing: Framing::Events, form, parts: true }))
}

/// Where the reader stopped: the header, else the query; an empty text is none. A header that is no text is a place that
/// nobody knows.
pub(super) fn last_event_id(request: &HttpRequest, after: Option<String>) -> Option<String> {
    let header = request.headers().get(LAST_EVENT_ID);
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    header.filter(|text| !text.is_empty()).or(after.filter(|text| !text.is_empty()))
}
