//! The directory of the files. Everything in it was written beside its place, synced and renamed, so it is whole or not there.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use uuid::Uuid;
use verbatim_events::ids::Digest;

use super::{FileError, StoredFile};

/// Only the server's user reads and writes.
const PRIVATE_FILE: u32 = 0o600;
/// Only the server's user enters.
const PRIVATE_FOLDER: u32 = 0o700;

/// The directory.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    /// Held while a file comes or goes: a content must not go while a file that needs it comes.
    changing: Mutex<()>,
}

impl Disk {
    /// The directory at `root`, which need not exist.
    pub fn at(root: PathBuf) -> Disk {
        Disk { root, changing: Mutex::new(()) }
    }

    /// What is known of a file.
    pub fn about(&self, id: Uuid) -> Result<Option<StoredFile>, FileError> {
        let bytes = match std::fs::read(self.about_path(id)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = |problem: String| FileError::Damaged { id, problem };
        let file: StoredFile = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if file.id != id { Err(damaged("it says it is another".to_owned())) } else { Ok(Some(file)) }
    }

    /// What stands in the file `id`, by its digest.
    pub fn content(&self, id: Uuid, digest: &Digest) -> Result<Vec<u8>, FileError> {
        let bytes = std::fs::read(self.content_path(digest))?;
        if Digest::of(&bytes) != *digest {
            return Err(FileError::Damaged { id, problem: "its content has another SHA-256".to_owned() });
        }
        Ok(bytes)
    }

    /// Writes a file: what stands in it first, so that no file is without.
    pub fn keep(&self, file: &StoredFile, content: &[u8]) -> Result<(), FileError> {
        let _changing = self.changing.lock();
        let place = self.content_path(&file.digest);
        // A damaged copy of the same content is replaced by a good one.
        if !self.content(file.id, &file.digest).is_ok_and(|kept| kept == content) {
            self.write(&place, content)?;
        }
        let about = serde_json::to_vec(file).map_err(io::Error::other)?;
        Ok(self.write(&self.about_path(file.id), &about)?)
    }

    /// Removes a file, and its content if no other file has the same.
    pub fn remove(&self, id: Uuid) -> Result<(), FileError> {
        let _changing = self.changing.lock();
        let Some(file) = self.about(id)? else { return Ok(()) };
        let mut is_shared = false;
        self.each(|other| is_shared |= other.id != id && other.digest == file.digest)?;
        // The content first: a crash in between leaves a file whose removal can be done again.
        if !is_shared {
            remove_file(&self.content_path(&file.digest))?;
        }
        Ok(remove_file(&self.about_path(id))?)
    }

    /// Shows every file that can be read.
    pub fn each(&self, mut show: impl FnMut(StoredFile)) -> Result<(), FileError> {
        let folders = match std::fs::read_dir(self.root.join("about")) {
            Ok(folders) => folders,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for folder in folders {
            for entry in std::fs::read_dir(folder?.path())? {
                let id = entry?.path().file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
                if let Some(id) = id
                    && let Ok(Some(file)) = self.about(id)
                {
                    show(file);
                }
            }
        }
        Ok(())
    }

    fn content_path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join("contents").join(&name[..2]).join(name)
    }

    fn about_path(&self, id: Uuid) -> PathBuf {
        // The end is the random part of an id that begins with the time.
        let name = id.simple().to_string();
        self.root.join("about").join(&name[name.len() - 2..]).join(format!("{name}.json"))
    }

    fn write(&self, place: &Path, bytes: &[u8]) -> io::Result<()> {
        let Some(folder) = place.parent() else { return Err(io::Error::other("a file lies in a folder")) };
        self.folder(folder)?;
        // Two may write the same content at once; each beside it, the last one stays.
        let beside = folder.join(format!(".{}", Uuid::now_v7().simple()));
        let written = write_beside(&beside, bytes).and_then(|()| std::fs::rename(&beside, place));
        if written.is_err() {
            // What is left of it is in nobody's way; the first error says why.
            let _ = std::fs::remove_file(&beside);
        }
        written?;
        File::open(folder)?.sync_all()
    }

    /// Makes a folder that lasts: with its name in its parents.
    fn folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(folder)?;
        for parent in folder.ancestors().skip(1) {
            File::open(parent)?.sync_all()?;
            if Some(parent) == self.root.parent() {
                break;
            }
        }
        Ok(())
    }
}

/// Removes a file for good: its name is gone from its folder, also after a power cut.
fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()),
    }
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
