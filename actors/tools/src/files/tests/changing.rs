use std::os::unix::fs::PermissionsExt;

use super::super::Manifest;
use super::*;

#[tokio::test]
async fn a_change_makes_all_of_it_and_is_known_afterwards() {
    let space = Space::new();
    space.put("run.sh", "old");
    std::fs::set_permissions(space.root().join("run.sh"), PermissionsExt::from_mode(0o750)).unwrap();
    space.link("link", "run.sh");
    let files = space.files();
    assert_eq!(files.made("k1").await.unwrap(), None);
    let both = change("k1", &[("link", Some("old"), "new"), ("deep/er/file", None, "made")]);
    files.change(both.clone()).await.unwrap();
    assert_eq!((space.get("run.sh"), space.get("deep/er/file")), (Some("new".to_owned()), Some("made".to_owned())));
    let data = std::fs::symlink_metadata(space.root().join("run.sh")).unwrap();
    assert_eq!((data.permissions().mode() & 0o777, data.is_file()), (0o750, true), "still a program");
    assert!(std::fs::symlink_metadata(space.root().join("link")).unwrap().is_symlink(), "still a link");
    assert_eq!(files.made("k1").await.unwrap(), Some(json!({"made": "k1"})));

    space.put("run.sh", "something newer");
    files.change(both).await.unwrap();
    assert_eq!(space.get("run.sh").unwrap(), "something newer", "what was made once is not made again");
}

#[tokio::test]
async fn a_change_that_cannot_be_made_changes_nothing() {
    let space = Space::new();
    space.put("a", "a");
    space.put("b", "b");
    std::fs::create_dir(space.root().join("dir")).unwrap();
    let files = space.files();
    for (second, error) in [
        (("b", Some("x"), "2"), FileError::Changed { path: "b".to_owned() }),
        (("gone", Some("x"), "2"), FileError::Changed { path: "gone".to_owned() }),
        (("../secret", None, "2"), FileError::Outside { path: "../secret".to_owned() }),
        (("dir", None, "2"), FileError::WrongKind { path: "dir".to_owned(), kind: "a directory", wanted: "a file" }),
    ] {
        assert_eq!(files.change(change("k", &[("a", Some("a"), "1"), second])).await, Err(error));
        assert_eq!((space.get("a").unwrap().as_str(), space.get("b").unwrap().as_str()), ("a", "b"));
        assert_eq!(files.made("k").await.unwrap(), None);
    }
    assert_eq!(std::fs::read_dir(space.changes()).unwrap().count(), 0, "nothing is left lying about");
}

/// What a crash leaves: contents that were staged, with or without the list that commits them.
fn crashed(space: &Space, key: &str, committed: bool, staged: &[(usize, &str)], paths: &[&str]) {
    let folder = space.changes().join(key);
    std::fs::create_dir_all(&folder).unwrap();
    for (index, content) in staged {
        std::fs::write(folder.join(index.to_string()), content).unwrap();
    }
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let manifest = serde_json::to_vec(&Manifest { paths, answer: json!("done") }).unwrap();
    std::fs::write(folder.join(if committed { "committed.json" } else { "writing.json" }), manifest).unwrap();
}

#[tokio::test]
async fn a_crash_leaves_all_of_a_change_or_nothing() {
    let space = Space::new();
    let files = space.files();
    for moved in 0..=2 {
        let (a, b) = (format!("a{moved}"), format!("b{moved}"));
        space.put(&a, if moved > 0 { "new a" } else { "old" });
        space.put(&b, if moved > 1 { "new b" } else { "old" });
        let staged = [(0, "new a"), (1, "new b")];
        let key = format!("k{moved}");
        crashed(&space, &key, true, &staged[moved..], &[&a, &b]);
        assert_eq!(files.made(&key).await.unwrap(), Some(json!("done")), "it was committed: it is made");
        assert_eq!((space.get(&a).unwrap(), space.get(&b).unwrap()), ("new a".to_owned(), "new b".to_owned()));
    }
    space.put("c", "old");
    crashed(&space, "k9", false, &[(0, "new")], &["c"]);
    assert_eq!(files.made("k9").await.unwrap(), None);
    assert_eq!(space.get("c").unwrap(), "old");
    files.change(change("k9", &[("c", Some("old"), "newer")])).await.unwrap();
    assert_eq!(space.get("c").unwrap(), "newer", "and it can be made");
}

#[tokio::test]
async fn known_changes_are_bounded() {
    let space = Space::new();
    let files = space.files();
    for number in 0..520 {
        crashed(&space, &format!("k{number}"), true, &[], &[]);
        assert_eq!(files.made(&format!("k{number}")).await.unwrap(), Some(json!("done")));
    }
    files.change(change("last", &[("a", None, "a")])).await.unwrap();
    assert_eq!(std::fs::read_dir(space.changes()).unwrap().count(), 512);
    assert!(files.made("last").await.unwrap().is_some());
}
