//! What git tells of a directory.

use std::path::Path;
use std::process::{Command, Stdio};

use verbatim_events::event::DiffStatus;

use super::super::git::{FileStatus, NoDiff, NoRepository, PATCH_MAX_BYTES, WorkspaceDiff, read, script};

pub(super) struct Repository {
    home: tempfile::TempDir,
}

impl Repository {
    /// A directory without a repository.
    pub fn none() -> Repository {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("root")).unwrap();
        Repository { home }
    }

    /// A repository with a commit of two files.
    pub fn new() -> Repository {
        let repository = Repository::none();
        repository.git(".", &["init", "-q", "-b", "main"]);
        repository.put("a.txt", "one\ntwo\nthree\n");
        repository.put("gone.txt", "x\n");
        repository.commit();
        repository
    }

    pub fn root(&self) -> std::path::PathBuf {
        self.home.path().join("root")
    }

    pub fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn git(&self, below: &str, arguments: &[&str]) {
        let status = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.root().join(below))
            .env("HOME", self.home.path())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{arguments:?}");
    }

    pub fn commit(&self) {
        self.git(".", &["add", "-A"]);
        self.git(".", &["commit", "-q", "-m", "a commit"]);
    }

    pub fn diff(&self, with_patch: bool) -> Result<WorkspaceDiff, NoDiff> {
        self.told_by(Command::new("sh").args(["-c", &script(with_patch)]))
    }

    /// What a run of the script says.
    pub fn told_by(&self, command: &mut Command) -> Result<WorkspaceDiff, NoDiff> {
        let output =
            command.current_dir(self.root()).env("TMPDIR", self.home.path()).env("HOME", self.root()).output().unwrap();
        let left: Vec<_> = std::fs::read_dir(self.home.path()).unwrap().flatten().map(|one| one.file_name()).collect();
        assert_eq!(left, ["root"], "nothing is left behind");
        read(&format!("Welcome\r\n{}", String::from_utf8_lossy(&output.stdout)))
    }

    pub fn known(&self) -> WorkspaceDiff {
        self.diff(true).unwrap()
    }
}

fn lines(path: &Path) -> usize {
    std::fs::read(path).unwrap().len()
}

#[test]
fn what_changed_since_the_last_commit_is_told_new_files_included() {
    let repository = Repository::new();
    let clean = repository.known();
    assert_eq!(clean, WorkspaceDiff { branch: Some("main".into()), ..WorkspaceDiff::default() });
    repository.put("a.txt", "one\n2\nthree\nfour\n");
    std::fs::remove_file(repository.root().join("gone.txt")).unwrap();
    repository.put("new/it's \"new\"\t\u{e9}.txt", "1\n2\n");
    repository.put("image.bin", b"\0\x01\x02");
    repository.put(".gitignore", "*.log\n");
    repository.put("noise.log", "x\n");
    let index = lines(&repository.root().join(".git/index"));
    let diff = repository.known();
    let told: Vec<(&str, FileStatus, u64, u64, bool)> = diff
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.status, file.insertions, file.deletions, file.binary))
        .collect();
    assert_eq!(
        told,
        [
            (".gitignore", FileStatus::Added, 1, 0, false),
            ("a.txt", FileStatus::Modified, 2, 1, false),
            ("gone.txt", FileStatus::Deleted, 0, 1, false),
            ("image.bin", FileStatus::Added, 0, 0, true),
            ("new/it's \"new\"\t\u{e9}.txt", FileStatus::Added, 2, 0, false),
        ]
    );
    let status =
        DiffStatus { branch: Some("main".into()), files_changed: 5, insertions: 5, deletions: 2, partial: false };
    assert_eq!(diff.status(), status);
    assert!(diff.patch.contains("--- a/a.txt\n+++ b/a.txt\n") && diff.patch.contains("\n-two\n+2\n"), "{}", diff.patch);
    assert!(!diff.patch_truncated && !diff.more_files);
    assert_eq!(repository.diff(false).unwrap(), WorkspaceDiff { patch: String::new(), ..diff });
    assert_eq!(lines(&repository.root().join(".git/index")), index, "nothing was added");
}

#[test]
fn one_new_file_that_git_refuses_hides_no_other() {
    let repository = Repository::new();
    repository.put("b", "1\n");
    repository.put("unborn/a", "1\n");
    repository.put("z", "1\n");
    repository.git("unborn", &["init", "-q"]);
    let diff = repository.known();
    let paths: Vec<&str> = diff.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!((paths, diff.status().insertions), (vec!["b", "z"], 2));
    assert!(diff.more_files && diff.status().partial, "a repository without a commit stays unseen");
    assert!(!diff.patch_truncated && !diff.is_uncounted);
}

