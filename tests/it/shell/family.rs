//! Chats that belong together: children, and what concerns all of them at once.

use support::script::{Gate, Line, STOP, ScriptedModel, say};
use support::shell::{Watcher, World, create, new_chat, rest, run, send, text};
use verbatim_actors::handle::{Answer, Handle, Meta, SendError};
use verbatim_events::chat::Status;
use verbatim_events::command::{Busy, Command, CreateChat};
use verbatim_events::event::SettingsChanged;
use verbatim_events::ids::ChatId;
use verbatim_events::rejection::Rejection;

async fn child(handle: &Handle, parent: ChatId, root: ChatId, content: &str) -> Result<(ChatId, Answer), SendError> {
    let id = ChatId(uuid::Uuid::now_v7());
    let parts = if content.is_empty() { Vec::new() } else { text(content) };
    let command = CreateChat { parent: Some(parent), root, ..new_chat(id, parts) };
    handle.send_family(id, Command::CreateChat(Box::new(command)), Meta::user("ann")).await.map(|answer| (id, answer))
}

async fn archived(handle: &Handle, chat_id: ChatId) -> bool {
    handle.open(chat_id).await.expect("the chat opens").chat.outline.archived
}

fn rejected(result: Result<impl std::fmt::Debug, SendError>) -> Rejection {
    match result {
        Err(SendError::Rejected(rejection)) => rejection,
        other => panic!("this is refused, not {other:?}"),
    }
}

#[test]
fn a_child_is_recorded_at_its_parent_and_answers_by_itself() {
    run(async {
        let world = World::default();
        let handle = world.node("n1", &ScriptedModel::new(vec![vec![say("a"), STOP]]));
        let (root, _) = create(&handle, "").await;
        let (kid, answer) = child(&handle, root, root, "go").await.expect("the child is made");
        assert_eq!(answer.outcome.status, Status::Running);
        rest(&handle, kid).await;
        assert_eq!(handle.open(root).await.expect("the chat opens").chat.outline.children, [kid]);
        assert_eq!(world.names(root).await, ["chat_created", "child_spawned"]);
        assert!(!world.names(kid).await.contains(&"attempt_abandoned"), "nothing was begun that nobody works on");
        handle.shutdown().await;
    });
}

#[test]
fn a_family_is_archived_and_brought_back_whole() {
    run(async {
        let world = World::default();
        let handle = world.node("n1", &ScriptedModel::new(Vec::new()));
        let (root, _) = create(&handle, "").await;
        let (kid, _) = child(&handle, root, root, "").await.expect("the child is made");
        let (grandkid, _) = child(&handle, kid, root, "").await.expect("the grandchild is made");
        let before = world.names(grandkid).await.len();
        handle.send_family(root, Command::Archive, Meta::user("ann")).await.expect("the family is archived");
        for member in [root, kid, grandkid] {
            assert!(archived(&handle, member).await);
        }
        assert_eq!(rejected(child(&handle, root, root, "").await), Rejection::FamilyArchived);
        assert_eq!(rejected(child(&handle, kid, root, "").await), Rejection::FamilyArchived);
        let alone = handle.send_family(kid, Command::Unarchive, Meta::user("ann")).await;
        assert_eq!(rejected(alone), Rejection::FamilyArchived);
        let patch = SettingsChanged { pinned: Some(true), ..SettingsChanged::default() };
        let both = Command::ChangeSettings { patch, archived: Some(false) };
        handle.send_family(root, both, Meta::user("ann")).await.expect("the family comes back");
        for member in [root, kid, grandkid] {
            assert!(!archived(&handle, member).await);
        }
        assert!(handle.open(root).await.expect("the chat opens").chat.outline.pinned);
        assert_eq!(world.names(grandkid).await.len(), before + 2, "put away once, brought back once");
        handle.shutdown().await;
    });
}

#[test]
fn a_family_that_one_append_cannot_hold_is_refused_in_words() {
    run(async {
        let world = World::default();
        let handle = world.node("n1", &ScriptedModel::new(Vec::new()));
        let (root, _) = create(&handle, "").await;
        let (branch, _) = child(&handle, root, root, "").await.expect("the child is made");
        for _ in 0..1000 {
            child(&handle, branch, root, "").await.expect("the child is made");
        }
        let refused = handle.send_family(root, Command::Archive, Meta::user("ann")).await;
        assert_eq!(refused.map(|_| ()), Err(SendError::FamilyTooLarge { max: 1000 }));
        assert!(!archived(&handle, root).await && !archived(&handle, branch).await);
        handle.shutdown().await;
    });
}

#[test]
fn one_busy_member_keeps_the_whole_family_out_of_the_archive() {
    run(async {
        let world = World::default();
        let gate = Gate::default();
        let handle = world.node("n1", &ScriptedModel::new(vec![vec![say("a"), Line::Wait(gate.clone()), STOP]]));
        let (root, _) = create(&handle, "").await;
        let (kid, _) = child(&handle, root, root, "").await.expect("the child is made");
        let mut watcher = Watcher::open(&handle, kid).await;
        send(&handle, kid, "go", Busy::Queue).await.expect("the message is taken");
        watcher.part().await;
        let refused = handle.send_family(root, Command::Archive, Meta::user("ann")).await;
        assert!(matches!(rejected(refused), Rejection::NotAllowed { .. }));
        assert!(!archived(&handle, root).await, "nothing of it happened");
        gate.open();
        watcher.event("turn_finished").await;
        handle.send_family(root, Command::Archive, Meta::user("ann")).await.expect("now it can be archived");
        assert!(archived(&handle, kid).await);
        let refused = send(&handle, kid, "go", Busy::Queue).await;
        assert_eq!(rejected(refused), Rejection::Archived);
        handle.shutdown().await;
    });
}
