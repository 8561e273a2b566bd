//! What git tells of repositories that are not as they should be, or hold what is rare.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use super::super::git::{FileStatus, NoDiff, NoRepository, WorkspaceDiff, script};
use super::diff::Repository;

fn told(diff: &WorkspaceDiff) -> Vec<(&str, FileStatus, u64, u64)> {
    diff.files.iter().map(|file| (file.path.as_str(), file.status, file.insertions, file.deletions)).collect()
}

fn why(repository: &Repository) -> NoRepository {
    match repository.diff(true) {
        Err(NoDiff::NoRepository(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_repository_that_cannot_be_read_is_not_said_to_be_missing() {
    // A worktree: its repository lies elsewhere, and may not be there any more.
    let repository = Repository::none();
    std::fs::create_dir(repository.root().join("main")).unwrap();
    repository.git("main", &["init", "-q", "-b", "main"]);
    repository.put("main/a", "1\n");
    repository.git("main", &["add", "-A"]);
    repository.git("main", &["commit", "-q", "-m", "a commit"]);
    repository.git("main", &["worktree", "add", "-q", "../tree", "-b", "twig"]);
    repository.put("tree/a", "2\n");
    assert_eq!(why(&repository), NoRepository::Several);
    let away = repository.root().join("../away");
    std::fs::rename(repository.root().join("main"), &away).unwrap();
    let tree = repository.root().join("tree").display().to_string();
    repository.git("tree", &["-C", "../../away", "worktree", "repair", &tree]);
    let looked = |place: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("cd '{place}' && {}", script(true))]);
        command.current_dir(repository.root()).env("HOME", repository.root()).env("TMPDIR", repository.root());
        let output = command.output().unwrap();
        super::super::git::read(&String::from_utf8_lossy(&output.stdout))
    };
    let diff = looked("tree").unwrap();
    assert_eq!((diff.branch.as_deref(), told(&diff)), (Some("twig"), vec![("a", FileStatus::Modified, 1, 1)]));
    std::fs::remove_dir_all(away).unwrap();
    for place in ["tree", "."] {
        assert_eq!(looked(place), Err(NoDiff::NoRepository(NoRepository::Unreadable)), "{place}");
    }
}

#[test]
fn a_last_commit_that_is_lost_makes_no_file_new() {
    let repository = Repository::new();
    let head = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(repository.root()).output().unwrap();
    let head = String::from_utf8(head.stdout).unwrap().trim().to_owned();
    std::fs::remove_file(repository.root().join(".git/objects").join(&head[..2]).join(&head[2..])).unwrap();
    assert_eq!(why(&repository), NoRepository::Unreadable);
    std::fs::write(repository.root().join(".git/HEAD"), "nonsense").unwrap();
    assert_eq!(why(&repository), NoRepository::Unreadable);
}

#[test]
fn a_bare_repository_is_said_to_be_one() {
    let repository = Repository::none();
    repository.git(".", &["init", "-q", "--bare"]);
    assert_eq!(why(&repository), NoRepository::Bare);
}

#[test]
fn what_changed_within_a_submodule_is_a_change_of_it() {
    let repository = Repository::new();
    repository.git(".", &["init", "-q", "-b", "main", "inner"]);
    repository.put("inner/a", "1\n");
    repository.git("inner", &["add", "-A"]);
    repository.git("inner", &["commit", "-q", "-m", "a commit"]);
    repository.git(".", &["add", "inner"]);
    repository.commit();
    assert_eq!(repository.known().files, []);
    repository.put("inner/a", "2\n");
    let diff = repository.known();
    assert_eq!(told(&diff), [("inner", FileStatus::Modified, 0, 0)], "no line of this repository");
    assert!(diff.patch.contains("-dirty\n") && !diff.is_partial(), "{}", diff.patch);
    // One that cannot be looked into hides nothing else, and is said not to be known.
    std::fs::write(repository.root().join("inner/.git/HEAD"), "nonsense").unwrap();
    repository.put("a.txt", "one\n2\nthree\n");
    let diff = repository.known();
    assert_eq!(told(&diff), [("a.txt", FileStatus::Modified, 1, 1)]);
    assert!(diff.is_partial());
}

#[test]
fn names_of_any_bytes_keep_their_own_figures() {
    let repository = Repository::new();
    for (name, lines) in [(&b"b\xff"[..], 1), (b"b\xfe", 2), (b"new\nline", 3), (b"-q \"it's\"", 4), (b":(top)", 5)] {
        std::fs::write(repository.root().join(OsStr::from_bytes(name)), "x\n".repeat(lines)).unwrap();
    }
    let diff = repository.known();
    let expected = [("-q \"it's\"", 4), (":(top)", 5), ("b\u{fffd}", 2), ("b\u{fffd}", 1), ("new\nline", 3)];
    assert_eq!(told(&diff), expected.map(|(name, lines)| (name, FileStatus::Added, lines, 0)));
    assert!(!diff.is_partial());
}

#[test]
fn a_file_that_is_renamed_turned_or_in_conflict_is_told_as_it_is() {
    let repository = Repository::new();
    repository.git(".", &["checkout", "-q", "-b", "side"]);
    repository.put("a.txt", "one\n2\nthree\n");
    repository.commit();
    repository.git(".", &["checkout", "-q", "main"]);
    repository.put("a.txt", "one\nzwei\nthree\n");
    repository.commit();
    let merged = Command::new("git").args(["merge", "-q", "side"]).current_dir(repository.root()).status().unwrap();
    assert!(!merged.success(), "there is a conflict");
    repository.git(".", &["mv", "gone.txt", "moved.txt"]);
    let diff = repository.known();
    let (added, modified, deleted) = (FileStatus::Added, FileStatus::Modified, FileStatus::Deleted);
    let conflict = ("a.txt", modified, 4, 0);
    assert_eq!(told(&diff), [conflict, ("gone.txt", deleted, 0, 1), ("moved.txt", added, 1, 0)]);
    std::fs::remove_file(repository.root().join("moved.txt")).unwrap();
    std::os::unix::fs::symlink("a.txt", repository.root().join("gone.txt")).unwrap();
    assert_eq!(told(&repository.known()), [conflict, ("gone.txt", modified, 1, 1)], "a link now");
}

/// Git trusts what its index says of a file only if the file is older than the index, so the index's age must be kept.
#[test]
fn a_change_at_once_after_a_commit_is_seen_however_late() {
    let repository = Repository::new();
    repository.git(".", &["config", "core.checkStat", "minimal"]);
    repository.git(".", &["config", "core.trustctime", "false"]);
    let then = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let date = |path: &str| {
        std::fs::File::options().append(true).open(repository.root().join(path)).unwrap().set_modified(then).unwrap();
    };
    repository.put("quick", "1\n");
    date("quick");
    repository.commit();
    date(".git/index");
    repository.put("quick", "2\n");
    date("quick");
    assert_eq!(told(&repository.known()), [("quick", FileStatus::Modified, 1, 1)]);
    repository.put("new", "1\n");
    let expected = [("new", FileStatus::Added, 1, 0), ("quick", FileStatus::Modified, 1, 1)];
    assert_eq!(told(&repository.known()), expected);
}

#[test]
fn line_ends_that_git_makes_alike_do_not_differ() {
    let repository = Repository::new();
    repository.git(".", &["config", "core.autocrlf", "true"]);
    repository.git(".", &["config", "core.safecrlf", "true"]);
    repository.put("a.txt", "one\r\ntwo\r\nthree\r\n");
    repository.put("gone.txt", "x\ny\n");
    repository.put("new", "1\n2\n");
    let diff = repository.known();
    assert_eq!(told(&diff), [("gone.txt", FileStatus::Modified, 1, 0), ("new", FileStatus::Added, 2, 0)]);
}

#[test]
fn more_files_than_are_told_are_said_to_be_more() {
    let repository = Repository::new();
    for number in 0..10_000 {
        repository.put(&format!("many/{number}"), "x\n");
    }
    let diff = repository.known();
    assert!((1_000..=1_001).contains(&diff.files.len()) && diff.more_files && diff.status().partial);
    repository.commit();
    assert_eq!(repository.known().files, []);
    for number in 0..1_001 {
        repository.put(&format!("many/{number}"), "another\n");
    }
    let diff = repository.known();
    assert_eq!((diff.files.len(), diff.status().partial), (1_000, true));
}

/// Run as somebody whom permissions bind, whoever runs the tests.
#[test]
fn what_nobody_may_read_hides_nothing_else_and_is_not_said_to_be_gone() {
    let repository = Repository::new();
    repository.put("shut/x", "1\n");
    repository.put("secret", "1\n");
    repository.put("pipe", "1\n");
    repository.commit();
    std::fs::remove_file(repository.root().join("pipe")).unwrap();
    assert!(Command::new("mkfifo").arg(repository.root().join("pipe")).status().unwrap().success());
    repository.put("secret", "1\n2\n");
    repository.put("a.txt", "one\n");
    repository.put("unread/new", "1\n");
    std::fs::remove_file(repository.root().join("gone.txt")).unwrap();
    let set = |path: &str, mode| {
        std::fs::set_permissions(repository.root().join(path), PermissionsExt::from_mode(mode)).unwrap();
    };
    for path in ["secret", "shut", "unread"] {
        set(path, 0o000);
    }
    let mut command = Command::new("sh");
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        let home = repository.root().parent().unwrap().to_owned();
        assert!(Command::new("chown").arg("-R").arg("65534").arg(&home).status().unwrap().success());
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups", "sh"]);
    }
    let diff = repository.told_by(command.args(["-c", &script(true)])).unwrap();
    for path in ["shut", "unread"] {
        set(path, 0o755);
    }
    let expected = [
        ("a.txt", FileStatus::Modified, 0, 2),
        ("gone.txt", FileStatus::Deleted, 0, 1),
        ("pipe", FileStatus::Modified, 0, 0),
        ("secret", FileStatus::Modified, 0, 0),
    ];
    assert_eq!(told(&diff), expected, "nobody knows what became of shut/x");
    assert!(diff.more_files && diff.is_uncounted && diff.patch.contains("-two\n"), "{}", diff.patch);
}
