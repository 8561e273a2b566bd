//! What handlers do first: find the chat, check the caller, wait for the read models.

use std::time::Duration;

use actix_web::HttpRequest;
use verbatim_events::chat::Outline;
use verbatim_events::ids::ChatId;

use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::position;
use crate::state::AppState;

/// A read is told to come back after this, in ms, when the read models are behind.
const BEHIND_RETRY_MS: u64 = 1000;

/// The chat of a request's path. What is no id is no chat.
pub fn chat_id(request: &HttpRequest) -> Result<ChatId, Problem> {
    let chat_id: Option<ChatId> = request.match_info().get("chat").and_then(|text| text.parse().ok());
    chat_id.filter(|chat_id| chat_id.is_chat()).ok_or_else(Problem::chat_not_found)
}

/// A number of a request's path. What is no number names nothing: the problem is `missing`.
pub fn number(request: &HttpRequest, name: &str, missing: Code, detail: &str) -> Result<u64, Problem> {
    let text = request.match_info().get(name).unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or_else(|| Problem::new(missing, detail))
}

/// The chat of a request that wants to write to it.
pub async fn chat_to_write(state: &AppState, request: &HttpRequest, caller: &Caller) -> Result<ChatId, Problem> {
    let chat_id = chat_id(request)?;
    caller.check_write(&state.owner_of(chat_id).await?)?;
    Ok(chat_id)
}

/// The chat of a request that wants to read it, from the read models, once they are far enough. Reading wakes no actor.
pub async fn chat_to_read(state: &AppState, request: &HttpRequest, caller: &Caller) -> Result<Outline, Problem> {
    let chat_id = chat_id(request)?;
    settle(state, request).await?;
    let Some(outline) = state.reads.chat(chat_id).await? else {
        return Err(absent(state, caller, chat_id).await?);
    };
    caller.check_read(&outline.owner)?;
    if outline.erased {
        return Err(Problem::erased());
    }
    Ok(outline)
}

/// A chat that the read models do not have: nobody has it, or they are behind, or its first event cannot be applied.
async fn absent(state: &AppState, caller: &Caller, chat_id: ChatId) -> Result<Problem, Problem> {
    if state.log.read_chat(chat_id, 0, 1).await?.is_empty() {
        return Ok(Problem::chat_not_found());
    }
    caller.check_read(&state.owner_of(chat_id).await?)?;
    Ok(behind("the chat cannot be read yet; try again"))
}

/// Waits until the read models are as far as the caller wants: where it names a position that far or an error, else as
/// far as this node's log was when the request came, if they get there in time.
pub async fn settle(state: &AppState, request: &HttpRequest) -> Result<(), Problem> {
    let patience = Duration::from_millis(state.limits.read_wait_ms);
    let Some(wanted) = position::wanted(request, state.log.timeline())? else {
        // Rows that must be rebuilt do not get there in time; they are shown as they are.
        if state.reads.stale().is_none() {
            let _ = state.reads.wait_until(state.log.known_head(), patience).await;
        }
        return Ok(());
    };
    state.reads.wait_until(wanted, patience).await.map_err(|late| {
        tracing::warn!(applied = late.applied, wanted = late.wanted, "A read waited in vain for its position.");
        behind("what this position stands for cannot be read yet; try again")
    })
}

/// What was asked for is not there yet.
pub fn behind(detail: &str) -> Problem {
    Problem::new(Code::ReadsBehind, detail).retry_after_ms(BEHIND_RETRY_MS)
}
