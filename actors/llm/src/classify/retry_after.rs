//! How long a provider asks us to wait.

use chrono::{DateTime, Utc};

/// The headers that say it, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryHeaders {
    /// `retry-after-ms`.
    pub retry_after_ms: Option<String>,
    /// `retry-after`.
    pub retry_after: Option<String>,
}

/// The wait in ms: `retry-after-ms` first, then `retry-after` as seconds, fractions allowed, or as an HTTP date seen from
/// `now`. What is not understood, and what is not in the future, counts as absent.
pub fn retry_after_ms(headers: &RetryHeaders, now: DateTime<Utc>) -> Option<u64> {
    let in_ms = headers.retry_after_ms.as_deref().and_then(|text| scaled(text, 1.0));
    in_ms.or_else(|| {
        let text = headers.retry_after.as_deref()?;
        scaled(text, 1000.0).or_else(|| until(text, now))
    })
}

fn scaled(text: &str, factor: f64) -> Option<u64> {
    let value = text.trim().parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0)?;
    // The conversion saturates: an absurdly long wait stays absurdly long and is refused by whoever waits.
    Some((value * factor).ceil() as u64)
}

fn until(text: &str, now: DateTime<Utc>) -> Option<u64> {
    let at: DateTime<Utc> = httpdate::parse_http_date(text.trim()).ok()?.into();
    u64::try_from((at - now).num_milliseconds()).ok().filter(|wait_ms| *wait_ms > 0)
}
