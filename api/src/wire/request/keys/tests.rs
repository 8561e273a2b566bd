use super::*;

#[test]
fn a_new_key_has_a_name_an_owner_and_roles() {
    let body = br#"{"name": "laptop", "owner": "ada", "roles": ["user", "auditor", "user"]}"#;
    let principal = Principal { owner: "ada".into(), roles: [Role::User, Role::Auditor].into() };
    assert_eq!(read_new_key(body).unwrap(), NewKey { name: "laptop".into(), principal });
    let long = format!(r#"{{"name": "{}", "owner": "ada", "roles": ["user"]}}"#, "x".repeat(101));
    for (body, pointer) in [
        (r#"{"owner": "ada", "roles": ["user"]}"#, "/name"),
        (r#"{"name": "", "owner": "ada", "roles": ["user"]}"#, "/name"),
        (r#"{"name": "a\u0007", "owner": "ada", "roles": ["user"]}"#, "/name"),
        (r#"{"name": "laptop", "owner": " ada", "roles": ["user"]}"#, "/owner"),
        (r#"{"name": "laptop", "owner": "ada"}"#, "/roles"),
        (r#"{"name": "laptop", "owner": "ada", "roles": []}"#, "/roles"),
        (r#"{"name": "laptop", "owner": "ada", "roles": "user"}"#, "/roles"),
        (r#"{"name": "laptop", "owner": "ada", "roles": ["user", "root"]}"#, "/roles/1"),
        (r#"{"name": "laptop", "owner": "ada", "roles": [7]}"#, "/roles/0"),
        (r#"{"name": "laptop", "owner": "ada", "roles": ["user"], "key": "mine"}"#, "/key"),
        (long.as_str(), "/name"),
    ] {
        let problem = read_new_key(body.as_bytes()).expect_err(body);
        let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, [pointer], "{body}");
    }
}
