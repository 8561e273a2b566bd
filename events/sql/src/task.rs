//! Work on the log's own runtime. A caller that goes away cancels nothing, and no connection is driven by a reactor
//! that is not its own.

use std::future::Future;

use tokio::runtime::Handle;
use verbatim_events::log::LogError;

use crate::error::OpenError;

/// Runs `work` on `runtime` to its end and returns what it made.
pub(crate) async fn run_on<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, OpenError> {
    runtime.spawn(work).await.map_err(|error| resume(error, OpenError::RuntimeStopped))
}

/// As `run_on`, for reads.
pub(crate) async fn read_on<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = Result<T, LogError>> + Send + 'static,
) -> Result<T, LogError> {
    let stopped = || LogError::Unavailable("the runtime stopped".to_owned());
    runtime.spawn(work).await.unwrap_or_else(|error| Err(resume(error, stopped())))
}

/// A panic goes on in the caller; a runtime that stopped is an error.
fn resume<E>(error: tokio::task::JoinError, stopped: E) -> E {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => stopped,
    }
}
