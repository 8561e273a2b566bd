//! What happened to the files of a workspace since its repository's last commit, as git tells it.
//!
//! Git is run like any other command of the workspace, with the same confinement and bounds: what stands in a repository's
//! settings can run programs. It only reads: new files are counted through an index of its own that is thrown away.

use serde::Serialize;
use verbatim_events::event::DiffStatus;

use super::scripted::{Told, base64_of};

/// Files that are named.
const FILES_MAX: usize = 1_000;
/// New files that are counted.
const NEW_FILES_MAX: usize = 1_000;
/// The longest difference that is told, in bytes.
pub(super) const PATCH_MAX_BYTES: usize = 256 * 1024;
/// How much git may say of the files, in bytes.
const NAMES_MAX_BYTES: usize = 512 * 1024;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// It is new.
    Added,
    /// It holds something else.
    Modified,
    /// It is gone.
    Deleted,
}

/// A file that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its path within the repository.
    pub path: String,
    /// What became of it.
    pub status: FileStatus,
    /// Added lines; none are counted of what is no text.
    pub insertions: u64,
    /// Removed lines.
    pub deletions: u64,
    /// It is no text.
    pub binary: bool,
}

/// How a workspace's files differ from what was last committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkspaceDiff {
    /// The branch; none where none is checked out.
    pub branch: Option<String>,
    /// The files, by path.
    pub files: Vec<FileChange>,
    /// There are more.
    pub more_files: bool,
    /// The difference in git's unified form; empty where it was not asked for.
    pub patch: String,
    /// The difference is longer than this.
    pub patch_truncated: bool,
}

impl WorkspaceDiff {
    /// What a chat remembers of it.
    pub fn status(&self) -> DiffStatus {
        DiffStatus {
            branch: self.branch.clone(),
            files_changed: self.files.len() as u64,
            insertions: self.files.iter().map(|file| file.insertions).sum(),
            deletions: self.files.iter().map(|file| file.deletions).sum(),
        }
    }
}

/// A command line that tells the difference, for any `sh` with git and the usual GNU programs.
///
/// The repository is that of the directory it runs in, or of the only one directly below that has one. Nothing above is looked at.
pub(super) fn script(with_patch: bool) -> String {
    let patch_bytes = if with_patch { PATCH_MAX_BYTES + 1 } else { 0 };
    let prelude = super::scripted::PRELUDE;
    format!(
        r#"{prelude}
exec 2>/dev/null </dev/null
export LC_ALL=C GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0 GIT_LITERAL_PATHSPECS=1 GIT_CONFIG_NOSYSTEM=1
export GIT_CONFIG_GLOBAL=/dev/null GIT_CEILING_DIRECTORIES="$(dirname "$(pwd -P)")"
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
command -v git >/dev/null || {{ say no_git; end; }}
g() {{ git -c 'safe.directory=*' -c core.fsmonitor=false -c core.quotePath=false -c submodule.recurse=false "$@"; }}
if [ "$(g rev-parse --is-inside-work-tree)" != true ]; then
  set -- */.git
  [ $# -eq 1 ] && [ -e "$1" ] && cd "${{1%/.git}}" || {{ say none; end; }}
  [ "$(g rev-parse --is-inside-work-tree)" = true ] || {{ say none; end; }}
fi
cd "$(g rev-parse --show-toplevel)" || {{ say none; end; }}
base=$(g rev-parse -q --verify 'HEAD^{{commit}}') || base=$(g hash-object -t tree /dev/null)
index=$(mktemp) || {{ say failed; end; }}
trap 'rm -f "$index" "$index.lock"' EXIT
own=$(g rev-parse --git-path index)
if [ -f "$own" ]; then cp "$own" "$index"; else rm -f "$index"; fi
export GIT_INDEX_FILE="$index"
g ls-files -o --exclude-standard -z | head -z -n {NEW_FILES_MAX} |
  g add -N --pathspec-from-file=- --pathspec-file-nul
d() {{ g diff --no-ext-diff --no-textconv --no-color --no-renames --ignore-submodules=dirty "$@" "$base"; }}
d --quiet; [ $? -le 1 ] || {{ say failed; end; }}
say diff "$(g symbolic-ref -q --short HEAD | base64 -w 0)"
{{ d --name-status -z | head -c {NAMES_MAX_BYTES} | base64 -w 0; echo
  d --numstat -z | head -c {NAMES_MAX_BYTES} | base64 -w 0; echo
  if [ {patch_bytes} -gt 0 ]; then
    d --patch -U3 --src-prefix=a/ --dst-prefix=b/ | head -c {patch_bytes} | base64 -w 0
  fi; echo; }} | base64
end
"#
    )
}

/// Why there is no difference to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoDiff {
    /// There is no repository.
    NoRepository,
    /// In words.
    Failed(String),
}

