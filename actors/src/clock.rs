//! The clock's port: everything that waits, waits through it, so that tests can move time by hand.

use std::time::Duration;

use chrono::{DateTime, Utc};
use verbatim_events::chat::Chat;
use verbatim_events::log::BoxFuture;

/// A clock that is set back by less prolongs a retry's wait by as much.
const CLOCK_SLACK_MS: u64 = 60_000;

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

/// How long the machine's clock goes unlooked at while somebody waits for a moment: it may have been set forward.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

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
                tokio::time::sleep(wait.clamp(Duration::from_millis(1), LOOK_AGAIN)).await;
            }
        })
    }

    fn sleep_ms(&self, duration_ms: u64) -> BoxFuture<'static, ()> {
        // A wait is as long whatever the wall clock is set to.
        Box::pin(tokio::time::sleep(Duration::from_millis(duration_ms)))
    }
}

/// Whether the moment of a chat's retry has come. No retry waits much longer than its delay: what is further away than
/// that was written by a clock that has been set back since, by an hour perhaps, which nobody shall wait for.
pub(crate) fn retry_is_due(chat: &Chat, moment: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let delay_ms = chat.outline.retry.as_ref().map_or(0, |retry| retry.delay_ms);
    moment <= now || (moment - now).num_milliseconds().unsigned_abs() > delay_ms.saturating_add(CLOCK_SLACK_MS)
}
