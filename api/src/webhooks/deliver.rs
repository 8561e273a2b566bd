//! One delivery over HTTP, and what an answer means.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

use super::kinds::Delivery;
use super::sign::Secret;
use crate::config::WebhookConfig;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Taken,
    /// The receiver was there and does not want this.
    Refused {
        /// What it said.
        problem: String,
    },
    /// The receiver was not there, or has trouble of its own.
    Away {
        /// What happened.
        problem: String,
        /// When it wants to be asked again, in ms.
        retry_after_ms: Option<u64>,
    },
    /// The receiver wants nothing any more (410).
    Gone,
}

/// Where a webhook sends to.
pub struct Receiver {
    client: Client,
    url: Url,
    secret: Secret,
}

impl Receiver {
    /// The receiver of a webhook, or why there can be none. Its address is the administrator's word, so one in a private
    /// network is as good as any; but it is not led anywhere else.
    pub fn new(config: &WebhookConfig, secret: Secret) -> Result<Receiver, String> {
        let url = Url::parse(&config.url).map_err(|_| "its url is no address".to_owned())?;
        let timeout = Duration::from_millis(config.timeout_ms);
        let builder = Client::builder()
            .user_agent(concat!("verbatim/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .connect_timeout(timeout)
            .redirect(Policy::none());
        // Without TLS no root certificates are needed.
        let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        let client = builder.build().map_err(|_| "this machine has no root certificates".to_owned())?;
        Ok(Receiver { client, url, secret })
    }

    /// Sends once. `now_s` is the moment that is signed, in seconds since 1970.
    pub async fn send(&self, delivery: &Delivery, now_s: i64) -> Outcome {
        let signature = self.secret.sign(&delivery.id, now_s, delivery.body.as_bytes());
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &delivery.id)
            .header("webhook-timestamp", now_s.to_string())
            .header("webhook-signature", signature)
            .body(delivery.body.clone());
        match request.send().await {
            Ok(response) => judge(response.status(), response.headers()),
            Err(error) => Outcome::Away { problem: problem_of(&error).to_owned(), retry_after_ms: None },
        }
    }
}

/// What went wrong, in words of our own: the library's quote the address, which may hold a secret.
fn problem_of(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "it cannot be reached"
    } else {
        "the connection broke off"
    }
}

/// What an answer means.
fn judge(status: StatusCode, headers: &HeaderMap) -> Outcome {
    if status.is_success() {
        return Outcome::Taken;
    }
    let problem = format!("it answered {}", status.as_u16());
    match status.as_u16() {
        410 => Outcome::Gone,
        408 | 425 | 429 | 500.. => {
            let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
            Outcome::Away { problem, retry_after_ms: seconds.map(|seconds| seconds.saturating_mul(1000)) }
        }
        300..400 => Outcome::Refused { problem: format!("{problem}, which leads elsewhere; no redirect is followed") },
        _ => Outcome::Refused { problem },
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let status = |code| StatusCode::from_u16(code).expect("a status");
        let plain = HeaderMap::new();
        for taken in [200, 202, 204] {
            assert_eq!(judge(status(taken), &plain), Outcome::Taken);
        }
        for refused in [301, 302, 307, 400, 401, 403, 404, 422] {
            assert!(matches!(judge(status(refused), &plain), Outcome::Refused { .. }), "{refused}");
        }
        for away in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(judge(status(away), &plain), Outcome::Away { retry_after_ms: None, .. }), "{away}");
        }
        assert_eq!(judge(status(410), &plain), Outcome::Gone);
        for (text, expected) in [("7", Some(7000)), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", None)] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            let Outcome::Away { retry_after_ms, .. } = judge(status(429), &headers) else { panic!("away") };
            assert_eq!(retry_after_ms, expected, "{text}");
        }
    }
}
