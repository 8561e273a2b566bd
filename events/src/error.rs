//! Classified errors: why a model call, a tool batch or a turn failed, in the one shape that events, chats and streams
//! share. The classification itself, from a provider's answer to a kind, is the provider adapter's work.

use serde::{Deserialize, Serialize};

/// What went wrong, coarse enough to decide on a retry and to tell a person what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// None of the others.
    Generic,
    /// The provider has no capacity (529, "overloaded").
    Overloaded,
    /// The provider limits our rate (429).
    RateLimit,
    /// The connection broke or took too long.
    Timeout,
    /// The provider kept the stream open but said nothing for longer than the silence guard allows.
    StreamSilenceTimeout,
    /// The provider refused our key.
    Auth,
    /// The request cannot succeed as configured: unknown model, context too long, broken settings.
    Config,
    /// A quota or a budget is used up.
    UsageLimit,
    /// The provider needs a key and none is configured.
    MissingKey,
    /// The provider is switched off.
    ProviderDisabled,
    /// The provider refused to answer.
    ContentFilter,
    /// The provider lost the response that this request continued.
    ChainBroken,
    /// A hook refused.
    HookDenied,
    /// A hook could not be asked.
    HookFailed,
}

impl ErrorKind {
    /// The kind's stable name, as JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Generic => "generic",
            ErrorKind::Overloaded => "overloaded",
            ErrorKind::RateLimit => "rate_limit",
            ErrorKind::Timeout => "timeout",
            ErrorKind::StreamSilenceTimeout => "stream_silence_timeout",
            ErrorKind::Auth => "auth",
            ErrorKind::Config => "config",
            ErrorKind::UsageLimit => "usage_limit",
            ErrorKind::MissingKey => "missing_key",
            ErrorKind::ProviderDisabled => "provider_disabled",
            ErrorKind::ContentFilter => "content_filter",
            ErrorKind::ChainBroken => "chain_broken",
            ErrorKind::HookDenied => "hook_denied",
            ErrorKind::HookFailed => "hook_failed",
        }
    }
}

/// A classified error. Never holds keys, headers or a provider's URLs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[serde(deny_unknown_fields)]
pub struct ChatError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// A sentence for a person: what happened and what to do.
    pub message: String,
    /// The provider's own words, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The provider's configured name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The HTTP status of the provider's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Whether trying again may help.
    pub retryable: bool,
}

impl ChatError {
    /// An error that trying again does not mend.
    pub fn terminal(kind: ErrorKind, message: impl Into<String>) -> ChatError {
        ChatError { kind, message: message.into(), detail: None, provider: None, status_code: None, retryable: false }
    }

    /// An error that may pass.
    pub fn retryable(kind: ErrorKind, message: impl Into<String>) -> ChatError {
        ChatError { retryable: true, ..ChatError::terminal(kind, message) }
    }
}

/// A failed model call, as a provider adapter reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// The classified error.
    pub error: ChatError,
    /// The provider's `Retry-After`, in ms: a minimum for the backoff.
    pub retry_after_ms: Option<u64>,
    /// The provider refused what stands in the request, which shows pictures or documents: without them it may take it.
    pub refuses_files: bool,
}

impl From<ChatError> for CallError {
    fn from(error: ChatError) -> CallError {
        CallError { error, retry_after_ms: None, refuses_files: false }
    }
}
