//! Taking a backup, beside a running server or alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events_sql::seal::MasterKey;
use verbatim_events_sql::sqlite::{Copied, copy_log, keep_chat_keys};
use verbatim_events_sql::{LogOptions, Sealing, open_read_only};

use super::manifest::{CopiedFile, MANIFEST_FORMAT, Manifest};
use super::survey::{Survey, survey};
use super::{BackupError, FILES_FOLDER, Step, at, folder_of, is_empty, make_folder, remove_folder, sync_folder};
use crate::files::{FileError, FileHome};

/// An erasure between the copies of the log and of the keys leaves a chat without its key: then both are copied again, so often.
const TRIES_MAX: usize = 5;

/// What is backed up.
#[derive(Clone, Debug)]
pub struct Source {
    /// The log's file; its keys lie beside it.
    pub log: PathBuf,
    /// The data directory, in which the files are.
    pub data_dir: PathBuf,
    /// The master key, to see which files sealed chats show. Not copied.
    pub master: Option<Arc<MasterKey>>,
    /// When the backup is made; UTC.
    pub now: DateTime<Utc>,
    /// Where databases are talked to.
    pub runtime: Handle,
}

/// Makes a backup in `folder`, which must be empty or not there. What is read is not changed. After an error the folder is as
/// it was.
pub async fn take(source: &Source, folder: &Path, mut tell: impl FnMut(Step)) -> Result<Manifest, BackupError> {
    if !is_empty(folder)? {
        return Err(BackupError::NotEmpty(folder.to_owned()));
    }
    let was_there = folder.exists();
    make_folder(folder)?;
    let taken = fill(source, folder, &mut tell).await;
    if taken.is_err()
        && let Err(error) = clear(folder, was_there)
    {
        tracing::warn!(%error, "what there is of the backup could not be removed");
    }
    taken
}

async fn fill(source: &Source, folder: &Path, tell: &mut impl FnMut(Step)) -> Result<Manifest, BackupError> {
    let (copied, timeline, found) = copy_databases(source, folder, tell).await?;
    let Survey { position, chats, keys, files, .. } = found;
    if let Some(path) = &copied.keys {
        keep_chat_keys(path, keys, &source.runtime).await?;
    }
    let from = FileHome::at(source.data_dir.join(FILES_FOLDER), source.runtime.clone());
    let to = FileHome::at(folder.join(FILES_FOLDER), source.runtime.clone());
    let (total, mut copies, mut missing) = (files.len() as u64, 0, Vec::new());
    for (done, id) in files.into_iter().enumerate() {
        tell(Step::Files { done: done as u64, total });
        match copy_file(&from, &to, id).await? {
            FileCopy::Copied => copies += 1,
            FileCopy::LetGo => {}
            FileCopy::Missing => missing.push(id),
        }
    }
    tell(Step::Files { done: total, total });
    let paths = [Some(&copied.log), copied.keys.as_ref()];
    let databases = paths.into_iter().flatten().map(|path| CopiedFile::of(path)).collect::<Result<_, _>>()?;
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        timeline,
        position,
        made_at: source.now,
        chats,
        master_key: copied.master_mark,
        databases,
        files: copies,
        files_missing: missing,
    };
    manifest.write(folder)?;
    sync_folder(folder_of(folder))?;
    Ok(manifest)
}

/// Copies log and keys until they agree.
async fn copy_databases(
    source: &Source,
    folder: &Path,
    tell: &mut impl FnMut(Step),
) -> Result<(Copied, Uuid, Survey), BackupError> {
    let mut tries = 1;
    loop {
        tell(Step::Databases);
        let copied = copy_log(&source.log, folder, &source.runtime).await?;
        let sealing = source.master.clone().map(|master| Sealing { master, new_chats: false });
        let options = LogOptions { sealing, ..LogOptions::default() };
        let address = format!("sqlite:{}", copied.log.display());
        let log = open_read_only(&address, options, source.runtime.clone()).await?;
        let found = survey(log.as_ref(), tell).await?;
        match found.without_key {
            None => return Ok((copied, log.timeline(), found)),
            Some(chat_id) if tries == TRIES_MAX => return Err(BackupError::KeyGone(chat_id)),
            Some(_) => {
                drop(log);
                clear(folder, true)?;
                tries += 1;
            }
        }
    }
}

/// What became of a file that chats showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileCopy {
    /// It is in the backup.
    Copied,
    /// It is expired, and has no content any more.
    LetGo,
    /// It should be there and is not, or is damaged.
    Missing,
}

/// Copies a file, if it is there and whole.
async fn copy_file(from: &FileHome, to: &FileHome, id: Uuid) -> Result<FileCopy, BackupError> {
    let Some(file) = from.about(id).await? else { return Ok(FileCopy::Missing) };
    if file.let_go_at.is_some() {
        return Ok(FileCopy::LetGo);
    }
    match from.content(&file).await {
        Ok(content) => Ok(to.keep(file, content).await.map(|_| FileCopy::Copied)?),
        Err(FileError::Damaged { id, problem }) => {
            tracing::warn!(file.id = %id, problem, "a file is damaged and not in the backup");
            Ok(FileCopy::Missing)
        }
        Err(FileError::Disk(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            // Beside a server that lets it go this moment.
            let now = from.about(id).await?;
            let is_let_go = now.is_none_or(|file| file.let_go_at.is_some());
            Ok(if is_let_go { FileCopy::LetGo } else { FileCopy::Missing })
        }
        Err(error) => Err(error.into()),
    }
}

/// Empties the folder, which was empty before, and removes it if it was not there.
fn clear(folder: &Path, was_there: bool) -> Result<(), BackupError> {
    for entry in std::fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.is_dir() { remove_folder(&path)? } else { std::fs::remove_file(&path).map_err(at(&path))? }
    }
    if was_there { Ok(()) } else { std::fs::remove_dir(folder).map_err(at(folder)) }
}
