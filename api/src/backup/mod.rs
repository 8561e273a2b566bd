//! Backups of a log on SQLite: a folder with a copy of the log, of the keys and of the files that the chats show, taken
//! beside a running server, and the way back.
//!
//! **Invariant:** a backup holds the key of every sealed chat that lives in it and of no other, and never the master key.
//! **Invariant:** the manifest is written last: a folder without one is no backup, whatever cut its making short.

mod manifest;
mod restore;
mod survey;
mod take;

use std::io;
use std::path::{Path, PathBuf};

use verbatim_events::ids::ChatId;
use verbatim_events::log::LogError;
use verbatim_events_sql::OpenError;

use crate::files::FileError;

pub use manifest::{CopiedFile, MANIFEST_FORMAT, Manifest};
pub use restore::{Target, restore};
pub use take::{Source, take};

/// The folder of the files, in a backup as in a data directory.
const FILES_FOLDER: &str = "files";

/// Only its owner reads and writes.
const PRIVATE_FILE: u32 = 0o600;
/// Only its owner enters.
const PRIVATE_FOLDER: u32 = 0o700;

/// How far a backup or a restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The databases are being copied.
    Databases,
    /// The copied log is being read.
    Events {
        /// Events read.
        done: u64,
        /// Events to read.
        total: u64,
    },
    /// Files are being copied.
    Files {
        /// Files copied.
        done: u64,
        /// Files to copy.
        total: u64,
    },
}

/// Why there is no backup, or no restore. What was begun is removed again.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is something where the backup is to be made.
    #[error("{} is not empty; a backup is made in an empty or a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// There is something where the backup is to be restored to.
    #[error("{} is there already; a backup is restored into a data directory without a log", .0.display())]
    Occupied(PathBuf),
    /// The folder holds no whole backup.
    #[error("{} holds no whole backup: {problem}", folder.display())]
    NoBackup {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Keys of chats are gone, though nobody erased them.
    #[error("the key of chat {0} is gone, though nobody erased the chat; `verbatim audit verify` says more")]
    KeyGone(ChatId),
    /// The backup is sealed, and its master key is not at hand.
    #[error(
        "the backup is sealed with the master key {expected}, which is no part of it, and {}; give it by \
         VERBATIM_MASTER_KEY, or put its file in the data directory as master.key",
        at_hand(given.as_deref())
    )]
    MasterKey {
        /// The mark of the master key that is needed.
        expected: String,
        /// The mark of the one at hand.
        given: Option<String>,
    },
    /// A database cannot be used.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The copied log cannot be read.
    #[error("the copied log: {0}")]
    Log(#[from] LogError),
    /// The files cannot be used.
    #[error(transparent)]
    Files(#[from] FileError),
    /// A file or folder cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn at_hand(given: Option<&str>) -> String {
    given.map_or_else(|| "there is none at hand".to_owned(), |mark| format!("the one at hand is {mark}"))
}

/// What to make of an error at a path.
fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { path, source }
}

/// Whether there is nothing at a path, or an empty folder.
fn is_empty(path: &Path) -> Result<bool, BackupError> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(at(path)(error)),
    }
}

/// Makes a folder for its owner alone, and the folders above it as they are usual.
fn make_folder(path: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path);
    made.map_err(at(path))
}

/// What stands in a folder by its names lasts from now on.
fn sync_folder(path: &Path) -> Result<(), BackupError> {
    std::fs::File::open(path).and_then(|folder| folder.sync_all()).map_err(at(path))
}

/// The folder that a path lies in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes a folder and all in it. One that is not there is no error.
fn remove_folder(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}
