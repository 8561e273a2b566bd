//! Paths below a root, resolved by the kernel, so that no link can lead out, not even one that is swapped meanwhile.
//!
//! **Invariant:** every name that comes from outside is opened by `openat2` with `RESOLVE_BENEATH`; what follows is done
//! on the descriptors that it gave. A path is never checked first and used afterwards.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::{FileError, PATH_MAX_BYTES};

/// How often an open is tried that the kernel could not resolve because a directory moved meanwhile.
const RESOLVE_TRIES: usize = 64;

/// A directory that nothing below it leads out of.
#[derive(Debug)]
pub struct Beneath {
    root: OwnedFd,
    /// Where the root really is.
    real: PathBuf,
}

/// A place for a file: a directory, and a name in it.
#[derive(Debug)]
pub struct Place {
    /// The directory.
    pub parent: OwnedFd,
    /// The name.
    pub name: OsString,
    /// The whole path below the root, links resolved.
    pub path: PathBuf,
    /// What is there now.
    pub stat: Option<Stat>,
}

impl Beneath {
    /// Opens a root.
    pub fn open(root: &Path) -> std::io::Result<Beneath> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())?;
        let real = real_path(&root)?;
        Ok(Beneath { root, real })
    }

    /// Where the root really is.
    pub fn real(&self) -> &Path {
        &self.real
    }

    /// A path as it was asked for, made relative to the root. Says nothing yet about where it leads.
    pub fn relative(&self, asked: &str) -> Result<PathBuf, FileError> {
        if asked.len() > PATH_MAX_BYTES {
            let path = asked.chars().take(80).collect();
            return Err(FileError::BadPath { path, problem: "the path is too long" });
        }
        if asked.contains('\0') {
            return Err(FileError::BadPath { path: asked.to_owned(), problem: "the path holds a NUL" });
        }
        let path = Path::new(asked);
        let path = match path.is_absolute() {
            true => path.strip_prefix(&self.real).map_err(|_| FileError::Outside { path: asked.to_owned() })?,
            false => path,
        };
        Ok(if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() })
    }

    /// Opens what a relative path leads to.
    pub fn open_at(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.resolve(path, flags, ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)
    }

    fn resolve(&self, path: &Path, flags: OFlags, how: ResolveFlags) -> Result<OwnedFd, Errno> {
        let mut tries = 0;
        loop {
            match rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
                // Something below was renamed while the kernel looked.
                Err(Errno::AGAIN) if tries < RESOLVE_TRIES => tries += 1,
                answer => return answer,
            }
        }
    }

    /// Where a directory below the root really is. It may move afterwards: who goes there must not trust this alone.
    pub fn directory_path(&self, asked: &str) -> Result<PathBuf, FileError> {
        let path = self.relative(asked)?;
        let found = self.open_at(&path, OFlags::PATH | OFlags::DIRECTORY).map_err(|error| refused(asked, error))?;
        real_path(&found).map_err(|error| FileError::Unavailable(error.to_string()))
    }

    /// The place of a file that is to be written: its links resolved if it is there; its missing directories made, if
    /// that is wanted, if it is not.
    pub fn place(&self, asked: &str, make_directories: bool) -> Result<Place, FileError> {
        let path = self.relative(asked)?;
        match self.open_at(&path, OFlags::PATH) {
            Ok(there) => self.place_of(asked, &there),
            Err(Errno::NOENT) => self.new_place(asked, &path, make_directories),
            Err(error) => Err(refused(asked, error)),
        }
    }

    fn place_of(&self, asked: &str, there: &OwnedFd) -> Result<Place, FileError> {
        let stat = rustix::fs::fstat(there).map_err(|error| refused(asked, error))?;
        wanted_file(asked, &stat)?;
        let real = real_path(there).map_err(|error| FileError::Unavailable(error.to_string()))?;
        let changed = || FileError::Changed { path: asked.to_owned() };
        let path = real.strip_prefix(&self.real).map_err(|_| changed())?.to_owned();
        let name = path.file_name().ok_or_else(changed)?.to_owned();
        let parent = self.directory(asked, path.parent().unwrap_or(Path::new("")))?;
        // The name may lead elsewhere by now; then this is not the file that was found.
        let now = rustix::fs::statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| changed())?;
        if (now.st_dev, now.st_ino) != (stat.st_dev, stat.st_ino) {
            return Err(changed());
        }
        Ok(Place { parent, name, path, stat: Some(stat) })
    }

    fn new_place(&self, asked: &str, path: &Path, make_directories: bool) -> Result<Place, FileError> {
        let bad = |problem| FileError::BadPath { path: asked.to_owned(), problem };
        let name = match path.components().next_back() {
            Some(Component::Normal(name)) if !asked.ends_with('/') => name.to_owned(),
            _ => return Err(bad("the path does not end in a file's name")),
        };
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // What `..` means below a directory that is not there nobody can say.
        if make_directories && !above.components().any(|component| component == Component::ParentDir) {
            self.make(asked, above)?;
        }
        let found = self.open_at(above, OFlags::PATH | OFlags::DIRECTORY).map_err(|error| refused(asked, error))?;
        let real = real_path(&found).map_err(|error| FileError::Unavailable(error.to_string()))?;
        let above = real.strip_prefix(&self.real).map_err(|_| FileError::Changed { path: asked.to_owned() })?;
        let parent = self.directory(asked, above)?;
        // A link that leads nowhere is there: writing would go where it points, which may be outside.
        match rustix::fs::statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Ok(stat) => wanted_file(asked, &stat)?,
            Err(error) => return Err(refused(asked, error)),
        }
        Ok(Place { parent, path: above.join(&name), name, stat: None })
    }

    /// Opens a directory for reading, through no link at all.
    fn directory(&self, asked: &str, path: &Path) -> Result<OwnedFd, FileError> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY, how).map_err(|error| refused(asked, error))
    }

    /// Makes the directories that are missing on the way, each by its own name in a directory that is held open.
    fn make(&self, asked: &str, path: &Path) -> Result<(), FileError> {
        let mut walked = PathBuf::new();
        for component in path.components() {
            let above = if walked.as_os_str().is_empty() { PathBuf::from(".") } else { walked.clone() };
            walked.push(component);
            match self.open_at(&walked, OFlags::PATH | OFlags::DIRECTORY) {
                Ok(_) => continue,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(refused(asked, error)),
            }
            let Component::Normal(name) = component else {
                return Err(FileError::NotFound { path: asked.to_owned() });
            };
            let above = self.open_at(&above, OFlags::PATH | OFlags::DIRECTORY).map_err(|e| refused(asked, e))?;
            match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(refused(asked, error)),
            }
        }
        Ok(())
    }
}

