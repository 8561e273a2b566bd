//! Files: sent once, shown in chats.

use actix_web::http::header::{
    self, ContentDisposition, DispositionParam, DispositionType, EntityTag, Header as _, IfNoneMatch,
};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use uuid::Uuid;
use verbatim_events::ids::Digest;
use verbatim_events::limits::CHAT_FILES_MAX;
use verbatim_events::part::Part;

use super::access::settle;
use super::commands::was_answered;
use super::query::Query;
use super::{API, Answered, body};
use crate::auth::Caller;
use crate::error::{Code, Problem};
use crate::files::{FILE_MAX_BYTES, FileError, Kept, Kind, KindError, StoredFile, file_name, too_many};
use crate::idempotency::{IDEMPOTENCY_REPLAYED, key_of};
use crate::state::AppState;
use crate::wire::file::FileView;

/// When to ask again, in ms, while too many files are under way.
const BUSY_RETRY_MS: u64 = 1000;

fn busy() -> Problem {
    Problem::new(Code::Busy, "too many files are under way").retry_after_ms(BUSY_RETRY_MS)
}

/// `POST /files`: the body is the file
pub async fn create(state: Data<AppState>, request: HttpRequest, caller: Caller, payload: Payload) -> Answered {
    caller.check_create()?;
    let mut query = Query::of(&request)?;
    let asked_name = query.one("name")?;
    query.finish()?;
    let _permit = state.files.permit().ok_or_else(busy)?;
    let said = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = Kind::of(said).map_err(|refused| Problem::new(Code::UnsupportedMediaType, refused.to_string()))?;
    let name = match asked_name.map_or_else(|| disposition_name(&request), |name| Ok(Some(name)))? {
        None => format!("file.{}", kind.ending()),
        Some(name) => file_name(&name).ok_or_else(|| Problem::invalid("the file's name cannot be used"))?,
    };
    let content = body::read_raw(&request, payload, FILE_MAX_BYTES).await?;
    kind.check(&content).map_err(|refused: KindError| Problem::invalid(refused.to_string()))?;
    // The same key gives the same id, so the same file is kept once; another one under that id is refused.
    let key = key_of(&request, &caller.owner, b"")?;
    if was_answered(&state, &request, &caller, b"").await? {
        return Err(Problem::new(Code::IdempotencyMismatch, "the idempotency key was used for another request"));
    }
    let id = key.as_ref().map_or_else(Uuid::now_v7, |key| id_of_key(&key.owner, &key.key));
    let file = StoredFile {
        id,
        owner: caller.owner.clone(),
        chat_id: None,
        media_type: kind.media_type().to_owned(),
        name,
        size_bytes: content.len() as u64,
        digest: Digest::of(&content),
        created_at: state.clock.now(),
        let_go_at: None,
    };
    let Kept { file, again } = state.files.keep(file, content).await?;
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, format!("{API}/files/{id}")));
    if again {
        response.insert_header((IDEMPOTENCY_REPLAYED, "true"));
    }
    Ok(response.json(FileView::of(&file)))
}

/// The id of the file that was sent with an idempotency key.
fn id_of_key(owner: &str, key: &str) -> Uuid {
    let digest = Digest::of(format!("{}:{owner}{key}", owner.len()).as_bytes());
    uuid::Builder::from_custom_bytes(std::array::from_fn(|index| digest.0[index])).into_uuid()
}

/// The name in a `Content-Disposition`.
fn disposition_name(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get(header::CONTENT_DISPOSITION) else { return Ok(None) };
    let unreadable = || Problem::invalid("the Content-Disposition cannot be read");
    let said = ContentDisposition::from_raw(value).map_err(|_| unreadable())?;
    match (said.get_filename_ext(), said.get_filename()) {
        (Some(extended), _) => String::from_utf8(extended.value.clone()).map(Some).map_err(|_| unreadable()),
        (None, plain) => Ok(plain.map(str::to_owned)),
    }
}

