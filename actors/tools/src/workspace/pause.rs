//! The clock of what waits here, so that tests need not wait.

use std::time::Duration;

use chrono::{DateTime, Utc};
use verbatim_events::log::BoxFuture;

/// Tells the time and waits.
pub trait Pause: Send + Sync {
    /// The time now.
    fn now(&self) -> DateTime<Utc>;

    /// Milliseconds since some moment; never goes back.
    fn elapsed_ms(&self) -> u64;

    /// Returns after `duration_ms`.
    fn sleep_ms(&self, duration_ms: u64) -> BoxFuture<'static, ()>;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemPause {
    began: std::time::Instant,
}

impl Default for SystemPause {
    fn default() -> SystemPause {
        SystemPause { began: std::time::Instant::now() }
    }
}

impl Pause for SystemPause {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn sleep_ms(&self, duration_ms: u64) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(duration_ms)))
    }
}
