//! From what a provider answered to an error's kind: one pure function, one ordered table.

mod detail;
mod retry_after;
#[cfg(test)]
mod tests;
mod text;

use chrono::{DateTime, Utc};
use verbatim_events::error::{CallError, ChatError, ErrorKind};

use crate::secret::Secret;

pub use detail::DETAIL_MAX_CHARACTERS;
pub(crate) use detail::shown;
pub use retry_after::{RetryHeaders, retry_after_ms};

/// What the transport itself knows about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection came about: refused, unreachable, name not found, too slow.
    Connect,
    /// The other side's certificate is not to be trusted.
    Certificate,
    /// The connection broke while the request or the answer was under way.
    Reset,
    /// The stream ended before the protocol's terminal event.
    EndedEarly,
    /// A deadline of our own passed.
    Deadline,
}

/// A failed call, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Failure<'a> {
    /// The provider's configured name.
    pub provider: &'a str,
    /// The key in use; it is taken out of whatever is shown.
    pub secret: Option<&'a Secret>,
    /// The error was classified where it arose.
    pub classified: Option<ChatError>,
    /// The status of the response. An error inside a stream that began well has none.
    pub status: Option<u16>,
    /// The body of the response, or the text of the error.
    pub body: &'a str,
    /// The headers that say when to come back.
    pub headers: RetryHeaders,
    /// What the transport knows.
    pub fault: Option<Fault>,
}

/// Classifies a failure; `now` serves a `Retry-After` that is a date. The table is read from the top, the first match wins.
pub fn classify(failure: &Failure<'_>, now: DateTime<Utc>) -> CallError {
    let retry_after_ms = retry_after_ms(&failure.headers, now);
    if let Some(error) = &failure.classified {
        let retry_after_ms = retry_after_ms.filter(|_| error.retryable);
        return CallError { retry_after_ms, ..error.clone().into() };
    }
    let structured = detail::structured(failure.body);
    let words = text::lower(structured.as_ref().map_or(failure.body, |structured| &structured.all));
    let status = failure.status.or_else(|| text::status_in(&words));
    let verdict = judge(&words, status, failure.fault);
    let detail = match (verdict.kind, &structured) {
        (ErrorKind::Auth, _) => None,
        (_, Some(structured)) => detail::shown(&structured.message, failure.secret),
        (_, None) => detail::raw(failure.body, failure.secret),
    };
    let detail =
        if verdict.reason == Reason::Continuity { detail.map(|text| detail::without_ids(&text)) } else { detail };
    let error = ChatError {
        kind: verdict.kind,
        message: sentence(&verdict, failure.provider),
        detail,
        provider: Some(failure.provider.to_owned()),
        status_code: status,
        retryable: verdict.retryable,
    };
    CallError { retry_after_ms: retry_after_ms.filter(|_| verdict.retryable), ..error.into() }
}

/// Why an error has its kind, where one kind has several causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Plain,
    Interrupted,
    Continuity,
    EndedEarly,
    Forbidden,
    Unreachable,
    Certificate,
    Deadline,
    ServerError,
    NotFound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    kind: ErrorKind,
    retryable: bool,
    reason: Reason,
}

/// Rules 2 to 15 over a text in lower case.
fn judge(words: &str, status: Option<u16>, fault: Option<Fault>) -> Verdict {
    let verdict = |kind, retryable, reason| Verdict { kind, retryable, reason };
    let has = |needles: &[&str]| text::has_any(words, needles);
    let is = |statuses: &[u16]| status.is_some_and(|status| statuses.contains(&status));
    let config = names_configuration(words);
    if has(&["chat interrupted", "request interrupted", "operation interrupted"]) {
        return verdict(ErrorKind::Generic, false, Reason::Interrupted);
    }
    if has(&["no tool output found for function call"])
        || (has(&["provided without its required"]) && has(&["reasoning"]))
    {
        return verdict(ErrorKind::Generic, false, Reason::Continuity);
    }
    if fault == Some(Fault::EndedEarly) {
        return verdict(ErrorKind::Timeout, true, Reason::EndedEarly);
    }
    if text::has_near(words, "previous response with id", "not found", 200) {
        return verdict(ErrorKind::ChainBroken, true, Reason::Plain);
    }
    if is(&[529]) || has(&["overloaded"]) {
        return verdict(ErrorKind::Overloaded, true, Reason::Plain);
    }
    if has(&["insufficient_quota"]) || is(&[402]) || (!is(&[429]) && has(&["quota", "billing", "payment required"])) {
        return verdict(ErrorKind::UsageLimit, false, Reason::Plain);
    }
    if is(&[401]) || has(&["authentication", "unauthorized", "invalid api key", "invalid_api_key"]) {
        return verdict(ErrorKind::Auth, false, Reason::Plain);
    }
    if !config && (is(&[403]) || has(&["forbidden"])) {
        return verdict(ErrorKind::Auth, false, Reason::Forbidden);
    }
    if !config && (is(&[429]) || has(&["rate limit", "rate_limit", "rate-limit", "too many requests"])) {
        return verdict(ErrorKind::RateLimit, true, Reason::Plain);
    }
    if has(&["provider_disabled"]) {
        return verdict(ErrorKind::ProviderDisabled, false, Reason::Plain);
    }
    if fault == Some(Fault::Deadline) {
        return verdict(ErrorKind::Timeout, false, Reason::Deadline);
    }
    if fault == Some(Fault::Certificate) {
        return verdict(ErrorKind::Generic, false, Reason::Certificate);
    }
    let broken = matches!(fault, Some(Fault::Connect | Fault::Reset)) && status.is_none();
    if !config && (broken || is(&[408, 502, 503, 504]) || names_transport(words)) {
        let reason = if fault == Some(Fault::Connect) { Reason::Unreachable } else { Reason::Plain };
        return verdict(ErrorKind::Timeout, true, reason);
    }
    if config {
        return verdict(ErrorKind::Config, false, Reason::Plain);
    }
    // What one protocol calls an error of its own, unless the status says that it was ours.
    let own_error = status.is_none_or(|status| status >= 500) && has(&["api_error"]);
    if is(&[500]) || own_error || has(&["server error", "server_error", "server had an error"]) {
        return verdict(ErrorKind::Generic, true, Reason::ServerError);
    }
    verdict(ErrorKind::Generic, false, if is(&[404]) { Reason::NotFound } else { Reason::Plain })
}