/// `GET /files/{file}`: what stands in it
pub async fn read(state: Data<AppState>, request: HttpRequest, caller: Caller) -> Answered {
    Query::of(&request)?.finish()?;
    let missing = || Problem::new(Code::FileNotFound, "there is no such file");
    let id: Uuid = request.match_info().get("file").and_then(|text| text.parse().ok()).ok_or_else(missing)?;
    let file = state.files.about(id).await?.ok_or_else(missing)?;
    // Another owner's file does not exist for the caller.
    caller.check_read(&file.owner).map_err(|_| missing())?;
    settle(&state, &request).await?;
    let expired = || Problem::new(Code::FileExpired, "newer files of its chat have taken its place");
    if state.reads.file_is_expired(&id.to_string()).await? {
        return Err(expired());
    }
    if file.let_go_at.is_some() {
        // A chat that was forked from an earlier day may show what its own has let go.
        return Err(if state.reads.shows(&id.to_string()).await? { expired() } else { missing() });
    }
    let tag = EntityTag::new_strong(file.digest.to_string());
    let known = match IfNoneMatch::parse(&request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Err(_) => false,
    };
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header(header::ETag(tag));
    // Kept by the caller alone, and asked for each time: the right to see it may end.
    response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
    if known {
        return Ok(response.finish());
    }
    let _permit = state.files.permit().ok_or_else(busy)?;
    let content = state.files.content(&file).await?;
    Ok(response
        .insert_header((header::CONTENT_TYPE, content_type(&file.media_type)))
        .insert_header(disposition(&file))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .body(content))
}

/// Text was checked to be UTF-8.
fn content_type(media_type: &str) -> String {
    if media_type.starts_with("text/") { format!("{media_type}; charset=utf-8") } else { media_type.to_owned() }
}

/// A browser shows pictures; everything else it keeps.
fn disposition(file: &StoredFile) -> ContentDisposition {
    let is_image = Kind::of(&file.media_type).is_ok_and(Kind::is_image);
    let name = if file.name.is_ascii() {
        DispositionParam::Filename(file.name.clone())
    } else {
        DispositionParam::FilenameExt(header::ExtendedValue {
            charset: header::Charset::Ext("UTF-8".to_owned()),
            language_tag: None,
            value: file.name.clone().into_bytes(),
        })
    };
    let disposition = if is_image { DispositionType::Inline } else { DispositionType::Attachment };
    ContentDisposition { disposition, parameters: vec![name] }
}

/// Puts the files of the chat's owner into the parts that name them, and refuses more than a chat may show; unless the
/// request was answered before.
pub async fn attach(
    state: &AppState,
    request: &HttpRequest,
    caller: &Caller,
    body: &[u8],
    owner: &str,
    parts: &mut [Part],
) -> Result<(), Problem> {
    let problem = match state.files.resolve(owner, parts, state.clock.now()).await? {
        Err(index) => Problem::field(format!("/content/{index}/file_id"), "there is no such file"),
        Ok(()) if too_many(parts) => {
            Problem::field("/content", format!("a message shows at most {CHAT_FILES_MAX} files"))
        }
        Ok(()) => return Ok(()),
    };
    if was_answered(state, request, caller, body).await? { Ok(()) } else { Err(problem) }
}

/// The same for a chat that exists. Nothing is looked up for content without files.
pub async fn attach_to(
    state: &AppState,
    request: &HttpRequest,
    caller: &Caller,
    body: &[u8],
    chat_id: verbatim_events::ids::ChatId,
    parts: &mut [Part],
) -> Result<(), Problem> {
    if !parts.iter().any(|part| matches!(part, Part::File { .. })) {
        return Ok(());
    }
    let owner = state.owner_of(chat_id).await?;
    attach(state, request, caller, body, &owner, parts).await
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Problem {
        match error {
            FileError::Different(_) => {
                Problem::new(Code::IdempotencyMismatch, "the idempotency key was used for another file")
            }
            FileError::Disk(_) | FileError::Damaged { .. } => {
                tracing::error!(%error, "A file could not be read or written.");
                Problem::new(Code::Internal, "the file cannot be read or written; the server's log says why")
            }
        }
    }
}
