//! One provider over HTTP: the client, the request, and the streamed body that feeds a decoder.
//!
//! **Invariant:** nothing that leaves this module as an error holds a key, a header or an address. Transport errors are
//! told in words of our own, never in those of the client library, which like to quote the URL.

use std::error::Error;
use std::io;
use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics::counter;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use verbatim_events::error::{CallError, ChatError, ErrorKind};
use verbatim_events::message::Usage;
use verbatim_events::model::{CallIdentity, Meter, ModelFinished, PartSink};
use verbatim_events::part::LivePart;

use crate::classify::{Failure, Fault, RetryHeaders, classify};
use crate::files::Filled;
use crate::options::ProviderOptions;
use crate::secret::Secret;

/// How long a connection may take to come about, in ms.
pub const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// How much of an error's body is read, in bytes.
pub const ERROR_BODY_MAX_BYTES: usize = 64 * 1024;
/// How long an error's body is waited for, in ms; what has come until then is classified.
const ERROR_BODY_WAIT_MS: u64 = 5_000;
/// How much of an answer that is not streamed is read, in bytes.
const WHOLE_BODY_MAX_BYTES: usize = 32 * 1024 * 1024;
/// How long the rest of a stream (usage, end mark) is waited for once the answer itself is complete, in ms.
const TRAILER_WAIT_MS: u64 = 5_000;

/// Makes `ring` the process's cryptography. Call it first thing in `main`; more than once does no harm.
pub fn install_crypto() {
    // It fails only where a provider is installed already, and then there is nothing to do.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// How far a decoder has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The answer goes on.
    Open,
    /// The answer is complete; figures about it may follow.
    Answered,
    /// Nothing more can follow.
    Over,
}

/// A wire protocol's reader: bytes in, parts out, no I/O. After an error every further call gives an error.
pub trait Decoder: Send {
    /// Takes the next bytes of a streamed body. Parts found before an error are kept.
    fn feed(&mut self, bytes: &[u8], parts: &mut Vec<LivePart>) -> Result<Progress, CallError>;
    /// Takes a whole body that is one JSON document, from a server that does not stream.
    fn feed_whole(&mut self, body: &[u8], parts: &mut Vec<LivePart>) -> Result<Progress, CallError>;
    /// What the provider has said of tokens so far.
    fn usage(&self) -> Option<Usage>;
    /// The body is over.
    fn finish(&mut self, parts: &mut Vec<LivePart>) -> Result<ModelFinished, CallError>;
}

/// A provider's address and how to speak to it.
pub(crate) struct Endpoint {
    provider: String,
    secret: Option<Secret>,
    client: Client,
    url: Url,
    headers: HeaderMap,
}

/// How a provider wants its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyHeader {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `x-api-key: KEY`.
    ApiKey,
}

/// How a protocol is spoken over HTTP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// A segment between the base address and the path, which the base address may also end with.
    pub(crate) version: Option<&'static str>,
    /// The path's segments.
    pub(crate) path: &'static [&'static str],
    /// How the key is sent.
    pub(crate) key: KeyHeader,
    /// Headers of every request: name in lower case, and value.
    pub(crate) headers: &'static [(&'static str, &'static str)],
}

