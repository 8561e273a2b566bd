//! A server as its clients see it: requests with a key, problems as sentences, and tries again where that is safe.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use uuid::Uuid;

use crate::locate::DataDir;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An answer that is no stream has to be there by then.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Tries of one request before giving up.
const TRIES: u32 = 5;

/// The wait before the second try; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The longest wait that a server may ask for.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// A server with a key to it.
#[derive(Clone)]
pub(crate) struct Remote {
    base: Url,
    key: String,
    client: Client,
}

impl Remote {
    /// The server at `url`.
    pub(crate) fn new(url: &str, key: String) -> anyhow::Result<Remote> {
        let base = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base.ok_or_else(|| anyhow!("{url:?} is no server's address, such as http://127.0.0.1:8080"))?;
        let mut builder =
            Client::builder().connect_timeout(CONNECT_TIMEOUT).redirect(reqwest::redirect::Policy::none());
        if matches!(base.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            builder = builder.no_proxy();
        }
        Ok(Remote { base, key, client: builder.build().context("no HTTP client")? })
    }

    /// The server that runs on a data directory, with the key that lies there unless one is given.
    pub(crate) fn running(data_dir: &DataDir, key: Option<&str>) -> anyhow::Result<Option<Remote>> {
        let Some(server) = data_dir.server() else { return Ok(None) };
        let key = match key {
            Some(key) => key.to_owned(),
            None => match data_dir.stored_admin_key()? {
                Some(key) => key.secret,
                None => bail!(
                    "a server runs on {} ({}), but no key lies there; give the one it was started with by --key",
                    data_dir.path().display(),
                    server.url
                ),
            },
        };
        Remote::new(&server.url, key).map(Some)
    }

    /// The server's address.
    pub(crate) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// A request to a path below `/api/v1`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/api/v1{path}", self.url())).bearer_auth(&self.key)
    }

    /// Reads something.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(|| self.request(Method::GET, path)).await
    }

    /// Changes something, once: a try whose answer was lost is repeated under the same idempotency key.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.change(Method::POST, path, body).await
    }

    /// Changes something by any method, once.
    pub(crate) async fn change(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let key = Uuid::now_v7().to_string();
        let request = || self.request(method.clone(), path).header("Idempotency-Key", &key).json(body);
        self.answer(request).await
    }

    /// Takes something away. Doing that twice is doing it once, so it is tried again like a read.
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.answer(|| self.request(Method::DELETE, path)).await.map(|_| ())
    }

    async fn answer(&self, request: impl Fn() -> RequestBuilder) -> anyhow::Result<Value> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let asked = match request().timeout(ANSWER_TIMEOUT).send().await {
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    wait = wait.max(retry_after(&response)).min(WAIT_MAX);
                    Err(problem(response).await)
                }
                Ok(response) if response.status().is_success() => {
                    response.bytes().await.map_err(|error| self.unreachable(&error))
                }
                Ok(response) => return Err(problem(response).await),
                Err(error) => Err(self.unreachable(&error)),
            };
            match asked {
                Ok(body) if body.is_empty() => return Ok(Value::Null),
                Ok(body) => return serde_json::from_slice(&body).context("the server's answer is no JSON"),
                Err(error) if attempt >= TRIES => return Err(error),
                Err(_) => tokio::time::sleep(wait).await,
            }
            attempt += 1;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    /// Opens a stream of events; the answer's status is checked already.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        last_event_id: Option<&str>,
    ) -> anyhow::Result<Response> {
        let mut request = self.request(method, path).header("Accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() { Ok(response) } else { Err(problem(response).await) }
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        // The library's own text repeats the whole URL and hides the reason in its sources.
        let mut reason: &dyn std::error::Error = error;
        while let Some(source) = reason.source() {
            reason = source;
        }
        anyhow!("{} does not answer: {reason}", self.url())
    }
}

fn retry_after(response: &Response) -> Duration {
    let seconds = response.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// A refusal, as the server words it.
async fn problem(response: Response) -> anyhow::Error {
    let status = response.status();
    let body: Value = response.json().await.unwrap_or(Value::Null);
    let said = ["detail", "title"].into_iter().find_map(|name| body[name].as_str()).filter(|text| !text.is_empty());
    let mut text = said.map_or_else(|| format!("the server answered {status}"), str::to_owned);
    for (pointer, detail) in body["errors"].as_array().into_iter().flatten().filter_map(field) {
        if !text.contains(detail) {
            text = format!("{text}; {pointer}: {detail}");
        }
    }
    if status == StatusCode::UNAUTHORIZED {
        text = format!("the server does not take this key: {text}. Give the right one by --key");
    }
    anyhow!(super::output::harmless(&text))
}

/// What is wrong with one field of the request, and which.
fn field(error: &Value) -> Option<(&str, &str)> {
    Some((error["pointer"].as_str()?, error["detail"].as_str()?))
}