/// Rule 12's words: a connection or a gateway gave up.
fn names_transport(words: &str) -> bool {
    const PATTERNS: [&str; 16] = [
        "timeout",
        "timed out",
        "unavailable",
        "connection reset",
        "connection refused",
        "connection closed",
        "broken pipe",
        "bad gateway",
        "client conn",
        "goaway",
        "http2: stream closed",
        "use of closed network connection",
        "refused_stream",
        "enhance_your_calm",
        "incomplete message",
        "unexpected end of file",
    ];
    const PEER_RESETS: [&str; 3] = ["internal_error", "cancel", "no_error"];
    text::has_any(words, &PATTERNS)
        || text::has_word(words, "eof")
        || (words.contains("received from peer") && text::has_any(words, &PEER_RESETS))
}

/// Rule 13's words: the request cannot succeed as configured.
fn names_configuration(words: &str) -> bool {
    const PATTERNS: [&str; 10] = [
        "invalid model",
        "invalid_model",
        "unsupported model",
        "unsupported_model",
        "model_not_found",
        "context_exceeded",
        "maximum context length",
        "prompt is too long",
        "malformed config",
        "unknown model",
    ];
    let too_long = ["context length", "context_length", "context window", "context size", "context limit"];
    text::has_any(words, &PATTERNS)
        || too_long.iter().any(|first| text::has_near(words, first, "exceed", 80))
        || too_long.iter().any(|second| text::has_near(words, "exceed", second, 80))
        || ["not found", "does not exist", "is not supported"]
            .iter()
            .any(|second| text::has_near(words, "model ", second, 120))
        || text::has_near(words, "model: ", "not_found_error", 240)
}

/// What a person reads: what happened and what to do.
fn sentence(verdict: &Verdict, provider: &str) -> String {
    let text = match (verdict.kind, verdict.reason) {
        (_, Reason::Interrupted) => "The request to {} was interrupted.",
        (_, Reason::Continuity) => {
            "{} does not accept the conversation as it was sent: an item that belongs to it is missing. Edit the last \
             message to go on from there."
        }
        (_, Reason::EndedEarly) => "The answer of {} broke off before its end.",
        (_, Reason::Forbidden) => {
            "{} refused access. Check that its API key may use this model, and that it may be used from here."
        }
        (_, Reason::Unreachable) => "{} cannot be reached. Check the network and the provider's base_url.",
        (_, Reason::Certificate) => {
            "The connection to {} is not secure: its certificate is not trusted. Check the provider's base_url and this \
             machine's certificates."
        }
        (_, Reason::Deadline) => "{} took longer than this request may take.",
        (_, Reason::NotFound) => "{} has nothing at the configured address. Check its base_url.",
        (_, Reason::ServerError) => "{} failed with an error of its own.",
        (ErrorKind::Overloaded, _) => "{} is overloaded. Try again in a moment, or use another model.",
        (ErrorKind::RateLimit, _) => "{} limits how much may be asked at once. Try again in a moment.",
        (ErrorKind::Timeout, _) => "The connection to {} broke, or it did not answer in time.",
        (ErrorKind::Auth, _) => "{} refused the API key. Check the key in the settings.",
        (ErrorKind::UsageLimit, _) => "The quota at {} is used up. Check the plan and the billing there.",
        (ErrorKind::ProviderDisabled, _) => "{} is switched off. Choose a model of another provider.",
        (ErrorKind::ChainBroken, _) => "{} no longer has the answer that this request continues.",
        (ErrorKind::Config, _) => {
            "{} cannot answer this request as it is configured. Check the model's name and the length of the chat."
        }
        _ => "{} refused the request, or answered it with an error.",
    };
    let subject = format!("the provider {provider}");
    let mut text = text.replace("{}", &subject);
    // Subjects are ASCII at the first byte, so that a sentence can begin with one.
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
