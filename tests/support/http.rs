//! A small client of the server's interface, with a key.

use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

/// No answer of the server may take longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

/// The header that makes a request safe to send again.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; null if it is none.
    pub body: Value,
}

impl Answer {
    /// A header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The stable code of an error; empty for anything else.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// A number of the body.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn number(&self, name: &str) -> u64 {
        self.body[name].as_u64().unwrap_or_else(|| panic!("no number {name:?} in {self:?}"))
    }

    /// A text of the body.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn text_of(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no text {name:?} in {self:?}")).to_owned()
    }

    /// The items of a list.
    ///
    /// # Panics
    /// When it is no list.
    pub fn items(&self) -> &[Value] {
        self.body["items"].as_array().unwrap_or_else(|| panic!("no list: {self:?}"))
    }

    /// This very answer, which must have this status.
    ///
    /// # Panics
    /// When it has another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "the server answered {}: {}", self.status, self.text);
        self
    }

    /// This very answer, which must be an error of this status and code in the standard's form.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Answer {
        assert_eq!((self.status, self.code()), (status, code), "the server answered {}: {}", self.status, self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        assert_eq!(self.body["status"], status, "{}", self.text);
        assert_eq!(self.body["type"], format!("/problems/{code}"), "{}", self.text);
        assert!(self.body["title"].is_string() && self.body["detail"].is_string(), "{}", self.text);
        self
    }
}

/// A client of one server with one key. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: Option<String>,
}

impl Client {
    /// A client of the server at `url` (without a slash at its end).
    ///
    /// # Panics
    /// When no client can be made at all.
    pub fn new(url: &str, key: Option<&str>) -> Client {
        // It fails only where a provider is installed already, and then there is nothing to do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // An address on this machine: no proxy, no certificates.
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client can be made");
        Client { http, url: url.to_owned(), key: key.map(str::to_owned) }
    }

    /// The same client with another key, or none.
    pub fn with_key(&self, key: Option<&str>) -> Client {
        Client { key: key.map(str::to_owned), ..self.clone() }
    }

    /// Its key.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Where the server is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A request to `path`, which begins below `/api/v1` unless it begins with `//` (then it is what follows the first
    /// slash).
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let path = path
            .strip_prefix('/')
            .filter(|rest| rest.starts_with('/'))
            .map_or_else(|| format!("/api/v1{path}"), str::to_owned);
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends a request and reads the whole answer. An error is one of the connection, never of the server.
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let response = request.timeout(PATIENCE).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, headers, text, body })
    }

    /// Sends JSON with headers.
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        for (name, value) in headers {
            request = request.header(HeaderName::try_from(*name)?, HeaderValue::try_from(*value)?);
        }
        self.send(request).await
    }

    /// Sends JSON with headers.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Answer {
        let name = format!("{method} {path}");
        self.try_call(method, path, body, headers).await.unwrap_or_else(|error| panic!("{name}: {error:?}"))
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None, &[]).await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(&body), &[]).await
    }

    /// `PATCH` of JSON.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(&body), &[]).await
    }

    /// `PUT` of JSON.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(&body), &[]).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None, &[]).await
    }

    /// Opens an answer that does not end; `last_event_id` is where the reader stopped.
    pub async fn open(&self, path: &str, last_event_id: Option<&str>) -> anyhow::Result<Response> {
        let mut request = self.request(Method::GET, path);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = tokio::time::timeout(PATIENCE, request.send()).await.context("the stream did not begin")??;
        let status = response.status();
        if !status.is_success() {
            let text = response.text().await.unwrap_or_default();
            anyhow::bail!("the stream was refused: {status}: {text}");
        }
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        ensure!(content_type.is_some(), "a stream without a content type");
        Ok(response)
    }
}
