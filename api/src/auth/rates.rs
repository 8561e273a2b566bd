//! How often one key may ask.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use verbatim_events::ids::Digest;

use crate::config::HttpSettings;
use crate::error::{Code, Problem};

/// The rates of all keys. Cheap to clone; clones count together. Only keys that are known are counted, so there are never
/// more counts than keys.
#[derive(Clone)]
pub struct Rates {
    limiter: Option<Arc<DefaultKeyedRateLimiter<Digest>>>,
}

impl Rates {
    /// The rates of these settings; none where they say none.
    pub fn new(http: &HttpSettings) -> Rates {
        let quota = NonZeroU32::new(http.requests_per_second_max).map(|per_second| {
            let burst = NonZeroU32::new(http.requests_burst_max).unwrap_or(NonZeroU32::MIN);
            Quota::per_second(per_second).allow_burst(burst)
        });
        Rates { limiter: quota.map(|quota| Arc::new(RateLimiter::keyed(quota))) }
    }

    /// Counts a request of a key; refuses it if there were too many.
    pub fn check(&self, key: &Digest) -> Result<(), Problem> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.check_key(key).map_err(|early| {
            let wait_ms = early.wait_time_from(DefaultClock::default().now()).as_millis();
            Problem::new(Code::RateLimited, "this key asks too often; wait a little")
                .retry_after_ms(u64::try_from(wait_ms).unwrap_or(u64::MAX))
        })
    }
}
