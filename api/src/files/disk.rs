//! The directory of the files. Everything in it was written beside its place, synced and renamed, so it is whole or not there.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
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
    /// Held, inside of `changing` where both are, while a file is named or let go: one that is named now stays.
    naming: Mutex<()>,
    /// Held while contents are released.
    releasing: Mutex<()>,
    /// What was kept since a release began to look which contents are needed.
    kept_meanwhile: Mutex<Option<HashSet<Digest>>>,
}

/// A file as it lies in its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lying {
    /// What is known of it.
    pub file: StoredFile,
    /// When it was kept, or named by a message last; UTC.
    pub named_at: DateTime<Utc>,
}

impl Disk {
    /// The directory at `root`, which need not exist.
    pub fn at(root: PathBuf) -> Disk {
        Disk {
            root,
            changing: Mutex::new(()),
            naming: Mutex::new(()),
            releasing: Mutex::new(()),
            kept_meanwhile: Mutex::new(None),
        }
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
        if let Some(kept) = self.kept_meanwhile.lock().as_mut() {
            kept.insert(file.digest);
        }
        self.write_about(file, file.created_at)
    }

    /// What is known of a file that is named now; from now on it counts as young. None for one that was let go.
    pub fn name(&self, id: Uuid, now: DateTime<Utc>) -> Result<Option<StoredFile>, FileError> {
        let _naming = self.naming.lock();
        let Some(file) = self.about(id)?.filter(|file| file.let_go_at.is_none()) else { return Ok(None) };
        set_time(&self.about_path(id), now)?;
        Ok(Some(file))
    }

    /// The files of one of the folders, of which there are 256, that can be read.
    pub fn folder_of(&self, number: u8) -> Result<Vec<Lying>, FileError> {
        let entries = match std::fs::read_dir(self.root.join("about").join(format!("{number:02x}"))) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if let Some(id) = id_of(&path)
                && let Ok(Some(file)) = self.about(id)
            {
                found.push(Lying { file, named_at: path.metadata()?.modified()?.into() });
            }
        }
        Ok(found)
    }

    /// Lets a file go that was not named since a moment: it is noted that what stands in it is not there any more, and
    /// `release` may remove that. False where it was named since, or is not there.
    pub fn let_go(&self, id: Uuid, unnamed_since: DateTime<Utc>, now: DateTime<Utc>) -> Result<bool, FileError> {
        let _changing = self.changing.lock();
        let _naming = self.naming.lock();
        let Some(file) = self.about(id)?.filter(|file| file.let_go_at.is_none()) else { return Ok(false) };
        let path = self.about_path(id);
        let named_at: DateTime<Utc> = path.metadata()?.modified()?.into();
        if named_at > unnamed_since {
            return Ok(false);
        }
        self.write_about(&StoredFile { let_go_at: Some(now), ..file }, named_at)?;
        Ok(true)
    }

    /// Removes what is known of a file that was let go.
    pub fn forget(&self, id: Uuid) -> Result<(), FileError> {
        let _changing = self.changing.lock();
        match self.about(id)? {
            Some(file) if file.let_go_at.is_some() => Ok(remove_file(&self.about_path(id))?),
            Some(_) | None => Ok(()),
        }
    }

    /// Removes those of these contents that no file needs, be it one that is kept this moment.
    pub fn release(&self, mut contents: HashSet<Digest>) -> Result<(), FileError> {
        let _releasing = self.releasing.lock();
        {
            // Whatever is kept is on the disk as a whole by now, or is noted.
            let _changing = self.changing.lock();
            *self.kept_meanwhile.lock() = Some(HashSet::new());
        }
        let looked = self.each(|file| {
            if file.let_go_at.is_none() {
                contents.remove(&file.digest);
            }
        });
        let _changing = self.changing.lock();
        let kept = self.kept_meanwhile.lock().take().unwrap_or_default();
        looked?;
        for digest in contents.difference(&kept) {
            remove_file(&self.content_path(digest))?;
        }
        Ok(())
    }

    /// Removes a file, and its content if no other file has the same.
    pub fn remove(&self, id: Uuid) -> Result<(), FileError> {
        let _changing = self.changing.lock();
        let Some(file) = self.about(id)? else { return Ok(()) };
        let mut is_shared = false;
        self.each(|other| is_shared |= other.id != id && other.digest == file.digest && other.let_go_at.is_none())?;
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
                if let Some(id) = id_of(&entry?.path())
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

    fn write_about(&self, file: &StoredFile, named_at: DateTime<Utc>) -> Result<(), FileError> {
        let about = serde_json::to_vec(file).map_err(io::Error::other)?;
        let path = self.about_path(file.id);
        self.write(&path, &about)?;
        Ok(set_time(&path, named_at)?)
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

/// The id that a path is named by.
fn id_of(path: &Path) -> Option<Uuid> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// When a file was named last is the time of what is known of it: to be lost with a crash, as whoever named it is.
fn set_time(path: &Path, time: DateTime<Utc>) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_modified(time.into())
}

/// Removes a file for good: its name is gone from its folder, also after a power cut.
fn remove_file(path: &Path) -> io::Result<()> {
    let there = |done: io::Result<()>| {
        done.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
    };
    there(std::fs::remove_file(path))?;
    // Where there is no folder there never was such a file.
    there(path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()))
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
