//! The log for commands that only read: beside a running server, or alone.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::runtime::Handle;
use verbatim_events::log::EventLog;
use verbatim_events_sql::{LogOptions, Sealing, open_as_stored, open_read_only};

use crate::config::{Database, Environment, Settings};
use crate::locate::{DataDir, MASTER_VARIABLE};

/// Opens the log for reading.
pub(crate) async fn open(
    settings: &Settings,
    environment: &Environment,
    shared: Handle,
) -> anyhow::Result<Arc<dyn EventLog>> {
    is_there(settings)?;
    let file = settings.sealing.master_key_file.as_deref();
    let master = DataDir::at(&settings.data_dir).stored_master_key(environment.get(MASTER_VARIABLE), file)?;
    // Without a master key a log that is not sealed is read all the same; any other says that it needs one.
    let sealing = master.map(|home| Sealing { master: home.key, new_chats: false });
    let options = LogOptions { sealing, ..LogOptions::default() };
    let opened = open_read_only(&settings.database.url(), options, shared).await;
    opened.with_context(|| format!("the log {}", settings.database))
}

/// Opens the log for reading what is stored, without any key.
pub(crate) async fn open_stored(settings: &Settings, shared: Handle) -> anyhow::Result<Arc<dyn EventLog>> {
    is_there(settings)?;
    let opened = open_as_stored(&settings.database.url(), LogOptions::default(), shared).await;
    opened.with_context(|| format!("the log {}", settings.database))
}

fn is_there(settings: &Settings) -> anyhow::Result<()> {
    if let Database::Sqlite(path) = &settings.database
        && !path.exists()
    {
        bail!("there is no log at {}; --data-dir or --database names another place", path.display());
    }
    Ok(())
}
