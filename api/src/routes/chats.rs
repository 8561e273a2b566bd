//! Chats: make, list, read, change.

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use uuid::Uuid;
use verbatim_actors::handle::Answer;
use verbatim_events::chat::{Outline, Status};
use verbatim_events::command::{Command, CreateChat, ForkChat};
use verbatim_events::event::{ContextFreshness, ContextMark, SettingsChanged, TitleChange, TitleSource};
use verbatim_events::ids::ChatId;
use verbatim_projections::{ChatFilter, Parent};

use super::access::{chat_to_read, chat_to_write, settle};
use super::commands::{answered, check_model, run};
use super::files::attach;
use super::query::Query;
use super::workspaces::binding;
use super::{API, Answered, body};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::state::AppState;
use crate::stream::story::{outline_at, whole_chat_at};
use crate::wire::chat::ChatView;
use crate::wire::page::PageView;
use crate::wire::request::{CreateChatRequest, ForkChatRequest, PatchChatRequest, read_nothing};

/// The longest history that is copied, in messages: a fork is one append.
const FORK_MESSAGES_MAX: usize = 10_000;

/// `POST /chats`
pub async fn create(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    caller.check_create()?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    let wanted = CreateChatRequest::read(&body)?;
    check_model(&state, &request, &caller, &body, wanted.model.as_deref()).await?;
    let id = ChatId(Uuid::now_v7());
    let family = family(&state, &caller, wanted.parent).await?;
    let CreateChatRequest {
        mut content,
        model,
        effort,
        title,
        system_prompt,
        labels,
        tools,
        server_tools,
        tool_policy,
        mcp_servers,
        plan_mode,
        parent,
        workspace,
    } = wanted;
    attach(&state, &request, &caller, &body, &family.owner, &mut content).await?;
    let workspace = binding(&state, &request, &caller, &body, workspace, &family.owner).await?;
    state.tools.check_mcp("/mcp_servers", &mcp_servers)?;
    let command = Command::CreateChat(Box::new(CreateChat {
        id,
        owner: family.owner.clone(),
        parent,
        kind: verbatim_events::event::ChildKind::User,
        root: family.root.unwrap_or(id),
        title,
        model,
        effort,
        system_prompt,
        tools,
        server_tools,
        mcp_servers,
        tool_policy,
        labels,
        workspace,
        plan_mode,
        content,
    }));
    let answer = run(&state, &request, &caller, id, command, &body).await?;
    // A replayed key names the chat that was made the first time.
    let chat_id = answer.outcome.chat_id;
    state.owners.put(chat_id, &family.owner);
    let outline = as_of(&state, &answer).await?;
    let default_model = state.default_model();
    Ok(answered(&state, &answer, StatusCode::CREATED)
        .insert_header((header::LOCATION, format!("{API}/chats/{chat_id}")))
        .json(ChatView::of(&outline, default_model.as_deref())))
}

/// `POST /chats/{chat}/fork`: a new chat of the same owner whose history ends where the other one's was at a version.
pub async fn fork(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let source_id = chat_to_write(&state, &request, &caller).await?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    let ForkChatRequest { at } = ForkChatRequest::read(&body)?;
    if state.handle.open(source_id).await?.chat.outline.erased {
        return Err(Problem::erased());
    }
    let source = if at == 0 { None } else { whole_chat_at(&state.sources(), source_id, at).await? };
    let source = source.ok_or_else(|| Problem::new(Code::VersionNotFound, "the chat has no such version"))?;
    if source.history.len() > FORK_MESSAGES_MAX {
        let detail = format!("the history up to there has more than {FORK_MESSAGES_MAX} messages");
        return Err(Problem::field("/at", detail));
    }
    let owner = source.outline.owner.clone();
    let id = ChatId(Uuid::now_v7());
    let command = Command::ForkChat(ForkChat { id, source: Arc::new(source) });
    let answer = run(&state, &request, &caller, id, command, &body).await?;
    // A replayed key names the chat that was made the first time.
    let chat_id = answer.outcome.chat_id;
    state.owners.put(chat_id, &owner);
    let outline = as_of(&state, &answer).await?;
    let default_model = state.default_model();
    Ok(answered(&state, &answer, StatusCode::CREATED)
        .insert_header((header::LOCATION, format!("{API}/chats/{chat_id}")))
        .json(ChatView::of(&outline, default_model.as_deref())))
}

/// Where a new chat belongs.
struct Family {
    /// Its owner: the parent's, so that a family has one, else the caller.
    owner: String,
    /// The family's root; none for a chat that begins a family.
    root: Option<ChatId>,
}

async fn family(state: &AppState, caller: &Caller, parent: Option<ChatId>) -> Result<Family, Problem> {
    let Some(parent) = parent else { return Ok(Family { owner: caller.owner.clone(), root: None }) };
    let opened = state.handle.open(parent).await?;
    let outline = &opened.chat.outline;
    caller.check_write(&outline.owner)?;
    Ok(Family { owner: outline.owner.clone(), root: Some(outline.root) })
}

