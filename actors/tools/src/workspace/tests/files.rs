//! The file tools, on whatever files a workspace has.

use serde_json::json;

use super::{House, bad, good};

async fn text(house: &House, path: &str) -> String {
    good(house.call("look", "read_file", json!({"path": path})).await)["content"].as_str().unwrap().to_owned()
}

/// Written, read, edited, each once however often it is asked for.
pub(super) async fn files_are_written_read_and_edited(house: &House) {
    let none = bad(house.call("call-0", "write_file", json!({"path": "a", "content": ""})).await);
    assert_eq!(none, json!("this chat has no workspace; create_workspace makes one"));
    good(house.create("call-1").await);
    let write = json!({"path": "text/it's a \"test\".txt", "content": "one\ntwo $HOME `id`\nthree\n"});
    let written = good(house.call("call-2", "write_file", write.clone()).await);
    assert_eq!(written, json!({"path": "text/it's a \"test\".txt", "bytes": 25}));
    assert_eq!(text(house, "text/it's a \"test\".txt").await, "1\tone\n2\ttwo $HOME `id`\n3\tthree");
    let window = json!({"path": "text/it's a \"test\".txt", "offset": 2, "limit": 1});
    let shown = good(house.call("call-3", "read_file", window).await);
    assert_eq!((&shown["content"], &shown["more"]), (&json!("2\ttwo $HOME `id`"), &json!(true)));
    good(house.call("call-4", "write_file", json!({"path": "text/b", "content": "b b"})).await);

    let edits = json!({"edits": [
        {"path": "text/it's a \"test\".txt", "old_text": "one\n", "new_text": "1\n"},
        {"path": "text/b", "old_text": "b", "new_text": "c", "replace_all": true},
        {"path": "text/it's a \"test\".txt", "old_text": "1\ntwo", "new_text": "2"},
    ]});
    let edited = good(house.call("call-5", "edit_files", edits.clone()).await);
    assert_eq!(edited["files"][0], json!({"path": "text/it's a \"test\".txt", "replacements": 2}));
    assert_eq!(edited["files"][1], json!({"path": "text/b", "replacements": 2}));
    assert_eq!(text(house, "text/b").await, "1\tc c");
    assert_eq!(text(house, "text/it's a \"test\".txt").await, "1\t2 $HOME `id`\n2\tthree");
    assert_eq!(good(house.again("call-5", "edit_files", edits).await), edited, "made once, and said so again");
    good(house.again("call-2", "write_file", write).await);
    assert_eq!(text(house, "text/it's a \"test\".txt").await, "1\t2 $HOME `id`\n2\tthree", "not written a second time");

    let listed = good(house.call("call-6", "read_file", json!({"path": "text"})).await);
    let entries = json!([
        {"name": "b", "kind": "file", "size_bytes": 3},
        {"name": "it's a \"test\".txt", "kind": "file", "size_bytes": 19},
    ]);
    assert_eq!(listed["entries"], entries);
}

/// All edits or none, and the one that cannot be made is named.
pub(super) async fn edits_are_all_or_nothing(house: &House) {
    good(house.create("call-1").await);
    for path in ["a", "b"] {
        good(house.call(&format!("write-{path}"), "write_file", json!({"path": path, "content": "x y x"})).await);
    }
    for (number, (second, words)) in [
        (json!({"path": "b", "old_text": "z", "new_text": "1"}), "edits[1] (b): old_text was not found"),
        (json!({"path": "b", "old_text": "x", "new_text": "1"}), "edits[1] (b): old_text occurs 2 times"),
        (json!({"path": "gone", "old_text": "x", "new_text": "1"}), "edits[1] (gone): gone: there is no such file"),
        (json!({"path": "../b", "old_text": "x", "new_text": "1"}), "edits[1] (../b): ../b: the path leaves"),
        (json!({"path": ".", "old_text": "x", "new_text": "1"}), "edits[1] (.): .: it is a directory, not a file"),
    ]
    .into_iter()
    .enumerate()
    {
        let edits = json!({"edits": [{"path": "a", "old_text": "y", "new_text": "1"}, second]});
        let refused = bad(house.call(&format!("edit-{number}"), "edit_files", edits).await);
        let told = refused.as_str().unwrap();
        assert!(told.starts_with("no file was changed. ") && told.contains(words), "{told}");
        assert_eq!((text(house, "a").await, text(house, "b").await), ("1\tx y x".to_owned(), "1\tx y x".to_owned()));
    }
}

/// No path leads out, whoever resolves it.
pub(super) async fn no_path_leads_out(house: &House) {
    good(house.create("call-1").await);
    for path in ["../x", "/etc/passwd", "./.././x", ".."] {
        for (name, args) in [
            ("read_file", json!({"path": path})),
            ("write_file", json!({"path": path, "content": "x"})),
            ("edit_files", json!({"edits": [{"path": path, "old_text": "x", "new_text": "y"}]})),
        ] {
            let refused = bad(house.call(&format!("call-{path}"), name, args).await);
            assert!(refused.as_str().is_some_and(|told| told.contains("the path leaves the workspace")), "{refused}");
        }
    }
    let missing = bad(house.call("call-2", "read_file", json!({"path": "gone"})).await);
    assert_eq!(missing, json!("gone: there is no such file"));
}
