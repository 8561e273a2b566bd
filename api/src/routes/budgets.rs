//! Budgets: everybody sees their own, auditors all; administrators set them.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use uuid::Uuid;
use verbatim_actors::handle::Meta;
use verbatim_events::chat::Status;
use verbatim_events::command::Command;
use verbatim_events::envelope::Actor;
use verbatim_events::error::ErrorKind;
use verbatim_events::settings::{Given, SettingsCommand};
use verbatim_projections::ChatFilter;

use super::Answered;
use super::query::Query;
use super::settings::{body_of_change, held, name, page, remove, run, shown};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::wire::budget::BudgetView;
use crate::wire::request::BudgetRequest;

/// Chats that are looked at at once when a budget was raised.
const PAGE: usize = 100;

/// `GET /budgets`: those that were set, in the order of their owners
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let held = held(&state, &request).await?;
    let now = state.clock.now();
    let owners = held.settings.budgets.keys().filter(|owner| caller.reads_all() || **owner == caller.owner);
    page(Query::of(&request)?, owners.map(|owner| (owner.clone(), BudgetView::of(owner, &state.budgets, now))))
}

/// `GET /budgets/{owner}`: what counts for an owner, be it their own or the default one
pub async fn read(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    Query::of(&request)?.finish()?;
    let owner = name(&request, "owner");
    if !caller.reads_all() && owner != caller.owner {
        return Err(Problem::new(Code::Forbidden, "this key reads the budget of its own owner, and nobody else's"));
    }
    held(&state, &request).await?;
    Ok(HttpResponse::Ok().json(BudgetView::of(&owner, &state.budgets, state.clock.now())))
}

/// `PUT /budgets/{owner}`
pub async fn put(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let body = body_of_change(&state, &request, &caller, payload).await?;
    let BudgetRequest { budget } = BudgetRequest::read(&body)?;
    let owner = name(&request, "owner");
    let command = SettingsCommand::SetBudget { owner: owner.clone(), budget };
    let changed = run(&state, &request, &caller, command, &body).await?;
    tracing::info!(owner, by = %caller.owner, "A budget was set.");
    go_on(&state, owner);
    Ok(shown(&state, Given::Whole, String::new(), changed))
}

/// `DELETE /budgets/{owner}`: the default one counts again
pub async fn delete(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let owner = name(&request, "owner");
    let command = SettingsCommand::RemoveBudget { owner: owner.clone() };
    let answer = remove(&state, &request, &caller, command).await?;
    go_on(&state, owner);
    Ok(answer)
}

/// Another budget is in force: what waits in an owner's chats behind a turn that it refused goes on, beside the request.
/// What is refused again fails visibly, like any turn.
fn go_on(state: &Data<AppState>, owner: String) {
    let (state, runtime) = (state.clone(), state.runtime.clone());
    runtime.spawn(async move {
        let patience = std::time::Duration::from_millis(state.limits.read_wait_ms);
        // Rows that are behind show what waits a little later; then a message of the user's does the same.
        let _ = state.reads.wait_until(state.log.known_head(), patience).await;
        let mut cursor: Option<String> = None;
        loop {
            let filter =
                ChatFilter { owner: Some(owner.clone()), status: Some(Status::Error), ..ChatFilter::default() };
            let page = match state.reads.chats(filter, PAGE, cursor.as_deref()).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "What waits for a budget does not go on by itself.");
                    return;
                }
            };
            for outline in page.items {
                let refused = outline.last_error.as_ref().is_some_and(|error| error.kind == ErrorKind::UsageLimit);
                let Some(queued_id) = outline.queue.first().copied().filter(|_| refused && !outline.archived) else {
                    continue;
                };
                let meta = Meta { actor: Actor::System, command_id: Uuid::now_v7(), idempotency: None, trace_id: None };
                if let Err(error) = state.handle.send(outline.id, Command::PromoteQueued { queued_id }, meta).await {
                    tracing::debug!(chat.id = %outline.id, %error, "A chat has gone on by itself.");
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return;
            }
        }
    });
}
