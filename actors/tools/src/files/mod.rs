//! Files of a workspace: what the tools read and write, wherever the workspace is.

pub mod beneath;
pub mod changes;
pub mod edits;
pub mod gather;
pub mod lines;
pub mod local;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use verbatim_events::log::BoxFuture;

pub use edits::{Edit, EditProblem};
pub use gather::{Gathered, Gathering, Pattern};
pub use lines::{LineWindow, Window};
pub use local::LocalFiles;

/// The longest path, in bytes.
pub const PATH_MAX_BYTES: usize = 4096;
/// The largest file that is written or edited as a whole, in bytes.
pub const FILE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Files that one change may touch.
pub const CHANGE_FILES_MAX: usize = 100;
/// Entries of a directory that are looked at; those beyond are not listed.
pub const ENTRIES_MAX: usize = 10_000;

/// Why a file could not be had. Its words are for the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is nothing at the path.
    #[error("{path}: there is no such file")]
    NotFound {
        /// As it was asked for.
        path: String,
    },
    /// The path leaves the workspace, by itself or through a link.
    #[error("{path}: the path leaves the workspace")]
    Outside {
        /// As it was asked for.
        path: String,
    },
    /// The path can be no path at all.
    #[error("{path:?}: {problem}")]
    BadPath {
        /// As it was asked for, cut to a readable length.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A directory, a pipe, a device: not what was asked for.
    #[error("{path}: it is {kind}, not {wanted}")]
    WrongKind {
        /// As it was asked for.
        path: String,
        /// What it is.
        kind: &'static str,
        /// What it would have to be.
        wanted: &'static str,
    },
    /// Not text.
    #[error("{path}: it is a binary file of {size_bytes} bytes; only text can be shown")]
    Binary {
        /// As it was asked for.
        path: String,
        /// Its size.
        size_bytes: u64,
    },
    /// More than is taken.
    #[error("{path}: {size_bytes} bytes are too many; {max_bytes} is the most")]
    TooLarge {
        /// As it was asked for.
        path: String,
        /// Its size.
        size_bytes: u64,
        /// The bound.
        max_bytes: u64,
    },
    /// The workspace does not allow it.
    #[error("{path}: permission denied")]
    Denied {
        /// As it was asked for.
        path: String,
    },
    /// The file changed between being read and being written.
    #[error("{path}: it was changed by something else meanwhile; read it again")]
    Changed {
        /// As it was asked for.
        path: String,
    },
    /// The workspace cannot be reached, or its disk fails. In words for the model.
    #[error("{0}")]
    Unavailable(String),
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A text file's lines within the window.
    Text(lines::Lines),
    /// A directory's entries within the window, by name.
    Directory {
        /// The entries.
        entries: Vec<Entry>,
        /// There are more after them.
        more: bool,
    },
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Its size in bytes; files only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A link.
    Link,
    /// A pipe, a socket, a device.
    Other,
}

/// A file's next content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewContent {
    /// Where.
    pub path: String,
    /// What it was read as; the change is refused if it is something else by then. `None`: whatever it is.
    pub before: Option<Vec<u8>>,
    /// What it becomes.
    pub after: Vec<u8>,
}

/// A change of files: all of them, or none. What it answers is kept with it, so that the same change asked for again,
/// after a crash, is answered and not made again.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its name: letters, digits and dashes, the same for the same call.
    pub key: String,
    /// The files.
    pub files: Vec<NewContent>,
    /// What the caller answers once it is made.
    pub answer: Value,
}

/// A change that was written down, in the form in which it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The files' real places below the root, in the order of their staged contents.
    pub paths: Vec<String>,
    /// What is answered.
    pub answer: Value,
}

/// The files of one workspace.
pub trait Files: Send + Sync {
    /// What stands at a path, within a window of lines or entries.
    fn read(&self, path: &str, window: Window) -> BoxFuture<'static, Result<Content, FileError>>;

    /// A file's bytes, at most `max_bytes`.
    fn load(&self, path: &str, max_bytes: usize) -> BoxFuture<'static, Result<Vec<u8>, FileError>>;

    /// The beginnings of the files that fit the patterns, in their order, and how many there are more. What cannot be read,
    /// leads out or is no file does not fit.
    fn gather(&self, patterns: &'static [Pattern]) -> BoxFuture<'static, Result<Gathering, FileError>>;

    /// The answer of a change that was made, or was certain to be made, when the server stopped; `None`: it never was.
    fn made(&self, key: &str) -> BoxFuture<'static, Result<Option<Value>, FileError>>;

    /// Makes a change: all files or none, whatever happens in between.
    fn change(&self, change: Change) -> BoxFuture<'static, Result<(), FileError>>;
}
