//! Changes of several files, all or nothing, across a crash at any moment.
//!
//! New contents are staged outside the workspace; the list of them, renamed into place and on disk, is the commit; then each
//! staged file is renamed over its target. What a crash leaves after the commit is carried out by the next look at it, what
//! it leaves before is thrown away. A change that was made stays known by its key, with its answer.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde_json::Value;

use super::beneath::{Beneath, Place, refused};
use super::local::load;
use super::{Change, FILE_MAX_BYTES, FileError, Manifest};

/// Changes that stay known; the oldest are forgotten first.
const KNOWN_MAX: usize = 512;
/// The list of a change that is being carried out.
const COMMITTED: &str = "committed.json";
/// The list of a change that was made.
const DONE: &str = "done.json";
/// The permissions of a new file.
const NEW_FILE_MODE: u32 = 0o644;

/// The changes of one workspace.
#[derive(Debug)]
pub(super) struct Changes {
    directory: PathBuf,
    /// One at a time: two changes of the same file must not mix.
    turn: parking_lot::Mutex<()>,
}

fn unavailable(error: impl std::fmt::Display) -> FileError {
    FileError::Unavailable(format!("the change cannot be written down: {error}"))
}

impl Changes {
    pub(super) fn in_directory(directory: PathBuf) -> Changes {
        Changes { directory, turn: parking_lot::Mutex::new(()) }
    }

    /// The answer of a change that was made; one that a crash cut short is carried out first.
    pub(super) fn made(&self, beneath: &Beneath, key: &str) -> Result<Option<Value>, FileError> {
        let _turn = self.turn.lock();
        self.finished(beneath, key)
    }

    fn finished(&self, beneath: &Beneath, key: &str) -> Result<Option<Value>, FileError> {
        let folder = self.directory.join(key);
        if let Some(manifest) = self.manifest(key, DONE)? {
            return Ok(Some(manifest.answer));
        }
        if let Some(manifest) = self.manifest(key, COMMITTED)? {
            let staged = File::open(&folder).map_err(unavailable)?;
            for (index, path) in manifest.paths.iter().enumerate() {
                let name = index.to_string();
                match rustix::fs::statat(&staged, &name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(_) => {}
                    // Moved before the crash.
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(unavailable(error)),
                }
                let place = beneath.place(path, true)?;
                rustix::fs::renameat(&staged, &name, &place.parent, &place.name).map_err(|e| refused(path, e))?;
                rustix::fs::fsync(&place.parent).map_err(unavailable)?;
            }
            self.close(key)?;
            return Ok(Some(manifest.answer));
        }
        // It was never committed: nothing of it counts.
        match std::fs::remove_dir_all(&folder) {
            Ok(()) => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    fn manifest(&self, key: &str, name: &str) -> Result<Option<Manifest>, FileError> {
        match std::fs::read(self.directory.join(key).join(name)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(unavailable),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Makes a change.
    pub(super) fn make(&self, beneath: &Beneath, change: Change) -> Result<(), FileError> {
        let _turn = self.turn.lock();
        if self.finished(beneath, &change.key)?.is_some() {
            return Ok(());
        }
        self.forget_old();
        let folder = self.directory.join(&change.key);
        std::fs::create_dir_all(&folder).map_err(unavailable)?;
        let outcome = self.stage_and_commit(beneath, &change);
        if outcome.is_err() {
            // Nothing was moved, or all of it was moved back.
            let _ = std::fs::remove_dir_all(&folder);
        }
        outcome
    }

    fn stage_and_commit(&self, beneath: &Beneath, change: &Change) -> Result<(), FileError> {
        let folder = self.directory.join(&change.key);
        let staged = File::open(&folder).map_err(unavailable)?;
        let mut places = Vec::with_capacity(change.files.len());
        for (index, file) in change.files.iter().enumerate() {
            let place = beneath.place(&file.path, file.before.is_none())?;
            check_before(&place, &file.path, file.before.as_deref())?;
            let new = stage(&folder.join(index.to_string()), &file.after, &place).map_err(unavailable)?;
            new.sync_all().map_err(unavailable)?;
            if place.stat.is_some() {
                // Kept beside, should a later file of the change fail; where links are not allowed there is no way back.
                let flags = AtFlags::empty();
                let _ = rustix::fs::linkat(&place.parent, &place.name, &staged, format!("old-{index}"), flags);
            }
            places.push(place);
        }
        let paths = places.iter().map(|place| place.path.to_string_lossy().into_owned()).collect();
        let manifest = Manifest { paths, answer: change.answer.clone() };
        let bytes = serde_json::to_vec(&manifest).map_err(unavailable)?;
        let writing = folder.join("writing.json");
        let mut file = File::create(&writing).map_err(unavailable)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(unavailable)?;
        std::fs::rename(&writing, folder.join(COMMITTED)).map_err(unavailable)?;
        staged.sync_all().map_err(unavailable)?;

        for (index, place) in places.iter().enumerate() {
            if let Err(error) = rustix::fs::renameat(&staged, index.to_string(), &place.parent, &place.name) {
                take_back(&staged, &places[..index]);
                return Err(refused(&change.files[index].path, error));
            }
        }
        for place in &places {
            rustix::fs::fsync(&place.parent).map_err(unavailable)?;
        }
        self.close(&change.key)
    }

    /// Marks a change as made.
    fn close(&self, key: &str) -> Result<(), FileError> {
        let folder = self.directory.join(key);
        std::fs::rename(folder.join(COMMITTED), folder.join(DONE)).map_err(unavailable)?;
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(unavailable)?;
        for entry in std::fs::read_dir(&folder).map_err(unavailable)?.flatten() {
            if entry.file_name() != DONE {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Keeps the number of known changes bounded. Only made ones are forgotten.
    fn forget_old(&self) {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return };
        let mut done: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let made_at = std::fs::metadata(entry.path().join(DONE)).and_then(|data| data.modified()).ok()?;
                Some((made_at, entry.path()))
            })
            .collect();
        if done.len() < KNOWN_MAX {
            return;
        }
        done.sort();
        for (_, path) in done.iter().take(done.len() + 1 - KNOWN_MAX) {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// Refuses to write over what is not what was read.
fn check_before(place: &Place, asked: &str, before: Option<&[u8]>) -> Result<(), FileError> {
    let Some(before) = before else { return Ok(()) };
    let changed = || FileError::Changed { path: asked.to_owned() };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let now = rustix::fs::openat(&place.parent, &place.name, flags, Mode::empty()).map_err(|_| changed())?;
    match load(File::from(now), asked, FILE_MAX_BYTES) {
        Ok(now) if now == before => Ok(()),
        Ok(_) | Err(_) => Err(changed()),
    }
}

/// Writes a file's next content, with the permissions of the one whose place it takes.
fn stage(path: &std::path::Path, content: &[u8], place: &Place) -> std::io::Result<File> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    let mode = place.stat.map_or(NEW_FILE_MODE, |stat| stat.st_mode & 0o777);
    rustix::fs::fchmod(file.as_fd(), Mode::from_raw_mode(mode))?;
    Ok(file)
}

/// Undoes what was moved, the last first.
fn take_back(staged: &File, moved: &[Place]) {
    for (index, place) in moved.iter().enumerate().rev() {
        let undone = match place.stat {
            Some(_) => rustix::fs::renameat(staged, format!("old-{index}"), &place.parent, &place.name),
            None => rustix::fs::unlinkat(&place.parent, &place.name, AtFlags::empty()),
        };
        if let Err(error) = undone {
            tracing::error!(%error, "a file of a change that failed could not be put back");
        }
    }
}
