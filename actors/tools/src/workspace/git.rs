//! What happened to the files of a workspace since its repository's last commit, as git tells it.
//!
//! Git is run like any other command of the workspace, with the same confinement and bounds: what stands in a repository's
//! settings can run programs. It only reads: new files are counted through an index of its own that is thrown away.

use std::collections::HashMap;

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
    /// There are more, or some that git could not look at.
    pub more_files: bool,
    /// The difference in git's unified form; empty where it was not asked for.
    pub patch: String,
    /// The difference is longer than this.
    pub patch_truncated: bool,
    /// The lines of some files take too long to be compared: they are not counted, and the difference does not hold them.
    pub is_uncounted: bool,
}

impl WorkspaceDiff {
    /// Not everything could be looked at or counted: at least so much differs.
    pub fn is_partial(&self) -> bool {
        self.more_files || self.is_uncounted
    }

    /// What a chat remembers of it.
    pub fn status(&self) -> DiffStatus {
        DiffStatus {
            branch: self.branch.clone(),
            files_changed: self.files.len() as u64,
            insertions: self.files.iter().map(|file| file.insertions).sum(),
            deletions: self.files.iter().map(|file| file.deletions).sum(),
            partial: self.is_partial(),
        }
    }
}

/// How git is called: nothing of the repository's settings runs a program that is not needed, names stay as they are.
const GIT: &str =
    "git -c 'safe.directory=*' -c core.fsmonitor=false -c core.quotePath=false -c submodule.recurse=false";
/// How differences are asked for. What changed within a submodule counts as one change of it.
const DIFF: &str = "diff --no-ext-diff --no-textconv --no-color --no-renames --ignore-submodules=none";
/// A file that is larger than this is passed over once lines take too long to be compared, in KiB.
const COMPARED_MAX_KIB: u64 = 1_024;