impl Endpoint {
    /// The endpoint of a protocol below the provider's `base_url`. A query in `base_url` is kept.
    pub(crate) fn new(options: &ProviderOptions, dialect: &Dialect) -> Result<Endpoint, ChatError> {
        let ProviderOptions { name: provider, base_url, api_key: secret, .. } = options;
        let wrong = |what: &str| ChatError {
            provider: Some(provider.clone()),
            ..ChatError::terminal(ErrorKind::Config, format!("The provider {provider} cannot be used: {what}."))
        };
        let mut url = Url::parse(base_url.trim()).map_err(|_| wrong("its base_url is no address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("its base_url begins with neither http:// nor https://"));
        }
        let last = url.path_segments().and_then(|segments| segments.rev().find(|segment| !segment.is_empty()));
        let version = dialect.version.filter(|version| last != Some(*version));
        url.path_segments_mut()
            .map_err(|()| wrong("its base_url has no place for a path"))?
            .pop_if_empty()
            .extend(version.iter().chain(dialect.path));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        for (name, value) in dialect.headers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if let Some(key) = secret {
            let (name, text) = match dialect.key {
                KeyHeader::Bearer => (AUTHORIZATION, format!("Bearer {}", key.expose())),
                KeyHeader::ApiKey => (HeaderName::from_static("x-api-key"), key.expose().to_owned()),
            };
            let mut value =
                HeaderValue::from_str(&text).map_err(|_| wrong("its API key holds forbidden characters"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        install_crypto();
        let builder = Client::builder()
            .user_agent(concat!("verbatim/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
            // A redirect would carry the key to wherever it points.
            .redirect(Policy::none());
        // Without TLS no root certificates are needed, so that a bare container can use a local model.
        let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        let client = builder.build().map_err(|_| wrong("this machine has no root certificates"))?;
        Ok(Endpoint { provider: provider.clone(), secret: secret.clone(), client, url, headers })
    }

    /// Sends a request, with `headers` of its own, and feeds the answer's parts to `sink` as they come, up to the end of the
    /// stream; what the answer ends with is for `conclude`.
    pub(crate) async fn stream(
        &self,
        body: Filled,
        identity: CallIdentity,
        headers: &[(&'static str, String)],
        decoder: &mut dyn Decoder,
        sink: &mut PartSink,
        meter: &Meter,
    ) -> Result<(), CallError> {
        let response = self.post(body, identity, headers, meter).await?;
        let mut parts = Vec::new();
        let read = match self.read(response, decoder, &mut parts, sink, meter).await {
            Ok(Read::Ended) => Ok(()),
            Ok(Read::Unwanted) => return Err(unwanted()),
            Err(error) => Err(error),
        };
        if deliver(&mut parts, sink) { read } else { Err(unwanted()) }
    }

    /// The end of an answer whose stream is over.
    pub(crate) fn conclude(&self, decoder: &mut dyn Decoder, sink: &mut PartSink) -> Result<ModelFinished, CallError> {
        let mut parts = Vec::new();
        let finished = decoder.finish(&mut parts);
        if deliver(&mut parts, sink) { finished } else { Err(unwanted()) }
    }

    async fn post(
        &self,
        body: Filled,
        identity: CallIdentity,
        more: &[(&'static str, String)],
        meter: &Meter,
    ) -> Result<Response, CallError> {
        let mut headers = self.headers.clone();
        for (name, value) in more {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let Filled { body, room } = body;
        meter.sent();
        let sent = self
            .client
            .post(self.url.clone())
            .headers(headers)
            .header(HeaderName::from_static("x-client-request-id"), identity.request_id.to_string())
            .body(body)
            .send()
            .await;
        drop(room);
        let status = sent.as_ref().map_or("broken".to_owned(), |response| response.status().as_str().to_owned());
        counter!("verbatim_provider_responses_total", "provider" => self.provider.clone(), "status" => status)
            .increment(1);
        let response = sent.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                meter.refused();
            }
            self.broken(&error)
        })?;
        tracing::debug!(provider = %self.provider, request_id = %identity.request_id, status = %response.status(), "model answers");
        if response.status().is_success() {
            return Ok(response);
        }
        // No provider bills what it answers with a failure instead of a stream.
        meter.refused();
        Err(self.refused(response).await)
    }

    /// Reads the body until its end, until nothing can follow, or until nobody wants more.
    async fn read(
        &self,
        mut response: Response,
        decoder: &mut dyn Decoder,
        parts: &mut Vec<LivePart>,
        sink: &mut PartSink,
        meter: &Meter,
    ) -> Result<Read, CallError> {
        if is_json(response.headers()) {
            let (body, broken) = collect(&mut response, WHOLE_BODY_MAX_BYTES).await;
            if let Some(error) = broken {
                return Err(self.broken(&error));
            }
            let fed = decoder.feed_whole(&body, parts);
            decoder.usage().into_iter().for_each(|usage| meter.report(usage));
            fed?;
            return Ok(Read::Ended);
        }
        let mut progress = Progress::Open;
        while progress != Progress::Over {
            let chunk = if progress == Progress::Open {
                response.chunk().await
            } else {
                let wait = Duration::from_millis(TRAILER_WAIT_MS);
                tokio::time::timeout(wait, response.chunk()).await.unwrap_or(Ok(None))
            };
            match chunk {
                Ok(Some(bytes)) => {
                    let fed = decoder.feed(&bytes, parts);
                    decoder.usage().into_iter().for_each(|usage| meter.report(usage));
                    progress = fed?;
                }
                Ok(None) => return Ok(Read::Ended),
                // The answer is complete; what broke is the courtesy after it.
                Err(_) if progress == Progress::Answered => return Ok(Read::Ended),
                Err(error) => return Err(self.broken(&error)),
            }
            if !deliver(parts, sink) {
                return Ok(Read::Unwanted);
            }
        }
        Ok(Read::Ended)
    }

    /// Classifies an answer that is not a success.
    async fn refused(&self, mut response: Response) -> CallError {
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let headers = RetryHeaders { retry_after_ms: header("retry-after-ms"), retry_after: header("retry-after") };
        // The provider's own clock, where it tells it, since the date it names is by that clock.
        let now = header(DATE.as_str())
            .and_then(|date| httpdate::parse_http_date(&date).ok())
            .map_or_else(Utc::now, DateTime::<Utc>::from);
        let status = response.status().as_u16();
        let wait = Duration::from_millis(ERROR_BODY_WAIT_MS);
        let body = collect_within(&mut response, ERROR_BODY_MAX_BYTES, wait).await;
        let body = String::from_utf8_lossy(&body);
        classify(&Failure { status: Some(status), headers, body: &body, ..self.failure() }, now)
    }

    /// Classifies a failure of the transport.
    fn broken(&self, error: &reqwest::Error) -> CallError {
        let (fault, words) = fault_of(error);
        tracing::debug!(provider = %self.provider, ?fault, words, "model call broke");
        classify(&Failure { fault: Some(fault), body: words, ..self.failure() }, DateTime::UNIX_EPOCH)
    }

    fn failure(&self) -> Failure<'_> {
        Failure { provider: &self.provider, secret: self.secret.as_ref(), ..Failure::default() }
    }
}

enum Read {
    Ended,
    Unwanted,
}

/// Hands the parts over; `false` if nobody wants more.
fn deliver(parts: &mut Vec<LivePart>, sink: &mut PartSink) -> bool {
    parts.drain(..).all(sink)
}

/// What a call gives whose taker went away; nobody reads it.
pub(crate) fn unwanted() -> CallError {
    ChatError::terminal(ErrorKind::Generic, "The answer was no longer wanted.").into()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("application/json")
}

/// The body up to `max_bytes`, and the error that ended it early.
async fn collect(response: &mut Response, max_bytes: usize) -> (Vec<u8>, Option<reqwest::Error>) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) => body.extend_from_slice(&bytes[..bytes.len().min(max_bytes - body.len())]),
            Ok(None) => return (body, None),
            Err(error) => return (body, Some(error)),
        }
        if body.len() == max_bytes {
            return (body, None);
        }
    }
}

/// The body up to `max_bytes`, as far as it comes within `wait`.
async fn collect_within(response: &mut Response, max_bytes: usize, wait: Duration) -> Vec<u8> {
    let deadline = tokio::time::Instant::now() + wait;
    let mut body = Vec::new();
    while let Ok(Ok(Some(bytes))) = tokio::time::timeout_at(deadline, response.chunk()).await {
        body.extend_from_slice(&bytes[..bytes.len().min(max_bytes - body.len())]);
        if body.len() == max_bytes {
            break;
        }
    }
    body
}

/// What kind of failure the client reports, and our words for it.
fn fault_of(error: &reqwest::Error) -> (Fault, &'static str) {
    let causes = || std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source());
    // An `io::Error` hides the error it wraps from `source`, and shows that one's source instead.
    let untrusted = causes().any(|cause| {
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let wrapped = wrapped.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let tls = cause.downcast_ref::<rustls::Error>().or(wrapped);
        matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
    });
    if untrusted {
        return (Fault::Certificate, "the certificate is not trusted");
    }
    let io_kind = causes().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    let words = match io_kind {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused",
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted) => "connection reset",
        Some(io::ErrorKind::BrokenPipe) => "broken pipe",
        Some(io::ErrorKind::TimedOut) => "timed out",
        Some(io::ErrorKind::UnexpectedEof) => "connection closed",
        _ if error.is_timeout() => "timed out",
        _ if error.is_dns() => "name not found",
        _ if error.is_connect() => "no connection",
        _ => "connection closed",
    };
    (if error.is_connect() { Fault::Connect } else { Fault::Reset }, words)
}
