//! How the files of a chat's workspace differ from what was last committed.

use serde::Serialize;
use utoipa::ToSchema;
use verbatim_tools::workspace::{FileChange, FileStatus, WorkspaceDiff};

/// The difference: `{branch?, files_changed, insertions, deletions, files: [{path, status, insertions, deletions, binary?}],
/// partial?, more_files?, diff, truncated?}`
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Diff)]
pub struct DiffView {
    /// The branch; absent where none is checked out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Files that differ.
    pub files_changed: u64,
    /// Added lines.
    pub insertions: u64,
    /// Removed lines.
    pub deletions: u64,
    /// The files, by path.
    pub files: Vec<FileChangeView>,
    /// Not everything could be looked at or counted: at least so much differs.
    #[serde(skip_serializing_if = "super::is_false")]
    pub partial: bool,
    /// More files differ than are told and counted, or some could not be looked at.
    #[serde(skip_serializing_if = "super::is_false")]
    pub more_files: bool,
    /// The difference in git's unified form.
    pub diff: String,
    /// It is longer than is told, or some files take too long to be compared: those are among `files`, without their lines.
    #[serde(skip_serializing_if = "super::is_false")]
    pub truncated: bool,
}

/// A file that differs: `{path, status, insertions, deletions, binary?}`
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FileChange)]
pub struct FileChangeView {
    /// Its path within the repository.
    pub path: String,
    /// What became of it: `added`, `modified` or `deleted`.
    pub status: &'static str,
    /// Added lines.
    pub insertions: u64,
    /// Removed lines.
    pub deletions: u64,
    /// It is no text, so no lines are counted.
    #[serde(skip_serializing_if = "super::is_false")]
    pub binary: bool,
}

impl DiffView {
    /// The difference as people see it.
    pub fn of(diff: WorkspaceDiff) -> DiffView {
        let status = diff.status();
        DiffView {
            branch: diff.branch,
            files_changed: status.files_changed,
            insertions: status.insertions,
            deletions: status.deletions,
            partial: status.partial,
            files: diff.files.into_iter().map(file).collect(),
            more_files: diff.more_files,
            diff: diff.patch,
            truncated: diff.patch_truncated || diff.is_uncounted,
        }
    }
}

fn file(change: FileChange) -> FileChangeView {
    let status = match change.status {
        FileStatus::Added => "added",
        FileStatus::Modified => "modified",
        FileStatus::Deleted => "deleted",
    };
    let FileChange { path, insertions, deletions, binary, .. } = change;
    FileChangeView { path, status, insertions, deletions, binary }
}