/// A command line that tells the difference, for any `sh` with git and the usual GNU programs.
///
/// The repository is that of the directory it runs in, or of the only one directly below that has one. Nothing above is looked at.
/// The index is copied with its age: git looks into files that are no older than it, since it may know less of them than it thinks.
/// Each step has a time of its own, so that files that take long to be compared do not hide which files differ at all: where git
/// cannot compare what is in them, it says of which it holds something else than was committed, and compares the small
/// files that can be read. What lies in a directory that nobody may enter looks to git as if it were gone: such directories are told.
pub(super) fn script(with_patch: bool) -> String {
    let patch_bytes = if with_patch { PATCH_MAX_BYTES + 1 } else { 0 };
    let new_files = NEW_FILES_MAX + 1;
    let prelude = super::scripted::PRELUDE;
    format!(
        r#"{prelude}
exec 2>/dev/null </dev/null
export LC_ALL=C GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0 GIT_LITERAL_PATHSPECS=1 GIT_CONFIG_NOSYSTEM=1
export GIT_NO_LAZY_FETCH=1 GIT_CONFIG_GLOBAL=/dev/null GIT_CEILING_DIRECTORIES="$(dirname "$(pwd -P)")"
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
command -v git >/dev/null || {{ say no_git; end; }}
t() {{ timeout -k 1 "$seconds" "$@"; }}
if ! command -v timeout >/dev/null; then t() {{ "$@"; }}; fi
branch=
late() {{ case $1 in 124|137|143) say slow "$branch"; end;; esac; }}
g() {{ t {GIT} "$@"; }}
seconds=3
inside=$(g rev-parse --is-inside-work-tree); late $?
there() {{ [ -e "$1" ] || [ -h "$1" ]; }}
if [ "$inside" != true ]; then
  [ "$inside" != false ] || {{ say bare; end; }}
  if there .git; then say unreadable; end; fi
  set -- */.git
  [ $# -eq 1 ] || {{ say several; end; }}
  there "$1" && cd "${{1%/.git}}" || {{ say none; end; }}
  inside=$(g rev-parse --is-inside-work-tree); late $?
  [ "$inside" = true ] || {{ say unreadable; end; }}
fi
top=$(g rev-parse --show-toplevel); late $?
cd "$top" || {{ say unreadable; end; }}
branch=$(g symbolic-ref -q --short HEAD | base64 -w 0)
base=$(g rev-parse -q --verify 'HEAD^{{commit}}'); late $?
if [ -z "$base" ]; then
  [ -z "$(g rev-parse -q --verify HEAD)" ] || {{ say unreadable; end; }}
  base=$(g hash-object -t tree /dev/null)
fi
own=$(g rev-parse --git-path index)
if [ -e "$own" ] && [ ! -f "$own" ]; then say failed; end; fi
w=$(mktemp -d) || {{ say failed; end; }}
trap 'rm -rf "$w"' EXIT
if [ -f "$own" ]; then cp -p "$own" "$w/index" || {{ say failed; end; }}; fi
export GIT_INDEX_FILE="$w/index"
more= uncounted= cut=
{{ g ls-files -o --exclude-standard -z 2> "$w/said" || echo more > "$w/more"; }} | head -z -n {new_files} |
  g add -N --ignore-errors --pathspec-from-file=- --pathspec-file-nul || more=more
: > "$w/closed"
if grep -q 'could not open directory' "$w/said"; then
  more=more
  t find . -name .git -prune -o -type d ! -executable -prune -print0 | head -z -n {FILES_MAX} > "$w/closed"
fi
d() {{ g {DIFF} "$@" "$base"; }}
into() {{
  file=$1; bytes=$2; shift 2
  {{ "$@"; echo $? > "$w/ended"; }} | head -c "$bytes" > "$file"
  read -r ended < "$w/ended"
}}
seconds=4
into "$w/names" {NAMES_MAX_BYTES} d --name-status -z
lines() {{ d "$@"; }}
case $ended in 0|141) into "$w/numbers" {NAMES_MAX_BYTES} lines --numstat -z;; esac
case $ended in 0|141) ;; *)
  uncounted=uncounted
  raw() {{ g diff-index --no-renames --ignore-submodules=dirty "$@" -z "$base"; }}
  if [ ! -s "$w/names" ]; then
    into "$w/names" {NAMES_MAX_BYTES} raw --name-status
    late "$ended"
    case $ended in 0|141) ;; *) say failed; end;; esac
  fi
  seconds=2
  raw --name-only | head -z -n {FILES_MAX} | t xargs -0 sh -c '
    for f; do
      [ -h "$f" ] || ! [ -e "$f" ] || {{ [ -f "$f" ] && [ -r "$f" ]; }} || continue
      [ -n "$(find "./$f" -prune -size +{COMPARED_MAX_KIB}k)" ] || printf "%s\0" "$f"; done' sh > "$w/small"
  lines() {{ t xargs -0 -r {GIT} {DIFF} "$@" "$base" -- < "$w/small"; }}
  into "$w/numbers" {NAMES_MAX_BYTES} lines --numstat -z;;
esac
seconds=3
: > "$w/patch"
if [ {patch_bytes} -gt 0 ]; then
  into "$w/patch" {patch_bytes} lines --patch -U3 --src-prefix=a/ --dst-prefix=b/
  [ "$ended" -eq 0 ] || cut=cut
fi
if [ -e "$w/more" ]; then more=more; fi
say diff "$branch"
{{ for field in names numbers patch closed; do head -c {NAMES_MAX_BYTES} "$w/$field" | base64 -w 0; echo; done
  printf '%s\n' "$more $uncounted $cut" | base64 -w 0; echo; }} | base64
end
"#
    )
}

/// Why there is nothing that a workspace's files could be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRepository {
    /// There is none.
    #[error("there is no git repository in the workspace")]
    Absent,
    /// It has no files of its own.
    #[error("the git repository in the workspace is bare: it has no files that could differ")]
    Bare,
    /// There are several directories with one, and nobody knows which is meant.
    #[error("there are several git repositories in the workspace, and nobody knows which of them is meant")]
    Several,
    /// It is damaged, or lies where the workspace's commands cannot reach.
    #[error("git cannot read the repository in the workspace: it is damaged, or its .git leads to where nothing is")]
    Unreadable,
}

/// Why there is no difference to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoDiff {
    /// There is no repository.
    NoRepository(NoRepository),
    /// Git has had its time, and has not even said which files differ.
    TooSlow {
        /// The branch, if one is checked out and that much was said.
        branch: Option<String>,
    },
    /// In words.
    Failed(String),
}

