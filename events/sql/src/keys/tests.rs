use chrono::DateTime;
use tokio::runtime::Handle;
use uuid::Uuid;
use verbatim_events::ids::Digest;

use super::{KeyStore, KeyStoreError, KeyTally, StoredKey};
use crate::error::OpenError;
use crate::{LogOptions, Storage};

fn key(name: &str) -> StoredKey {
    StoredKey {
        id: Uuid::now_v7(),
        name: name.to_owned(),
        owner: "ada".to_owned(),
        roles: vec!["auditor".to_owned(), "user".to_owned()],
        digest: Digest::of(name.as_bytes()),
        created_at: DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap(),
        revoked_at: None,
    }
}

#[tokio::test]
async fn keys_are_kept_revoked_once_and_never_removed() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("sqlite:{}/", directory.path().display());
    let storage = Storage::open(&address, LogOptions::default(), Handle::current()).await.unwrap();
    let keys = storage.keys();
    assert_eq!(keys.list().await.unwrap(), []);
    let (first, second) = (key("first"), key("second"));
    keys.add(first.clone()).await.unwrap();
    keys.add(second.clone()).await.unwrap();
    assert_eq!(keys.list().await.unwrap(), [first.clone(), second.clone()]);
    // The same key twice would make two answers to one question.
    let twin = StoredKey { id: Uuid::now_v7(), ..first.clone() };
    assert!(matches!(keys.add(twin).await, Err(KeyStoreError::Unavailable(_))));

    let at = DateTime::from_timestamp_micros(1_800_000_000_000_002).unwrap();
    assert!(keys.revoke(first.id, at).await.unwrap(), "the writer goes on after an error");
    assert!(!keys.revoke(first.id, at + chrono::Duration::days(1)).await.unwrap(), "it was revoked before");
    assert!(!keys.revoke(Uuid::now_v7(), at).await.unwrap(), "there is no such key");
    assert_eq!(keys.tally().await.unwrap(), KeyTally { all: 2, revoked: 1 });
    let used = KeyStore::open(&address, Handle::current()).await;
    assert!(matches!(used, Err(OpenError::InUse { .. })), "a served log is changed through its server alone");
    storage.close().await;
    assert!(matches!(keys.add(key("late")).await, Err(KeyStoreError::Unavailable(_))));

    let again = KeyStore::open(&address, Handle::current()).await.unwrap();
    assert_eq!(again.list().await.unwrap(), [StoredKey { revoked_at: Some(at), ..first }, second]);
    again.close().await;
}
