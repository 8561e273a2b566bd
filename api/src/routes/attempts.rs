//! Attempts: what was sent to a model, made again from the log.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use verbatim_events::event::Event;
use verbatim_events::wire::decode;
use verbatim_llm::files::legible;

use super::Answered;
use super::access::{chat_to_read, number};
use super::query::Query;
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::stream::story::chat_at;
use crate::verify::{PromptVerdict, rebuild};
use crate::wire::Time;
use crate::wire::attempt::{AttemptAuditView, AttemptPromptView};
use crate::wire::message::MessageView;

/// `GET /chats/{chat}/attempts/{attempt}`: owners see the messages that they may see, auditors and administrators the
/// whole request.
pub async fn read(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    Query::of(&request)?.finish()?;
    let missing = "the chat has no such attempt";
    let attempt_id = number(&request, "attempt", Code::AttemptNotFound, missing)?;
    let chat_id = chat_to_read(&state, &request, &caller).await?.id;
    let absent = || Problem::new(Code::AttemptNotFound, missing);
    // A chat begins with its creation, so no attempt is its first event.
    let before = attempt_id.checked_sub(1).filter(|before| *before > 0).ok_or_else(absent)?;
    let page = state.log.read_chat(chat_id, before, 1).await?;
    let stored = page.first().ok_or_else(absent)?;
    let recorded = decode(stored).map_err(|error| {
        tracing::error!(chat.id = %chat_id, %error, "An event of a chat cannot be read.");
        Problem::new(Code::ChatDamaged, "the attempt's record cannot be read")
    })?;
    let Event::AttemptRecorded(attempt) = &recorded.event else { return Err(absent()) };
    let chat = chat_at(&state.sources(), chat_id, before).await?.ok_or_else(absent)?;
    let rebuilt = rebuild(&chat, attempt);
    let verdict = attempt.prompt_digest.map(|sent| PromptVerdict::of(sent, &rebuilt));
    let (prompt, reason) = match &verdict {
        None => (None, None),
        Some(PromptVerdict::Same { .. }) => (Some("same"), None),
        Some(PromptVerdict::Differs { .. }) => (Some("differs"), None),
        Some(PromptVerdict::NotComparable { reason }) => (Some("not_comparable"), Some(reason.as_str())),
    };
    let shown = rebuilt.prompt.as_ref().filter(|_| verdict.is_some());
    // Where a file's bytes were sent stands which file it was.
    let body = rebuilt.request.as_ref().ok().map(|request| legible(&request.body));
    let audit = caller.reads_all().then(|| {
        let bytes = rebuilt.request.as_ref().ok().filter(|_| verdict.is_some());
        AttemptAuditView {
            rebuilt_digest: bytes.map(|request| request.digest),
            request: bytes.zip(body.as_ref()).and_then(|(_, body)| serde_json::from_slice(body).ok()),
            ..AttemptAuditView::of(attempt)
        }
    });
    Ok(HttpResponse::Ok().json(AttemptPromptView {
        attempt_id,
        attempt: attempt.number,
        action: attempt.action,
        model: attempt.model.as_deref(),
        at: Time(recorded.recorded_at),
        prompt,
        reason,
        messages: shown.iter().flat_map(|prompt| &prompt.messages).map(|message| MessageView::of(message)).collect(),
        tools: shown.iter().flat_map(|prompt| &prompt.tools).map(|tool| tool.name.as_str()).collect(),
        audit,
    }))
}
