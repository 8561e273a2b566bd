//! Messages: send, edit, list.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use verbatim_events::command::{Command, EditMessage, SendMessage};
use verbatim_events::ids::MessageId;
use verbatim_projections::MessageQuery;

use super::access::{chat_to_read, chat_to_write, number};
use super::commands::{accepted, accepted_edit, check_model, run};
use super::files::attach_to;
use super::query::Query;
use super::{Answered, body};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::wire::message::MessageView;
use crate::wire::page::PageView;
use crate::wire::request::{EditMessageRequest, SendMessageRequest};

/// `POST /chats/{chat}/messages`
pub async fn send(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let chat_id = chat_to_write(&state, &request, &caller).await?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    let SendMessageRequest { mut content, busy, model, effort } = SendMessageRequest::read(&body)?;
    check_model(&state, &request, &caller, &body, model.as_deref()).await?;
    attach_to(&state, &request, &caller, &body, chat_id, &mut content).await?;
    let command =
        Command::SendMessage(SendMessage { parts: content, author: caller.owner.clone(), busy, model, effort });
    let answer = run(&state, &request, &caller, chat_id, command, &body).await?;
    Ok(accepted(&state, &answer))
}

/// `PATCH /chats/{chat}/messages/{message}`
pub async fn edit(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let chat_id = chat_to_write(&state, &request, &caller).await?;
    let message_id = number(&request, "message", Code::MessageNotFound, "there is no such message")?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    let EditMessageRequest { mut content, model, effort } = EditMessageRequest::read(&body)?;
    check_model(&state, &request, &caller, &body, model.as_deref()).await?;
    attach_to(&state, &request, &caller, &body, chat_id, &mut content).await?;
    let command =
        Command::EditMessage(EditMessage { message_id, parts: content, author: caller.owner.clone(), model, effort });
    let answer = run(&state, &request, &caller, chat_id, command, &body).await?;
    Ok(accepted_edit(&state, &answer))
}

/// `GET /chats/{chat}/prompts`: what users said in the chat, the newest first
pub async fn prompts(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let mut query = Query::of(&request)?;
    let limit = query.limit()?;
    let cursor = query.one("cursor")?;
    query.finish()?;
    let chat = chat_to_read(&state, &request, &caller).await?;
    let page = state.reads.prompts(chat.id, limit, cursor.as_deref()).await?;
    let items = page.items.iter().map(|message| MessageView::of(message).shown_with(&chat.files)).collect();
    Ok(HttpResponse::Ok().json(PageView { items, next_cursor: page.next_cursor }))
}

/// `GET /chats/{chat}/messages`
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let mut query = Query::of(&request)?;
    let mut wanted = MessageQuery {
        before: query.number("before")?,
        after: query.number("after")?,
        include_withdrawn: query.boolean("withdrawn")?.unwrap_or(false),
        // What is for the model alone is in the events, for those who may read them whole.
        include_model_only: false,
    };
    let limit = query.limit()?;
    if let Some(cursor) = query.one("cursor")? {
        if wanted.before.is_some() || wanted.after.is_some() {
            return Err(Problem::invalid("a cursor says where the page is; leave before and after out"));
        }
        apply_cursor(&cursor, &mut wanted)?;
    }
    query.finish()?;
    let chat = chat_to_read(&state, &request, &caller).await?;
    let page = state.reads.messages(chat.id, wanted, limit).await?;
    let items = page
        .items
        .iter()
        .map(|row| {
            let message = MessageView::of(&row.message).shown_with(&chat.files);
            MessageView { withdrawn: row.withdrawn_by.is_some(), ..message }
        })
        .collect();
    // A page grows at its open end: forward from `after`, else back into the past.
    let next_cursor = match (page.more, wanted.after) {
        (false, _) => None,
        (true, Some(_)) => page.items.last().map(|row| format!("{FORWARD}{}", row.message.id)),
        (true, None) => page.items.first().map(|row| format!("{BACK}{}", row.message.id)),
    };
    Ok(HttpResponse::Ok().json(PageView { items, next_cursor }))
}

/// A cursor's first character where the pages go on towards the newest message.
const FORWARD: char = 'a';

/// A cursor's first character where the pages go on into the past.
const BACK: char = 'b';

fn apply_cursor(cursor: &str, query: &mut MessageQuery) -> Result<(), Problem> {
    let number = |text: &str| -> Option<MessageId> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    if let Some(after) = cursor.strip_prefix(FORWARD).and_then(number) {
        query.after = Some(after);
    } else if let Some(before) = cursor.strip_prefix(BACK).and_then(number) {
        query.before = Some(before);
    } else {
        return Err(Problem::invalid("the cursor is not one of this list's"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