/// Reads what the script said.
pub(super) fn read(output: &str) -> Result<WorkspaceDiff, NoDiff> {
    let failed = |words: &str| NoDiff::Failed(words.to_owned());
    let told = Told::read(output).ok_or_else(|| failed("the workspace's answer is broken off"))?;
    let branch = told.words.get(1).and_then(|word| base64_of(word)).map(|name| lossy(&name).trim().to_owned());
    let branch = branch.filter(|name| !name.is_empty());
    match told.words.first().map(String::as_str) {
        Some("diff") => {}
        Some("none") => return Err(NoDiff::NoRepository(NoRepository::Absent)),
        Some("bare") => return Err(NoDiff::NoRepository(NoRepository::Bare)),
        Some("several") => return Err(NoDiff::NoRepository(NoRepository::Several)),
        Some("unreadable") => return Err(NoDiff::NoRepository(NoRepository::Unreadable)),
        Some("slow") => return Err(NoDiff::TooSlow { branch }),
        Some("no_git") => return Err(failed("there is no git in the workspace")),
        _ => return Err(failed("git fails in the workspace")),
    }
    let data = String::from_utf8_lossy(&told.data).into_owned();
    let mut lines = data.lines();
    let mut field = || lines.next().and_then(base64_of).unwrap_or_default();
    let (names, numbers, patch, closed) = (field(), field(), field(), field());
    let flags = lossy(&field());
    let mut files = files(&names, &numbers, &closed);
    let is_flagged = |flag: &str| flags.split_whitespace().any(|one| one == flag);
    let more_files = files.len() > FILES_MAX || names.len() == NAMES_MAX_BYTES || is_flagged("more");
    files.truncate(FILES_MAX);
    let is_long = patch.len() > PATCH_MAX_BYTES;
    let mut patch = patch;
    patch.truncate(PATCH_MAX_BYTES);
    if is_long
        && let Err(error) = str::from_utf8(&patch)
        && error.error_len().is_none()
    {
        patch.truncate(error.valid_up_to());
    }
    Ok(WorkspaceDiff {
        branch,
        files,
        more_files,
        patch: lossy(&patch),
        patch_truncated: is_long || is_flagged("cut"),
        is_uncounted: is_flagged("uncounted"),
    })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Records that end in NUL. One that is cut off is left out.
fn records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = bytes.iter().rposition(|byte| *byte == 0).unwrap_or(0);
    bytes[..whole].split(|byte| *byte == 0).filter(move |_| whole > 0)
}

/// The files out of `status NUL path NUL` and `added TAB removed TAB path NUL`. Of those in the directories `./path NUL`, which
/// nobody may enter, nothing is known.
fn files(names: &[u8], numbers: &[u8], closed: &[u8]) -> Vec<FileChange> {
    let number = |digits: &[u8]| str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0);
    let counts: HashMap<&[u8], (u64, u64, bool)> = records(numbers)
        .filter_map(|record| {
            let mut fields = record.splitn(3, |byte| *byte == b'\t');
            let (added, removed, path) = (fields.next()?, fields.next()?, fields.next()?);
            Some((path, (number(added), number(removed), added == b"-")))
        })
        .collect();
    let closed: Vec<&[u8]> = records(closed).filter_map(|path| path.strip_prefix(b"./")).collect();
    let is_hidden = |path: &[u8]| {
        closed.iter().any(|place| path.strip_prefix(*place).is_some_and(|below| below.first() == Some(&b'/')))
    };
    let mut fields = records(names);
    let mut files = Vec::new();
    while let (Some(status), Some(path)) = (fields.next(), fields.next()) {
        let status = match status.first() {
            Some(b'A') => FileStatus::Added,
            Some(b'D') if is_hidden(path) => continue,
            Some(b'D') => FileStatus::Deleted,
            _ => FileStatus::Modified,
        };
        let (insertions, deletions, binary) = counts.get(path).copied().unwrap_or_default();
        files.push(FileChange { path: lossy(path), status, insertions, deletions, binary });
    }
    files
}
