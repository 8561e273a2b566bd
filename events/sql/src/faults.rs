//! Faults on purpose: a port through which a test can stop, delay or fail the writer at named points.

use std::sync::Arc;

use verbatim_events::log::BoxFuture;

/// A place where the writer asks whether it may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultPoint {
    /// A batch was judged, nothing of it was written yet. An error makes the batch `Failed`.
    BeforeWrite,
    /// A batch was written but not committed. An error rolls it back: `Failed`. Waiting here delays the commit.
    BeforeCommit,
    /// A batch was committed, nobody was told yet. An error loses the answer: `Unknown`.
    AfterCommit,
}

/// Decides at each point. A test waits in it, or answers with an error; the error's text reaches the caller.
pub trait Faults: Send + Sync {
    /// Called by the writer at `point`; it goes on when the future is done.
    fn at(&self, point: FaultPoint) -> BoxFuture<'_, Result<(), String>>;
}

/// Asks the faults, if there are any.
pub(crate) async fn ask(faults: Option<&Arc<dyn Faults>>, point: FaultPoint) -> Result<(), String> {
    match faults {
        Some(faults) => faults.at(point).await,
        None => Ok(()),
    }
}
