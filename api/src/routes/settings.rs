//! Providers and models: what is in force, and changes of it.

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use std::sync::Arc;
use uuid::Uuid;
use verbatim_actors::handle::Meta;
use verbatim_events::envelope::Actor;
use verbatim_events::settings::{Given, KeyChange, ModelChange, SettingsCommand, SettingsRejection};

use super::access::behind;
use super::query::Query;
use super::{API, Answered, body};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::idempotency::{IDEMPOTENCY_REPLAYED, key_of};
use crate::models::{ChangeError, Changed, Held, KeyProblem};
use crate::position::{self, VERBATIM_POSITION};
use crate::state::AppState;
use crate::telemetry::traces::trace_id;
use crate::wire::page::PageView;
use crate::wire::request::{ModelRequest, ProviderRequest};
use crate::wire::settings::{ModelView, ProviderView};

/// The settings as of the position that the request wants to see.
pub(super) async fn held(state: &AppState, request: &HttpRequest) -> Result<Arc<Held>, Problem> {
    let wanted = position::wanted(request, state.log.timeline())?.unwrap_or(0);
    let held = state.settings.held_at(wanted).await?;
    held.ok_or_else(|| behind("what this position stands for cannot be read yet; try again"))
}

/// A name of a request's path. A slash in a name comes as `%2F`.
pub(super) fn name(request: &HttpRequest, part: &str) -> String {
    let text = request.match_info().get(part).unwrap_or_default();
    text.replace("%2F", "/").replace("%2f", "/")
}

/// A page of entries in the order of their names.
pub(super) fn page<T: Serialize>(mut query: Query, entries: impl Iterator<Item = (String, T)>) -> Answered {
    let limit = query.limit()?;
    let after = query.one("cursor")?;
    query.finish()?;
    let mut rest = entries.filter(|(name, _)| after.as_ref().is_none_or(|after| name > after));
    let (names, items): (Vec<String>, Vec<T>) = rest.by_ref().take(limit).unzip();
    let next_cursor = rest.next().and(names.last()).cloned();
    Ok(HttpResponse::Ok().json(PageView { items, next_cursor }))
}

/// `GET /providers`
pub async fn providers(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    caller.check_audit()?;
    let held = held(&state, &request).await?;
    let (effective, keys) = (&held.effective, state.settings.keys());
    let views = effective.providers.iter();
    page(
        Query::of(&request)?,
        views.map(|(name, entry)| (name.clone(), ProviderView::of(name, entry, effective, keys))),
    )
}

/// `GET /providers/{provider}`
pub async fn provider(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    caller.check_audit()?;
    Query::of(&request)?.finish()?;
    let held = held(&state, &request).await?;
    let name = name(&request, "provider");
    let entry = held.effective.providers.get(&name);
    let entry = entry.ok_or_else(|| Problem::from(SettingsRejection::ProviderNotFound { name: name.clone() }))?;
    Ok(HttpResponse::Ok().json(ProviderView::of(&name, entry, &held.effective, state.settings.keys())))
}

/// `GET /models`
pub async fn models(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let held = held(&state, &request).await?;
    let (effective, whole) = (&held.effective, caller.reads_all());
    let views = effective.models.iter();
    page(Query::of(&request)?, views.map(|(name, entry)| (name.clone(), ModelView::of(name, entry, effective, whole))))
}

/// `GET /models/{model}`
pub async fn model(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    Query::of(&request)?.finish()?;
    let held = held(&state, &request).await?;
    let name = name(&request, "model");
    let entry = held.effective.models.get(&name);
    let entry = entry.ok_or_else(|| Problem::from(SettingsRejection::ModelNotFound { name: name.clone() }))?;
    Ok(HttpResponse::Ok().json(ModelView::of(&name, entry, &held.effective, caller.reads_all())))
}

/// `POST /providers`, `PUT /providers/{provider}` and `PATCH /providers/{provider}`
pub async fn set_provider(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let (given, body) = (given(&request), body_of_change(&state, &request, &caller, payload).await?);
    let ProviderRequest { name: new, mut change, api_key } = ProviderRequest::read(&body, given)?;
    let name = if given == Given::New { new } else { name(&request, "provider") };
    if let Some(key) = api_key {
        let sealed = state.settings.keys().seal(&name, &key.0).map_err(|problem| match problem {
            KeyProblem::NothingToSealWith => Problem::field("/api_key", problem.to_string()),
            KeyProblem::NotSealed | KeyProblem::DoesNotOpen => Problem::new(Code::Internal, problem.to_string()),
        })?;
        change.key = Some(KeyChange::Sealed(sealed));
    }
    let command = SettingsCommand::SetProvider { name: name.clone(), change, given };
    let changed = run(&state, &request, &caller, command, &body).await?;
    tracing::info!(provider = %name, by = %caller.owner, "A provider was set.");
    Ok(shown(&state, given, format!("{API}/providers/{name}"), changed))
}

/// `DELETE /providers/{provider}`
pub async fn delete_provider(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let name = name(&request, "provider");
    remove(&state, &request, &caller, SettingsCommand::RemoveProvider { name }).await
}

