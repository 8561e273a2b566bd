//! Every error that the HTTP face can answer, on one screen: code, status, title. Answers follow RFC 9457
//! (`application/problem+json`); `code` is stable and what programs should look at, `type` is the URI reference
//! `/problems/<code>`.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use verbatim_actors::handle::SendError;
use verbatim_events::log::LogError;
use verbatim_events::rejection::Rejection;
use verbatim_projections::ReadError;

use crate::auth::KeysError;

macro_rules! problem_codes {
    ($($(#[doc = $doc:literal])+ $name:ident: $code:literal, $status:literal, $title:literal;)+) => {
        /// A stable kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// The code as programs see it.
            pub fn name(self) -> &'static str {
                match self { $(Code::$name => $code,)+ }
            }

            /// The HTTP status it comes with.
            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status,)+ }
            }

            /// A short sentence for people; the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)+ }
            }
        }
    };
}

problem_codes! {
    /// The request cannot be understood; `errors` says where.
    InvalidRequest: "invalid_request", 400, "The request is not valid";
    /// A message says nothing.
    EmptyContent: "empty_content", 400, "The message is empty";
    /// Only a user's message can be edited.
    NotAUserMessage: "not_a_user_message", 400, "The message is not a user's";
    /// A call was answered twice.
    DuplicateCall: "duplicate_call", 400, "A call appears twice";
    /// A call was answered that does not wait.
    UnknownCall: "unknown_call", 400, "A call does not wait for an answer";
    /// A waiting call was not answered.
    MissingCall: "missing_call", 400, "A waiting call is not answered";
    /// A result is absent or too large.
    InvalidResult: "invalid_result", 400, "A result is not usable";
    /// No key, or one that nobody knows.
    Unauthorized: "unauthorized", 401, "A valid key is needed";
    /// The key's roles do not allow it.
    Forbidden: "forbidden", 403, "The key's roles do not allow this";
    /// There is nothing at this address.
    NotFound: "not_found", 404, "There is nothing here";
    /// There is no such chat, or it is somebody else's.
    ChatNotFound: "chat_not_found", 404, "There is no such chat";
    /// No such message is in the chat's history.
    MessageNotFound: "message_not_found", 404, "There is no such message";
    /// No such message waits.
    QueuedMessageNotFound: "queued_message_not_found", 404, "There is no such queued message";
    /// The chat has no such version.
    VersionNotFound: "version_not_found", 404, "The chat has no such version";
    /// The chat has no such attempt.
    AttemptNotFound: "attempt_not_found", 404, "The chat has no such attempt";
    /// There is no such read model.
    ProjectionNotFound: "projection_not_found", 404, "There is no such projection";
    /// There is no such notification, or it is somebody else's.
    NotificationNotFound: "notification_not_found", 404, "There is no such notification";
    /// There is no such webhook.
    WebhookNotFound: "webhook_not_found", 404, "There is no such webhook";
    /// There is no such key.
    KeyNotFound: "key_not_found", 404, "There is no such key";
    /// There is no such file, or it is somebody else's.
    FileNotFound: "file_not_found", 404, "There is no such file";
    /// There is no such template.
    TemplateNotFound: "template_not_found", 404, "There is no such template";
    /// There is no such workspace.
    WorkspaceNotFound: "workspace_not_found", 404, "There is no such workspace";
    /// There is no such provider.
    ProviderNotFound: "provider_not_found", 404, "There is no such provider";
    /// There is no such model.
    ModelNotFound: "model_not_found", 404, "There is no such model";
    /// The owner has no budget of their own.
    BudgetNotFound: "budget_not_found", 404, "The owner has no budget of their own";
    /// The address does not take this method.
    MethodNotAllowed: "method_not_allowed", 405, "The method is not allowed here";
    /// The command does not fit the chat's state.
    NotAllowed: "not_allowed", 409, "Not allowed in the chat's state";
    /// The chat, or its family, is archived.
    Archived: "archived", 409, "The chat is archived";
    /// The chat's family is larger than one change covers.
    FamilyTooLarge: "family_too_large", 409, "The chat's family is too large";
    /// The chat is stored as it is: its words cannot be taken out of the log.
    NotSealed: "not_sealed", 409, "The chat is not sealed";
    /// There is nothing to summarise.
    NothingToCompact: "nothing_to_compact", 409, "There is nothing to compact";
    /// There is nothing to forget.
    NothingToClear: "nothing_to_clear", 409, "There is nothing to clear";
    /// The chat's workspace has no git repository.
    NoRepository: "no_repository", 409, "There is no repository in the workspace";
    /// Something of this kind is under way already.
    AlreadyRunning: "already_running", 409, "This is under way already";
    /// Something of this name is there.
    AlreadyExists: "already_exists", 409, "There is one of this name already";
    /// Models need the provider.
    ProviderInUse: "provider_in_use", 409, "The provider is in use";
    /// Chats that name no model need the model.
    ModelIsDefault: "model_is_default", 409, "The model is the default one";
    /// It stands in the server's file, and only there.
    SetInFile: "set_in_file", 409, "It is set in the server's file";
    /// There are as many as there may be.
    TooManySettings: "too_many_settings", 409, "There are too many already";
    /// No more may be spent for now.
    UsageLimit: "usage_limit", 409, "No more may be spent for now";
    /// The content is gone for good.
    Erased: "erased", 410, "The chat's content was erased";
    /// Newer files have taken the file's place.
    FileExpired: "file_expired", 410, "The file is expired";
    /// The body is over the limit.
    BodyTooLarge: "body_too_large", 413, "The body is too large";
    /// The body is not JSON, or a file of a kind that is not kept.
    UnsupportedMediaType: "unsupported_media_type", 415, "The media type is not supported";
    /// The idempotency key was used for another request.
    IdempotencyMismatch: "idempotency_mismatch", 422, "The idempotency key belongs to another request";
    /// The chat's queue is full.
    QueueFull: "queue_full", 429, "The chat's queue is full";
    /// The key asks too often.
    RateLimited: "rate_limited", 429, "Too many requests";
    /// Something broke inside; the server's log says what.
    Internal: "internal_error", 500, "Something went wrong inside the server";
    /// The chat's events cannot be read.
    ChatDamaged: "chat_damaged", 500, "The chat's log is damaged";
    /// The model failed that was to write something.
    ModelFailed: "model_failed", 502, "The model failed";
    /// Too much waits already.
    Busy: "busy", 503, "The server is busy";
    /// The keys cannot be read or changed.
    KeysUnavailable: "keys_unavailable", 503, "The keys are not available";
    /// The log does not answer.
    LogUnavailable: "log_unavailable", 503, "The log is not available";
    /// The read models do not answer.
    ReadsUnavailable: "reads_unavailable", 503, "The read models are not available";
    /// The read models are not as far as asked for.
    ReadsBehind: "reads_behind", 503, "The read models are not that far yet";
    /// The chat failed again and again and is left alone for a while.
    ChatUnavailable: "chat_unavailable", 503, "The chat is not available for now";
    /// Whoever makes the workspaces does not answer, or refuses.
    WorkspacesUnavailable: "workspaces_unavailable", 503, "The workspaces are not available";
    /// The server stops.
    Stopping: "stopping", 503, "The server is stopping";
    /// The model took too long.
    ModelTimeout: "model_timeout", 504, "The model took too long";
    /// Git did not even say in time which files of the workspace differ.
    DiffTimeout: "diff_timeout", 504, "The difference takes too long";
}

