//! `verbatim keys rotate-master`: another master key.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use verbatim_events_sql::seal::MasterKey;
use verbatim_events_sql::{OpenError, rotate_master_key};

use super::output::put;
use super::{Context, runtime};
use crate::locate::{DataDir, MASTER_VARIABLE};

pub(super) const ABOUT: &str = "\
Wrap all keys of chats with a new master key. What is sealed stays as it is: only the keys are wrapped anew, in one commit.

The new key is made and takes the old one's place in its file; where the old one is given by VERBATIM_MASTER_KEY, the new one is read
from VERBATIM_NEW_MASTER_KEY (64 hexadecimal digits). No server may run on the log meanwhile. Copies of the keys that were made
before, in backups, are still wrapped by the old key.";

/// The variable that holds the new master key where a variable holds the old one.
const NEW_VARIABLE: &str = "VERBATIM_NEW_MASTER_KEY";

pub(super) fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let settings = context.settings(None)?;
    runtime::block_on(async |shared| {
        let data_dir = DataDir::at(&settings.data_dir);
        let file = settings.sealing.master_key_file.as_deref();
        let Some(old) = data_dir.stored_master_key(context.environment.get(MASTER_VARIABLE), file)? else {
            bail!("there is no master key yet; the first start makes one");
        };
        let _serving = data_dir.serve()?;
        let address = settings.database.url();
        let next = old.file.as_deref().map(|file| file.with_extension("next"));
        let new = Arc::new(match &next {
            None => {
                let text = context.environment.get(NEW_VARIABLE);
                text.with_context(|| format!("{NEW_VARIABLE} must hold the new master key"))?.parse::<MasterKey>()?
            }
            Some(next) => planned(&data_dir, next)?,
        });
        let rotated = match rotate_master_key(&address, Arc::clone(&old.key), Arc::clone(&new), shared).await {
            // An earlier run did it and was cut short before the file took its place.
            Err(OpenError::WrongMasterKey { expected, .. }) if expected == new.mark() => None,
            rotated => rotated?,
        };
        if let (Some(next), Some(file)) = (&next, &old.file) {
            std::fs::rename(next, file).with_context(|| format!("{} to {}", next.display(), file.display()))?;
        }
        put(&match rotated {
            Some(keys) => format!("{keys} keys are wrapped by the master key {}\n", new.mark()),
            None => format!("the master key is {}\n", new.mark()),
        })?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The new key, on the disk before anything is wrapped with it: the one of a run that was cut short, else a fresh one.
fn planned(data_dir: &DataDir, next: &Path) -> anyhow::Result<MasterKey> {
    let home = data_dir.stored_master_key(None, Some(next))?;
    Ok(match home {
        Some(home) => home.key.to_text().parse()?,
        None => data_dir.make_master_key(next)?,
    })
}
