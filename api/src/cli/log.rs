//! The log for commands that only read: beside a running server, or alone.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::runtime::Handle;
use verbatim_events::log::EventLog;
use verbatim_events_sql::{LogOptions, open_read_only};

use crate::config::{Database, Settings};

/// Opens the log for reading.
pub(crate) async fn open(settings: &Settings, shared: Handle) -> anyhow::Result<Arc<dyn EventLog>> {
    if let Database::Sqlite(path) = &settings.database
        && !path.exists()
    {
        bail!("there is no log at {}; --data-dir or --database names another place", path.display());
    }
    let opened = open_read_only(&settings.database.url(), LogOptions::default(), shared).await;
    opened.with_context(|| format!("the log {}", settings.database))
}
