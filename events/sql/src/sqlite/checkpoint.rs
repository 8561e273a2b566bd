//! Moving the WAL into the database, on the writing connection alone and at times of its own choice.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::connect::{BUSY_TIMEOUT, PAGE_BYTES};

/// Pages in the WAL after which a checkpoint is due.
const PAGES_DUE: u64 = 4000;
/// A WAL file larger than this is cut to nothing, in bytes.
const WAL_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// How long a cut may wait for readers. The writer waits with it.
const CUT_WAIT: Duration = Duration::from_millis(50);

/// Knows roughly how much is in the WAL, and when to empty it.
pub(crate) struct Checkpoints {
    wal: PathBuf,
    /// Pages written since the last checkpoint, roughly.
    pages: u64,
}

impl Checkpoints {
    /// The checkpoints of the database at `path`. What an earlier process left in the WAL is due when the log is idle.
    pub(crate) fn new(path: &Path) -> Checkpoints {
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        let wal = PathBuf::from(wal);
        let pages = file_bytes(&wal) / PAGE_BYTES;
        Checkpoints { wal, pages }
    }

    /// Notes a committed batch: how many events, how many bytes of data.
    pub(crate) fn wrote(&mut self, events: usize, data_bytes: usize) {
        // A row goes into the table's last page, which is shared, and into a page of each of two indexes, which mostly
        // is not.
        self.pages += 3 + 2 * events as u64 + data_bytes as u64 / PAGE_BYTES;
    }

    /// Whether there is something to do when nothing else is.
    pub(crate) fn is_due_when_idle(&self) -> bool {
        self.pages > 0
    }

    /// Makes a checkpoint if it is time. A failed one is only logged: nothing is lost, the next one does more.
    pub(crate) fn run_if_due(&mut self, connection: &Connection, idle: bool) {
        if self.pages < PAGES_DUE && !(idle && self.pages > 0) {
            return;
        }
        self.pages = 0;
        if let Err(error) = checkpoint(connection, "PASSIVE") {
            tracing::warn!(wal = %self.wal.display(), %error, "the checkpoint failed");
            return;
        }
        if file_bytes(&self.wal) > WAL_MAX_BYTES {
            self.cut(connection);
        }
    }

    /// The last checkpoint before the connection closes.
    pub(crate) fn last(&mut self, connection: &Connection) {
        self.pages = 0;
        self.cut(connection);
    }

    /// Empties the WAL and its file; whether no reader was in the way.
    pub(crate) fn cut_now(&self, connection: &Connection) -> Result<bool, rusqlite::Error> {
        connection.busy_timeout(CUT_WAIT)?;
        let busy = checkpoint(connection, "TRUNCATE");
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(!busy?)
    }

    /// Empties the WAL and its file, unless readers are in the way.
    fn cut(&self, connection: &Connection) {
        match self.cut_now(connection) {
            Ok(true) => {}
            Ok(false) => tracing::debug!(wal = %self.wal.display(), "readers are in the way of cutting the WAL"),
            Err(error) => tracing::warn!(wal = %self.wal.display(), %error, "the WAL could not be cut"),
        }
    }
}

/// Makes a checkpoint; whether somebody was in its way.
fn checkpoint(connection: &Connection, mode: &str) -> Result<bool, rusqlite::Error> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| Ok(row.get::<_, i64>(0)? != 0))
}

fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}