#[test]
fn what_git_cannot_compare_is_told_as_partial_and_what_it_cannot_read_is_an_error() {
    let repository = Repository::new();
    repository.put("a.txt", "one\n");
    repository.put("b.txt", "1\n");
    // The commit's own text is gone: that the file differs is known all the same, and nothing else suffers.
    let object = Command::new("git").args(["rev-parse", "HEAD:a.txt"]).current_dir(repository.root()).output().unwrap();
    let object = String::from_utf8(object.stdout).unwrap().trim().to_owned();
    std::fs::remove_file(repository.root().join(".git/objects").join(&object[..2]).join(&object[2..])).unwrap();
    let diff = repository.known();
    let paths: Vec<&str> = diff.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["a.txt", "b.txt"]);
    assert!(diff.is_uncounted && diff.patch_truncated && diff.status().partial);
    std::fs::remove_file(repository.root().join(".git/index")).unwrap();
    std::fs::create_dir(repository.root().join(".git/index")).unwrap();
    assert!(matches!(repository.diff(true), Err(NoDiff::Failed(_))));
}

#[test]
fn files_that_take_too_long_to_compare_are_named_and_the_others_are_compared() {
    let repository = Repository::new();
    repository.put("big", "x");
    repository.commit();
    // What its text is nobody learns in time.
    repository.git(".", &["config", "filter.slow.clean", "sleep 60"]);
    repository.put(".git/info/attributes", "big filter=slow\n");
    repository.put("big", "line\n".repeat(300_000));
    repository.put("a.txt", "one\ntwo\nthree\nfour\n");
    let diff = repository.known();
    let told: Vec<(&str, u64)> = diff.files.iter().map(|file| (file.path.as_str(), file.insertions)).collect();
    assert_eq!(told, [("a.txt", 1), ("big", 0)]);
    assert!(diff.is_uncounted && diff.patch.contains("+four") && !diff.more_files, "{}", diff.patch.len());
}

#[test]
fn a_repository_without_a_commit_or_a_branch_is_one_all_the_same() {
    let repository = Repository::none();
    repository.git(".", &["init", "-q", "-b", "main"]);
    repository.put("a", "1\n");
    let diff = repository.known();
    assert_eq!((diff.branch.as_deref(), diff.status().insertions), (Some("main"), 1));
    repository.commit();
    repository.git(".", &["checkout", "-q", "--detach"]);
    assert_eq!(repository.known().branch, None);
}

#[test]
fn the_only_repository_below_counts_and_none_above_does() {
    let repository = Repository::none();
    let above = Command::new("git").args(["init", "-q"]).current_dir(repository.home.path()).status().unwrap();
    assert!(above.success());
    let none = read(&{
        let output = Command::new("sh").args(["-c", &script(true)]).current_dir(repository.root()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    let absent = NoDiff::NoRepository(NoRepository::Absent);
    assert_eq!(none, Err(absent.clone()));
    let repository = Repository::none();
    assert_eq!(repository.diff(true), Err(absent));
    for (name, count) in [("project", 1), ("other", 2)] {
        std::fs::create_dir(repository.root().join(name)).unwrap();
        repository.git(name, &["init", "-q", "-b", name]);
        repository.put(&format!("{name}/a"), "1\n");
        match repository.diff(true) {
            Ok(diff) => assert_eq!((diff.branch.as_deref(), diff.files.len(), count), (Some("project"), 1, 1)),
            Err(problem) => assert_eq!((problem, count), (NoDiff::NoRepository(NoRepository::Several), 2)),
        }
    }
}

#[test]
fn what_a_repository_says_of_itself_runs_no_program() {
    let repository = Repository::new();
    let trap = format!("touch {}; cat", repository.root().join("trapped").display());
    for (name, value) in [
        ("diff.external", trap.as_str()),
        ("core.fsmonitor", &trap),
        ("diff.trap.textconv", &trap),
        ("diff.trap.command", &trap),
        ("core.pager", &trap),
        ("color.ui", "always"),
        ("diff.noprefix", "true"),
    ] {
        repository.git(".", &["config", name, value]);
    }
    repository.put(".gitattributes", "*.txt diff=trap\n");
    repository.put("a.txt", "another\n");
    let diff = repository.known();
    assert!(diff.patch.contains("--- a/a.txt\n") && !diff.patch.contains('\u{1b}'), "{}", diff.patch);
    assert!(!repository.root().join("trapped").exists());
}

#[test]
fn a_long_difference_is_cut_and_half_an_answer_is_none() {
    let repository = Repository::new();
    repository.put("a.txt", "é\n".repeat(200_000));
    let diff = repository.known();
    assert!(diff.patch_truncated && diff.patch.len() <= PATCH_MAX_BYTES && !diff.patch.contains('\u{fffd}'));
    assert_eq!(diff.status().insertions, 200_000);
    for broken in
        ["", "VERBATIM diff bWFpbg==\nQUFB\n", "VERBATIM failed\nVERBATIM.\n", "VERBATIM diff\n!\nVERBATIM.\n"]
    {
        assert!(matches!(read(broken), Err(NoDiff::Failed(_))), "{broken:?}");
    }
    assert_eq!(read("VERBATIM slow \nVERBATIM.\n"), Err(NoDiff::TooSlow { branch: None }));
    let branch = Some("main".to_owned());
    assert_eq!(read("VERBATIM slow bWFpbgo=\nVERBATIM.\n"), Err(NoDiff::TooSlow { branch }));
}
