//! What a log can be told when it is opened.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use verbatim_events::limits::Limits;

use crate::faults::Faults;
use crate::vault::Sealing;

/// Requests of one batch, at most. One commit answers them all.
pub const BATCH_REQUESTS_MAX: usize = 256;
/// Bytes of one batch, roughly; a single larger request is a batch of its own.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Rows of one page; longer reads are several pages, so that no read holds an old state of the database for long.
pub const PAGE_ROWS_MAX: usize = 1000;

/// Where the time comes from. Only receipts use it: they are dated when they are kept.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The settings of a log.
#[derive(Clone)]
pub struct LogOptions {
    /// How long receipts are kept, in days.
    pub receipts_days: u32,
    /// Requests that may wait for the writer; one more is answered `Busy`.
    pub queue_max: usize,
    /// Connections that read at once.
    pub readers_max: u32,
    /// The largest a SQLite log's file may become, in bytes; `None` leaves it to the disk. Beyond it appends fail and
    /// reads go on.
    pub file_max_bytes: Option<u64>,
    /// How chats are sealed; `None` opens a log whose events are stored and read as they are. To read a sealed log,
    /// only the master key is looked at.
    pub sealing: Option<Sealing>,
    /// The clock that dates receipts.
    pub clock: Clock,
    /// Faults to inject; none outside tests.
    pub faults: Option<Arc<dyn Faults>>,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            receipts_days: Limits::default().receipts_days,
            queue_max: 1024,
            readers_max: 4,
            file_max_bytes: None,
            sealing: None,
            clock: Arc::new(Utc::now),
            faults: None,
        }
    }
}

impl LogOptions {
    /// Now, as the log writes it: microseconds since 1970, UTC.
    pub(crate) fn now_micros(&self) -> i64 {
        (self.clock)().timestamp_micros()
    }

    /// Receipts from before this moment may go; microseconds since 1970, UTC.
    pub(crate) fn receipts_end_micros(&self) -> i64 {
        let kept = Duration::days(i64::from(self.receipts_days));
        (self.clock)().checked_sub_signed(kept).map_or(i64::MIN, |end| end.timestamp_micros())
    }
}
