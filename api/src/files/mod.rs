//! Files that people send and that chats show: what stands in them by its SHA-256, what they are called beside it.
//!
//! They lie outside the log, in `files` of the data directory: `contents/ab/<sha-256>` once for all files that hold the same,
//! `about/ab/<id>.json` for each file. **Invariant:** a file has an id only once its content is on the disk. A file never changes;
//! one that no chat shows, not yet or not any more, is let go after a while (`sweep.rs`). **Invariant:** that is noted before what stands
//! in it goes, so no file lacks its content without saying so, and a sweep that was cut short is done again.

mod disk;
mod kinds;
mod shown;
mod sweep;

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::limits::CHAT_FILES_MAX;
use verbatim_events::log::BoxFuture;
use verbatim_events::model::FileSource;
use verbatim_events::part::{FileContent, Part};

use self::disk::Disk;
pub use self::disk::Lying;
pub use self::kinds::{Kind, KindError, MEDIA_TYPES};
pub use self::shown::note_files;
pub use self::sweep::{FileSweep, SweepError, Swept};

/// The largest file, in bytes.
pub const FILE_MAX_BYTES: usize = 10 * 1024 * 1024;
/// The longest name of a file, in bytes.
pub const NAME_MAX_BYTES: usize = 200;
/// Files that are received or given out at once: each is held in memory meanwhile.
const OPEN_MAX: usize = 32;

/// Why a file is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The disk refuses.
    #[error("the files cannot be read or written: {0}")]
    Disk(#[from] io::Error),
    /// What lies on the disk is not what was written.
    #[error("file {id} is damaged: {problem}")]
    Damaged {
        /// Which file.
        id: Uuid,
        /// In what way.
        problem: String,
    },
    /// A file of this id exists and is another one.
    #[error("file {0} is another one")]
    Different(Uuid),
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredFile {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub owner: String,
    /// The chat whose workspace it was taken from; none for what people send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<ChatId>,
    /// Its media type, as its content was checked against it.
    pub media_type: String,
    /// Its name, without a directory.
    pub name: String,
    /// How long it is.
    pub size_bytes: u64,
    /// SHA-256 of what stands in it.
    pub digest: Digest,
    /// When it was kept; UTC.
    pub created_at: DateTime<Utc>,
    /// Since when it has no content any more; UTC. Absent while it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_go_at: Option<DateTime<Utc>>,
}

impl StoredFile {
    /// The file as a part of a message.
    pub fn part(&self) -> Part {
        Part::File {
            file_id: self.id.to_string(),
            media_type: self.media_type.clone(),
            name: self.name.clone(),
            content: Some(FileContent { digest: self.digest, size_bytes: self.size_bytes }),
        }
    }

    /// Both are the same file, whenever they were kept.
    fn is_same(&self, other: &StoredFile) -> bool {
        *self == StoredFile { created_at: self.created_at, let_go_at: self.let_go_at, ..other.clone() }
    }
}

/// What was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The file.
    pub file: StoredFile,
    /// It was there before.
    pub again: bool,
}

/// Files that are remembered as gone; over it the memory begins anew, which costs a try each.
const GONE_MAX: usize = 10_000;

/// The files of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FileHome {
    disk: Arc<Disk>,
    runtime: tokio::runtime::Handle,
    open: Arc<Semaphore>,
    /// The ids of files whose content a model was to be shown and is not there any more.
    gone: Arc<Mutex<HashSet<String>>>,
}

impl FileHome {
    /// The files in this directory, which is made with the first one.
    pub fn at(directory: impl Into<PathBuf>, runtime: tokio::runtime::Handle) -> FileHome {
        let disk = Arc::new(Disk::at(directory.into()));
        FileHome { disk, runtime, open: Arc::new(Semaphore::new(OPEN_MAX)), gone: Arc::default() }
    }

