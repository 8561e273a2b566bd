use actix_web::test::TestRequest;
use uuid::Uuid;
use verbatim_events::ids::Digest;
use verbatim_events_sql::KeyStore;

use super::*;

fn principal(owner: &str, roles: &[Role]) -> Principal {
    Principal { owner: owner.to_owned(), roles: roles.iter().copied().collect() }
}

fn code(checked: Result<(), Problem>) -> Option<&'static str> {
    checked.err().map(|problem| problem.code.name())
}

#[test]
fn another_owners_chat_does_not_exist_and_missing_rights_are_said() {
    let user = principal("ada", &[Role::User]);
    let auditor = principal("eve", &[Role::Auditor]);
    let both = principal("ada", &[Role::User, Role::Auditor]);
    let admin = Principal::admin();
    // Who, whose chat, read, write.
    for (who, owner, read, write) in [
        (&user, "ada", None, None),
        (&user, "bob", Some("chat_not_found"), Some("chat_not_found")),
        (&auditor, "bob", None, Some("forbidden")),
        (&auditor, "eve", None, Some("forbidden")),
        (&both, "ada", None, None),
        (&both, "bob", None, Some("forbidden")),
        (&admin, "bob", None, None),
    ] {
        assert_eq!(code(who.check_read(owner)), read, "{who:?} reads {owner}'s");
        assert_eq!(code(who.check_write(owner)), write, "{who:?} writes {owner}'s");
    }
    assert_eq!(code(user.check_create()), None);
    assert_eq!(code(auditor.check_create()), Some("forbidden"));
    assert_eq!((code(user.check_audit()), code(auditor.check_audit())), (Some("forbidden"), None));
    assert_eq!((code(auditor.check_admin()), code(admin.check_admin())), (Some("forbidden"), None));
}

#[test]
fn a_ring_knows_its_keys_and_no_others() {
    let ring = KeyRing::with_admin("the admin's key");
    let owner = |key: &str| ring.find(key).map(|(_, known)| known.principal.owner.clone());
    let (ada, bob) = (Uuid::now_v7(), Uuid::now_v7());
    ring.insert(ada, Digest::of(b"ada's key"), principal("ada", &[Role::User]));
    ring.insert(bob, Digest::of(b"bob's key"), principal("bob", &[Role::User]));
    assert_eq!(owner("the admin's key").as_deref(), Some(ADMIN_OWNER));
    assert_eq!(owner("ada's key").as_deref(), Some("ada"));
    assert_eq!((owner("ada's kez"), owner("")), (None, None));
    let (_, known) = ring.find("ada's key").unwrap();
    ring.insert(ada, Digest::of(b"ada's key"), principal("ada", &[Role::User]));
    assert!(!known.revoked.is_cancelled(), "a key that is told again is the same key");
    ring.remove(ada);
    assert_eq!(owner("ada's key"), None);
    assert!(known.revoked.is_cancelled(), "what it has opened ends");
    ring.retain(|_| false);
    assert_eq!((owner("bob's key"), owner("the admin's key").as_deref()), (None, Some(ADMIN_OWNER)));
    assert!(!format!("{ring:?}").contains("key\""), "a ring shows no key");
}

async fn keys_in(directory: &std::path::Path) -> (KeyStore, Keys) {
    let address = format!("sqlite:{}/", directory.display());
    let store = KeyStore::open(&address, tokio::runtime::Handle::current()).await.unwrap();
    (store.clone(), Keys::new(KeyRing::with_admin("admin"), store))
}

#[actix_web::test]
async fn a_key_is_valid_from_its_making_to_its_revoking() {
    let directory = tempfile::tempdir().unwrap();
    let (store, keys) = keys_in(directory.path()).await;
    let new = NewKey { name: "laptop".into(), principal: principal("ada", &[Role::User, Role::Auditor]) };
    let made = keys.create(new.clone(), chrono::Utc::now()).await.unwrap();
    assert_eq!((made.secret.len(), &made.secret[..4]), (4 + 64, "vbt_"));
    let other = keys.create(new.clone(), chrono::Utc::now()).await.unwrap();
    assert_ne!(made.secret, other.secret);
    let (_, known) = keys.ring().find(&made.secret).unwrap();
    assert_eq!(*known.principal, new.principal);
    assert_eq!(keys.list().await.unwrap(), [made.stored.clone(), other.stored]);
    assert!(keys.revoke(made.stored.id, chrono::Utc::now()).await.unwrap());
    assert!(keys.ring().find(&made.secret).is_none() && known.revoked.is_cancelled());
    assert!(!keys.revoke(made.stored.id, chrono::Utc::now()).await.unwrap());
    store.close().await;
}

#[actix_web::test]
async fn what_another_node_does_to_the_keys_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let (store, keys) = keys_in(directory.path()).await;
    let new = NewKey { name: "robot".into(), principal: principal("bob", &[Role::User]) };
    let made = make(&store, new.clone(), chrono::Utc::now()).await.unwrap();
    assert!(keys.ring().find(&made.secret).is_none());
    keys.refresh().await.unwrap();
    let (_, known) = keys.ring().find(&made.secret).unwrap();
    let second = make(&store, new, chrono::Utc::now()).await.unwrap();
    keys.refresh().await.unwrap();
    assert!(!known.revoked.is_cancelled(), "a key that stays is not disturbed by others");
    store.revoke(made.stored.id, chrono::Utc::now()).await.unwrap();
    keys.refresh().await.unwrap();
    assert!(keys.ring().find(&made.secret).is_none() && known.revoked.is_cancelled());
    assert!(keys.ring().find(&second.secret).is_some() && keys.ring().find("admin").is_some());
    store.close().await;
}

#[test]
fn a_key_comes_in_the_header_or_else_in_the_query() {
    let key = |request: TestRequest| presented_key(&request.to_http_request()).map_err(|problem| problem.code);
    let header = ("Authorization", "bearer secret");
    assert_eq!(key(TestRequest::default().insert_header(header)), Ok("secret".to_owned()));
    let both = TestRequest::with_uri("/x?access_token=other").insert_header(header);
    assert_eq!(key(both), Ok("secret".to_owned()));
    assert_eq!(key(TestRequest::with_uri("/x?after=1&access_token=a%2Bb")), Ok("a+b".to_owned()));
    for wrong in ["Basic secret", "secret", ""] {
        let request = TestRequest::default().insert_header(("Authorization", wrong));
        assert_eq!(key(request), Err(Code::Unauthorized), "{wrong:?} is no key");
    }
    assert_eq!(key(TestRequest::default()), Err(Code::Unauthorized));
}
