use serde_json::json;

use super::*;

fn read(value: Value, null: Null, members: impl FnOnce(&mut Errors, &mut Object)) -> Vec<(String, String)> {
    let mut errors = Errors::default();
    if let Some(mut object) = Object::new(&mut errors, "", value, null) {
        members(&mut errors, &mut object);
        object.finish(&mut errors);
    }
    match errors.finish() {
        Ok(()) => Vec::new(),
        Err(problem) => problem.errors.into_iter().map(|error| (error.pointer, error.detail)).collect(),
    }
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place() {
    let body = json!({"title": 7, "deep/er": 1, "pinned": "yes"});
    let wrong = read(body, Null::IsAbsent, |errors, object| {
        assert_eq!(object.string(errors, "title"), None);
        assert_eq!(object.boolean(errors, "pinned"), None);
        assert_eq!(object.need_string(errors, "name"), None);
    });
    let expected = [
        ("/title", "must be a string, not a number"),
        ("/pinned", "must be a boolean, not a string"),
        ("/name", "this field is needed"),
        ("/deep~1er", "unknown field"),
    ];
    assert_eq!(wrong, expected.map(|(pointer, detail)| (pointer.to_owned(), detail.to_owned())));
}

#[test]
fn null_is_absent_or_an_error_as_the_request_wants_it() {
    let title = |errors: &mut Errors, object: &mut Object| {
        assert_eq!(object.string(errors, "title"), None);
    };
    assert_eq!(read(json!({"title": null}), Null::IsAbsent, title), []);
    let wrong = read(json!({"title": null}), Null::IsAnError, title);
    assert_eq!(wrong.len(), 1);
    assert_eq!(wrong[0].0, "/title");
    let needed = read(json!({"name": null}), Null::IsAbsent, |errors, object| {
        assert_eq!(object.need_string(errors, "name"), None);
    });
    assert_eq!(needed, [("/name".to_owned(), "this field is needed".to_owned())]);
}

#[test]
fn a_body_that_is_no_object_is_wrong_as_a_whole() {
    let wrong = read(json!([1]), Null::IsAbsent, |_, _| {});
    assert_eq!(wrong, [(String::new(), "must be an object, not an array".to_owned())]);
}

#[test]
fn a_body_that_is_no_json_says_where() {
    let problem = parse(b"{\"title\": }").unwrap_err();
    assert_eq!(problem.code, Code::InvalidRequest);
    assert!(problem.detail.contains("column 11"), "{problem}");
    assert_eq!(parse(b"").unwrap(), json!({}));
    let deep = "[".repeat(100_000);
    assert_eq!(parse(deep.as_bytes()).unwrap_err().code, Code::InvalidRequest);
}

#[test]
fn nul_is_refused_wherever_a_string_is_read() {
    let wrong = read(json!({"title": "a\u{0}b"}), Null::IsAbsent, |errors, object| {
        assert_eq!(object.string(errors, "title"), None);
    });
    assert_eq!(wrong, [("/title".to_owned(), "must not contain the character U+0000".to_owned())]);
}

#[test]
fn rubbish_is_not_answered_with_a_book() {
    let members: Map<String, Value> = (0..1000).map(|index| (format!("x{index}"), json!(1))).collect();
    assert_eq!(read(Value::Object(members), Null::IsAbsent, |_, _| {}).len(), ERRORS_MAX);
}
