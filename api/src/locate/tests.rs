use super::*;

fn data_dir() -> (tempfile::TempDir, DataDir) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let data_dir = DataDir::at(folder.path().join("data"));
    data_dir.prepare().expect("the directory is made");
    (folder, data_dir)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("the file is there").permissions().mode() & 0o777
}

#[test]
fn the_admin_key_is_made_once_and_private() {
    let (_folder, data_dir) = data_dir();
    let made = data_dir.admin_key(None).expect("a key is made");
    let path = made.file.clone().expect("it is stored");
    assert_eq!(mode(&path), PRIVATE_FILE);
    assert_eq!(mode(data_dir.path()), PRIVATE_FOLDER);
    assert!(made.secret.len() >= 64);
    assert_eq!(data_dir.admin_key(None).expect("it is read again"), made);
    assert!(!format!("{made:?}").contains(&made.secret), "Debug hides the key");
}

#[test]
fn a_key_that_others_may_read_is_closed_to_them() {
    let (_folder, data_dir) = data_dir();
    let path = data_dir.admin_key(None).expect("a key is made").file.expect("it is stored");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("the mode is set");
    data_dir.admin_key(None).expect("it is read again");
    assert_eq!(mode(&path), PRIVATE_FILE);
}

#[test]
fn a_given_key_is_used_and_not_stored() {
    let (_folder, data_dir) = data_dir();
    let key = data_dir.admin_key(Some("0123456789abcdef")).expect("a good key");
    assert_eq!((key.secret.as_str(), key.file), ("0123456789abcdef", None));
    assert_eq!(data_dir.stored_admin_key().expect("readable"), None);
    for bad in ["", "with space in the middle", "kürzerundländer-ist"] {
        assert!(matches!(data_dir.admin_key(Some(bad)), Err(LocateError::BadKey)), "{bad:?}");
    }
}

#[test]
fn one_server_at_a_time() {
    let (_folder, data_dir) = data_dir();
    assert_eq!(data_dir.server(), None);
    let mut first = data_dir.serve().expect("nobody serves yet");
    first.publish("http://127.0.0.1:1").expect("published");
    let info = data_dir.server().expect("the first one is found");
    assert_eq!((info.url.as_str(), info.pid), ("http://127.0.0.1:1", std::process::id()));
    match data_dir.serve() {
        Err(LocateError::Taken { server, .. }) => assert_eq!(server, Some(info)),
        other => panic!("a second server was let in: {other:?}"),
    }
    drop(first);
    assert_eq!(data_dir.server(), None);
    data_dir.serve().expect("the directory is free again");
}

#[test]
fn what_a_killed_server_left_does_not_count() {
    let (_folder, data_dir) = data_dir();
    drop(data_dir.serve().expect("nobody serves yet"));
    std::fs::write(data_dir.path().join(SERVER_FILE), r#"{"url":"http://127.0.0.1:1","pid":1}"#).expect("written");
    assert_eq!(data_dir.server(), None);
}
