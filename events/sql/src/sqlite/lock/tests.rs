use super::LockFile;
use crate::error::OpenError;

#[test]
fn one_holder_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    let held = LockFile::take(&path).unwrap();
    let refused = LockFile::take(&path).unwrap_err();
    assert!(matches!(&refused, OpenError::InUse { path: named, .. } if *named == path), "{refused}");
    assert!(refused.to_string().contains("events.db.lock"), "{refused}");
    drop(held);
    LockFile::take(&path).unwrap();
}
