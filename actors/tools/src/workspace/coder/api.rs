//! Asks a Coder deployment. Nothing of where it is or with which key leaves this file.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::Refusal;

/// The largest answer that is read, in bytes.
const ANSWER_MAX_BYTES: usize = 8 * 1024 * 1024;
/// The longest refusal that is passed on, in characters.
const WORDS_MAX: usize = 500;
/// How long a connection may take.
const CONNECT_MS: u64 = 10_000;

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ApiError {
    /// There is no such thing, or there is none any more.
    Gone(String),
    /// It clashes with what is there.
    Conflict(String),
    /// The deployment refuses; asking again will not help.
    Refused(String),
    /// It did not answer, or not sensibly. Whether it did what it was asked is unknown.
    Unavailable(String),
}

/// The way to a deployment.
pub(super) struct Api {
    client: Client,
    base: Url,
    token: String,
}

impl Api {
    /// The deployment at this address, for the user of this token.
    pub fn new(url: &str, token: &str) -> Result<Api, String> {
        // Fails only if one is there already, and any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut base = Url::parse(url).map_err(|_| "the deployment's url is no URL".to_owned())?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let builder = Client::builder()
            .user_agent(concat!("verbatim/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_millis(CONNECT_MS))
            // A redirect would carry the token to wherever it points.
            .redirect(Policy::none());
        let builder = if base.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        let client = builder.build().map_err(|_| "this machine has no root certificates".to_owned())?;
        Ok(Api { client, base, token: token.to_owned() })
    }

    /// The deployment's address, for its own command line.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The token, for its own command line.
    pub fn token(&self) -> &str {
        &self.token
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str, timeout_ms: u64) -> Result<T, ApiError> {
        self.ask(Method::GET, path, None::<&()>, timeout_ms).await
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        timeout_ms: u64,
    ) -> Result<T, ApiError> {
        self.ask(Method::POST, path, Some(body), timeout_ms).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        timeout_ms: u64,
    ) -> Result<T, ApiError> {
        let unavailable = |words: &str| ApiError::Unavailable(format!("the workspace platform {words}"));
        let url = self.base.join(&format!("api/v2/{path}")).map_err(|_| unavailable("has no such address"))?;
        let mut request = self.client.request(method, url).header("Coder-Session-Token", &self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let asked = async {
            let mut response = request.send().await.map_err(|_| unavailable("cannot be reached"))?;
            let status = response.status();
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|_| unavailable("broke its answer off"))? {
                if bytes.len() + chunk.len() > ANSWER_MAX_BYTES {
                    return Err(unavailable("answers with more than is read"));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok((status, bytes))
        };
        let in_time = tokio::time::timeout(Duration::from_millis(timeout_ms), asked).await;
        let (status, bytes) = in_time.map_err(|_| unavailable("does not answer in time"))??;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|_| unavailable("answers what cannot be read"));
        }
        Err(refused(status, &bytes))
    }
}

fn refused(status: StatusCode, body: &[u8]) -> ApiError {
    let told: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let words = told.words();
    // Addresses and what looks like a key stay here.
    let words = if words.is_empty() || words.contains("://") { format!("status {}", status.as_u16()) } else { words };
    let words = format!("the workspace platform says: {}", words.chars().take(WORDS_MAX).collect::<String>());
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => ApiError::Gone(words),
        StatusCode::CONFLICT => ApiError::Conflict(words),
        StatusCode::UNAUTHORIZED => ApiError::Refused("the workspace platform refuses the server's token".to_owned()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => ApiError::Unavailable(words),
        status if status.is_client_error() => ApiError::Refused(words),
        _ => ApiError::Unavailable(words),
    }
}
