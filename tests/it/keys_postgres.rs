//! Keys in a PostgreSQL database that several programs share.

use chrono::Utc;
use support::postgres::Postgres;
use tokio::runtime::Handle;
use verbatim::auth::{KeyRing, Keys, NewKey, Principal, Role, make};
use verbatim_events_sql::{KeyStore, KeyTally, LogOptions, Storage};

#[tokio::test]
async fn a_key_made_beside_the_server_is_valid_there_until_it_is_revoked() {
    let url = Postgres::shared().await.unwrap().database().await.unwrap();
    let storage = Storage::open(&url, LogOptions::default(), Handle::current()).await.unwrap();
    let keys = Keys::new(KeyRing::with_admin("admin"), storage.keys());
    keys.refresh().await.unwrap();
    let beside = KeyStore::open(&url, Handle::current()).await.unwrap();
    let new = NewKey {
        name: "laptop".into(),
        principal: Principal { owner: "ada".into(), roles: [Role::User, Role::Auditor].into() },
    };
    let made = make(&beside, new.clone(), Utc::now()).await.unwrap();
    assert_eq!(beside.list().await.unwrap(), std::slice::from_ref(&made.stored));
    assert!(beside.add(made.stored.clone()).await.is_err(), "a key is kept once");
    keys.refresh().await.unwrap();
    let (_, known) = keys.ring().find(&made.secret).unwrap();
    assert_eq!(*known.principal, new.principal);
    assert!(beside.revoke(made.stored.id, Utc::now()).await.unwrap());
    assert!(!beside.revoke(made.stored.id, Utc::now()).await.unwrap());
    assert_eq!(beside.tally().await.unwrap(), KeyTally { all: 1, revoked: 1 });
    keys.refresh().await.unwrap();
    assert!(keys.ring().find(&made.secret).is_none() && known.revoked.is_cancelled());
    beside.close().await;
    storage.close().await;
}
