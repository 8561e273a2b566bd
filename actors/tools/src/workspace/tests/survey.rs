//! What a chat knows of its workspace's files, when the workspace is no more.

use std::sync::Arc;

use serde_json::json;
use verbatim_events::command::Command;
use verbatim_events::event::{DiffStatus, SettingsChanged};

use super::super::survey::Surveys;
use super::chats::CHAT;
use super::{House, good};

/// What an earlier look found.
fn known() -> DiffStatus {
    DiffStatus { branch: Some("main".into()), files_changed: 2, insertions: 3, deletions: 1, partial: false }
}

pub(super) fn know(house: &House) {
    let patch = SettingsChanged { diff_status: Some(Some(known())), ..SettingsChanged::default() };
    house.chats.change(&Command::ChangeSettings { patch, archived: None });
}

/// Has the workspace looked at; what the chat knows then.
pub(super) async fn looked_at(house: &House) -> Option<DiffStatus> {
    let surveys = Surveys::new(Arc::clone(&house.spaces), Arc::clone(&house.chats) as _);
    surveys.noticed(CHAT).expect("nobody looks yet").await;
    house.chats.chat().outline.diff_status.clone()
}

/// What is known of a workspace stays while it rests, and goes, once, when it is gone.
pub(super) async fn what_is_known_of_a_workspace_goes_with_it(house: &House) {
    let first = good(house.create("call-1").await);
    know(house);
    good(house.call("call-2", "stop_workspace", json!({})).await);
    assert_eq!(looked_at(house).await, Some(known()), "it rests, its files are kept");
    house.spaces.delete(first["workspace_id"].as_str().expect("an id")).await.expect("it goes");
    assert_eq!(looked_at(house).await, None);
    let version = house.chats.chat().outline.version;
    assert_eq!((looked_at(house).await, house.chats.chat().outline.version), (None, version), "it is no news");

    good(house.create("call-3").await);
    know(house);
    let second = house.bound().expect("a workspace");
    house.spaces.delete(&second).await.expect("it goes");
    good(house.create("call-4").await);
    assert_eq!(house.chats.chat().outline.diff_status, None, "of the new one nothing is known");
}

/// Whoever listens is told of each workspace that was taken away.
pub(super) async fn the_end_of_a_workspace_is_told(house: &House) {
    let (told, mut heard) = tokio::sync::mpsc::channel(4);
    let tools = house.tools.clone();
    house.spaces.when_gone(move |id| {
        told.try_send(id.to_owned()).expect("there is room");
        // Where somebody looks at it already, it is looked at once more.
        if let Some(work) = tools.noticed(CHAT) {
            tokio::spawn(work);
        }
    });
    good(house.create("call-1").await);
    let id = house.bound().expect("a workspace");
    know(house);
    house.spaces.delete(&id).await.expect("it goes");
    assert_eq!(heard.recv().await, Some(id));
    super::context::until(house, |chat| chat.outline.diff_status.is_none()).await;
}
