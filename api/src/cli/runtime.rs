//! The threads of a command: an actix system on this one, and one shared runtime for databases and providers.

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Handle;

/// How long work on the shared runtime may take to end after the command itself ended. A server's stop leaves room for it.
const WIND_DOWN: Duration = Duration::from_millis(500);

/// Runs a command to its end.
pub(crate) fn block_on<F, T>(command: impl FnOnce(Handle) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let shared = tokio::runtime::Builder::new_multi_thread()
        .thread_name("verbatim-io")
        .enable_all()
        .build()
        .context("the threads for databases and providers could not be started")?;
    let done = actix_rt::System::new().block_on(command(shared.handle().clone()));
    shared.shutdown_timeout(WIND_DOWN);
    done
}
