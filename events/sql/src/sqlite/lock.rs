//! The lock file that keeps a second writer out of a log. The operating system lets go of it when the process dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// An exclusive lock beside a database file, held as long as this lives.
#[derive(Debug)]
pub(crate) struct LockFile {
    _file: File,
}

impl LockFile {
    /// Takes the lock of the database at `path`, or says who is in the way. Never waits. The file is its owner's alone: whoever
    /// may open it could hold it.
    pub(crate) fn take(path: &Path) -> Result<LockFile, OpenError> {
        let lock = lock_path(path);
        let io = |source| OpenError::Io { path: lock.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(LockFile { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned(), lock }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

/// The lock file's path: the database's with `.lock` at its end.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
