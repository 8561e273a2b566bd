//! The clock's port: everything that waits, waits through it, so that tests can move time by hand.

use std::time::Duration;

use chrono::{DateTime, Utc};
use verbatim_events::log::BoxFuture;

/// Tells the time and waits for it.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> DateTime<Utc>;

    /// Returns once the clock shows `moment` or later.
    fn sleep_until(&self, moment: DateTime<Utc>) -> BoxFuture<'static, ()>;

    /// Returns after `duration_ms`.
    fn sleep_ms(&self, duration_ms: u64) -> BoxFuture<'static, ()> {
        let wait = chrono::TimeDelta::milliseconds(i64::try_from(duration_ms).unwrap_or(i64::MAX / 2_000_000));
        self.sleep_until(self.now() + wait)
    }
}

/// The machine's clock, on tokio's timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn sleep_until(&self, moment: DateTime<Utc>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // A timer measures monotonic time; the wall clock may have been set meanwhile, hence the loop.
            while let Ok(wait) = (moment - Utc::now()).to_std() {
                if wait.is_zero() {
                    return;
                }
                tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
            }
        })
    }
}