/// One thing that is wrong with a request's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Where, as a JSON pointer (RFC 6901) into the body; empty for the whole body.
    pub pointer: String,
    /// What.
    pub detail: String,
}

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub code: Code,
    /// What happened this time and what to do, for a person. Never a secret.
    pub detail: String,
    /// What is wrong with the body, where that is the problem.
    pub errors: Vec<FieldError>,
    /// When to try again, in seconds.
    pub retry_after_s: Option<u64>,
    /// The methods that the address takes.
    pub allow: Option<String>,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem { code, detail: detail.into(), errors: Vec::new(), retry_after_s: None, allow: None }
    }

    /// A request that is wrong as a whole, or outside its body.
    pub fn invalid(detail: impl Into<String>) -> Problem {
        Problem::new(Code::InvalidRequest, detail)
    }

    /// A request with one wrong field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Problem {
        Problem::fields(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }

    /// A request with wrong fields.
    pub fn fields(errors: Vec<FieldError>) -> Problem {
        let detail = match errors.as_slice() {
            [only] if only.pointer.is_empty() => only.detail.clone(),
            [only] => format!("{}: {}", only.pointer, only.detail),
            several => format!("{} fields of the body are not valid", several.len()),
        };
        Problem { errors, ..Problem::invalid(detail) }
    }

    /// There is no such chat, or none that the caller may know of.
    pub fn chat_not_found() -> Problem {
        Problem::new(Code::ChatNotFound, "there is no such chat")
    }

    /// The chat is there no more.
    pub fn erased() -> Problem {
        Problem::new(Code::Erased, "the chat's content was erased")
    }

    /// Says when to try again.
    pub fn retry_after_ms(self, delay_ms: u64) -> Problem {
        Problem { retry_after_s: Some(delay_ms.div_ceil(1000).max(1)), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.name(), self.detail)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        if self.code == Code::Unauthorized {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        // The content type is set last and by hand: `json` would call it application/json.
        let body = Body {
            r#type: format!("/problems/{}", self.code.name()),
            title: self.code.title(),
            status: self.code.status(),
            detail: &self.detail,
            code: self.code.name(),
            errors: &self.errors,
        };
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        response.insert_header((header::CONTENT_TYPE, "application/problem+json")).body(bytes)
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Problem {
        let detail = rejection.to_string();
        let code = match &rejection {
            Rejection::ChatNotFound => Code::ChatNotFound,
            Rejection::Erased => Code::Erased,
            Rejection::Archived | Rejection::FamilyArchived => Code::Archived,
            Rejection::NotAllowed { .. } => Code::NotAllowed,
            Rejection::EmptyContent => Code::EmptyContent,
            Rejection::QueueFull { .. } => Code::QueueFull,
            Rejection::QueuedMessageNotFound { .. } => Code::QueuedMessageNotFound,
            Rejection::MessageNotFound { .. } => Code::MessageNotFound,
            Rejection::NotAUserMessage { .. } => Code::NotAUserMessage,
            Rejection::DuplicateCall { .. } => Code::DuplicateCall,
            Rejection::UnknownCall { .. } => Code::UnknownCall,
            Rejection::MissingCall { .. } => Code::MissingCall,
            Rejection::InvalidResult { .. } => Code::InvalidResult,
            Rejection::NothingToCompact => Code::NothingToCompact,
            Rejection::NothingToClear => Code::NothingToClear,
            // Only the server's own commands meet these; one that reaches a client is a fault of ours.
            Rejection::ChatExists
            | Rejection::DeadlineNotPassed { .. }
            | Rejection::Fenced
            | Rejection::TooManyAttempts { .. }
            | Rejection::StepMismatch { .. }
            | Rejection::Inconsistent { .. } => Code::Internal,
        };
        let problem = Problem::new(code, detail);
        if code == Code::QueueFull { problem.retry_after_ms(QUEUE_FULL_RETRY_MS) } else { problem }
    }
}

/// A full queue empties when a turn ends; nobody knows when that is, and asking once a second harms nobody.
const QUEUE_FULL_RETRY_MS: u64 = 1000;

/// When to ask again after the log or the read models did not answer, in ms.
const UNAVAILABLE_RETRY_MS: u64 = 1000;

/// How long the actors leave a chat alone that failed too often, in ms.
const GIVEN_UP_RETRY_MS: u64 = 60 * 1000;

impl From<SendError> for Problem {
    fn from(error: SendError) -> Problem {
        match error {
            SendError::Rejected(rejection) => rejection.into(),
            SendError::KeyReused => Problem::new(
                Code::IdempotencyMismatch,
                "this idempotency key was used for another request; use a fresh one",
            ),
            SendError::FamilyTooLarge { .. } => Problem::new(Code::FamilyTooLarge, error.to_string()),
            SendError::Busy { retry_after_ms } => {
                Problem::new(Code::Busy, "too many commands wait already; try again later")
                    .retry_after_ms(retry_after_ms)
            }
            SendError::LogUnavailable { problem } => {
                tracing::error!(%problem, "The log did not take or give what a request needs.");
                Problem::new(
                    Code::LogUnavailable,
                    "the log is not available; with the same idempotency key it is safe to ask again",
                )
                .retry_after_ms(UNAVAILABLE_RETRY_MS)
            }
            SendError::Damaged { problem } => {
                tracing::error!(%problem, "A chat's events cannot be read.");
                Problem::new(Code::ChatDamaged, "the chat's events cannot be read; the server's log says why")
            }
            SendError::Died => Problem::new(
                Code::ChatUnavailable,
                "the chat failed while this was under way; ask again with the same idempotency key",
            )
            .retry_after_ms(UNAVAILABLE_RETRY_MS),
            SendError::GivenUp => {
                Problem::new(Code::ChatUnavailable, "the chat failed several times in a row and is left alone for now")
                    .retry_after_ms(GIVEN_UP_RETRY_MS)
            }
            SendError::Stopping => Problem::new(Code::Stopping, "the server is stopping; ask another one, or later")
                .retry_after_ms(UNAVAILABLE_RETRY_MS),
        }
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Problem {
        let problem = error.to_string();
        match error {
            LogError::Unavailable(_) => SendError::LogUnavailable { problem }.into(),
            LogError::Damaged { .. } => SendError::Damaged { problem }.into(),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        let detail = error.to_string();
        match error {
            ReadError::BadCursor => Problem::invalid("the cursor is not one of this list's"),
            ReadError::UnknownProjection { .. } => Problem::new(Code::ProjectionNotFound, detail),
            ReadError::RebuildRunning => Problem::new(Code::AlreadyRunning, detail),
            ReadError::Stopped => SendError::Stopping.into(),
            _ => {
                tracing::error!(%error, "The read models did not give what a request needs.");
                Problem::new(Code::ReadsUnavailable, "the read models are not available; try again")
                    .retry_after_ms(UNAVAILABLE_RETRY_MS)
            }
        }
    }
}

impl From<KeysError> for Problem {
    fn from(error: KeysError) -> Problem {
        tracing::error!(%error, "The keys could not be read or changed.");
        Problem::new(Code::KeysUnavailable, "the keys cannot be read or changed now; try again")
            .retry_after_ms(UNAVAILABLE_RETRY_MS)
    }
}

#[cfg(test)]
mod tests;
