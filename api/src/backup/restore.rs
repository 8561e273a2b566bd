//! Restoring a backup into a data directory without a log.
//!
//! Everything is put beside its place and checked first; the log's own name comes last. **Invariant:** where there is a log
//! after a restore, all of the backup is there, and the log has a timeline of its own.

use std::path::{Path, PathBuf};

use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events_sql::sqlite::{KEYS_FILE, LOG_FILE, renew_timeline};

use super::manifest::Manifest;
use super::{BackupError, FILES_FOLDER, Step, folder_of, is_empty, make_folder, remove_folder, sync_folder};
use crate::files::FileHome;

/// Where the databases lie until all is there. While it exists, what else lies there is of a restore that was cut short.
const UNFINISHED: &str = "restore.unfinished";

/// Files that show that a data directory was served from.
const TRACES: [&str; 2] = [KEYS_FILE, "journal.db"];

/// Where a backup is restored to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The log's file. Its keys come beside it.
    pub log: PathBuf,
    /// The data directory, which must be there; nobody may serve from it.
    pub data_dir: PathBuf,
    /// The mark of the master key at hand.
    pub master_mark: Option<String>,
    /// Where databases are talked to.
    pub runtime: Handle,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The timeline of the restored log.
    pub timeline: Uuid,
    /// What the backup said of itself.
    pub manifest: Manifest,
}

/// Restores the backup in `folder`, which is not changed. After an error nothing of it is there, but for what a crash left,
/// which the next restore replaces.
pub async fn restore(folder: &Path, target: &Target, mut tell: impl FnMut(Step)) -> Result<Restored, BackupError> {
    let manifest = Manifest::read(folder)?;
    let (place, unfinished) = (folder_of(&target.log), target.log.with_file_name(UNFINISHED));
    let files = target.data_dir.join(FILES_FOLDER);
    if target.log.exists() {
        return Err(BackupError::Occupied(target.log.clone()));
    }
    if unfinished.exists() {
        remove_folder(&files)?;
        remove_folder(&unfinished)?;
    } else {
        let trace = TRACES.map(|name| target.log.with_file_name(name)).into_iter().find(|path| path.exists());
        if let Some(path) = trace {
            return Err(BackupError::Occupied(path));
        }
        if !is_empty(&files)? {
            return Err(BackupError::Occupied(files));
        }
    }
    if let Some(expected) = &manifest.master_key
        && target.master_mark.as_ref() != Some(expected)
    {
        return Err(BackupError::MasterKey { expected: expected.clone(), given: target.master_mark.clone() });
    }
    make_folder(&unfinished)?;
    sync_folder(place)?;
    let staged = stage(folder, target, &manifest, &unfinished, &mut tell).await;
    let timeline = match staged {
        Ok(timeline) => timeline,
        Err(error) => {
            for leftover in [&files, &unfinished] {
                if let Err(error) = remove_folder(leftover) {
                    tracing::warn!(%error, "what there is of the restore could not be removed");
                }
            }
            return Err(error);
        }
    };
    // The keys first: a log is never there without them.
    for (name, to) in [(KEYS_FILE, target.log.with_file_name(KEYS_FILE)), (LOG_FILE, target.log.clone())] {
        let from = unfinished.join(name);
        if manifest.database(name).is_some() {
            std::fs::rename(&from, &to).map_err(super::at(&to))?;
            sync_folder(place)?;
        }
    }
    remove_folder(&unfinished)?;
    sync_folder(place)?;
    Ok(Restored { timeline, manifest })
}

/// Copies all of a backup and checks it; the databases into `unfinished`, with a new timeline, which is returned.
async fn stage(
    folder: &Path,
    target: &Target,
    manifest: &Manifest,
    unfinished: &Path,
    tell: &mut impl FnMut(Step),
) -> Result<Uuid, BackupError> {
    let no_backup = |problem: String| BackupError::NoBackup { folder: folder.to_owned(), problem };
    tell(Step::Databases);
    if manifest.database(LOG_FILE).is_none() {
        return Err(no_backup("it names no log".to_owned()));
    }
    for copied in &manifest.databases {
        copied.copy(folder, &unfinished.join(&copied.name))?;
    }
    let timeline = renew_timeline(&unfinished.join(LOG_FILE), &target.runtime).await?;
    sync_folder(unfinished)?;
    let from = FileHome::at(folder.join(FILES_FOLDER), target.runtime.clone());
    let to = FileHome::at(target.data_dir.join(FILES_FOLDER), target.runtime.clone());
    let ids = from.all().await?;
    if ids.len() as u64 != manifest.files {
        return Err(no_backup(format!("it has {} files of {}", ids.len(), manifest.files)));
    }
    for (done, id) in ids.into_iter().enumerate() {
        tell(Step::Files { done: done as u64, total: manifest.files });
        if let Some(file) = from.about(id).await? {
            let content = from.content(&file).await?;
            to.keep(file, content).await?;
        }
    }
    tell(Step::Files { done: manifest.files, total: manifest.files });
    Ok(timeline)
}
