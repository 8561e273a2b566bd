//! `[http]`: who may ask from where, and how often.

use serde::{Deserialize, Serialize};

/// In place of an origin: all of them.
pub const ANY_ORIGIN: &str = "*";

/// What the HTTP face lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Web pages of these origins may ask, such as `https://chat.example`; `*` for all. Without one only our own may.
    pub allowed_origins: Vec<String>,
    /// Requests per second that one key may make in the long run; 0 for any number.
    pub requests_per_second_max: u32,
    /// Requests that one key may make at once after a rest.
    pub requests_burst_max: u32,
}

impl Default for HttpSettings {
    /// No other origins; more requests than a person or a program of good manners makes, and far fewer than would
    /// starve the others.
    fn default() -> HttpSettings {
        HttpSettings { allowed_origins: Vec::new(), requests_per_second_max: 10_000, requests_burst_max: 20_000 }
    }
}

/// What is wrong with these settings: the key and the problem.
pub(super) fn check(http: &HttpSettings) -> Result<(), (&'static str, String)> {
    if let Some(wrong) = http.allowed_origins.iter().find(|origin| !is_origin(origin)) {
        let problem =
            format!("{wrong:?} is no origin: SCHEME://HOST or SCHEME://HOST:PORT, without a slash at its end");
        return Err(("allowed_origins", problem));
    }
    if http.requests_burst_max == 0 {
        return Err(("requests_burst_max", "it must be at least 1".to_owned()));
    }
    Ok(())
}

/// As browsers send it.
fn is_origin(text: &str) -> bool {
    let is_whole = |url: reqwest::Url| url.has_host() && url.origin().ascii_serialization() == text;
    text == ANY_ORIGIN || reqwest::Url::parse(text).is_ok_and(is_whole)
}