    /// The right to hold a file in memory; none while too many are held.
    pub fn permit(&self) -> Option<SemaphorePermit<'_>> {
        self.open.try_acquire().ok()
    }

    /// Keeps a file. On the disk once this returns. The same file under the same id again is no error.
    pub async fn keep(&self, file: StoredFile, content: impl AsRef<[u8]> + Send + 'static) -> Result<Kept, FileError> {
        let gone = Arc::clone(&self.gone);
        self.blocking(move |disk| {
            if let Some(known) = disk.about(file.id)? {
                if !known.is_same(&file) {
                    return Err(FileError::Different(file.id));
                }
                // One that was let go is kept anew.
                if let Some(known) = disk.name(file.id, file.created_at)? {
                    return Ok(Kept { file: known, again: true });
                }
            }
            disk.keep(&file, content.as_ref())?;
            gone.lock().remove(&file.id.to_string());
            Ok(Kept { file, again: false })
        })
        .await
    }

    /// What is known of a file; none where there is no such file.
    pub async fn about(&self, id: Uuid) -> Result<Option<StoredFile>, FileError> {
        self.blocking(move |disk| disk.about(id)).await
    }

    /// What stands in a file.
    pub async fn content(&self, file: &StoredFile) -> Result<Vec<u8>, FileError> {
        let (id, digest) = (file.id, file.digest);
        self.blocking(move |disk| disk.content(id, &digest)).await
    }

    /// Removes a file, and what stands in it if no other file holds the same. One that is not there is no error.
    pub async fn remove(&self, id: Uuid) -> Result<(), FileError> {
        self.blocking(move |disk| disk.remove(id)).await
    }

    /// The files that were taken from a chat's workspace. Looks through all files: for rare questions.
    pub async fn of_chat(&self, chat_id: ChatId) -> Result<Vec<Uuid>, FileError> {
        self.blocking(move |disk| {
            let mut found = Vec::new();
            disk.each(|file| found.extend((file.chat_id == Some(chat_id)).then_some(file.id)))?;
            Ok(found)
        })
        .await
    }

    /// The ids of all files that can be read, in no order. Looks through all files: for rare questions.
    pub async fn all(&self) -> Result<Vec<Uuid>, FileError> {
        self.blocking(move |disk| {
            let mut found = Vec::new();
            disk.each(|file| found.push(file.id))?;
            Ok(found)
        })
        .await
    }

    /// The files of one of 256 folders.
    pub async fn folder_of(&self, number: u8) -> Result<Vec<Lying>, FileError> {
        self.blocking(move |disk| disk.folder_of(number)).await
    }

    /// Lets a file go that was not named since a moment; whether it was.
    pub async fn let_go(&self, id: Uuid, unnamed_since: DateTime<Utc>, now: DateTime<Utc>) -> Result<bool, FileError> {
        self.blocking(move |disk| disk.let_go(id, unnamed_since, now)).await
    }

    /// Removes those of these contents that no file needs. Looks through all files.
    pub async fn release(&self, contents: HashSet<Digest>) -> Result<(), FileError> {
        self.blocking(move |disk| disk.release(contents)).await
    }

    /// Removes all that is known of files that were let go.
    pub async fn forget(&self, ids: Vec<Uuid>) -> Result<(), FileError> {
        self.blocking(move |disk| ids.into_iter().try_for_each(|id| disk.forget(id))).await
    }

    /// Puts what the store knows of an owner's files into the parts that name them at this moment. The error is the place of a
    /// part whose file there is not.
    pub async fn resolve(
        &self,
        owner: &str,
        parts: &mut [Part],
        now: DateTime<Utc>,
    ) -> Result<Result<(), usize>, FileError> {
        for (index, part) in parts.iter_mut().enumerate() {
            let Part::File { file_id, .. } = part else { continue };
            let found = match file_id.parse() {
                Ok(id) => match self.about(id).await? {
                    Some(file) if file.owner == owner => self.blocking(move |disk| disk.name(id, now)).await?,
                    Some(_) | None => None,
                },
                Err(_) => None,
            };
            match found {
                Some(file) => *part = file.part(),
                None => return Ok(Err(index)),
            }
        }
        Ok(Ok(()))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, FileError> {
        let disk = Arc::clone(&self.disk);
        let done = self.runtime.spawn_blocking(move || work(&disk)).await;
        done.unwrap_or_else(|error| Err(io::Error::other(error).into()))
    }
}

/// What models are shown of files.
impl FileSource for FileHome {
    fn read(&self, file_id: &str, content: FileContent) -> BoxFuture<'static, Result<Option<Vec<u8>>, String>> {
        let (home, file_id) = (self.clone(), file_id.to_owned());
        Box::pin(async move {
            let id = file_id.parse().unwrap_or_default();
            let read = match home.blocking(move |disk| disk.content(id, &content.digest)).await {
                Ok(bytes) => Some(bytes),
                // A damaged copy does not get better by asking again.
                Err(FileError::Damaged { problem, .. }) => {
                    tracing::error!(file.id = file_id, problem, "A file is damaged; models are not shown it.");
                    None
                }
                Err(FileError::Disk(error)) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error.to_string()),
            };
            if read.is_none() {
                let mut gone = home.gone.lock();
                if gone.len() >= GONE_MAX {
                    gone.clear();
                }
                gone.insert(file_id);
            }
            Ok(read)
        })
    }

    fn is_gone(&self, file_id: &str) -> bool {
        self.gone.lock().contains(file_id)
    }
}

/// A file's name as it is kept: without directories, without control characters. None where nothing is left or it is too long.
pub fn file_name(text: &str) -> Option<String> {
    let name = text.rsplit(['/', '\\']).next()?.trim();
    let fits = !name.is_empty() && name.len() <= NAME_MAX_BYTES && !name.chars().any(char::is_control);
    (fits && name != "." && name != "..").then(|| name.to_owned())
}

/// More files than a message may show: a chat never shows that many, so some would be expired at once.
pub fn too_many(parts: &[Part]) -> bool {
    let ids = parts.iter().filter_map(|part| match part {
        Part::File { file_id, .. } => Some(file_id),
        _ => None,
    });
    ids.collect::<BTreeSet<_>>().len() > CHAT_FILES_MAX
}

#[cfg(test)]
mod tests;