/// Reads what the script said.
pub(super) fn read(output: &str) -> Result<WorkspaceDiff, NoDiff> {
    let failed = |words: &str| NoDiff::Failed(words.to_owned());
    let told = Told::read(output).ok_or_else(|| failed("the workspace's answer is broken off"))?;
    match told.words.first().map(String::as_str) {
        Some("diff") => {}
        Some("none") => return Err(NoDiff::NoRepository),
        Some("no_git") => return Err(failed("there is no git in the workspace")),
        _ => return Err(failed("git fails in the workspace")),
    }
    let data = String::from_utf8_lossy(&told.data).into_owned();
    let mut lines = data.lines();
    let mut field = || lines.next().and_then(base64_of).unwrap_or_default();
    let (names, numbers, patch) = (field(), field(), field());
    let branch = told.words.get(1).and_then(|word| base64_of(word)).map(|name| lossy(&name).trim().to_owned());
    let mut files = files(&names, &numbers);
    let more_files = files.len() > FILES_MAX || names.len() == NAMES_MAX_BYTES;
    files.truncate(FILES_MAX);
    let patch_truncated = patch.len() > PATCH_MAX_BYTES;
    let mut patch = patch;
    patch.truncate(PATCH_MAX_BYTES);
    if patch_truncated
        && let Err(error) = str::from_utf8(&patch)
        && error.error_len().is_none()
    {
        patch.truncate(error.valid_up_to());
    }
    Ok(WorkspaceDiff {
        branch: branch.filter(|name| !name.is_empty()),
        files,
        more_files,
        patch: lossy(&patch),
        patch_truncated,
    })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The files out of `status NUL path NUL` and `added TAB removed TAB path NUL`. A record that is cut off is left out.
fn files(names: &[u8], numbers: &[u8]) -> Vec<FileChange> {
    let records = |bytes: &[u8]| -> Vec<String> {
        let whole = bytes.iter().rposition(|byte| *byte == 0).map_or(0, |last| last);
        bytes[..whole].split(|byte| *byte == 0).map(lossy).collect()
    };
    let counts: std::collections::BTreeMap<String, (u64, u64, bool)> = records(numbers)
        .iter()
        .filter_map(|record| {
            let mut fields = record.splitn(3, '\t');
            let (added, removed, path) = (fields.next()?, fields.next()?, fields.next()?);
            let counted = (added.parse().unwrap_or(0), removed.parse().unwrap_or(0), added == "-");
            Some((path.to_owned(), counted))
        })
        .collect();
    let names = records(names);
    let change = |record: &[String]| {
        let [status, path] = record else { return None };
        let status = match status.chars().next()? {
            'A' => FileStatus::Added,
            'D' => FileStatus::Deleted,
            _ => FileStatus::Modified,
        };
        let (insertions, deletions, binary) = counts.get(path).copied().unwrap_or_default();
        Some(FileChange { path: path.clone(), status, insertions, deletions, binary })
    };
    names.chunks_exact(2).filter_map(change).collect()
}
