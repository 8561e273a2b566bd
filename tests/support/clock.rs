//! A clock that stands still until a test moves it.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;
use verbatim_actors::clock::Clock;
use verbatim_events::log::BoxFuture;

struct State {
    now: DateTime<Utc>,
    sleepers: Vec<(DateTime<Utc>, oneshot::Sender<()>)>,
}

/// A clock moved by hand. Clones show the same time.
#[derive(Clone)]
pub struct ManualClock {
    state: Arc<Mutex<State>>,
}

impl Default for ManualClock {
    fn default() -> ManualClock {
        let now = DateTime::<Utc>::from_timestamp(1_700_000_000, 0).unwrap_or_default();
        ManualClock { state: Arc::new(Mutex::new(State { now, sleepers: Vec::new() })) }
    }
}

impl ManualClock {
    /// Moves on by `duration_ms` and wakes whoever waited for that.
    pub fn advance_ms(&self, duration_ms: u64) {
        let step = TimeDelta::milliseconds(duration_ms.cast_signed());
        let now = self.now() + step;
        self.advance_to(now);
    }

    /// Shows a time `duration_ms` before, as a machine's clock does that was wrong and has been set. Nobody wakes of it.
    pub fn set_back_ms(&self, duration_ms: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now -= TimeDelta::milliseconds(duration_ms.cast_signed());
    }

    /// Moves to `moment`, never back, and wakes whoever waited for that.
    pub fn advance_to(&self, moment: DateTime<Utc>) {
        let due: Vec<_> = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.now = state.now.max(moment);
            let now = state.now;
            let (due, later) = std::mem::take(&mut state.sleepers).into_iter().partition(|(until, _)| *until <= now);
            state.sleepers = later;
            due
        };
        for (_, wake) in due {
            // A sleeper that has been dropped needs no waking.
            let _ = wake.send(());
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).now
    }

    fn sleep_until(&self, moment: DateTime<Utc>) -> BoxFuture<'static, ()> {
        let woken = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if moment <= state.now {
                return Box::pin(std::future::ready(()));
            }
            let (wake, woken) = oneshot::channel();
            state.sleepers.retain(|(_, wake)| !wake.is_closed());
            state.sleepers.push((moment, wake));
            woken
        };
        Box::pin(async move {
            // The clock outlives its sleepers or the test is over.
            let _ = woken.await;
        })
    }
}
