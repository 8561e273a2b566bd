//! The files of a workspace that is a directory on this machine.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat};
use serde_json::Value;
use verbatim_events::log::BoxFuture;

use super::beneath::{Beneath, refused, wanted_file};
use super::changes::Changes;
use super::gather::gather;
use super::lines::is_binary;
use super::{Change, Content, ENTRIES_MAX, Entry, EntryKind, FileError, Files, Gathering, LineWindow, Pattern, Window};

/// Bytes of a file that are looked through for a window of its lines.
const SCAN_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// How a file is opened for reading: a pipe must not make the reader wait.
const READING: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A directory on this machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LocalFiles {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    changes: Changes,
}

impl LocalFiles {
    /// The files below `root`; changes are written down in `changes`, a directory outside it on the same file system.
    pub fn new(root: PathBuf, changes: PathBuf) -> LocalFiles {
        LocalFiles { inner: Arc::new(Inner { root, changes: Changes::in_directory(changes) }) }
    }

    /// Runs file work where waiting for a disk harms nobody.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &Beneath) -> Result<T, FileError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, FileError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || {
                let beneath = Beneath::open(&inner.root)
                    .map_err(|error| FileError::Unavailable(format!("the workspace cannot be opened: {error}")))?;
                work(&inner, &beneath)
            });
            done.await.unwrap_or_else(|_| Err(FileError::Unavailable("the file could not be looked at".to_owned())))
        })
    }
}

impl Files for LocalFiles {
    fn read(&self, path: &str, window: Window) -> BoxFuture<'static, Result<Content, FileError>> {
        let path = path.to_owned();
        self.blocking(move |_, beneath| read(beneath, &path, window))
    }

    fn load(&self, path: &str, max_bytes: usize) -> BoxFuture<'static, Result<Vec<u8>, FileError>> {
        let path = path.to_owned();
        self.blocking(move |_, beneath| {
            let (file, stat) = open(beneath, &path)?;
            wanted_file(&path, &stat)?;
            load(file, &path, max_bytes)
        })
    }

    fn gather(&self, patterns: &'static [Pattern]) -> BoxFuture<'static, Result<Gathering, FileError>> {
        self.blocking(move |_, beneath| gather(beneath, patterns))
    }

    fn made(&self, key: &str) -> BoxFuture<'static, Result<Option<Value>, FileError>> {
        let key = key.to_owned();
        self.blocking(move |inner, beneath| inner.changes.made(beneath, &key))
    }

    fn change(&self, change: Change) -> BoxFuture<'static, Result<(), FileError>> {
        self.blocking(move |inner, beneath| inner.changes.make(beneath, change))
    }
}

pub(super) fn open(beneath: &Beneath, asked: &str) -> Result<(File, Stat), FileError> {
    let path = beneath.relative(asked)?;
    // Looked at before it is opened: opening a device can do things.
    let looked = beneath.open_at(&path, OFlags::PATH).map_err(|error| refused(asked, error))?;
    let stat = rustix::fs::fstat(&looked).map_err(|error| refused(asked, error))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        wanted_file(asked, &stat)?;
    }
    let opened = beneath.open_at(&path, READING).map_err(|error| refused(asked, error))?;
    let stat = rustix::fs::fstat(&opened).map_err(|error| refused(asked, error))?;
    Ok((File::from(opened), stat))
}

/// Reads a whole file of at most `max_bytes`.
pub(super) fn load(file: File, asked: &str, max_bytes: usize) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let size_bytes = file.metadata().map(|data| data.len()).unwrap_or(0);
    file.take(max_bytes as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| FileError::Unavailable(format!("{asked}: {error}")))?;
    if bytes.len() > max_bytes {
        let size_bytes = size_bytes.max(bytes.len() as u64);
        return Err(FileError::TooLarge { path: asked.to_owned(), size_bytes, max_bytes: max_bytes as u64 });
    }
    Ok(bytes)
}

pub(super) fn read(beneath: &Beneath, asked: &str, window: Window) -> Result<Content, FileError> {
    let (file, stat) = open(beneath, asked)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return list(&file, asked, window);
    }
    wanted_file(asked, &stat)?;
    let size_bytes = u64::try_from(stat.st_size).unwrap_or(0);
    let mut lines = LineWindow::starting_at(window, 1);
    let mut file = file.take(SCAN_MAX_BYTES);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut is_first = true;
    loop {
        let count = file.read(&mut chunk).map_err(|error| FileError::Unavailable(format!("{asked}: {error}")))?;
        if is_first && is_binary(&chunk[..count]) {
            return Err(FileError::Binary { path: asked.to_owned(), size_bytes });
        }
        is_first = false;
        if count == 0 {
            return Ok(Content::Text(lines.finish(file.limit() > 0)));
        }
        lines.push(&chunk[..count]);
    }
}

fn list(directory: &File, asked: &str, window: Window) -> Result<Content, FileError> {
    let failed = |error| refused(asked, error);
    let mut entries = Vec::new();
    let mut left_out = false;
    for entry in Dir::read_from(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if entries.len() == ENTRIES_MAX {
            left_out = true;
            break;
        }
        // What is gone by now is not listed.
        let Ok(stat) = rustix::fs::statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let (kind, size_bytes) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => (EntryKind::File, u64::try_from(stat.st_size).ok()),
            FileType::Directory => (EntryKind::Directory, None),
            FileType::Symlink => (EntryKind::Link, None),
            _ => (EntryKind::Other, None),
        };
        entries.push(Entry { name: String::from_utf8_lossy(name).into_owned(), kind, size_bytes });
    }
    Ok(window_of(entries, left_out, window))
}

/// The entries within a window, by name.
pub(crate) fn window_of(mut entries: Vec<Entry>, left_out: bool, window: Window) -> Content {
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    let before = (window.offset - 1).min(entries.len());
    let shown: Vec<Entry> = entries[before..].iter().take(window.limit).cloned().collect();
    let more = left_out || before + shown.len() < entries.len();
    Content::Directory { entries: shown, more }
}
