//! What this crate counts. How far the rows are behind the log is not counted here but asked for: see `ReadModels::lag`.

use std::time::Instant;

use metrics::{Counter, Histogram, counter, histogram};

use crate::engine::Progress;

/// An engine's figures.
pub(crate) struct Metrics {
    apply_seconds: Histogram,
    events: Counter,
    set_aside: Counter,
    failures: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        Metrics {
            apply_seconds: histogram!("verbatim_projection_apply_duration_seconds"),
            events: counter!("verbatim_projection_events_total"),
            set_aside: counter!("verbatim_projection_dead_letters_total"),
            failures: counter!("verbatim_projection_failures_total"),
        }
    }

    /// A step that began at `began` came to this. One that found nothing to do is none.
    pub(crate) fn step<E>(&self, began: Instant, step: &Result<Progress, E>) {
        match step {
            Ok(progress) if progress.events > 0 => {
                self.apply_seconds.record(began.elapsed());
                self.events.increment(progress.events as u64);
                self.set_aside.increment(progress.dead_letters.len() as u64);
            }
            Ok(_) => {}
            Err(_) => self.failures.increment(1),
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Metrics")
    }
}
