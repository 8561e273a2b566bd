//! A server elsewhere, over streamable HTTP.

use std::collections::HashMap;
use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError};

use super::keyed::{self, KeyedClient};
use super::stdio::MESSAGE_MAX_BYTES;

/// Why a server's address or headers are of no use. Quotes neither: both may hold secrets.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpProblem {
    /// The address.
    #[error("its url is no http or https URL")]
    Url,
    /// A header, by its name.
    #[error("its header {0:?} has forbidden characters")]
    Header(String),
    /// A header that the protocol needs itself, by its name.
    #[error("its header {0:?} belongs to the protocol")]
    Reserved(String),
    /// The client cannot be made.
    #[error("this machine has no root certificates")]
    Client,
}

/// Headers that the protocol sets itself, and the one that names a call.
const RESERVED: [&str; 6] = ["accept", "mcp-session-id", "last-event-id", "content-type", "host", keyed::HEADER];

/// Makes the transport; nothing is sent yet.
pub(super) fn transport(
    url: &str,
    headers: &[(String, String)],
    connect: Duration,
) -> Result<StreamableHttpClientTransport<KeyedClient>, HttpProblem> {
    let url = Url::parse(url).map_err(|_| HttpProblem::Url)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(HttpProblem::Url);
    }
    let mut custom = HashMap::new();
    for (name, value) in headers {
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(HttpProblem::Reserved(name.clone()));
        }
        let forbidden = || HttpProblem::Header(name.clone());
        let mut value = HeaderValue::from_str(value).map_err(|_| forbidden())?;
        value.set_sensitive(true);
        custom.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| forbidden())?, value);
    }
    // It fails only where cryptography is installed already, and then there is nothing to do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("verbatim/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect)
        // A redirect would carry the headers to wherever it points.
        .redirect(Policy::none())
        // A connection that waits may be closed by the other side at any time; a call must not find that out.
        .pool_max_idle_per_host(0);
    // Without TLS no root certificates are needed.
    let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
    let client = builder.build().map_err(|_| HttpProblem::Client)?;
    let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
        .custom_headers(custom)
        .max_sse_event_size(MESSAGE_MAX_BYTES);
    Ok(StreamableHttpClientTransport::with_client(KeyedClient(client), config))
}

/// What a failed request says about its server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HttpFault {
    /// It wants to know who we are.
    Unauthorized,
    /// This one request failed; the next one may not. In words.
    Request(String),
    /// Nothing reaches it, or it has forgotten us. In words.
    Connection(String),
}

/// Looks at a transport's error; `None` if it is not one over HTTP. The words quote neither addresses nor headers, which
/// libraries like to, nor a body.
pub(super) fn fault(error: &(dyn Error + Send + Sync + 'static)) -> Option<HttpFault> {
    let error = error.downcast_ref::<StreamableHttpError<reqwest::Error>>()?;
    let status = |status: u16| HttpFault::Request(format!("it answered with HTTP {status}"));
    Some(match error {
        StreamableHttpError::AuthRequired(_) | StreamableHttpError::InsufficientScope(_) => HttpFault::Unauthorized,
        StreamableHttpError::HttpStatus(error) => status(error.status),
        StreamableHttpError::Client(error) => match error.status() {
            Some(code) => status(code.as_u16()),
            None => HttpFault::Connection(io_cause(error)),
        },
        StreamableHttpError::ResponseBodyTooLarge { .. } => HttpFault::Request("its answer is too large".to_owned()),
        StreamableHttpError::Sse(_)
        | StreamableHttpError::UnexpectedEndOfStream
        | StreamableHttpError::UnexpectedServerResponse(_)
        | StreamableHttpError::UnexpectedContentType(_)
        | StreamableHttpError::Deserialize(_) => {
            HttpFault::Request("it does not answer as an MCP server does".to_owned())
        }
        StreamableHttpError::SessionExpired | StreamableHttpError::SessionRecoveryTimeout => {
            HttpFault::Connection("it has forgotten the session".to_owned())
        }
        _ => HttpFault::Connection("the connection to it broke".to_owned()),
    })
}

/// The operating system's own words about a failure, where they are behind it.
pub(super) fn io_cause(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    let root =
        causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).find(|error| error.get_ref().is_none());
    match root {
        Some(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
            "it closed the connection".to_owned()
        }
        Some(error) => error.to_string(),
        None => "the connection to it broke".to_owned(),
    }
}
