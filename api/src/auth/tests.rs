use actix_web::test::TestRequest;

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
    let ada = Digest::of(b"ada's key");
    ring.insert(ada, principal("ada", &[Role::User]));
    assert_eq!(ring.find("the admin's key").unwrap().owner, ADMIN_OWNER);
    assert_eq!(ring.find("ada's key").unwrap().owner, "ada");
    assert_eq!(ring.find("ada's kez"), None);
    assert_eq!(ring.find(""), None);
    ring.insert(ada, principal("ada", &[Role::Auditor]));
    assert_eq!(ring.find("ada's key").unwrap().roles, [Role::Auditor].into());
    ring.remove(&ada);
    assert_eq!(ring.find("ada's key"), None);
    assert!(!format!("{ring:?}").contains("key\""), "a ring shows no key");
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
