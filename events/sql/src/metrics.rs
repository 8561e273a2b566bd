//! What this crate counts. Handles are made once, when a log or a journal is opened.

use std::time::Instant;

use metrics::{Counter, Histogram, counter, histogram};
use verbatim_events::log::AppendError;

use crate::queue::Answer;

/// A log's figures.
#[derive(Clone)]
pub(crate) struct LogMetrics {
    append_seconds: Histogram,
    batch_requests: Histogram,
    batch_events: Histogram,
    write_seconds: Histogram,
    done: Counter,
    conflict: Counter,
    duplicate: Counter,
    busy: Counter,
    failed: Counter,
    unknown: Counter,
}

impl LogMetrics {
    pub(crate) fn new() -> LogMetrics {
        let appends = |result: &'static str| counter!("verbatim_appends_total", "result" => result);
        LogMetrics {
            append_seconds: histogram!("verbatim_append_duration_seconds"),
            batch_requests: histogram!("verbatim_append_batch_requests"),
            batch_events: histogram!("verbatim_append_batch_events"),
            write_seconds: histogram!("verbatim_append_write_seconds"),
            done: appends("done"),
            conflict: appends("conflict"),
            duplicate: appends("duplicate"),
            busy: appends("busy"),
            failed: appends("failed"),
            unknown: appends("unknown"),
        }
    }

    /// A caller got its answer, which it began to wait for at `began`.
    pub(crate) fn answered(&self, began: Instant, answer: &Answer) {
        self.append_seconds.record(began.elapsed());
        let counter = match answer {
            Ok(_) => &self.done,
            Err(AppendError::Conflict { .. }) => &self.conflict,
            Err(AppendError::Duplicate(_)) => &self.duplicate,
            Err(AppendError::Busy) => &self.busy,
            Err(AppendError::Failed(_)) => &self.failed,
            Err(AppendError::Unknown(_)) => &self.unknown,
        };
        counter.increment(1);
    }

    /// The writer took a batch.
    pub(crate) fn batch(&self, requests: usize, events: usize) {
        self.batch_requests.record(requests as f64);
        self.batch_events.record(events as f64);
    }

    /// The writer dealt with a batch, from `began` on.
    pub(crate) fn wrote(&self, began: Instant) {
        self.write_seconds.record(began.elapsed());
    }
}

/// A part journal's figures.
pub(crate) struct JournalMetrics {
    writes: Counter,
    failures: Counter,
    parts: Counter,
    seconds: Histogram,
}

impl JournalMetrics {
    pub(crate) fn new() -> JournalMetrics {
        let writes = |result: &'static str| counter!("verbatim_journal_writes_total", "result" => result);
        JournalMetrics {
            writes: writes("done"),
            failures: writes("failed"),
            parts: counter!("verbatim_journal_parts_total"),
            seconds: histogram!("verbatim_journal_write_seconds"),
        }
    }

    /// A batch of `parts` was written, or was not, from `began` on.
    pub(crate) fn wrote(&self, began: Instant, parts: usize, done: bool) {
        self.seconds.record(began.elapsed());
        if done {
            self.writes.increment(1);
            self.parts.increment(parts as u64);
        } else {
            self.failures.increment(1);
        }
    }
}
