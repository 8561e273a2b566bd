//! The files on a disk, and what may be one.

use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;
use uuid::Uuid;
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::part::Part;

use super::*;

struct Shelf {
    directory: TempDir,
    home: FileHome,
}

fn shelf() -> Shelf {
    let directory = tempfile::tempdir().unwrap();
    let home = FileHome::at(directory.path().join("files"), tokio::runtime::Handle::current());
    Shelf { directory, home }
}

fn file(owner: &str, name: &str, content: &[u8]) -> StoredFile {
    StoredFile {
        id: Uuid::now_v7(),
        owner: owner.to_owned(),
        chat_id: None,
        media_type: "text/plain".to_owned(),
        name: name.to_owned(),
        size_bytes: content.len() as u64,
        digest: Digest::of(content),
        created_at: chrono::DateTime::UNIX_EPOCH,
        let_go_at: None,
    }
}

fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1)
}

fn all_files(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.append(&mut all_files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test]
async fn a_file_is_there_again_after_a_restart_and_equal_contents_are_kept_once() {
    let Shelf { directory, home } = shelf();
    let (first, second) = (file("ada", "a.txt", b"same"), file("bob", "b.txt", b"same"));
    for one in [&first, &second] {
        assert_eq!(home.keep(one.clone(), *b"same").await.unwrap(), Kept { file: one.clone(), again: false });
    }
    let reopened = FileHome::at(directory.path().join("files"), tokio::runtime::Handle::current());
    assert_eq!(reopened.about(first.id).await.unwrap().as_ref(), Some(&first));
    assert_eq!(reopened.content(&second).await.unwrap(), b"same");
    assert_eq!(reopened.about(Uuid::now_v7()).await.unwrap(), None);
    let kept = all_files(directory.path());
    assert_eq!(kept.len(), 3, "two files, one content, nothing half written: {kept:?}");
    for path in kept {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn an_id_is_one_file_for_ever() {
    let home = shelf().home;
    let first = file("ada", "a.txt", b"one");
    home.keep(first.clone(), *b"one").await.unwrap();
    let later = StoredFile { created_at: chrono::Utc::now(), ..first.clone() };
    assert_eq!(home.keep(later, *b"one").await.unwrap(), Kept { file: first.clone(), again: true });
    let other = StoredFile { id: first.id, ..file("ada", "a.txt", b"two") };
    assert!(matches!(home.keep(other, *b"two").await, Err(FileError::Different(id)) if id == first.id));
}

#[tokio::test]
async fn damage_is_told_and_mended_by_who_brings_the_content_again() {
    let Shelf { directory, home } = shelf();
    let first = file("ada", "a.txt", b"whole");
    home.keep(first.clone(), *b"whole").await.unwrap();
    let content = all_files(&directory.path().join("files/contents")).remove(0);
    std::fs::write(content, b"wh").unwrap();
    assert!(matches!(home.content(&first).await, Err(FileError::Damaged { id, .. }) if id == first.id));
    home.keep(file("ada", "b.txt", b"whole"), *b"whole").await.unwrap();
    assert_eq!(home.content(&first).await.unwrap(), b"whole");
    let about = all_files(&directory.path().join("files/about"));
    let about = about.iter().find(|path| path.ends_with(format!("{}.json", first.id.simple()))).unwrap();
    std::fs::write(about, b"{}").unwrap();
    assert!(matches!(home.about(first.id).await, Err(FileError::Damaged { id, .. }) if id == first.id));
}

#[tokio::test]
async fn a_part_says_what_the_store_knows_and_names_the_owners_files_alone() {
    let home = shelf().home;
    let mine = file("ada", "mine.txt", b"mine");
    home.keep(mine.clone(), *b"mine").await.unwrap();
    let named =
        |file_id: String| Part::File { file_id, media_type: "image/png".into(), name: "liar".into(), content: None };
    let mut parts = vec![Part::text("see"), named(mine.id.to_string())];
    assert_eq!(home.resolve("ada", &mut parts, now()).await.unwrap(), Ok(()));
    assert_eq!(parts[1], mine.part());
    assert_eq!(home.resolve("bob", &mut parts, now()).await.unwrap(), Err(1));
    for nothing in [Uuid::now_v7().to_string(), "../../admin.key".to_owned()] {
        assert_eq!(home.resolve("ada", &mut [named(nothing)], now()).await.unwrap(), Err(0));
    }
}

#[test]
fn a_content_is_held_against_its_media_type() {
    let samples: [(&str, &[u8]); 9] = [
        ("image/png", b"\x89PNG\r\n\x1a\n..."),
        ("image/jpeg", b"\xff\xd8\xff\xe0..."),
        ("image/gif", b"GIF89a..."),
        ("image/webp", b"RIFF\x04\0\0\0WEBPVP8 "),
        ("application/pdf", b"%PDF-1.7"),
        ("text/plain", "žluť".as_bytes()),
        ("text/csv", b"a,b\n1,2\n"),
        ("text/markdown", b"# Head"),
        ("application/json", b"{\"a\": [1, 2]}"),
    ];
    assert_eq!(samples.map(|(media_type, _)| media_type), MEDIA_TYPES);
    for (media_type, content) in samples {
        let kind = Kind::of(&format!(" {}; charset=utf-8", media_type.to_uppercase())).unwrap();
        assert_eq!(kind.check(content), Ok(()), "{media_type}");
        assert_eq!(kind.check(b""), Err(KindError::Empty));
        assert_eq!(kind.check(b"\0\xff<html>"), Err(KindError::SomethingElse(media_type)));
    }
    assert_eq!(Kind::of("application/json").unwrap().check(b"{"), Err(KindError::SomethingElse("application/json")));
    for other in ["text/html", "image/svg+xml", "application/octet-stream", ""] {
        assert_eq!(Kind::of(other), Err(KindError::NotKept(other.to_owned())));
    }
}

#[test]
fn names_are_bare() {
    for (text, name) in
        [("a.txt", Some("a.txt")), ("../../etc/passwd", Some("passwd")), ("C:\\x\\y.csv", Some("y.csv"))]
    {
        assert_eq!(file_name(text).as_deref(), name);
    }
    for nothing in ["", " ", "a/", "..", "a\nb", "a\0", &"x".repeat(NAME_MAX_BYTES + 1)] {
        assert_eq!(file_name(nothing), None, "{nothing:?}");
    }
}

#[test]
fn files_are_counted_once() {
    let part = |number: usize| Part::File {
        file_id: number.to_string(),
        media_type: String::new(),
        name: String::new(),
        content: None,
    };
    let mut parts: Vec<_> = (0..CHAT_FILES_MAX).map(part).chain([part(0), Part::text("a")]).collect();
    assert!(!too_many(&parts));
    parts.push(part(CHAT_FILES_MAX));
    assert!(too_many(&parts));
}

#[tokio::test]
async fn a_removed_file_takes_its_content_along_unless_another_holds_the_same() {
    let Shelf { directory, home } = shelf();
    let chat_id = ChatId(Uuid::now_v7());
    let taken = StoredFile { chat_id: Some(chat_id), ..file("ada", "a.txt", b"same") };
    let (sent, other) = (file("bob", "b.txt", b"same"), file("ada", "c.txt", b"other"));
    for (one, content) in [(&taken, &b"same"[..]), (&sent, b"same"), (&other, b"other")] {
        home.keep(one.clone(), content.to_vec()).await.unwrap();
    }
    assert_eq!(home.of_chat(chat_id).await.unwrap(), [taken.id]);
    home.remove(taken.id).await.unwrap();
    home.remove(taken.id).await.unwrap();
    assert_eq!(home.about(taken.id).await.unwrap(), None);
    assert_eq!(home.content(&sent).await.unwrap(), b"same");
    home.remove(sent.id).await.unwrap();
    assert_eq!(all_files(directory.path()).len(), 2, "the third file and what stands in it");
    assert_eq!(home.content(&other).await.unwrap(), b"other");
}

#[tokio::test]
async fn a_file_that_was_let_go_is_known_until_it_is_forgotten_and_can_be_sent_again() {
    let Shelf { directory, home } = shelf();
    let (mine, same) = (file("ada", "a.txt", b"same"), file("bob", "b.txt", b"same"));
    for one in [&mine, &same] {
        home.keep(one.clone(), *b"same").await.unwrap();
    }
    let (sent_at, later) = (mine.created_at, now());
    // Whoever names a file keeps it.
    assert_eq!(home.resolve("ada", &mut [mine.part()], later).await.unwrap(), Ok(()));
    assert!(!home.let_go(mine.id, sent_at, later).await.unwrap(), "it was named since");
    assert!(home.let_go(mine.id, later, later).await.unwrap());
    assert!(!home.let_go(mine.id, later, later).await.unwrap(), "once");
    let known = home.about(mine.id).await.unwrap().expect("it is known");
    assert_eq!(known, StoredFile { let_go_at: Some(later), ..mine.clone() });
    assert_eq!(home.resolve("ada", &mut [mine.part()], later).await.unwrap(), Err(0), "nobody can name it");
    // A crash may come here; the next sweep finds it by what is known of it.
    home.release([mine.digest].into()).await.unwrap();
    assert_eq!(home.content(&same).await.unwrap(), b"same", "another file holds the same");
    home.forget(vec![mine.id, same.id]).await.unwrap();
    assert_eq!(home.about(mine.id).await.unwrap(), None);
    assert_eq!(home.about(same.id).await.unwrap(), Some(same.clone()), "what was not let go is not forgotten");
    assert!(home.let_go(same.id, later, later).await.unwrap());
    home.release([same.digest].into()).await.unwrap();
    assert_eq!(all_files(directory.path()).len(), 1, "what is known of the second one");
    assert_eq!(home.keep(same.clone(), *b"same").await.unwrap(), Kept { file: same.clone(), again: false });
    assert_eq!(home.content(&same).await.unwrap(), b"same");
    assert_eq!(home.about(same.id).await.unwrap(), Some(same));
}

#[tokio::test]
async fn what_was_never_there_is_released_in_peace() {
    let home = shelf().home;
    home.release([Digest::of(b"nobody's")].into()).await.unwrap();
    home.forget(vec![Uuid::now_v7()]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_content_goes_while_a_file_that_needs_it_comes() {
    let home = shelf().home;
    let digest = Digest::of(b"wanted");
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let keeper = home.clone();
        running.spawn(async move {
            let one = file("ada", "a.txt", b"wanted");
            keeper.keep(one.clone(), *b"wanted").await.unwrap();
            let there = keeper.content(&one).await;
            assert_eq!(there.unwrap(), b"wanted");
            // It goes again, so that the next one brings the content anew.
            assert!(keeper.let_go(one.id, now(), now()).await.unwrap());
            keeper.forget(vec![one.id]).await.unwrap();
        });
        let releaser = home.clone();
        running.spawn(async move { releaser.release([digest].into()).await.unwrap() });
    }
    running.join_all().await;
}
