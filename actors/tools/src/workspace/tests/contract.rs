//! What every provisioner's workspaces do, whoever makes them.

use serde_json::json;

use super::chats::{CHAT, Crash};
use super::{House, bad, good};

/// Made once: a second call, and one at the same time, find the first's.
pub(super) async fn a_chat_has_one_workspace(house: &House) {
    let (one, other) = tokio::join!(house.create("call-1"), house.create("call-2"));
    let (one, other) = (good(one), good(other));
    assert_eq!((&one["created"], &other["created"]), (&json!(true), &json!(false)));
    assert_eq!(one["workspace_id"], other["workspace_id"]);
    assert_eq!((&one["status"], &one["agent_status"]), (&json!("running"), &json!("ready")));
    assert_eq!(house.bound().as_deref(), one["workspace_id"].as_str());
    let third = good(house.create("call-3").await);
    assert_eq!((&third["created"], &third["workspace_id"]), (&json!(false), &one["workspace_id"]));
    assert_eq!(house.spaces.list().await.workspaces.len(), 1);
}

/// Whatever the crash cut off, the same call run again finds what it began.
pub(super) async fn a_crash_makes_no_second_workspace(house: &House, crash: Crash) {
    house.chats.crash(crash);
    tokio::select! {
        answer = house.create("call-1") => panic!("it was to crash: {answer:?}"),
        () = house.chats.crashed() => {}
    }
    let before = house.spaces.list().await.workspaces.len();
    assert!(before <= 1, "{before}");
    let answer = good(house.again("call-1", "create_workspace", json!({"template_id": "good"})).await);
    assert_eq!((&answer["created"], &answer["status"]), (&json!(true), &json!("running")), "{crash:?}");
    let listing = house.spaces.list().await;
    assert_eq!(listing.workspaces.len(), 1, "{crash:?}: {listing:?}");
    assert_eq!(house.bound().as_deref(), answer["workspace_id"].as_str(), "{crash:?}");
    let once_more = good(house.again("call-1", "create_workspace", json!({"template_id": "good"})).await);
    assert_eq!(once_more, answer, "{crash:?}");
    assert_eq!(good(house.create("call-2").await)["created"], json!(false));
}