/// What the kernel's refusal means for the model.
pub(super) fn refused(asked: &str, error: Errno) -> FileError {
    let path = asked.to_owned();
    match error {
        Errno::NOENT => FileError::NotFound { path },
        Errno::XDEV | Errno::LOOP => FileError::Outside { path },
        Errno::ACCESS | Errno::PERM | Errno::ROFS => FileError::Denied { path },
        Errno::NOTDIR => FileError::BadPath { path, problem: "a part of the path is no directory" },
        Errno::ISDIR => FileError::WrongKind { path, kind: "a directory", wanted: "a file" },
        Errno::NAMETOOLONG => FileError::BadPath { path, problem: "a part of the path is too long" },
        Errno::AGAIN => FileError::Changed { path },
        error => FileError::Unavailable(format!("{path}: {error}")),
    }
}

/// Refuses what is no plain file.
pub(super) fn wanted_file(asked: &str, stat: &Stat) -> Result<(), FileError> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        kind => Err(FileError::WrongKind { path: asked.to_owned(), kind: name_of(kind), wanted: "a file" }),
    }
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a directory",
        FileType::Symlink => "a link that leads nowhere",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::RegularFile => "a file",
        FileType::Unknown => "something unknown",
    }
}

/// Where an open descriptor really is.
fn real_path(descriptor: &OwnedFd) -> std::io::Result<PathBuf> {
    let link = rustix::fs::readlink(format!("/proc/self/fd/{}", descriptor.as_raw_fd()), Vec::new())?;
    Ok(PathBuf::from(OsStr::from_bytes(link.as_bytes())))
}
