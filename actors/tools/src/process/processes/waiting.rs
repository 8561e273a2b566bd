//! Waiting: for the end of a process, and for more of its output.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, timeout_at};

use super::super::status::Claim;
use super::{OutputChunk, OwnerId, ProcessDirectory, ProcessError, ProcessId, ProcessStatus, Processes, read};

/// The first pause between two looks at something that cannot be waited for, and the longest; each is twice the one before.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(250);

impl Processes {
    /// Waits until a process has ended, but no longer than `most`; what is known of it then.
    pub async fn wait(&self, owner: &OwnerId, id: &ProcessId, most: Duration) -> Result<ProcessStatus, ProcessError> {
        let until = Instant::now() + most;
        let mut pause = PAUSE_FIRST;
        loop {
            let status = self.status(owner, id).await?;
            if status.state.ended() || Instant::now() >= until {
                return Ok(status);
            }
            self.wait_once(owner, id, until, &mut pause).await?;
        }
    }

    /// More output of a process: waits until there is some from `from_byte` on, the process has ended, or `most` is over. An empty
    /// piece of a process that has ended is the end of its output.
    pub async fn next_output(
        &self,
        owner: &OwnerId,
        id: &ProcessId,
        from_byte: u64,
        bytes_max: usize,
        most: Duration,
    ) -> Result<(OutputChunk, ProcessStatus), ProcessError> {
        let until = Instant::now() + most;
        let mut pause = PAUSE_FIRST;
        loop {
            // First whether it has ended: then all its output is there to be read.
            let status = self.status(owner, id).await?;
            let chunk = self.read_output(owner, id, from_byte, bytes_max).await?;
            if !chunk.bytes.is_empty() || status.state.ended() || Instant::now() >= until {
                return Ok((chunk, status));
            }
            // Output says nothing when it comes; it is looked for, ever less often while none comes.
            let next = until.min(Instant::now() + pause);
            self.wait_once(owner, id, next, &mut pause).await?;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Waits until something may have changed, but not beyond `until`.
    async fn wait_once(
        &self,
        owner: &OwnerId,
        id: &ProcessId,
        until: Instant,
        pause: &mut Duration,
    ) -> Result<(), ProcessError> {
        match supervisor(&self.directory(owner, id)).await? {
            Some(handle) => {
                // Readable means ended. If it is not by then, so be it.
                #[expect(
                    deprecated,
                    reason = "its successor is unsafe for types that close their descriptor; this one owns it"
                )]
                let handle = AsyncFd::with_interest(handle, Interest::READABLE)?;
                let _ = timeout_at(until, handle.readable()).await;
            }
            // Not claimed yet, or just ended.
            None => {
                let left = until.saturating_duration_since(Instant::now());
                sleep(left.min(*pause)).await;
                *pause = (*pause * 2).min(PAUSE_MAX);
            }
        }
        Ok(())
    }
}

/// A handle on the supervisor that becomes readable when it ends.
async fn supervisor(directory: &ProcessDirectory) -> io::Result<Option<OwnedFd>> {
    read(directory, |directory| match directory.claim()? {
        Some(Claim::Supervisor { vitals, .. }) => vitals.handle(),
        _ => Ok(None),
    })
    .await
}