/// `PATCH /chats/{chat}`
pub async fn patch(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let chat_id = chat_to_write(&state, &request, &caller).await?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    let PatchChatRequest { title, labels, pinned, model, effort, plan_mode, archived } = PatchChatRequest::read(&body)?;
    check_model(&state, &request, &caller, &body, model.as_deref()).await?;
    let patch = SettingsChanged {
        title: title.map(|title| TitleChange { title, source: TitleSource::User }),
        labels,
        pinned,
        model,
        effort,
        plan_mode,
        ..SettingsChanged::default()
    };
    let answer = run(&state, &request, &caller, chat_id, Command::ChangeSettings { patch, archived }, &body).await?;
    let outline = as_of(&state, &answer).await?;
    let default_model = state.default_model();
    Ok(answered(&state, &answer, StatusCode::OK).json(ChatView::of(&outline, default_model.as_deref())))
}

/// `PUT /chats/{chat}/context`: the workspace's context files are read anew before the next answer
pub async fn reload_context(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    let chat_id = chat_to_write(&state, &request, &caller).await?;
    let body = body::read(&request, payload, state.limits.body_max_bytes).await?;
    read_nothing(&body)?;
    let opened = state.handle.open(chat_id).await?;
    if opened.chat.outline.workspace.is_none() && !opened.chat.outline.erased {
        return Err(Problem::new(Code::WorkspaceNotFound, "the chat has no workspace"));
    }
    // Where nothing was read yet it will be, before the next answer, without being told to.
    let pinned = opened.chat.context.as_ref().map(|pinned| pinned.message_id);
    let context = pinned.map(|message_id| ContextMark { message_id, freshness: ContextFreshness::Reload });
    let patch = SettingsChanged { context, ..SettingsChanged::default() };
    let command = Command::ChangeSettings { patch, archived: None };
    let answer = run(&state, &request, &caller, chat_id, command, &body).await?;
    let outline = as_of(&state, &answer).await?;
    let default_model = state.default_model();
    Ok(answered(&state, &answer, StatusCode::OK).json(ChatView::of(&outline, default_model.as_deref())))
}

/// The chat right after a command, so that a replayed key shows what the first answer showed.
pub(super) async fn as_of(state: &AppState, answer: &Answer) -> Result<Outline, Problem> {
    let (chat_id, version) = (answer.outcome.chat_id, answer.outcome.version);
    let opened = state.handle.open(chat_id).await?;
    if opened.chat.outline.erased {
        return Err(Problem::erased());
    }
    if opened.chat.outline.version == version {
        return Ok(opened.chat.outline.clone());
    }
    outline_at(&state.sources(), chat_id, version)
        .await?
        .ok_or_else(|| Problem::new(Code::Internal, "the chat's log ends before the command's own events"))
}

/// `GET /chats/{chat}`
pub async fn read(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let mut query = Query::of(&request)?;
    let at = query.number("at")?;
    query.finish()?;
    let now = chat_to_read(&state, &request, &caller).await?;
    let outline = match at {
        None => now,
        Some(version) if version == now.version => now,
        Some(version) => outline_at(&state.sources(), now.id, version).await?.ok_or_else(|| {
            Problem::new(Code::VersionNotFound, format!("the chat has the versions 1 to {}", now.version))
        })?,
    };
    let default_model = state.default_model();
    Ok(HttpResponse::Ok().json(ChatView::of(&outline, default_model.as_deref())))
}

/// `GET /chats`
pub async fn list(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let mut query = Query::of(&request)?;
    let filter = ChatFilter {
        owner: (!caller.reads_all()).then(|| caller.owner.clone()),
        words: query.one("q")?,
        status: query.one("status")?.map(|name| status(&name)).transpose()?,
        archived: query.boolean("archived")?,
        labels: query.all("label").iter().map(|text| label(text)).collect::<Result<_, _>>()?,
        parent: query.one("parent")?.map_or(Ok(Parent::Any), |text| parent_of(&text))?,
    };
    let limit = query.limit()?;
    let cursor = query.one("cursor")?;
    query.finish()?;
    settle(&state, &request).await?;
    page(&state, filter, limit, cursor.as_deref()).await
}

/// `GET /chats/{chat}/children`
pub async fn children(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    let mut query = Query::of(&request)?;
    let limit = query.limit()?;
    let cursor = query.one("cursor")?;
    query.finish()?;
    let parent = chat_to_read(&state, &request, &caller).await?;
    let filter = ChatFilter { parent: Parent::ChildOf(parent.id), ..ChatFilter::default() };
    page(&state, filter, limit, cursor.as_deref()).await
}

async fn page(state: &AppState, filter: ChatFilter, limit: usize, cursor: Option<&str>) -> Answered {
    let page = state.reads.chats(filter, limit, cursor).await?;
    let default_model = state.default_model();
    let items = page.items.iter().map(|outline| ChatView::of(outline, default_model.as_deref())).collect();
    Ok(HttpResponse::Ok().json(PageView { items, next_cursor: page.next_cursor }))
}

fn status(name: &str) -> Result<Status, Problem> {
    const ALL: [Status; 5] =
        [Status::Waiting, Status::Error, Status::Running, Status::Interrupting, Status::RequiresAction];
    ALL.into_iter().find(|status| status.name() == name).ok_or_else(|| {
        let names = ALL.map(Status::name).join(", ");
        Problem::invalid(format!("status must be one of: {names}"))
    })
}

fn label(text: &str) -> Result<(String, String), Problem> {
    let (key, value) = text.split_once(':').ok_or_else(|| Problem::invalid("label must be KEY:VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn parent_of(text: &str) -> Result<Parent, Problem> {
    text.parse().map(Parent::ChildOf).map_err(|_| Problem::invalid("parent must be a chat's id"))
}