/// A workspace whose build fails is said so, keeps its binding, and is replaced by the next call.
pub(super) async fn a_failed_workspace_is_replaced(house: &House) {
    let failed = bad(house.call("call-1", "create_workspace", json!({"template_id": "broken"})).await);
    assert_eq!((&failed["status"], &failed["created"]), (&json!("failed"), &json!(true)), "{failed}");
    assert!(failed["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{failed}");
    assert_eq!(house.bound().as_deref(), failed["workspace_id"].as_str(), "recorded before the build ended");
    let same = bad(house.again("call-1", "create_workspace", json!({"template_id": "broken"})).await);
    assert_eq!(same, failed, "run again it is not made again");
    let made = good(house.create("call-2").await);
    assert_eq!((&made["created"], &made["replaced"]), (&json!(true), &failed["workspace_id"]));
    assert_ne!(made["workspace_id"], failed["workspace_id"]);
}

/// A workspace that is gone is replaced.
pub(super) async fn a_deleted_workspace_is_replaced(house: &House) {
    let first = good(house.create("call-1").await);
    let id = first["workspace_id"].as_str().unwrap();
    house.spaces.delete(id).await.unwrap();
    house.spaces.delete(id).await.expect("gone is gone");
    assert_eq!(bad(house.call("call-2", "start_workspace", json!({})).await)["status"], json!("deleted"));
    let second = good(house.create("call-3").await);
    assert_eq!((&second["created"], &second["replaced"]), (&json!(true), &json!(id)));
}

/// Stopped and started, each as often as one likes.
pub(super) async fn a_workspace_stops_and_starts(house: &House) {
    bad(house.call("call-0", "stop_workspace", json!({})).await);
    let id = good(house.create("call-1").await)["workspace_id"].clone();
    for stopped in [true, false] {
        let answer = good(house.call("call-2", "stop_workspace", json!({})).await);
        assert_eq!((&answer["status"], &answer["stopped"]), (&json!("stopped"), &json!(stopped)));
    }
    let refused = bad(house.call("call-3", "read_file", json!({"path": "."})).await);
    assert!(refused.as_str().is_some_and(|words| words.contains("start_workspace")), "{refused}");
    let existing = good(house.create("call-4").await);
    assert_eq!((&existing["created"], &existing["status"]), (&json!(false), &json!("stopped")));
    assert!(existing["hint"].as_str().is_some_and(|hint| hint.contains("start_workspace")), "{existing}");
    for started in [true, false] {
        let answer = good(house.call("call-5", "start_workspace", json!({})).await);
        assert_eq!((&answer["status"], &answer["started"]), (&json!("running"), &json!(started)));
        assert_eq!(answer["workspace_id"], id);
    }
}

/// What cannot be made is refused in words, and nothing is recorded.
pub(super) async fn wishes_are_checked(house: &House) {
    for (args, words) in [
        (json!({"template_id": "nope"}), "no template \"nope\""),
        (json!({"template_id": "good", "parameters": {"disk": 1}}), "no parameter \"disk\""),
        (json!({"template_id": "good", "parameters": {"language": 1}}), "\"language\" takes a text"),
        (json!({"template": "good"}), "the arguments do not fit"),
    ] {
        let refused = bad(house.call("call-1", "create_workspace", args.clone()).await);
        assert!(refused.as_str().is_some_and(|told| told.contains(words)), "{args}: {refused}");
    }
    assert_eq!(house.chats.chat().outline.workspace, None);
    let made = house
        .call(
            "call-2",
            "create_workspace",
            json!({"template_id": "good", "name": "No, thanks", "parameters": {"language": "go"}}),
        )
        .await;
    let name = good(made)["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("no-thanks-") && name.len() == 14, "{name}");
    let binding = house.chats.chat().outline.workspace.clone().unwrap();
    assert_eq!((binding.name, binding.template_id.as_deref()), (Some(name), Some("good")));
    assert_eq!(binding.parameters, Some(json!({"language": "go"})));
}

/// Templates are listed and read.
pub(super) async fn templates_are_shown(house: &House) {
    let listed = good(house.call("call-1", "list_templates", json!({})).await);
    assert_eq!((&listed["total"], &listed["pages"]), (&json!(2), &json!(1)));
    assert_eq!(listed["templates"][1]["template_id"], json!("good"));
    let found = good(house.call("call-2", "list_templates", json!({"query": "A GOOD"})).await);
    assert_eq!((&found["total"], &found["templates"][0]["template_id"]), (&json!(1), &json!("good")));
    assert_eq!(good(house.call("call-3", "list_templates", json!({"page": 2})).await)["templates"], json!([]));
    let read = good(house.call("call-4", "read_template", json!({"template_id": "good"})).await);
    assert_eq!(read["parameters"][0]["name"], json!("language"));
    assert_eq!(read["parameters"][0]["default"], json!("rust"));
    assert_eq!(read["parameters"][0]["type"], json!("string"));
    bad(house.call("call-5", "read_template", json!({"template_id": "nope"})).await);
}

/// A workspace that the chat was made with is built when it is first needed.
pub(super) async fn a_promised_workspace_is_made_when_it_is_needed(house: &House) {
    house.chats.promise("good", "promised");
    let listed = house.call("call-1", "read_file", json!({"path": "."})).await;
    good(listed);
    let view = house.spaces.look(&house.bound().unwrap()).await.unwrap();
    assert_eq!(view.name, "promised");
    assert_eq!(good(house.create("call-2").await)["created"], json!(false));
    assert_eq!(house.chats.chat().outline.id, CHAT);
}
