//! Filling an empty log from elsewhere: beside its place first, where it can be read and checked, then all of it at once.
//!
//! **Invariant:** the log itself holds nothing, or everything. What a crash leaves lies beside it; while the log is empty it keeps
//! servers out, until the next filling begins anew or somebody removes it.
//!
//! **Invariant:** nobody serves from the log meanwhile: what keeps a second server out keeps every server out.

mod postgres;
mod sqlite;

use std::sync::Arc;

use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events::envelope::NewEvent;
use verbatim_events::ids::Position;
use verbatim_events::log::EventLog;

use crate::error::OpenError;
use crate::options::LogOptions;
use crate::storage::{Place, in_runtime};
use crate::task::run_on;
use crate::vault::{ChatVault, Home, OpeningLog};
use postgres::PostgresStaging;
use sqlite::SqliteStaging;

pub(crate) use postgres::refuse_half as refuse_half_postgres;
pub(crate) use sqlite::refuse_half as refuse_half_sqlite;

/// Why a log was not filled. It is as empty as before, unless the outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// The log holds something.
    #[error("the log holds {head} events already; only an empty log can be filled, so name another place")]
    NotEmpty {
        /// How many.
        head: Position,
    },
    /// It cannot be sealed: no master key was given.
    #[error("a master key is needed to fill a log")]
    NoMasterKey,
    /// The database cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Events could not be written.
    #[error("the events could not be written: {0}")]
    Write(String),
    /// The last step may have been done, or not.
    #[error("it is unknown whether the log was filled: {0}; look with `verbatim audit verify` before trying again")]
    Unknown(String),
}

enum Stage {
    Sqlite(SqliteStaging),
    Postgres(PostgresStaging),
}

/// A log that is being filled.
pub struct Staging {
    stage: Stage,
    log: Arc<dyn EventLog>,
    vault: ChatVault,
    head: Position,
    runtime: Handle,
}

impl Staging {
    /// Begins to fill the log at `address`, which is made if need be and must be empty. What an earlier filling left is removed.
    /// Needs `options.sealing`. What is sealed is opened with the keys that belong to the log.
    pub async fn begin(address: &str, options: LogOptions, runtime: Handle) -> Result<Staging, StagingError> {
        let sealing = options.sealing.clone().ok_or(StagingError::NoMasterKey)?;
        let (stage, stored, home): (Stage, Arc<dyn EventLog>, Home) = match Place::parse(address)? {
            Place::Sqlite(path) => {
                let home = in_runtime(&runtime, || Home::sqlite(&path, true));
                let (stage, log) = SqliteStaging::begin(path, options, &runtime).await?;
                (Stage::Sqlite(stage), log, home)
            }
            Place::Postgres(url) => {
                let home = in_runtime(&runtime, || Home::postgres(&url))?;
                let (stage, log) = PostgresStaging::begin(url, options, &runtime).await?;
                (Stage::Postgres(stage), log, home)
            }
        };
        let (inner, handle) = (Arc::clone(&stored), runtime.clone());
        let opened = run_on(&runtime, async move { ChatVault::open(home, sealing, inner, handle).await }).await;
        match opened.and_then(|opened| opened) {
            Ok(vault) => {
                let log = Arc::new(OpeningLog::new(stored, vault.clone()));
                Ok(Staging { stage, log, vault, head: 0, runtime })
            }
            Err(error) => {
                discard(stage, &runtime).await;
                Err(error.into())
            }
        }
    }

    /// Adds events at the next positions, in order, as they are: versions and hashes are the caller's to have checked.
    pub async fn add(&mut self, events: Vec<NewEvent>) -> Result<(), StagingError> {
        let (head, count) = (self.head, events.len() as u64);
        match &mut self.stage {
            Stage::Sqlite(stage) => stage.add(head, events, &self.runtime).await?,
            Stage::Postgres(stage) => stage.add(head, events, &self.runtime).await?,
        }
        self.head += count;
        Ok(())
    }

    /// What was added so far, as it will be read.
    pub fn log(&self) -> Arc<dyn EventLog> {
        Arc::clone(&self.log)
    }

    /// The keys of the log, also for chats that are added.
    pub fn vault(&self) -> ChatVault {
        self.vault.clone()
    }

    /// Makes the log what was added, all at once, and gives it a new timeline, which is returned.
    pub async fn publish(self) -> Result<Uuid, StagingError> {
        let Staging { stage, vault, runtime, .. } = self;
        vault.close().await;
        let timeline = Uuid::now_v7();
        match stage {
            Stage::Sqlite(stage) => stage.publish(timeline, &runtime).await?,
            Stage::Postgres(stage) => stage.publish(timeline, &runtime).await?,
        }
        Ok(timeline)
    }

    /// Leaves the log empty, and removes what was added and these keys of chats. What cannot be removed the next filling removes.
    pub async fn discard(self, made_keys: Vec<Uuid>) {
        let Staging { stage, vault, runtime, .. } = self;
        if let Err(error) = vault.destroy(made_keys).await {
            tracing::warn!(%error, "keys that seal nothing were left in the vault");
        }
        vault.close().await;
        discard(stage, &runtime).await;
    }
}

async fn discard(stage: Stage, runtime: &Handle) {
    let removed = match stage {
        Stage::Sqlite(stage) => stage.discard(runtime).await,
        Stage::Postgres(stage) => stage.discard(runtime).await,
    };
    if let Err(error) = removed {
        tracing::warn!(%error, "what there is of the log that was to be filled could not be removed");
    }
}

#[cfg(test)]
mod tests;