/// `POST /models`, `PUT /models/{model}` and `PATCH /models/{model}`
pub async fn set_model(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let (given, body) = (given(&request), body_of_change(&state, &request, &caller, payload).await?);
    let ModelRequest { name: new, mut change } = ModelRequest::read(&body, given)?;
    let name = if given == Given::New { new } else { name(&request, "model") };
    check_tools(&state, &name, &mut change)?;
    let command = SettingsCommand::SetModel { name: name.clone(), change, given };
    let changed = run(&state, &request, &caller, command, &body).await?;
    tracing::info!(model = %name, by = %caller.owner, "A model was set.");
    Ok(shown(&state, given, format!("{API}/models/{}", name.replace('/', "%2F")), changed))
}

/// `DELETE /models/{model}`
pub async fn delete_model(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let name = name(&request, "model");
    remove(&state, &request, &caller, SettingsCommand::RemoveModel { name }).await
}

/// Brings a provider's tools into the words of its protocol. A provider that is not there is refused later, by its name.
fn check_tools(state: &AppState, name: &str, change: &mut ModelChange) -> Result<(), Problem> {
    let Some(tools) = &mut change.provider_tools else { return Ok(()) };
    let held = state.settings.held();
    let present = held.effective.models.get(name).map(|entry| &entry.value.provider);
    let provider = change.provider.as_ref().or(present).and_then(|name| held.effective.providers.get(name));
    let Some(provider) = provider else { return Ok(()) };
    for (index, tool) in tools.iter_mut().enumerate() {
        *tool = verbatim_llm::provider_tool(provider.value.kind.name(), tool)
            .map_err(|problem| Problem::field(format!("/provider_tools/{index}"), problem))?;
    }
    Ok(())
}

/// How much of an entry a request gives.
pub(super) fn given(request: &HttpRequest) -> Given {
    match *request.method() {
        Method::POST => Given::New,
        Method::PUT => Given::Whole,
        _ => Given::Part,
    }
}

/// The body of an administrator's change.
pub(super) async fn body_of_change(
    state: &AppState,
    request: &HttpRequest,
    caller: &Caller,
    payload: Payload,
) -> Result<Bytes, Problem> {
    caller.check_admin()?;
    Query::of(request)?.finish()?;
    body::read(request, payload, state.limits.body_max_bytes).await
}

pub(super) async fn remove(
    state: &AppState,
    request: &HttpRequest,
    caller: &Caller,
    command: SettingsCommand,
) -> Answered {
    caller.check_admin()?;
    Query::of(request)?.finish()?;
    let changed = run(state, request, caller, command, &[]).await?;
    tracing::info!(by = %caller.owner, path = request.path(), "A setting was taken back.");
    Ok(answered(state, StatusCode::NO_CONTENT, &changed).finish())
}

pub(super) async fn run(
    state: &AppState,
    request: &HttpRequest,
    caller: &Caller,
    command: SettingsCommand,
    body: &[u8],
) -> Result<Changed, Problem> {
    let meta = Meta {
        actor: Actor::User(caller.owner.clone()),
        command_id: Uuid::now_v7(),
        idempotency: key_of(request, &caller.owner, body)?,
        trace_id: trace_id(request.headers()),
    };
    Ok(state.settings.change(command, meta).await?)
}

fn answered(state: &AppState, status: StatusCode, changed: &Changed) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((VERBATIM_POSITION, position::encode(state.log.timeline(), changed.position)));
    if changed.replayed {
        response.insert_header((IDEMPOTENCY_REPLAYED, "true"));
    }
    response
}

/// What was set, as it is now.
pub(super) fn shown(state: &AppState, given: Given, place: String, changed: Changed) -> HttpResponse {
    let status = if given == Given::New { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = answered(state, status, &changed);
    if given == Given::New {
        response.insert_header((header::LOCATION, place));
    }
    response.insert_header((header::CONTENT_TYPE, "application/json")).body(changed.body)
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Problem {
        match error {
            ChangeError::Rejected(rejection) => rejection.into(),
            ChangeError::Log(error) => error.into(),
        }
    }
}

impl From<SettingsRejection> for Problem {
    fn from(rejection: SettingsRejection) -> Problem {
        let detail = rejection.to_string();
        let code = match rejection {
            SettingsRejection::ProviderNotFound { .. } => Code::ProviderNotFound,
            SettingsRejection::ModelNotFound { .. } => Code::ModelNotFound,
            SettingsRejection::BudgetNotFound { .. } => Code::BudgetNotFound,
            SettingsRejection::TemplateNotFound { .. } => Code::TemplateNotFound,
            SettingsRejection::Exists { .. } => Code::AlreadyExists,
            SettingsRejection::ProviderInUse { .. } => Code::ProviderInUse,
            SettingsRejection::ModelIsDefault { .. } => Code::ModelIsDefault,
            SettingsRejection::InFile { .. } => Code::SetInFile,
            SettingsRejection::TooMany { .. } => Code::TooManySettings,
            SettingsRejection::Invalid { field, problem } => return Problem::field(format!("/{field}"), problem),
        };
        Problem::new(code, detail)
    }
}
